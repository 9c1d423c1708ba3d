"""Silence in a short soak: a bot that prints nothing for longer than the old release ever did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.text.phrases import duration

if TYPE_CHECKING:
    from botdeploy.core.judge.host_tally import HostTally
    from botdeploy.core.judge.quick_facts import QuickFacts

QUIET_CHANCE = 0.02
"""How often in a soak the old release may have been as quiet as what is taken for silence."""
LONGER = 2.0
"""Times the longest pause of the old release that a silence must last."""
STEADY = 7.0
"""Lines that must be usual in the time of the silence,"""
CLEARLY_STEADY = 20.0
"""and so many where the past is too short to tell how often it was as quiet."""
LINES_DUE = 2.0
"""Lines that are usual in a quiet that prevents a pass, until one comes,"""
USUAL_QUIET = 0.1
"""unless the old release was as quiet at so many of all moments."""
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
        rare = _quiet_times(tally, quiet_s, self._facts.options.soak_s) <= QUIET_CHANCE
        rare = rare or expected >= CLEARLY_STEADY
        far = quiet_s > LONGER * tally.pauses.longest_s
        if not (rare and far) or self._baseline_quiet(from_us):
            return None
        longest_s = tally.pauses.longest_s
        before = f"; its longest pause before was {duration(longest_s)}" if longest_s else ""
        return (
            f"silent for {duration(quiet_s)}, where about {expected:.0f} lines were usual{before}"
        )

    def at_the_end(self, tally: HostTally, now_us: int) -> str | None:
        """Find that no line has come for a while, where the past says that some were due."""
        usual = self._facts.usual(tally)
        if usual is None or tally.dropped:
            return None
        from_us = max(tally.start_us, tally.last_us or 0)
        quiet_s = self._facts.watched_s(tally, from_us, now_us)
        expected = quiet_s * usual.lines_s * self._facts.baseline_traffic(now_us)
        if quiet_s < LEAST_QUIET_S or expected < LINES_DUE:
            return None
        if _quiet_share(tally, quiet_s) > USUAL_QUIET:
            return None
        return (
            f"no line for {duration(quiet_s)}, where about {expected:.0f} were usual:"
            " the bot may have fallen silent"
        )

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


def _quiet_times(tally: HostTally, length_s: float, span_s: float) -> float:
    """Estimate how many times in ``span_s`` the old release was quiet for ``length_s`` or more.

    With one time more, as if seen in that span: it never says 0, and 1 where there is no past.
    """
    return (tally.pauses.at_least(length_s) + 1) * span_s / (tally.history_s + span_s)


def _quiet_share(tally: HostTally, length_s: float) -> float:
    """Give the share of the past at which the last line was so long ago, or longer."""
    return tally.pauses.beyond_s(length_s) / tally.history_s if tally.history_s else 0.0
