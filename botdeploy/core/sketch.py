"""A mergeable sketch of positive numbers: counts in logarithmic bins, quantiles within 5 %."""

from __future__ import annotations

from math import ceil, exp, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GROWTH = 1.1
"""Ratio of a bin's upper edge to its lower one (Masson, Rim & Lee, DDSketch, 2019)."""
_STEP = log(GROWTH)
_PER_STEP = 1.0 / _STEP


def bin_of(value: float) -> int:
    """Give the number of the bin that holds a value; raises ValueError unless it is above zero."""
    return bin_of_log(log(value))


def bin_of_log(value: float) -> int:
    """Give the number of the bin that holds a value, from its natural logarithm."""
    return ceil(value * _PER_STEP - 1e-9)


def value_of(number: int) -> float:
    """Middle of a bin, at most 5 % from every value in it."""
    return 2.0 * exp(number * _STEP) / (GROWTH + 1.0)


def quantile(bins: Mapping[int, int], share: float) -> float | None:
    """Value below which ``share`` (0 to 1) of the numbers lie, within 5 %; None of nothing."""
    total = sum(bins.values())
    if total <= 0:
        return None
    rank = share * (total - 1)
    seen = 0
    for number in sorted(bins):
        seen += bins[number]
        if seen > rank:
            return value_of(number)
    return value_of(max(bins))


def merged(sketches: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Add sketches up: the sketch of all their numbers."""
    out: dict[int, int] = {}
    for bins in sketches:
        for number, count in bins.items():
            out[number] = out.get(number, 0) + count
    return out
