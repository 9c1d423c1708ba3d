"""Signs of trouble on one instance: it ends, errs, is silent or slow, unlike what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import ceil, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.judge.error_flood import is_flood
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.long_silence import CLEARLY_STEADY, LEAST_QUIET_S
from botdeploy.core.judge.slower import LEAST_SEEN, PLAINLY, SURE, usual_latencies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.judge.host_tally import HostTally
    from botdeploy.core.judge.quick_facts import QuickFacts
    from botdeploy.core.judge.slower import UsualLatencies

SURELY = 2.0
"""Standard errors from which on a count is not what is usual."""
_BUSY_SHARE = 0.95
"""Share of the past's windows that have no more errors than what is taken for the busiest."""
_LINES_BURST = 1.5


class FaultKind(StrEnum):
    """What an instance shows, in words that follow "all instances"."""

    STOPS = "stopped or crashed"
    NEW = "have an error that was never seen before"
    ERRORS = "have far more errors than usual"
    SILENT = "print far less than usual"
    SLOW = "take far longer than usual for their work"


MEASURED = (FaultKind.ERRORS, FaultKind.SILENT, FaultKind.SLOW)


class Strayed(NamedTuple):
    """How far a count is from what is usual."""

    size: float = 0.0
    """Logarithm of the ratio, above 0 where it is worse than usual."""
    sure: float = 0.0
    """The same in standard errors."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time, in microseconds since the epoch."""

    from_us: int
    to_us: int

    def has(self, at_us: int) -> bool:
        """Tell whether an instant lies in it."""
        return self.from_us <= at_us <= self.to_us


class MachineInstance:
    """What one instance shows, before the switch and since."""

    def __init__(self, tally: HostTally, facts: QuickFacts) -> None:
        """``facts`` knows what is usual for the host of ``tally``."""
        self.tally = tally
        self._facts = facts

    @property
    def name(self) -> str:
        """Its host."""
        return self.tally.name

    def is_heard(self, stretch: Stretch) -> bool:
        """Tell whether its journal is read, then as now, and nobody has stopped it."""
        if self.tally.unheard.is_broken or self.tally.is_stopping:
            return False
        unheard_us = self.tally.unheard.between(stretch.from_us, stretch.to_us)
        return 2 * unheard_us <= stretch.to_us - stretch.from_us

    def has_stopped(self, stretch: Stretch) -> bool:
        """Tell whether it ended with a fault in a stretch."""
        return any(map(stretch.has, self.stops()))

    def stops(self) -> Iterator[int]:
        """Give when it ended with a fault."""
        for events in (self.tally.process_events_before, self.tally.process_events):
            yield from (one.at_us for one in events if not one.is_faultless)

    def strayed(self, kind: FaultKind, stretch: Stretch) -> Strayed:
        """Tell how far it is from its usual in a stretch; nothing where that is not known."""
        heard_s = self._facts.watched_s(self.tally, stretch.from_us, stretch.to_us)
        if 2e6 * heard_s < stretch.to_us - stretch.from_us:
            return Strayed()
        if kind is FaultKind.SLOW:
            return self._slower(stretch)
        usual = self._facts.usual(self.tally)
        if usual is None:
            return Strayed()
        counted = self._counted(stretch)
        if kind is FaultKind.ERRORS:
            seen = float(sum(one.error_lines for one in counted))
            return _stray(seen, usual.errors_s * heard_s, usual.burst, more=True)
        seen = float(sum(one.events for one in counted))
        return _stray(seen, usual.lines_s * heard_s, _LINES_BURST, more=False)

    def is_plain(self, kind: FaultKind, stretch: Stretch) -> bool:
        """Tell whether a stretch shows trouble that nobody would take for chance."""
        strayed = self.strayed(kind, stretch)
        if strayed.sure < SURELY:
            return False
        if kind is FaultKind.SLOW:
            return strayed.size >= PLAINLY and strayed.sure >= SURE
        return self._is_flooded(stretch) if kind is FaultKind.ERRORS else self._is_silent(stretch)

    def _is_flooded(self, stretch: Stretch) -> bool:
        usual = self._facts.usual(self.tally)
        if usual is None:
            return False
        span_s = (stretch.to_us - stretch.from_us) / SECOND_US
        mean = span_s * (max(usual.errors_s, self._busy_s(span_s)) + usual.burst / usual.known_s)
        seen = sum(one.error_lines for one in self._counted(stretch))
        return is_flood(seen, mean, usual.burst, self._facts.options.worse)

    def _busy_s(self, span_s: float) -> float:
        """Give the errors a second in the busy windows of the past: evenings are no fault."""
        width = max(1, ceil(span_s / 60.0))
        past = self.tally.before
        if len(past) < 2 * width:
            return 0.0
        first, last = min(past), max(past)
        sums = sorted(
            sum(past[key].error_lines for key in range(begin, begin + width) if key in past)
            for begin in range(first, last - width + 2, width)
        )
        return sums[min(len(sums) - 1, int(_BUSY_SHARE * len(sums)))] / (60.0 * width)

    def _is_silent(self, stretch: Stretch) -> bool:
        """Tell whether nothing was printed for longer than the old release ever was quiet."""
        usual = self._facts.usual(self.tally)
        if usual is None or usual.lines_s <= 0.0 or self.tally.dropped:
            return False
        is_down = self.tally.is_stopping or self.tally.is_start_due
        if is_down or any(one.events for one in self._counted(stretch)):
            return False
        longest_s = self.tally.pauses.longest_s
        least_s = max(CLEARLY_STEADY / usual.lines_s, 2.5 * longest_s, LEAST_QUIET_S)
        return stretch.to_us - stretch.from_us >= least_s * SECOND_US

    def _slower(self, stretch: Stretch) -> Strayed:
        past = self._latencies
        if past is None:
            return Strayed()
        counted = list(self._counted(stretch))
        many = sum(one.latency_count for one in counted)
        if many < LEAST_SEEN:
            return Strayed()
        gap = sum(one.latency_sum for one in counted) / many - past.mean
        return Strayed(max(0.0, gap), gap / sqrt(past.within / many + past.between))

    @cached_property
    def _latencies(self) -> UsualLatencies | None:
        return usual_latencies(self.tally)

    def _counted(self, stretch: Stretch) -> Iterator[Counts]:
        """Give the buckets, before the switch and since, that begin in a stretch."""
        for buckets, step in (
            (self.tally.before, MINUTE_US),
            (self.tally.after, self.tally.step_us),
        ):
            for key in range(-(-stretch.from_us // step), -(-stretch.to_us // step)):
                if key in buckets:
                    yield buckets[key]


def _stray(seen: float, mean: float, burst: float, *, more: bool) -> Strayed:
    ratio = (seen + burst) / (mean + burst)
    size = log(ratio) if more else -log(ratio)
    noise = sqrt(burst * (mean + burst))
    return Strayed(max(0.0, size), (seen - mean if more else mean - seen) / noise)
