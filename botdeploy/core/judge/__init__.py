"""Judging a release by its journal, beside the hosts that still run the old one."""

from botdeploy.core.judge.judge import Judge
from botdeploy.core.judge.options import JudgeOptions, Preset
from botdeploy.core.judge.sighting import Kind, Level, Sighting
from botdeploy.core.verdict import Outcome, Verdict

__all__ = [
    "Judge",
    "JudgeOptions",
    "Kind",
    "Level",
    "Outcome",
    "Preset",
    "Sighting",
    "Verdict",
]
