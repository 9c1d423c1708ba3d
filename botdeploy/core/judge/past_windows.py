"""Windows of the past: what evidence the old release reached, with each host as the canary."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from botdeploy.core.judge.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.judge.count_table import Table
    from botdeploy.core.judge.history_model import Usual

WINDOW_MIN = 60
_WINDOWS = 24
_AT_ONCE = 4
"""Minutes that are compared in each step, until all are needed."""


def windows_of(past_min: int, hosts: int) -> int:
    """Give how many hours of a past of so many minutes are compared, each once for every host."""
    return min(past_min // WINDOW_MIN - 2, ceil(_WINDOWS / max(1, hosts)))


class PastWindows:
    """Compares the past's last hours as if each had been a watch, a few minutes at a time."""

    def __init__(self, table: Table, usual: Usual) -> None:
        """Begin with nothing compared."""
        self.so_far: list[float] = []
        """The most evidence that each window reached, of those that are done."""
        self._rest = self._compare(table, usual)

    def step(self) -> None:
        """Compare a few minutes more."""
        next(self._rest, None)

    def reached(self) -> list[float]:
        """Give the most evidence that each window reached; what is left is compared now."""
        for _ in self._rest:
            pass
        return self.so_far

    def _compare(self, table: Table, usual: Usual) -> Iterator[None]:
        hosts = [h for h, many in enumerate(usual.minutes) if many >= 3 * WINDOW_MIN]
        for window in range(windows_of(table.past, len(hosts))):
            end = table.past - window * WINDOW_MIN
            for host in hosts:
                comparison = Comparison(table, usual, [host], WINDOW_MIN)
                most = 0.0
                for t in range(end - WINDOW_MIN, end):
                    comparison.minute(t, [host])
                    most = max(most, comparison.e_value)
                    if t % _AT_ONCE == 0:
                        yield
                self.so_far.append(most)
