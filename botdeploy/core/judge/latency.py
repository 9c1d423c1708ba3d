"""Latency: whether work takes longer than it did, beside the baseline; in logarithms of ms.

Like ``bet``, plain loops that the simulation compiles, over flat lists: ``n[host*minutes +
minute]``.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

SLOWER = (1.15, 1.25, 1.4, 1.7, 2.2, 3.5)
"""Ratios that are bet on."""
FINE = (0.85, 0.95, 1.0, 1.05)
"""Ratios at which nothing is wrong."""
TOO_SLOW = 1.25
"""What a pass excludes."""
ENOUGH_MIN = 20.0
"""Minutes with latencies that the past must have."""
_LEAST_STRAY = 0.08
"""Standard deviation that a minute's gap is taken to have at least (8 %), however calm the past:
three and a half of them are as much slowness as one minute can show."""
_RESTART = 0.0009
"""Variance that a restart adds by itself (3 %)."""


class Gap(NamedTuple):
    """How much slower than usual the canary was in a minute, beyond the baseline."""

    size: float
    """In logarithms; 0 where it is not known."""
    share: float
    """1/n of the canary and of the baseline, added; 0 where one of them did no work."""


class GapModel(NamedTuple):
    """How the gap strayed in the past, from minute to minute and from hour to hour."""

    wander: float
    """Variance from minute to minute, beside the noise of single latencies."""
    inflation: float
    """What the memory of one minute adds to the variance of a sum, as a factor."""
    most: float
    hourly: float
    """Variance from hour to hour."""
    minutes: float
    """How many are known; with less than 20 the rest is 0."""


def usual_means(n: list[float], total: list[float], hosts: int) -> list[float]:
    """Give each host's mean log-latency over its history."""
    minutes = len(n) // hosts
    out = [0.0] * hosts
    for h in range(hosts):
        many = 0.0
        sums = 0.0
        for at in range(h * minutes, (h + 1) * minutes):
            many += n[at]
            sums += total[at]
        out[h] = sums / many if many > 0.0 else 0.0
    return out


def noise_of(n: list[float], total: list[float], squares: list[float]) -> float:
    """Give the variance of one log-latency within a minute, over all hosts; 0 where unknown."""
    spread = 0.0
    freedom = 0.0
    for at in range(len(n)):
        if n[at] >= 2.0:
            spread += squares[at] - total[at] * total[at] / n[at]
            freedom += n[at] - 1.0
    return max(0.01, spread / freedom) if freedom >= 10.0 else 0.0


def gap_at(n: list[float], total: list[float], means: list[float], is_canary: list[bool]) -> Gap:
    """Give the gap in a minute, from each host's number and sum of log-latencies in it.

    Without a baseline the canary is compared with its own past alone.
    """
    own = own_n = rest = rest_n = 0.0
    has_rest = False
    for h in range(len(means)):
        if is_canary[h]:
            own += total[h] - n[h] * means[h]
            own_n += n[h]
        else:
            has_rest = True
            rest += total[h] - n[h] * means[h]
            rest_n += n[h]
    if own_n <= 0.0 or (has_rest and rest_n <= 0.0):
        return Gap(0.0, 0.0)
    if not has_rest:
        return Gap(own / own_n, 1.0 / own_n)
    return Gap(own / own_n - rest / rest_n, 1.0 / own_n + 1.0 / rest_n)


def learn(gaps: list[float], shares: list[float], noise: float) -> GapModel:
    """Learn how the gap strayed in the past; ``noise``: variance of one log-latency."""
    minutes = len(gaps)
    known = 0.0
    square = 0.0
    share = 0.0
    before = 0.0
    has_before = False
    product = 0.0
    pairs = 0.0
    for t in range(minutes):
        if shares[t] <= 0.0:
            continue
        known += 1.0
        square += gaps[t] * gaps[t]
        share += shares[t]
        if has_before:
            product += before * gaps[t]
            pairs += 1.0
        before = gaps[t]
        has_before = True
    if known < ENOUGH_MIN:
        return GapModel(0.0, 0.0, 0.0, 0.0, known)
    spread = max(square / known, _LEAST_STRAY * _LEAST_STRAY)
    wander = max(0.0, spread - noise * share / known)
    memory = min(0.9, max(0.0, (product / max(1.0, pairs)) / max(1e-12, square / known)))
    inflation = (1.0 + memory) / (1.0 - memory)
    hours = 0.0
    strayed = 0.0
    for first in range(0, minutes - 59, 60):
        sums = 0.0
        weight = 0.0
        for t in range(first, first + 60):
            if shares[t] > 0.0:
                v = (noise * shares[t] + wander) * inflation
                sums += gaps[t] / v
                weight += 1.0 / v
        if weight > 0.0:
            hours += 1.0
            strayed += (sums / weight) ** 2 - 1.0 / weight
    hourly = max(0.0, strayed / hours) if hours > 0.0 else 0.01
    # three and a half standard deviations, in place of a quantile
    most = 3.5 * sqrt(spread)
    return GapModel(wander, inflation, most, hourly + _RESTART, known)


def slower_e_value(sums: float, weight: float, hourly: float, stakes: list[float]) -> float:
    """Give the e-value for "slower": ``sums`` of gaps over variance, ``weight`` of 1/variance.

    A mixture of normal likelihood ratios (Robbins, 1970), damped by the variance from hour to hour.
    """
    out = 0.0
    for k in range(len(stakes)):
        theta = log(SLOWER[k])
        power = (theta * sums - 0.5 * theta * theta * weight) / (1.0 + hourly * weight)
        out += stakes[k] * exp(max(-60.0, min(60.0, power)))
    return out


def not_slower_e_value(sums: float, weight: float, hourly: float) -> float:
    """Give the e-value for "not slower than 1.25 times"."""
    if weight <= 0.0:
        return 1.0
    middle = sums / weight
    variance = hourly + 1.0 / weight
    bad = (middle - log(TOO_SLOW)) ** 2
    out = 0.0
    for ratio in FINE:
        power = (bad - (middle - log(ratio)) ** 2) / (2.0 * variance)
        out += exp(max(-60.0, min(60.0, power))) / len(FINE)
    return out


def stakes(weight: float, hourly: float) -> list[float]:
    """Spread the stake over ratios, most where a watch of so much weight can just tell."""
    centre = min(log(3.0), 2.8 * sqrt(hourly + 1.0 / max(1e-6, weight)))
    out = [0.0] * len(SLOWER)
    total = 0.0
    for k in range(len(SLOWER)):
        out[k] = exp(-0.5 * ((log(SLOWER[k]) - centre) / 0.2) ** 2)
        total += out[k]
    for k in range(len(SLOWER)):
        out[k] = 0.3 / len(SLOWER) + 0.7 * out[k] / max(1e-300, total)
    return out
