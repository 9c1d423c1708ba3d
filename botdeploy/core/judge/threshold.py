"""The threshold: how much evidence fails a release."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH_WINDOWS = 19
"""Past windows from which on one in twenty can be told."""
ROUGH_SHARE = 0.33
"""Share of Ville's bound that is asked for where windows of a rough past support it."""
SMOOTH_SHARE = 2.0
"""The same where errors come one by one: each tells so much that more can be asked for."""
_SMOOTH_BURST = 1.3
_ROUGH_BURST = 1.6
"""Errors that come together, from which on the past is rough; one kind's of a minute count log2."""


def least_threshold(rate: float, burst: float) -> float:
    """Give the least evidence that condemns a release, for this rate of false alarms (0 to 1).

    ``burst``: how many weighed errors come together. In a rough past little evidence is to be had,
    and its windows show what the roughness alone comes to: they, and not the model, keep the rate.
    In a smooth one they show nothing, and proof is soon there: more than Ville's bound can be asked
    for, because the usual rates are only learnt.
    """
    rough = min(1.0, max(0.0, (burst - _SMOOTH_BURST) / (_ROUGH_BURST - _SMOOTH_BURST)))
    return (SMOOTH_SHARE + rough * (ROUGH_SHARE - SMOOTH_SHARE)) / rate


def threshold(
    rate: float, least: float, reached: Sequence[float], *, is_backed: bool = True
) -> float:
    """Give the evidence that condemns, where windows of the past ``reached`` so much (any order).

    ``least``: what is asked for in any case (``least_threshold``).

    It is the quantile of what the windows reached that as few of a hundred exceed as ``rate`` says,
    interpolated. Where that can't be told, from fewer than 19 windows or none that stand for this
    watch (``is_backed``), it is Ville's bound, and no less than any window reached.
    """
    ranked = sorted(reached, reverse=True)
    if len(ranked) < ENOUGH_WINDOWS or not is_backed:
        return max([least, 1.0 / rate, *ranked[:1]])
    rank = max(1.0, min(float(len(ranked)), rate * (len(ranked) + 1)))
    above = ranked[floor(rank) - 1]
    below = ranked[min(len(ranked), floor(rank) + 1) - 1]
    part = rank - floor(rank)
    between: float = above ** (1.0 - part) * below**part
    return max(least, between)
