"""Far more errors than usual in a short soak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.tails import upper_tail
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.judge.host_tally import HostTally, Quote
    from botdeploy.core.judge.quick_facts import QuickFacts

BURST_CHANCE = 1e-3
FLOOD = 5
"""Errors that are needed."""


class ErrorFlood:
    """Finds floods of errors, known ones or not."""

    def __init__(self, facts: QuickFacts) -> None:
        self._facts = facts

    def more_than_usual(
        self, tally: HostTally, now_us: int, ignored: AbstractSet[str]
    ) -> str | None:
        """Find far more errors than usual, unless the baseline has as many."""
        usual = self._facts.usual(tally)
        if usual is None:
            return None
        from_us = self._facts.grace_end_us(tally)
        seen = sum(_errors(bucket, ignored) for bucket in tally.between(from_us, now_us))
        if seen < FLOOD:
            return None
        span_s = self._facts.watched_s(tally, from_us, now_us)
        swing = self._facts.baseline_ratio(from_us, now_us)
        # the rate itself is only known to within a burst more than was seen
        mean = span_s * swing * (usual.errors_s + usual.burst / usual.known_s)
        # what the old release meets meanwhile, however little it met before
        mean = max(mean, span_s * self._facts.baseline_errors_s(tally, from_us, now_us))
        if not is_flood(seen, mean, usual.burst, self._facts.options.worse):
            return None
        said = _loudest(tally, ignored)
        whose = "usual here" if usual.own else "usual on the baseline"
        return (
            f"{count(seen, 'error')} in {duration(span_s)}, where"
            f" {mean:.2g} are {whose}; most often {quote(said.text)}"
        )

    def mostly_errors(self, tally: HostTally, now_us: int, ignored: AbstractSet[str]) -> str | None:
        """Find that most lines are errors, where there is nothing to compare with."""
        if self._facts.usual(tally) is not None:
            return None
        buckets = list(tally.between(self._facts.grace_end_us(tally), now_us))
        errors = sum(_errors(bucket, ignored) for bucket in buckets)
        lines = sum(bucket.events for bucket in buckets)
        occasions = sum(
            said.occasions for name, said in tally.quotes.items() if name not in ignored
        )
        if errors < FLOOD or occasions < 3 or 2 * errors < lines:
            return None
        others = self._facts.fleet.baseline.values()
        sick = sum(self._is_mostly_errors(one, now_us) for one in others)
        if sick and 2 * sick >= len(others):
            return None  # nor is the old release well: it is not the new one's doing
        said = _loudest(tally, ignored)
        return f"{errors} of {count(lines, 'line')} are errors, most often {quote(said.text)}"

    def _is_mostly_errors(self, tally: HostTally, now_us: int) -> bool:
        """Tell whether as many lines of a host of the old release are errors meanwhile."""
        from_us = min(self._facts.grace_end_us(one) for one in self._facts.fleet.canary.values())
        buckets = list(tally.between(from_us, now_us))
        errors = sum(bucket.error_lines for bucket in buckets)
        return errors >= 2 and 2 * errors >= sum(bucket.events for bucket in buckets)


def _loudest(tally: HostTally, ignored: AbstractSet[str]) -> Quote:
    counted = [said for name, said in tally.quotes.items() if name not in ignored]
    return max(counted, key=lambda one: one.lines)


def _errors(bucket: Counts, ignored: AbstractSet[str]) -> int:
    if not ignored:
        return bucket.error_lines
    return sum(number for name, number in bucket.errors.items() if name not in ignored)


def is_flood(seen: int, mean: float, burst: float, worse: float) -> bool:
    """Tell whether so many errors are far too many where ``mean`` were expected.

    ``burst``: lines that come together, above 1.
    """
    if seen < FLOOD or seen < worse * mean:
        return False
    # compound Poisson: bursts of `burst` lines; shape grows with the mean
    return upper_tail(seen, mean, mean / (burst - 1.0)) <= BURST_CHANCE
