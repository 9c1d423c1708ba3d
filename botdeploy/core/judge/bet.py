"""A bet against the release: evidence that a count's rate changed, minute by minute.

Plain loops over lists of floats, with no import but ``math`` and ``typing``, so that the simulation
under ``tests/bench`` can compile this very file and run it thousands of times.

A bet is a betting martingale: for each ratio of rates and each supposed bias of the canary host it
keeps how well that pair predicted the counts so far, compared with ratio 1. Its mean over the
ratios is an e-value: under a good release its expectation never exceeds 1, whenever one looks
(Ville's inequality; Ramdas et al., 2023, "Game-theoretic statistics and safe anytime-valid
inference"). Counts are lines a minute, damped where the caller damps them.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p, sqrt
from typing import NamedTuple

NODES = 19
"""Supposed biases of the host: -3 to 3 standard deviations in steps of a third."""
MOST = 1e30
"""Evidence is not counted beyond this."""
LATE = 0.25
"""Share of the stake that is put on changes which begin later in the watch."""
_FOCUS = 0.7
_NEEDED = 5.0


class Grid(NamedTuple):
    """Means at which a count's likelihood is computed: exp(step * (first + index)) times one."""

    step: float
    """In logarithms: a third of the standard deviation of the host's bias."""
    first: int


class Stake(NamedTuple):
    """How one minute may change a bet."""

    most: float
    """The minute multiplies the value of a pair at most by this,"""
    least: float
    """and at least by this."""
    late: float
    """Share of the whole stake that is put on a change which begins in this minute."""
    trust: float
    """Power to which the minute's likelihood ratios are taken, 0 to 1. A power below 1 of an
    e-value is an e-value as well (Jensen)."""


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
    """Spread the stake over ratios, most where this watch is just long enough to tell.

    ``bursts``: how many are expected in the whole watch. Greater ratios show anyway, smaller ones
    cannot be shown; a stake on either is lost. Known before the watch, as it must be.
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


def likelihoods(
    x: float,
    mean: float,
    variance: float,
    burst: float,
    length: float,
    grid: Grid,
    out: list[float],
) -> None:
    """Fill ``out`` with the likelihoods of ``x`` at ``mean`` times what the grid says.

    A negative binomial whose shape grows with the mean: events that come in bursts of ``burst``
    lines (compound Poisson), with ``variance`` as the relative one of the level. They are relative
    to the greatest one among the nodes of ratio 1.

    Where a burst goes on for ``length`` minutes, so many neighbouring minutes show the same event:
    each shows a part of it, and counts for a part of one (a likelihood's power; the geometric mean
    of so many series of minutes that are far enough apart, an e-value by Hölder's inequality).
    """
    top = -1e300
    half = (NODES - 1) // 2
    m = mean * exp(grid.step * grid.first)
    ratio = exp(grid.step)
    within = max(1.05, burst / length)
    for j in range(len(out)):
        shape = 1.0 / (variance + (within - 1.0) / m)
        value = -shape * log1p(m / shape)
        if x > 0.0:
            value += lgamma(x + shape) - lgamma(shape) + x * log(m / (m + shape))
        value /= length
        out[j] = value
        m *= ratio
        if -half <= grid.first + j <= half:
            top = max(top, value)
    for j in range(len(out)):
        gap = out[j] - top
        out[j] = exp(min(gap, 600.0)) if gap > -600.0 else 0.0


def advance(
    table: list[float],
    null: list[float],
    fits: list[float],
    steps: list[int],
    first: int,
    stake: Stake,
) -> None:
    """Take one minute into the table of pairs and into the row of ratio 1.

    ``table[r*NODES + z]`` and ``null[z]`` are relative to the sum of ``null``, kept at 1. ``fits``
    are the minute's ``likelihoods``, of a grid that begins at ``first``; ``steps`` the ratios.
    """
    half = (NODES - 1) // 2
    total = 0.0
    powers = fits
    if stake.trust < 1.0:
        powers = [one**stake.trust for one in fits]
    for z in range(NODES):
        at = z - half - first
        fit = fits[at]
        power = powers[at]
        size = fit / power if power > 0.0 else 0.0
        ceiling = fit * stake.most
        floor = fit * stake.least
        for r in range(len(steps)):
            gain = max(floor, min(size * powers[at + steps[r]], ceiling))
            pair = r * NODES + z
            table[pair] = (table[pair] + stake.late * null[z]) * gain
        null[z] *= fit
        total += null[z]
    total = max(total, 1e-300)
    for z in range(NODES):
        null[z] /= total
    for pair in range(len(table)):
        table[pair] = min(MOST, table[pair] / total)


def ratio_value(table: list[float], ratio: int) -> float:
    """Give the e-value of one ratio, over all supposed biases."""
    out = 0.0
    for z in range(NODES):
        out += table[ratio * NODES + z]
    return out


def e_value(table: list[float], weights: list[float]) -> float:
    """Give the e-value of the whole bet: its ratios' e-values, weighted."""
    out = 0.0
    for r in range(len(weights)):
        out += weights[r] * ratio_value(table, r)
    return min(MOST, out)


def greatest_gain(mean: float) -> float:
    """Give by how much a minute may multiply the evidence where ``mean`` a minute are expected.

    At ordinary rates no fault of under about four minutes condemns; where hardly anything is
    expected a single event has to count for more.
    """
    return exp(1.0 + 1.5 * exp(-10.0 * mean))
