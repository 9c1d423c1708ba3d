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
        grace_us = min(self._facts.grace_end_us(one) for one in self._facts.fleet.canary.values())
        if self._is_old_release_sick(grace_us, now_us):
            return None
        return self._most_lines(tally, self._facts.start_end_us(tally, ""), now_us, ignored)

    def mostly_errors_everywhere(self, tally: HostTally, now_us: int) -> str | None:
        """Find that most lines are errors now, which is not usual, and on the baseline as well.

        Now: in the second half of what was watched.
        """
        usual = self._facts.usual(tally)
        if usual is None or 4 * usual.errors_s >= usual.lines_s:
            return None
        begin_us = self._facts.start_end_us(tally, "")
        from_us = begin_us + max(0, now_us - begin_us) // 2
        said = self._most_lines(tally, from_us, now_us, frozenset())
        if said is None or not self._is_old_release_sick(from_us, now_us):
            return None
        return (
            f"{said}; so are most of the old release's: while that lasts, nobody can tell whether "
            "the new one works"
        )

    def _most_lines(
        self, tally: HostTally, from_us: int, now_us: int, ignored: AbstractSet[str]
    ) -> str | None:
        errors = self._since_start(tally, now_us, ignored, from_us)
        lines = sum(bucket.events for bucket in tally.between(from_us, now_us))
        occasions = sum(
            said.occasions for name, said in tally.quotes.items() if name not in ignored
        )
        if errors < FLOOD or occasions < 3 or 2 * errors < lines:
            return None
        said = _loudest(tally, ignored)
        return f"{errors} of {count(lines, 'line')} are errors, most often {quote(said.text)}"

    def _is_old_release_sick(self, from_us: int, now_us: int) -> bool:
        """Tell whether half of the baseline's hosts have mostly errors: not the new one's doing."""
        others = self._facts.fleet.baseline.values()
        sick = sum(_is_mostly_errors(one, from_us, now_us) for one in others)
        return bool(sick) and 2 * sick >= len(others)

    def _since_start(
        self, tally: HostTally, now_us: int, ignored: AbstractSet[str], from_us: int = 0
    ) -> int:
        """Count the errors that are none of the start's, and none before ``from_us``."""
        return sum(
            bucket.errors.get(name, 0)
            for name in tally.quotes.keys() - ignored
            for bucket in tally.between(max(from_us, self._facts.start_end_us(tally, name)), now_us)
        )


def _is_mostly_errors(tally: HostTally, from_us: int, now_us: int) -> bool:
    """Tell whether as many lines of a host of the old release are errors meanwhile."""
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
