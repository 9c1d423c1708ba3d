"""Slower work at little data: what a person would see in a minute's latencies."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.judge.host_tally import HostTally

PLAINLY = log(2.0)
"""How much longer work must take (logarithm of the ratio) before it is mentioned."""
SURE = 4.0
"""Standard errors that it must be, too."""
LEAST_SEEN = 10
"""Latencies since the switch that are needed."""
_LEAST_BEFORE = 50
_LEAST_MINUTES = 10
_RESTART = 0.03**2
"""Variance that a restart adds by itself, as in the long soaks."""


@dataclass(frozen=True, slots=True)
class Slower:
    """How much longer a host's work takes than it did."""

    ratio: float
    measured: int
    is_beside: bool
    """Whether it was compared with a baseline."""


@dataclass(frozen=True, slots=True)
class UsualLatencies:
    """A host's usual log-latencies, in milliseconds."""

    mean: float
    within: float
    """Variance of one within a minute."""
    between: float
    """Variance of the minutes' own means."""


def slower(
    tally: HostTally, baseline: Iterable[HostTally], from_us: int, now_us: int
) -> Slower | None:
    """Tell whether a host's work has plainly taken longer since ``from_us``; None if not.

    It is compared with the host's own hour before the switch, and with what the baseline's work
    takes beyond its own usual meanwhile. At least twice as long, and four standard errors.
    """
    past = usual_latencies(tally)
    many, total = _sums(tally.between(from_us, now_us))
    if past is None or many < LEAST_SEEN:
        return None
    gap = total / many - past.mean
    variance = past.within / many + past.between + _RESTART
    rest = weight = 0.0
    for other in baseline:
        usual = usual_latencies(other)
        seen, sums = _sums(other.between(from_us, now_us))
        if usual is not None and seen:
            rest += sums - seen * usual.mean
            weight += seen
    if weight:
        gap -= max(0.0, rest / weight)
        variance += past.within / weight + past.between
    if gap < PLAINLY or gap < SURE * sqrt(variance):
        return None
    return Slower(exp(gap), many, weight > 0.0)


def _sums(buckets: Iterable[Counts]) -> tuple[int, float]:
    many = 0
    total = 0.0
    for bucket in buckets:
        many += bucket.latency_count
        total += bucket.latency_sum
    return many, total


def usual_latencies(tally: HostTally) -> UsualLatencies | None:
    """Learn what is usual (one-way analysis of variance); None where too little is known."""
    groups = [one for one in tally.before.values() if one.latency_count]
    many = sum(one.latency_count for one in groups)
    if len(groups) < _LEAST_MINUTES or many < _LEAST_BEFORE:
        return None
    mean = sum(one.latency_sum for one in groups) / many
    inside = sum(one.latency_squares - one.latency_sum**2 / one.latency_count for one in groups)
    within = max(0.01, inside / max(1, many - len(groups)))
    spread = sum(
        one.latency_count * (one.latency_sum / one.latency_count - mean) ** 2 for one in groups
    )
    size = many - sum(one.latency_count**2 for one in groups) / many
    between = max(0.0, (spread - (len(groups) - 1) * within) / size) if size > 0.0 else 0.0
    return UsualLatencies(mean, within, between)
