"""Judges a release by its journal, beside hosts that still run the old one."""

from botdeploy.core.judge.judge import Judge, PastFacts
from botdeploy.core.judge.judge_options import JudgeOptions, Preset

__all__ = ["Judge", "JudgeOptions", "PastFacts", "Preset"]
