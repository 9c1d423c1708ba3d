"""What is usual: each host's rate, and how much the fleet's counts vary.

Like ``bet``, plain loops that the simulation compiles, over flat lists: ``counts[host*blocks +
block]``. The estimators are moments of an overdispersed Poisson count (a gamma-Poisson mixture)
that are drawn towards a prior, and robust by leaving out or clipping what stands out.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

BLOCK_MIN = 10
"""Minutes in a block of history."""
_PRIOR_EVENTS = 4.0
"""A host's rate is drawn towards the fleet's by as much as so many bursts would weigh."""
_PRIOR_BURST = 3.0
_PRIOR_LINES = 10.0
NO_SWING = 10.0
"""``swing`` of a fleet whose hosts share no ups and downs."""
_OUTAGE = 2.5
"""Blocks in which the whole fleet counted more than so many times its usual are left out."""
WANDER = 0.04
"""Variance of a host's log-rate from hour to hour, where no history has shown it."""
_WANDER_WEIGHT = 8.0
_LAGS = 3
"""Minutes within which one burst may go on."""
_MOST_LINES = 6.0
"""A minute's lines beyond its mean are clipped there: an incident is no burst."""
_PRIOR_MIN = 1.5
"""Minutes that a burst lasts where no history has shown it,"""
_PRIOR_SQUARES = 30.0
"""and how much that weighs, in squared lines: about ten bursts."""
_RESTART = 0.0225
"""Variance that a restart adds to a host's log-rate by itself (.15²)."""


class Spread(NamedTuple):
    """How the counts of a fleet vary while nothing is wrong with its release."""

    burst: float
    """Lines that come together, 1.05 to 60."""
    swing: float
    """Shape of the ups and downs that all hosts share, 0.3 (rough) to 10 (none)."""
    wander: float
    """Variance of a host's log-rate from hour to hour."""


def burst_minutes(counts: list[float], means: list[float], minutes: int) -> float:
    """Give over how many minutes a burst is spread, 1 to 5: ``host*minutes + minute``.

    How much more a sum over minutes varies than they do one by one (the integrated
    autocorrelation), without what all hosts share, drawn towards a prior.
    """
    hosts = len(counts) // minutes
    apart = [0.0] * len(counts)
    for at in range(len(counts)):
        apart[at] = min(counts[at], _MOST_LINES + means[at]) - means[at]
    square = together = 0.0
    for lag in range(_LAGS + 1):
        own = fleet = own_means = fleet_means = 0.0
        for t in range(minutes - lag):
            now = later = now_mean = later_mean = 0.0
            for h in range(hosts):
                at = h * minutes + t
                own += apart[at] * apart[at + lag]
                own_means += means[at] * means[at + lag]
                now += apart[at]
                later += apart[at + lag]
                now_mean += means[at]
                later_mean += means[at + lag]
            fleet += now * later
            fleet_means += now_mean * later_mean
        between = fleet_means - own_means
        shared = (fleet - own) / between if hosts > 1 and between > 0.0 else 0.0
        found = own - own_means * max(0.0, shared)
        if lag:
            together += 2.0 * found
        else:
            square = found
    longer = together + (_PRIOR_MIN - 1.0) * _PRIOR_SQUARES
    return min(5.0, max(1.0, 1.0 + longer / (max(0.0, square) + _PRIOR_SQUARES)))


def learn(counts: list[float], exposure: list[float], blocks: int, rates: list[float]) -> Spread:
    """Learn from history: fills ``rates``, one a host, for each unit of exposure.

    Method of moments in two passes: the second leaves out what the first shows to be outages of
    the fleet and incidents of a host.
    """
    burst = _PRIOR_BURST
    swing = NO_SWING
    outages = [False] * blocks
    incidents = [False] * len(counts)
    means = [0.0] * len(counts)
    for again in range(2):
        if not _fill_rates(counts, exposure, outages, incidents, burst, rates):
            return Spread(burst, swing, WANDER)
        for at in range(len(counts)):
            means[at] = rates[at // blocks] * exposure[at]
        burst, shared = _moments(counts, means, outages, burst)
        if again:
            swing = min(NO_SWING, max(0.3, 1.0 / shared)) if shared > 0.0 else NO_SWING
        else:
            _mark(counts, means, burst, outages, incidents)
    return Spread(burst, swing, _wander(counts, means, outages, burst))


def _fill_rates(
    counts: list[float],
    exposure: list[float],
    outages: list[bool],
    incidents: list[bool],
    burst: float,
    rates: list[float],
) -> bool:
    """Fill each host's rate, drawn towards the fleet's; False where nothing was exposed."""
    blocks = len(outages)
    own_counts = [0.0] * len(rates)
    own_exposure = [0.0] * len(rates)
    for at in range(len(counts)):
        if not outages[at % blocks] and not incidents[at]:
            own_counts[at // blocks] += counts[at]
            own_exposure[at // blocks] += exposure[at]
    if sum(own_exposure) <= 0.0:
        return False
    fleet = (sum(own_counts) / burst + 0.5) / (sum(own_exposure) / burst)
    for h in range(len(rates)):
        rates[h] = (own_counts[h] / burst + _PRIOR_EVENTS) / (
            own_exposure[h] / burst + _PRIOR_EVENTS / fleet
        )
    return True


def _deviation(mean: float, burst: float) -> float:
    """Give the standard deviation of a block's count, with 30 % for what a host does by itself."""
    return sqrt(burst * mean + 0.09 * mean * mean)


def _residual(count: float, mean: float, burst: float) -> float:
    """Give count less mean, clipped above at ten lines and five standard deviations."""
    return min(count - mean, 10.0 + 5.0 * _deviation(mean, burst))


def _moments(
    counts: list[float], means: list[float], outages: list[bool], burst: float
) -> tuple[float, float]:
    """Give the burst, and the relative variance of what all hosts share in a block."""
    blocks = len(outages)
    square = total = mean_squares = 0.0
    shared = shared_means = 0.0
    for b in range(blocks):
        if outages[b]:
            continue
        sum_d = sum_dd = sum_m = sum_mm = 0.0
        for at in range(b, len(counts), blocks):
            d = _residual(counts[at], means[at], burst)
            sum_d += d
            sum_dd += d * d
            sum_m += means[at]
            sum_mm += means[at] * means[at]
        square += sum_dd
        total += sum_m
        mean_squares += sum_mm
        shared += sum_d * sum_d - sum_dd
        shared_means += sum_m * sum_m - sum_mm
    common = max(0.0, shared / shared_means) if shared_means > 0.0 else 0.0
    found = (square - mean_squares * common + _PRIOR_BURST * _PRIOR_LINES) / (total + _PRIOR_LINES)
    return min(60.0, max(1.05, found)), common


def _mark(
    counts: list[float],
    means: list[float],
    burst: float,
    outages: list[bool],
    incidents: list[bool],
) -> None:
    """Mark the blocks in which the fleet, or one host in it, counted far more than usual."""
    blocks = len(outages)
    for b in range(blocks):
        count = mean = 0.0
        for at in range(b, len(counts), blocks):
            count += counts[at]
            mean += means[at]
            excess = counts[at] - means[at]
            incidents[at] = excess > 10.0 and excess > 5.0 * _deviation(means[at], burst)
        level = (4.0 + count / burst) / (4.0 + mean / burst)
        outages[b] = len(counts) > blocks and level > _OUTAGE


def _wander(counts: list[float], means: list[float], outages: list[bool], burst: float) -> float:
    """Give the variance of a host's log-rate from hour to hour, beside the other hosts."""
    blocks = len(outages)
    hour = 60 // BLOCK_MIN
    found = weight = 0.0
    for host in range(0, len(counts), blocks):
        for first in range(0, blocks - hour + 1, hour):
            own = own_mean = rest = rest_mean = 0.0
            for b in range(first, first + hour):
                if outages[b]:
                    continue
                for other in range(0, len(counts), blocks):
                    if other == host:
                        own += counts[other + b]
                        own_mean += means[other + b]
                    else:
                        rest += counts[other + b]
                        rest_mean += means[other + b]
            if own_mean <= 0.0:
                continue
            noise = burst * own_mean
            if rest_mean > 0.0:
                own_mean *= (4.0 + rest / burst) / (4.0 + rest_mean / burst)
                noise = burst * own_mean
                noise += own_mean * own_mean * burst / (rest_mean + 4.0 * burst)
            d = _residual(own, own_mean, burst)
            found += (d * d - noise) / (burst * burst)
            weight += own_mean * own_mean / (burst * burst)
    return (max(0.0, found) + WANDER * _WANDER_WEIGHT) / (weight + _WANDER_WEIGHT)


def doubt(canary_counts: float, burst: float, wander: float) -> float:
    """Give the standard deviation of what the canary's log-rate may be before the release."""
    return sqrt(1.0 / (canary_counts / burst + _PRIOR_EVENTS) + wander + _RESTART)
