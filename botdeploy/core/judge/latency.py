"""Latency: whether work takes longer than it did, beside the baseline; in logarithms of ms.

Plain loops over flat lists as in ``bet``, ``n[host*minutes + minute]``, for the same reason.
"""

from __future__ import annotations

from math import exp, log, sqrt

SLOWER = (1.15, 1.25, 1.4, 1.7, 2.2, 3.5)
"""Ratios that are bet on."""
FINE = (0.85, 0.95, 1.0, 1.05)
"""Ratios at which nothing is wrong."""
TOO_SLOW = 1.25
"""What a pass excludes."""
_RESTART = 0.0009
"""Variance that a restart adds by itself (3 %)."""


def usual_means(
    n: list[float], total: list[float], hosts: int, minutes: int, out: list[float]
) -> None:
    """Fill ``out`` with each host's mean log-latency over its history."""
    for h in range(hosts):
        many = 0.0
        sums = 0.0
        for t in range(minutes):
            many += n[h * minutes + t]
            sums += total[h * minutes + t]
        out[h] = sums / many if many > 0.0 else 0.0


def noise_of(
    n: list[float], total: list[float], squares: list[float], hosts: int, minutes: int
) -> float:
    """Give the variance of one log-latency within a minute, over all hosts; 0 where unknown."""
    spread = 0.0
    freedom = 0.0
    for at in range(hosts * minutes):
        if n[at] >= 2.0:
            spread += squares[at] - total[at] * total[at] / n[at]
            freedom += n[at] - 1.0
    return max(0.01, spread / freedom) if freedom >= 10.0 else 0.0


def gap_at(
    n: list[float],
    total: list[float],
    means: list[float],
    is_canary: list[bool],
    minutes: int,
    t: int,
    out: list[float],
) -> None:
    """Fill ``out``: how much slower than usual the canary is beyond the baseline, and 1/n's sum.

    The second is 0 where one of them did no work in this minute; without a baseline the canary
    is compared with its own past alone.
    """
    own = 0.0
    own_n = 0.0
    rest = 0.0
    rest_n = 0.0
    has_rest = False
    for h in range(len(means)):
        at = h * minutes + t
        if is_canary[h]:
            own += total[at] - n[at] * means[h]
            own_n += n[at]
        else:
            has_rest = True
            rest += total[at] - n[at] * means[h]
            rest_n += n[at]
    out[0] = 0.0
    out[1] = 0.0
    if own_n > 0.0 and (rest_n > 0.0 or not has_rest):
        out[0] = own / own_n
        out[1] = 1.0 / own_n
        if has_rest:
            out[0] -= rest / rest_n
            out[1] += 1.0 / rest_n


def learn(
    gaps: list[float], shares: list[float], minutes: int, noise: float, about: list[float]
) -> None:
    """Learn how the gap strayed in the past; fills ``about``.

    about: wander from minute to minute (variance), inflation by its memory, the greatest gap that
    counts, variance from hour to hour, minutes known. Gaps are those of ``gap_at`` for the past.
    """
    known = 0.0
    square = 0.0
    share = 0.0
    before = 0.0
    has_before = False
    product = 0.0
    pairs = 0.0
    greatest = 0.0
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
        greatest = max(greatest, abs(gaps[t]))
    about[4] = known
    if known < 20.0:
        return
    wander = max(0.0, (square - noise * share) / known)
    memory = min(0.9, max(0.0, (product / max(1.0, pairs)) / max(1e-12, square / known)))
    inflation = (1.0 + memory) / (1.0 - memory)
    about[0] = wander
    about[1] = inflation
    # three and a half standard deviations, in place of a quantile
    about[2] = 3.5 * sqrt(square / known)
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
    about[3] = max(0.0, strayed / hours) + _RESTART if hours > 0.0 else 0.01 + _RESTART


def slowness(sums: float, weight: float, stray: float, stakes: list[float]) -> float:
    """Give the e-value for "slower": ``sums`` of gaps over variance, ``weight`` of 1/variance."""
    out = 0.0
    for k in range(len(stakes)):
        theta = log(SLOWER[k])
        power = (theta * sums - 0.5 * theta * theta * weight) / (1.0 + stray * weight)
        out += stakes[k] * exp(max(-60.0, min(60.0, power)))
    return out


def swiftness(sums: float, weight: float, stray: float) -> float:
    """Give the e-value for "not slower than 1.25 times"."""
    if weight <= 0.0:
        return 1.0
    middle = sums / weight
    variance = stray + 1.0 / weight
    bad = (middle - log(TOO_SLOW)) ** 2
    out = 0.0
    for ratio in FINE:
        power = (bad - (middle - log(ratio)) ** 2) / (2.0 * variance)
        out += exp(max(-60.0, min(60.0, power))) / len(FINE)
    return out


def stakes(weight: float, stray: float) -> list[float]:
    """Spread the stake over ratios, most where a watch of so much weight can just tell."""
    centre = min(log(3.0), 2.8 * sqrt(stray + 1.0 / max(1e-6, weight)))
    out = [0.0] * len(SLOWER)
    total = 0.0
    for k in range(len(SLOWER)):
        out[k] = exp(-0.5 * ((log(SLOWER[k]) - centre) / 0.2) ** 2)
        total += out[k]
    for k in range(len(SLOWER)):
        out[k] = 0.3 / len(SLOWER) + 0.7 * out[k] / max(1e-300, total)
    return out
