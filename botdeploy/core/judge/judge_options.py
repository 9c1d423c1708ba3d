"""How strict the judge is: presets, and what an inventory changes in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

QUICK_BELOW_S = 600.0
"""Soaks shorter than this are judged by ``quick`` unless a preset is named."""


class Preset(StrEnum):
    """What a pass needs: proof (careful, normal) or only that nothing bad was seen (quick)."""

    CAREFUL = "careful"
    NORMAL = "normal"
    QUICK = "quick"


_FALSE_ABORTS = {Preset.CAREFUL: 0.05, Preset.NORMAL: 0.05, Preset.QUICK: 0.02}
_WORSE = {Preset.CAREFUL: 2.0, Preset.NORMAL: 3.0, Preset.QUICK: 3.0}
_MISSED = {Preset.CAREFUL: 0.05, Preset.NORMAL: 0.10, Preset.QUICK: 0.10}


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What the judge is asked for; times in seconds, counted from the last canary's switch."""

    preset: Preset = Preset.NORMAL
    false_abort_rate: float = 0.05
    """Share of good releases that may be failed, 0 < rate < 1."""
    worse: float = 3.0
    """How many times the usual error rate is too much; a pass excludes it (not in quick)."""
    missed_rate: float = 0.10
    """How often a release that is ``worse`` may slip through where a pass is a proof."""
    grace_s: float = 120.0
    """What a bot may print while it starts, before its lines are weighed; hard rules never wait."""
    soak_s: float = 1800.0
    deadline_s: float = 3600.0
    """When a missing proof becomes ``inconclusive``."""
    restart_s: float = 5.0
    """How long after a failure systemd may take to start the unit again (RestartSec and some)."""

    @classmethod
    def preset_for(cls, preset: Preset, soak_s: float) -> JudgeOptions:
        """Give a preset's defaults for a soak of ``soak_s`` seconds."""
        if preset is Preset.QUICK:
            grace_s = min(10.0, soak_s / 6.0)
            deadline_s = 2.0 * soak_s
        else:
            grace_s = min(120.0, soak_s / 5.0)
            deadline_s = max(3600.0, 1.5 * soak_s)
        return cls(
            preset=preset,
            false_abort_rate=_FALSE_ABORTS[preset],
            worse=_WORSE[preset],
            missed_rate=_MISSED[preset],
            grace_s=grace_s,
            soak_s=soak_s,
            deadline_s=deadline_s,
        )

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any] | None, soak: timedelta | float) -> JudgeOptions:
        """Read ``rollout.judge`` for a ring with this soak; absent keys follow the preset.

        Keys: ``preset``, ``false_abort_rate``, ``worse``, ``grace``, ``deadline``; durations are
        timedeltas or seconds, and the inventory has checked the ranges. A deadline before the
        soak's end is moved to it.
        """
        given = dict(policy or {})
        soak_s = _seconds(soak)
        name = given.get("preset")
        if name is None:
            preset = Preset.QUICK if soak_s < QUICK_BELOW_S else Preset.NORMAL
        else:
            preset = Preset(name)
        base = cls.preset_for(preset, soak_s)
        deadline = given.get("deadline")
        deadline_s = base.deadline_s if deadline is None else max(_seconds(deadline), soak_s)
        grace = given.get("grace")
        return cls(
            preset=preset,
            false_abort_rate=float(given.get("false_abort_rate") or base.false_abort_rate),
            worse=float(given.get("worse") or base.worse),
            missed_rate=base.missed_rate,
            grace_s=base.grace_s if grace is None else _seconds(grace),
            soak_s=soak_s,
            deadline_s=deadline_s,
        )


def _seconds(value: timedelta | float) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
