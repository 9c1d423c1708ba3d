"""Far more errors than usual in a short soak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.judge.tails import upper_tail
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from botdeploy.core.judge.host_tally import HostTally, Quote
    from botdeploy.core.judge.quick_facts import QuickFacts

FLOOD = 5


@dataclass(frozen=True, slots=True)
class Bound:
    """What is too many."""

    errors: int
    """Errors that are needed."""
    chance: float
    """How often the old release has as many in such a time."""


PROOF = Bound(FLOOD, 1e-3)
DOUBT = Bound(4, 0.05)
"""What only prevents a pass, as long as it lasts."""


class ErrorFlood:
    """Finds floods of errors, known ones or not."""

    def __init__(self, facts: QuickFacts) -> None:
        self._facts = facts

    def more_than_usual(
        self, tally: HostTally, now_us: int, ignored: AbstractSet[str], bound: Bound = PROOF
    ) -> str | None:
        """Find far more errors than usual, unless the baseline has as many."""
        usual = self._facts.usual(tally)
        from_us = self._facts.start_end_us(tally, "")
        seen = self._since_start(tally, now_us, ignored)
        if usual is None or seen < bound.errors:
            return None
        span_s = self._facts.watched_s(tally, from_us, now_us)
        swing = self._facts.baseline_ratio(from_us, now_us)
        # the rate itself is only known to within a burst more than was seen
        mean = span_s * swing * (usual.errors_s + usual.burst / usual.known_s)
        # what the old release meets meanwhile, however little it met before
        mean = max(
            mean,
            span_s * self._facts.baseline_errors_s(tally, from_us, now_us, is_proof=bound is PROOF),
        )
        if not is_flood(seen, mean, usual.burst, self._facts.options.worse, bound):
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
        from_us = self._facts.start_end_us(tally, "")
        errors = self._since_start(tally, now_us, ignored)
        lines = sum(bucket.events for bucket in tally.between(from_us, now_us))
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

    def _since_start(self, tally: HostTally, now_us: int, ignored: AbstractSet[str]) -> int:
        """Count the errors that are none of the start's."""
        return sum(
            bucket.errors.get(name, 0)
            for name in tally.quotes.keys() - ignored
            for bucket in tally.between(self._facts.start_end_us(tally, name), now_us)
        )

    def _is_mostly_errors(self, tally: HostTally, now_us: int) -> bool:
        """Tell whether as many lines of a host of the old release are errors meanwhile."""
        from_us = min(self._facts.grace_end_us(one) for one in self._facts.fleet.canary.values())
        buckets = list(tally.between(from_us, now_us))
        errors = sum(bucket.error_lines for bucket in buckets)
        return errors >= 2 and 2 * errors >= sum(bucket.events for bucket in buckets)


def _loudest(tally: HostTally, ignored: AbstractSet[str]) -> Quote:
    counted = [said for name, said in tally.quotes.items() if name not in ignored]
    return max(counted, key=lambda one: one.lines)


def is_flood(seen: int, mean: float, burst: float, worse: float, bound: Bound = PROOF) -> bool:
    """Tell whether so many errors are far too many where ``mean`` were expected.

    ``burst``: lines that come together, above 1.
    """
    if seen < bound.errors or seen < worse * mean:
        return False
    # compound Poisson: bursts of `burst` lines; shape grows with the mean
    return upper_tail(seen, mean, mean / (burst - 1.0)) <= bound.chance
