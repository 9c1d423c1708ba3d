"""Judging a release by its journal, beside the hosts that still run the old one."""

from botdeploy.core.judge.judge import Judge
from botdeploy.core.judge.options import JudgeOptions, Preset
from botdeploy.core.judge.power import power
from botdeploy.core.judge.replay import find_switch, replay
from botdeploy.core.verdict import Outcome, Verdict

__all__ = [
    "Judge",
    "JudgeOptions",
    "Outcome",
    "Preset",
    "Verdict",
    "find_switch",
    "power",
    "replay",
]
