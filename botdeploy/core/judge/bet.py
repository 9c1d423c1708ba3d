"""A bet against the release: evidence that a count's rate changed, minute by minute.

The functions here are plain loops over flat lists of floats, so that the simulation under
``tests/bench`` can compile this very file and run it thousands of times.

A bet keeps, for each ratio of rates and each supposed bias of the canary host, how well that pair
foretold the counts so far, compared with ratio 1. Its mean over the ratios is an e-value: under
a good release its expectation never exceeds 1, whenever one looks (Ville's inequality; Ramdas et
al., 2023, "Game-theoretic statistics and safe anytime-valid inference").
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p, sqrt

NODES = 19
"""Supposed biases of the host: -3 to 3 standard deviations in steps of a third."""
MOST = 1e30
"""Evidence is not counted beyond this."""
NEAR = 0.7
"""What the last minute's level of the baseline still weighs a minute later."""
FAR = 0.98
"""The same for the slow level."""
LATE = 0.25
"""Share of the stake that is put on changes which begin later in the watch."""
_FOCUS = 0.7
_NEEDED = 5.0


def node_weights() -> list[float]:
    """Give the weight of each supposed bias: a normal density over the nodes, summing to 1."""
    out = [0.0] * NODES
    total = 0.0
    for z in range(NODES):
        out[z] = exp(-0.5 * ((z - (NODES - 1) // 2) / 3.0) ** 2)
        total += out[z]
    for z in range(NODES):
        out[z] /= total
    return out


def ratio_steps(ratios: list[float], doubt: float) -> list[int]:
    """Round each ratio to a whole number of node steps, so that one table serves all pairs."""
    out = [0] * len(ratios)
    for r in range(len(ratios)):
        out[r] = round(log(ratios[r]) * 3.0 / doubt)
    return out


def lowest_step(steps: list[int]) -> int:
    """Give the table's first index, in node steps: the least ratio at the least bias."""
    low = 0
    for step in steps:
        low = min(low, step)
    return low - (NODES - 1) // 2


def table_size(steps: list[int]) -> int:
    """Give how many entries the table of likelihoods needs."""
    high = 0
    for step in steps:
        high = max(high, step)
    return high + (NODES - 1) // 2 - lowest_step(steps) + 1


def stakes(bursts: float, doubt: float, ratios: list[float]) -> list[float]:
    """Spread the stake over ratios: most where this watch is just long enough to tell.

    ``bursts``: how many are expected in the whole watch. Greater ratios show anyway, smaller ones
    can't be shown; betting on either is money lost. Known before the watch, as it must be.
    """
    low = 0.01
    high = 6.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        ratio = exp(middle)
        if bursts * (ratio * middle - ratio + 1.0) > _NEEDED:
            high = middle
        else:
            low = middle
    centre = min(sqrt(high * high + (2.5 * doubt) ** 2), log(20.0))
    out = [0.0] * len(ratios)
    total = 0.0
    for r in range(len(ratios)):
        out[r] = exp(-0.5 * ((log(ratios[r]) - centre) / 0.45) ** 2)
        total += out[r]
    for r in range(len(ratios)):
        out[r] = (1.0 - _FOCUS) / len(ratios) + _FOCUS * out[r] / total
    return out


def level(swing: float, near: float, near_mean: float, far: float, far_mean: float) -> float:
    """Tell how many times its usual the baseline counts now, from its near and far past."""
    slow = swing * (4.0 + far) / (4.0 + far_mean)
    return (slow + near) / (swing + near_mean)


def likelihoods(
    x: float, mean: float, loose: float, burst: float, step: float, low: int, out: list[float]
) -> None:
    """Fill ``out`` with likelihoods of ``x`` at ``mean`` times exp(step·(low + index)).

    A negative binomial whose shape grows with the mean: events that come in bursts of ``burst``
    lines (compound Poisson), with ``loose`` as the variance of what the level is taken to be.
    They are relative to the greatest one among the nodes of ratio 1.
    """
    top = -1e300
    half = (NODES - 1) // 2
    for j in range(len(out)):
        m = mean * exp(step * (low + j))
        shape = 1.0 / (loose + (burst - 1.0) / m)
        value = -shape * log1p(m / shape)
        if x > 0.0:
            value += lgamma(x + shape) - lgamma(shape) + x * log(m / (m + shape))
        out[j] = value
        if -half <= low + j <= half:
            top = max(top, value)
    for j in range(len(out)):
        gap = out[j] - top
        out[j] = exp(min(gap, 600.0)) if gap > -600.0 else 0.0


def advance(
    table: list[float],
    null: list[float],
    fits: list[float],
    steps: list[int],
    low: int,
    most: float,
    least: float,
    late: float,
) -> None:
    """Take one minute into the table of pairs and into the row of ratio 1.

    ``table[r*NODES + z]`` and ``null[z]`` are relative to the null's sum, kept at 1. ``most`` and
    ``least``: by how much one minute may multiply a pair's worth. ``late``: the share of the stake
    that is put on a change which begins only now.
    """
    half = (NODES - 1) // 2
    total = 0.0
    for z in range(NODES):
        fit = fits[z - half - low]
        ceiling = fit * most
        floor = fit * least
        for r in range(len(steps)):
            gain = max(floor, min(fits[z - half - low + steps[r]], ceiling))
            at = r * NODES + z
            table[at] = (table[at] + late * null[z]) * gain
        null[z] *= fit
        total += null[z]
    total = max(total, 1e-300)
    for z in range(NODES):
        null[z] /= total
    for at in range(len(table)):
        table[at] = min(MOST, table[at] / total)


def worth_of(table: list[float], ratio: int) -> float:
    """Give one ratio's worth, over all supposed biases."""
    out = 0.0
    for z in range(NODES):
        out += table[ratio * NODES + z]
    return out


def worth(table: list[float], weights: list[float]) -> float:
    """Give the e-value: the ratios' worth, weighted."""
    out = 0.0
    for r in range(len(weights)):
        out += weights[r] * worth_of(table, r)
    return min(MOST, out)


def ceiling_of(mean: float) -> float:
    """Tell by how much a minute may raise the evidence at so many expected a minute.

    At ordinary rates no blip of under about four minutes convicts; where hardly anything is
    expected a single event has to count for more.
    """
    return exp(1.0 + 1.5 * exp(-10.0 * mean))
