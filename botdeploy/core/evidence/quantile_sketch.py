"""Logarithmic bins for positive numbers: the middle of each is within 5 % of all it holds."""

from __future__ import annotations

from math import ceil, log

GROWTH = 1.1
"""Ratio of a bin's upper edge to its lower one (Masson, Rim & Lee, DDSketch, 2019)."""
_PER_STEP = 1.0 / log(GROWTH)


def bin_of_log(value: float) -> int:
    """Give the number of the bin that holds a value, from its natural logarithm."""
    return ceil(value * _PER_STEP - 1e-9)
