"""How many times its usual the baseline counts, minute by minute, and whether that is an outage.

Like ``bet``, plain loops that the simulation compiles. A hidden Markov model of two states, usual
and outage (Rabiner, 1989, "A tutorial on hidden Markov models"), whose levels are gamma
distributed, so that counts are negative binomial.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from typing import NamedTuple

RECENT = 0.7
"""Weight of a minute of the baseline, one minute later, in its recent level."""
SLOW = 0.98
"""The same in its slow level."""
_OUTAGE_SHAPE = 0.3
"""Shape of the level in an outage of all hosts: it may be almost anything."""
_OUTAGE_RECENT = 0.6
DISCOUNT = 2.0
"""How much less a minute counts where the baseline counts e times its usual, less 1."""
ENTER = 1.0 / 60.0
"""Chance that an outage of all hosts begins in a minute."""
_LEAVE = 0.2
"""Chance that it ends in a minute."""


class BaselineLevel(NamedTuple):
    """What the baseline counts in a minute, compared with what was expected of it."""

    ratio: float
    """Counted over expected, 1 where all is as usual."""
    variance: float
    """Relative variance of ``ratio``."""
    outage: float
    """Probability of an outage of all hosts in that minute."""


class Totals(NamedTuple):
    """Counts and means of the baseline in bursts, weighted by their age."""

    recent_count: float
    """Of the last minutes, as far as they were usual ones."""
    recent_mean: float
    slow_count: float
    """Of the last hour, as far as it was usual."""
    slow_mean: float
    outage_count: float
    """Of the last minutes, as far as they were an outage."""
    outage_mean: float


class Baseline(NamedTuple):
    """What the baseline counted until now, and its level in the last minute."""

    totals: Totals
    level: BaselineLevel


def unseen_baseline(swing: float, outage: float = 0.0) -> Baseline:
    """Give a baseline that has counted nothing yet.

    ``swing``: shape of its usual ups and downs. ``outage``: probability of an outage.
    """
    return Baseline(Totals(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), BaselineLevel(1.0, 1.0 / swing, outage))


def follow_baseline(
    x: float, mean: float, burst: float, swing: float, enter: float, baseline: Baseline
) -> Baseline:
    """Take in what the baseline counted in a minute, ``x`` where ``mean`` was expected.

    Usual minutes have swings that were learnt from the past; in an outage something happens to all
    hosts at once that no past need have shown. ``enter``: the chance that one begins now.
    """
    seen = x / burst
    expected = mean / burst
    if expected <= 0.0:
        return baseline
    old = baseline.totals
    usual = _usual_ratio(swing, old)
    outage = (_OUTAGE_SHAPE + old.outage_count) / (_OUTAGE_SHAPE + old.outage_mean)
    prior = _outage_prior(baseline.level.outage, enter)
    gap = _log_count(seen, expected * usual, swing + old.recent_count) - _log_count(
        seen, expected * outage, _OUTAGE_SHAPE + old.outage_count
    )
    share = 1.0 / (1.0 + (1.0 - prior) / prior * exp(max(-50.0, min(50.0, gap))))
    rest = 1.0 - share
    shape = _OUTAGE_SHAPE + _OUTAGE_RECENT * old.outage_count + seen
    outage = shape / (_OUTAGE_SHAPE + _OUTAGE_RECENT * old.outage_mean + expected)
    new = Totals(
        RECENT * old.recent_count + rest * seen,
        RECENT * old.recent_mean + rest * expected,
        SLOW * old.slow_count + rest * seen,
        SLOW * old.slow_mean + rest * expected,
        _OUTAGE_RECENT * old.outage_count + share * seen,
        _OUTAGE_RECENT * old.outage_mean + share * expected,
    )
    return Baseline(
        new, _mixed(share, outage, shape, _usual_ratio(swing, new), swing + new.recent_count)
    )


def _slow_ratio(totals: Totals) -> float:
    return (4.0 + totals.slow_count) / (4.0 + totals.slow_mean)


def _usual_ratio(swing: float, totals: Totals) -> float:
    """Give counted over expected where there is no outage: the mean of a gamma posterior."""
    return (swing * _slow_ratio(totals) + totals.recent_count) / (swing + totals.recent_mean)


def _outage_prior(outage: float, enter: float) -> float:
    """Give the probability of an outage in the next minute."""
    return outage * (1.0 - _LEAVE) + (1.0 - outage) * enter


def _mixed(
    share: float, outage: float, shape: float, usual: float, usual_shape: float
) -> BaselineLevel:
    """Mix the level in an outage, which has this ``share``, and the usual one (both gamma)."""
    rest = 1.0 - share
    ratio = share * outage + rest * usual
    square = share * outage * outage / shape + rest * usual * usual / usual_shape
    square += share * rest * (outage - usual) * (outage - usual)
    return BaselineLevel(ratio, square / (ratio * ratio), share)


def trust_in(ratio: float, outage: float) -> float:
    """Give how far a minute can be trusted, 0 to 1, by the baseline's level in it.

    An outage hits no two hosts alike: a minute that is rather an outage than not, or in which the
    baseline counts more than usual, says less of the release.
    """
    return min(1.0, 2.0 * (1.0 - outage)) / (1.0 + DISCOUNT * max(0.0, log(ratio)))


def enter_beside(outage: float) -> float:
    """Give the chance of an outage for one class of errors, by that of all errors together."""
    return ENTER + (0.8 - ENTER) * outage


def look_back(
    counts: list[float], means: list[float], burst: float, swing: float, outages: list[float]
) -> list[BaselineLevel]:
    """Give the baseline's level in each minute, knowing what came after it as well.

    Smooths what ``follow_baseline`` filters (forward and backward pass). A count of the baseline
    says nothing of the release, so what it shows later may be used to judge what the canary showed
    before. ``outages``: each minute's probability by all errors together, or empty.
    """
    minutes = len(counts)
    past = unseen_baseline(swing)
    forward = [past] * minutes
    for t in range(minutes):
        past = follow_baseline(counts[t], means[t], burst, swing, _enter_at(outages, t), past)
        forward[t] = past
    out = [past.level] * minutes
    future = unseen_baseline(swing, ENTER / (ENTER + _LEAVE))
    for back in range(minutes):
        t = minutes - 1 - back
        enter = _enter_at(outages, t)
        seen, expected = counts[t] / burst, means[t] / burst
        out[t] = _smoothed(seen, expected, swing, enter, forward[t], future)
        future = follow_baseline(counts[t], means[t], burst, swing, enter, future)
    return out


def _enter_at(outages: list[float], t: int) -> float:
    return enter_beside(outages[t]) if len(outages) > 0 else ENTER


def _smoothed(
    seen: float, expected: float, swing: float, enter: float, past: Baseline, future: Baseline
) -> BaselineLevel:
    """Join what was known after a minute with what is known of the minutes that follow it."""
    before, after = past.totals, future.totals
    known = past.level.outage
    usual_odds = enter / (enter + _LEAVE)
    prior = _outage_prior(future.level.outage, enter)
    odds = (
        max(1e-12, known)
        / max(1e-12, 1.0 - known)
        * (prior / (1.0 - prior))
        / (usual_odds / (1.0 - usual_odds))
    )
    usual_shape = swing + before.recent_count + RECENT * after.recent_count
    usual = (swing * _slow_ratio(before) + before.recent_count + RECENT * after.recent_count) / (
        swing + before.recent_mean + RECENT * after.recent_mean
    )
    shape = _OUTAGE_SHAPE + before.outage_count + (1.0 - known) * seen
    shape += _OUTAGE_RECENT * after.outage_count
    mean = _OUTAGE_SHAPE + before.outage_mean + (1.0 - known) * expected
    mean += _OUTAGE_RECENT * after.outage_mean
    return _mixed(odds / (1.0 + odds), shape / mean, shape, usual, usual_shape)


def _log_count(x: float, mean: float, shape: float) -> float:
    """Give the log-likelihood of a count under a level of this shape, but for a constant."""
    return (
        lgamma(x + shape)
        - lgamma(shape)
        + x * log(mean / (mean + shape))
        - shape * log1p(mean / shape)
    )
