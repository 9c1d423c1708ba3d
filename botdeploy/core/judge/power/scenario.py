"""A scenario: what a forecast assumes of the hosts and of their errors."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.core.judge.judge_options import JudgeOptions

SURE = 0.8
"""What "finds" means: in so many of all cases."""
BURST_LINES = 3.0
"""Lines of an error, on the mean (geometric)."""
MOST_LINES = 4000
_LONGEST_NEW_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is known beforehand."""

    options: JudgeOptions
    lines: float
    error_rate: float
    hosts: int
    baseline: int
    history_s: float

    @property
    def errors(self) -> float:
        """Usual error lines a minute and host."""
        return self.lines * self.error_rate


def rarest(found: Callable[[float], float], watch_s: float) -> float | None:
    """Find the longest time between two events with which they are found in 8 of 10 cases."""
    low, high = 1.0, max(2.0, min(watch_s, _LONGEST_NEW_S))
    if found(low) < SURE:
        return None
    for _ in range(40):
        middle = sqrt(low * high)
        low, high = (middle, high) if found(middle) >= SURE else (low, middle)
    return low
