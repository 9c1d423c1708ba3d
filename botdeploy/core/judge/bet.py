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
_WILD = 0.3
"""Shape of the fleet's level when something happens to all hosts: it may be almost anything."""
_WILD_NEAR = 0.6
DOUBTED = 2.0
"""How much less a minute counts where the baseline counts e times its usual, less 1."""
ENTER = 1.0 / 60.0
"""Chance that something begins to happen to all hosts in a minute."""
_LEAVE = 0.2


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


def quiet_state(swing: float) -> list[float]:
    """Give the state of a baseline of which nothing was seen yet, for ``watch_baseline``."""
    return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0 / swing]


def watch_baseline(
    x: float, mean: float, burst: float, swing: float, enter: float, state: list[float]
) -> None:
    """Take what the baseline counted in a minute; keeps ``state`` of how much it errs now.

    ``state``: calm count and mean of the last minutes, the same of the last hour, wild count and
    mean (all in bursts), how wild the world looks (0 to 1), and how many times its usual the
    baseline counts, with the relative variance of that. Two worlds take turns: a calm one, whose
    swings were learnt from the past, and a wild one, in which something happens to all hosts at
    once that no past need have shown. ``enter``: the chance that a calm minute is followed by a
    wild one.
    """
    seen = x / burst
    expected = mean / burst
    if expected <= 0.0:
        return
    slow = (4.0 + state[2]) / (4.0 + state[3])
    calm = (swing * slow + state[0]) / (swing + state[1])
    wild = (_WILD + state[4]) / (_WILD + state[5])
    before = state[6] * (1.0 - _LEAVE) + (1.0 - state[6]) * enter
    gap = _log_count(seen, expected * calm, swing + state[0]) - _log_count(
        seen, expected * wild, _WILD + state[4]
    )
    share = 1.0 / (1.0 + (1.0 - before) / before * exp(max(-50.0, min(50.0, gap))))
    rest = 1.0 - share
    state[0] = NEAR * state[0] + rest * seen
    state[1] = NEAR * state[1] + rest * expected
    state[2] = FAR * state[2] + rest * seen
    state[3] = FAR * state[3] + rest * expected
    wild_count = _WILD + _WILD_NEAR * state[4] + seen
    wild = wild_count / (_WILD + _WILD_NEAR * state[5] + expected)
    state[4] = _WILD_NEAR * state[4] + share * seen
    state[5] = _WILD_NEAR * state[5] + share * expected
    state[6] = share
    slow = (4.0 + state[2]) / (4.0 + state[3])
    calm = (swing * slow + state[0]) / (swing + state[1])
    middle = share * wild + rest * calm
    state[7] = middle
    state[8] = (
        share * wild * wild / wild_count
        + rest * calm * calm / (swing + state[0])
        + share * rest * (wild - calm) * (wild - calm)
    ) / (middle * middle)


def trust_in(wildness: float, level: float) -> float:
    """Tell how far a minute can be trusted that looks so wild (0 to 1), at such a level.

    What happens to all hosts happens to no two of them alike: a minute that is rather wild than
    calm, or in which the baseline counts more than usual, tells less of the release.
    """
    return min(1.0, 2.0 * (1.0 - wildness)) / (1.0 + DOUBTED * max(0.0, log(level)))


def enter_beside(wildness: float) -> float:
    """Give the chance of wildness for one class of errors, by how wild all together look."""
    return ENTER + (0.8 - ENTER) * wildness


def look_back(
    counts: list[float],
    means: list[float],
    burst: float,
    swing: float,
    wildness: list[float],
    levels: list[float],
    variances: list[float],
    shares: list[float],
) -> None:
    """Tell the baseline's level in each minute, knowing what came after it as well.

    Fills ``levels``, ``variances`` and ``shares`` (how wild each minute was). A count of the
    baseline's says nothing of the release, so what it shows later may be used to understand what
    the canary showed before. ``wildness``: that of all errors together, or nothing.
    """
    many = len(counts)
    state = quiet_state(swing)
    calm_counts = [0.0] * many
    calm_means = [0.0] * many
    wild_counts = [0.0] * many
    wild_means = [0.0] * many
    slows = [0.0] * many
    for t in range(many):
        enter = enter_beside(wildness[t]) if len(wildness) > 0 else ENTER
        watch_baseline(counts[t], means[t], burst, swing, enter, state)
        rest = 1.0 - state[6]
        calm_counts[t] = state[0]
        calm_means[t] = state[1]
        wild_counts[t] = state[4] + rest * counts[t] / burst
        wild_means[t] = state[5] + rest * means[t] / burst
        slows[t] = (4.0 + state[2]) / (4.0 + state[3])
        shares[t] = state[6]
    state = quiet_state(swing)
    state[6] = ENTER / (ENTER + _LEAVE)
    for back in range(many):
        t = many - 1 - back
        enter = enter_beside(wildness[t]) if len(wildness) > 0 else ENTER
        usual = enter / (enter + _LEAVE)
        before = state[6] * (1.0 - _LEAVE) + (1.0 - state[6]) * enter
        odds = (
            max(1e-12, shares[t])
            / max(1e-12, 1.0 - shares[t])
            * (before / (1.0 - before))
            / (usual / (1.0 - usual))
        )
        share = odds / (1.0 + odds)
        calm_shape = swing + calm_counts[t] + NEAR * state[0]
        calm = (swing * slows[t] + calm_counts[t] + NEAR * state[0]) / (
            swing + calm_means[t] + NEAR * state[1]
        )
        wild_shape = _WILD + wild_counts[t] + _WILD_NEAR * state[4]
        wild = wild_shape / (_WILD + wild_means[t] + _WILD_NEAR * state[5])
        middle = share * wild + (1.0 - share) * calm
        levels[t] = middle
        variances[t] = (
            share * wild * wild / wild_shape
            + (1.0 - share) * calm * calm / calm_shape
            + share * (1.0 - share) * (wild - calm) * (wild - calm)
        ) / (middle * middle)
        watch_baseline(counts[t], means[t], burst, swing, enter, state)
        shares[t] = share


def _log_count(x: float, mean: float, shape: float) -> float:
    """Give the log-likelihood of a count under a level of this shape, but for a constant."""
    return (
        lgamma(x + shape)
        - lgamma(shape)
        + x * log(mean / (mean + shape))
        - shape * log1p(mean / shape)
    )


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
    m = mean * exp(step * low)
    ratio = exp(step)
    for j in range(len(out)):
        shape = 1.0 / (loose + (burst - 1.0) / m)
        value = -shape * log1p(m / shape)
        if x > 0.0:
            value += lgamma(x + shape) - lgamma(shape) + x * log(m / (m + shape))
        out[j] = value
        m *= ratio
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
    trust: float,
) -> None:
    """Take one minute into the table of pairs and into the row of ratio 1.

    ``table[r*NODES + z]`` and ``null[z]`` are relative to the null's sum, kept at 1. ``most`` and
    ``least``: by how much one minute may multiply a pair's worth. ``late``: the share of the stake
    that is put on a change which begins only now. ``trust``: the power to which the minute's
    ratios of likelihoods are taken, 0 to 1; a power below 1 of an e-value is one as well (Jensen).
    """
    half = (NODES - 1) // 2
    total = 0.0
    powers = fits
    if trust < 1.0:
        powers = [one**trust for one in fits]
    for z in range(NODES):
        fit = fits[z - half - low]
        power = powers[z - half - low]
        size = fit / power if power > 0.0 else 0.0
        ceiling = fit * most
        floor = fit * least
        for r in range(len(steps)):
            gain = max(floor, min(size * powers[z - half - low + steps[r]], ceiling))
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
