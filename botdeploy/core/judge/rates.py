"""What is usual: each host's rate, and how bursty, moody and forgetful the fleet is.

Like ``bet``, plain loops over flat lists: ``counts[host*blocks + block]``, so that the simulation
can compile this very file.
"""

from __future__ import annotations

from math import sqrt

BLOCK_MIN = 10
"""Minutes in a block of history."""
_PRIOR_EVENTS = 4.0
"""A host's rate is drawn towards the fleet's by as much as so many bursts would weigh."""
_PRIOR_BURST = 3.0
_PRIOR_LINES = 10.0
_OUTAGE = 2.5
"""Blocks in which the whole fleet counted more than so many times its usual are left out."""
WANDER = 0.04
"""Variance of a host's log-rate from hour to hour, where no history has shown it."""
_WANDER_WEIGHT = 8.0
_RESTART = 0.0225
"""Variance that a restart adds to a host's log-rate by itself (.15²)."""


def learn(
    counts: list[float],
    exposure: list[float],
    hosts: int,
    blocks: int,
    rates: list[float],
    about: list[float],
) -> None:
    """Learn from history; fills ``rates`` a host, and ``about``: burst, swing, wander, fleet rate.

    burst: lines that come together (1.05 to 60). swing: shape of the fleet-wide ups and downs,
    small is wild (.3 to 10). wander: variance of a host's log-rate from hour to hour. A second
    pass leaves out what the first shows to be outages and incidents.
    """
    burst = _PRIOR_BURST
    swing = 10.0
    wander = WANDER
    fleet = 0.0
    size = hosts * blocks
    outage = [False] * max(1, blocks)
    odd = [False] * max(1, size)
    for second in range(2):
        # rates, drawn towards the fleet's
        all_counts = 0.0
        all_exposure = 0.0
        for b in range(blocks):
            if not outage[b]:
                for h in range(hosts):
                    if not odd[h * blocks + b]:
                        all_counts += counts[h * blocks + b]
                        all_exposure += exposure[h * blocks + b]
        if all_exposure <= 0.0:
            fleet = 0.0
            break
        fleet = (all_counts / burst + 0.5) / (all_exposure / burst)
        for h in range(hosts):
            own_counts = 0.0
            own_exposure = 0.0
            for b in range(blocks):
                if not outage[b] and not odd[h * blocks + b]:
                    own_counts += counts[h * blocks + b]
                    own_exposure += exposure[h * blocks + b]
            rates[h] = (own_counts / burst + _PRIOR_EVENTS) / (
                own_exposure / burst + _PRIOR_EVENTS / fleet
            )
        # bursts, and swings that the hosts share
        square = 0.0
        means = 0.0
        mean_squares = 0.0
        shared = 0.0
        shared_means = 0.0
        for b in range(blocks):
            if outage[b]:
                continue
            sum_d = 0.0
            sum_dd = 0.0
            sum_m = 0.0
            sum_mm = 0.0
            for h in range(hosts):
                mean = rates[h] * exposure[h * blocks + b]
                d = counts[h * blocks + b] - mean
                d = min(d, 10.0 + 5.0 * sqrt(burst * mean + 0.09 * mean * mean))
                sum_d += d
                sum_dd += d * d
                sum_m += mean
                sum_mm += mean * mean
            square += sum_dd
            means += sum_m
            mean_squares += sum_mm
            shared += sum_d * sum_d - sum_dd
            shared_means += sum_m * sum_m - sum_mm
        common = max(0.0, shared / shared_means) if shared_means > 0.0 else 0.0
        burst = (square - mean_squares * common + _PRIOR_BURST * _PRIOR_LINES) / (
            means + _PRIOR_LINES
        )
        burst = min(60.0, max(1.05, burst))
        if second == 0:
            for b in range(blocks):
                fleet_counts = 0.0
                fleet_mean = 0.0
                for h in range(hosts):
                    at = h * blocks + b
                    mean = rates[h] * exposure[at]
                    fleet_counts += counts[at]
                    fleet_mean += mean
                    excess = counts[at] - mean
                    odd[at] = excess > 10.0 and excess > 5.0 * sqrt(
                        burst * mean + 0.09 * mean * mean
                    )
                level = (4.0 + fleet_counts / burst) / (4.0 + fleet_mean / burst)
                outage[b] = hosts > 1 and level > _OUTAGE
            continue
        swing = min(10.0, max(0.3, 1.0 / common)) if common > 0.0 else 10.0
        # how far a host strays from the others from hour to hour
        found = 0.0
        weight = 0.0
        hour = 60 // BLOCK_MIN
        for h in range(hosts):
            for first in range(0, blocks - hour + 1, hour):
                own = 0.0
                own_mean = 0.0
                rest = 0.0
                rest_mean = 0.0
                for b in range(first, first + hour):
                    if outage[b]:
                        continue
                    for other in range(hosts):
                        mean = rates[other] * exposure[other * blocks + b]
                        if other == h:
                            own += counts[other * blocks + b]
                            own_mean += mean
                        else:
                            rest += counts[other * blocks + b]
                            rest_mean += mean
                if own_mean <= 0.0:
                    continue
                noise = burst * own_mean
                if rest_mean > 0.0:
                    own_mean *= (4.0 + rest / burst) / (4.0 + rest_mean / burst)
                    noise = burst * own_mean + own_mean * own_mean * burst / (
                        rest_mean + 4.0 * burst
                    )
                d = own - own_mean
                d = min(d, 10.0 + 5.0 * sqrt(burst * own_mean + 0.09 * own_mean * own_mean))
                found += (d * d - noise) / (burst * burst)
                weight += own_mean * own_mean / (burst * burst)
        wander = (max(0.0, found) + WANDER * _WANDER_WEIGHT) / (weight + _WANDER_WEIGHT)
    about[0] = burst
    about[1] = swing
    about[2] = wander
    about[3] = fleet


def doubt(canary_counts: float, burst: float, wander: float) -> float:
    """Give the standard deviation of what the canary's log-rate may be before the release."""
    return sqrt(1.0 / (canary_counts / burst + _PRIOR_EVENTS) + wander + _RESTART)
