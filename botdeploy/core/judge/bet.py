"""A bet against the release: evidence that a count's rate rose, minute by minute.

The functions here are plain loops over flat lists of floats, so that the simulation under
``tests/bench`` can compile this very file and run it thousands of times.

A bet keeps, for each ratio of rates and each supposed bias of the canary host, how well that pair
foretold the counts so far, compared with ratio 1. Its mean over the ratios is an e-value: under
a good release its expectation never exceeds 1, whenever one looks (Ville's inequality; Ramdas et
al., 2023, "Game-theoretic statistics and safe anytime-valid inference").
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p

NODES = 19
"""Supposed biases of the host: -3 to 3 standard deviations in steps of a third."""
MOST = 1e30
"""Evidence is not counted beyond this."""


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


def likelihoods(
    x: float, mean: float, loose: float, burst: float, step: float, low: int, out: list[float]
) -> None:
    """Fill ``out`` with likelihoods of ``x`` at ``mean`` times exp(step·(low + index)).

    A negative binomial whose shape grows with the mean: events that come in bursts of ``burst``
    lines (compound Poisson), with ``loose`` as the variance of what the level is taken to be.
    Each is given relative to the one at index ``-low``, or to the greatest of the nodes there.
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
        if -half <= low + j <= half and value > top:
            top = value
    for j in range(len(out)):
        gap = out[j] - top
        out[j] = exp(gap) if gap > -600.0 else 0.0
        if gap > 600.0:
            out[j] = 1e260


def advance(
    table: list[float],
    null: list[float],
    fits: list[float],
    steps: list[int],
    low: int,
    most: float,
    late: float,
) -> None:
    """Take one minute into the table of pairs and into the row of ratio 1.

    ``table[r*NODES + z]`` and ``null[z]`` are relative to the null's sum, kept at 1. ``most``: by
    how much one minute may at most multiply a pair's worth. ``late``: the share of the stake that
    is put on a change that begins only now.
    """
    half = (NODES - 1) // 2
    total = 0.0
    for z in range(NODES):
        fit = fits[z - half - low]
        ceiling = fit * most
        for r in range(len(steps)):
            gain = fits[z - half - low + steps[r]]
            gain = min(gain, ceiling)
            at = r * NODES + z
            table[at] = (table[at] + late * null[z]) * gain
        null[z] *= fit
        total += null[z]
    if total <= 0.0:
        total = 1e-300
    for z in range(NODES):
        null[z] /= total
    for at in range(len(table)):
        value = table[at] / total
        table[at] = min(MOST, value)


def worth(table: list[float], weights: list[float]) -> float:
    """Give the e-value: the pairs' worth, with each ratio weighted."""
    out = 0.0
    for r in range(len(weights)):
        row = 0.0
        for z in range(NODES):
            row += table[r * NODES + z]
        out += weights[r] * row
    return min(MOST, out)
