"""Pauses: how long a bot was quiet between two lines of its past."""

from __future__ import annotations

from bisect import bisect_left, insort

_LONGEST = 256


class Pauses:
    """The longest pauses of one host's past, in microseconds."""

    def __init__(self) -> None:
        """Begin with none."""
        self._sorted: list[int] = []

    def add(self, length_us: int) -> None:
        """Note a pause."""
        if len(self._sorted) >= _LONGEST:
            if length_us <= self._sorted[0]:
                return
            del self._sorted[0]
        insort(self._sorted, length_us)

    @property
    def longest_s(self) -> float:
        """The longest pause, in seconds; 0 where there was none."""
        return self._sorted[-1] / 1e6 if self._sorted else 0.0

    def beyond_s(self, length_s: float) -> float:
        """Give for how long, in all, a pause had lasted so long; of the longest ones only."""
        length_us = round(length_s * 1e6)
        return sum(one - length_us for one in self._sorted if one > length_us) / 1e6

    def at_least(self, length_s: float) -> int:
        """Count the pauses of this length or longer."""
        return len(self._sorted) - bisect_left(self._sorted, round(length_s * 1e6))
