"""Silence in a short soak: a bot that prints nothing for longer than the old release ever did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.text.phrases import duration

if TYPE_CHECKING:
    from botdeploy.core.judge.host_tally import HostTally
    from botdeploy.core.judge.quick_facts import QuickFacts

QUIET_CHANCE = 0.02
"""How often in a soak the old release may have been as quiet as what is taken for silence."""
STEADY = 7.0
"""Lines that must be usual in the time of the silence,"""
CLEARLY_STEADY = 20.0
"""and so many where it need only be longer than any pause before."""
LEAST_QUIET_S = 5.0
"""A bot may well need some seconds to log in again after its start."""


class LongSilence:
    """Finds bots that print nothing."""

    def __init__(self, facts: QuickFacts) -> None:
        self._facts = facts

    def too_long(self, tally: HostTally, now_us: int) -> str | None:
        """Find a silence longer than any of the old release, while the baseline prints."""
        usual = self._facts.usual(tally)
        is_down = tally.is_stopping or tally.is_start_due
        if usual is None or tally.unheard.is_broken or tally.dropped or is_down:
            return None
        last_us = tally.last_us if tally.last_us is not None else tally.start_us
        from_us = max(last_us, self._facts.grace_end_us(tally))
        quiet_s = self._facts.watched_s(tally, from_us, now_us)
        expected = quiet_s * usual.lines_s
        if expected < STEADY or quiet_s < LEAST_QUIET_S:
            return None
        rare = tally.quiet_times(quiet_s, self._facts.options.soak_s) <= QUIET_CHANCE
        far = expected >= CLEARLY_STEADY and quiet_s > 2.5 * tally.pauses.longest_s
        if not (rare or far) or self._baseline_quiet(from_us):
            return None
        longest_s = tally.pauses.longest_s
        before = f"; its longest pause before was {duration(longest_s)}" if longest_s else ""
        return (
            f"silent for {duration(quiet_s)}, where about {expected:.0f} lines were usual{before}"
        )

    def from_the_start(self, tally: HostTally, now_us: int) -> str | None:
        """Find that nothing was printed since the switch where many lines are usual."""
        usual = self._facts.usual(tally)
        span_s = self._facts.watched_s(tally, tally.start_us, now_us)
        if tally.lines_after or usual is None or usual.lines_s * span_s < 2 * STEADY:
            return None
        expected = usual.lines_s * span_s
        return f"not one line in {duration(span_s)}, where about {expected:.0f} were usual"

    def _baseline_quiet(self, from_us: int) -> bool:
        """Tell whether the baseline is quiet too: then it is not the release."""
        watched = [
            tally
            for tally in self._facts.fleet.baseline.values()
            if tally.lines_before and not tally.unheard.is_broken
        ]
        if not watched:
            return False
        talking = [tally for tally in watched if tally.last_us and tally.last_us >= from_us]
        return 2 * len(talking) < len(watched)
