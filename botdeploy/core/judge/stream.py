"""A stream: one kind of count, watched for a change of its rate against what is usual."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING

from botdeploy.core.judge import bet

if TYPE_CHECKING:
    from collections.abc import Sequence

WORSE = (1.5, 2.0, 3.0, 4.5, 7.0, 10.0, 15.0, 22.0, 33.0, 50.0)
"""Ratios that are bet on for errors."""
NEW = (10.0, 30.0, 100.0, 300.0, 1000.0)
"""The same for errors that nobody saw before."""
LESS = (0.02, 0.06, 0.12, 0.2, 0.35)
"""The same for traffic."""
LESS_STAKES = (0.35, 0.3, 0.2, 0.1, 0.05)
FINE = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.25)
"""Ratios of errors at which nothing is wrong."""
BUSY = (0.8, 1.0, 1.25, 1.6)
"""The same for traffic."""
_CLIP = exp(2.0)


class Stream:
    """The evidence of one count: fed a minute at a time."""

    def __init__(
        self,
        *,
        burst: float,
        swing: float,
        doubt: float,
        ratios: Sequence[float],
        stakes: Sequence[float],
        ceiling: float,
        minutes: int,
        safe: tuple[Sequence[float], float] | None = None,
    ) -> None:
        """``minutes``: how long the watch may last; ``safe``: good ratios, and the bad one."""
        self._burst = burst
        self._swing = swing
        self._doubt = doubt
        self._ratios = list(ratios)
        self._stakes = list(stakes)
        self._ceiling = ceiling
        self._late = bet.LATE / max(1, minutes)
        self._unspent = self._late * max(1, minutes)
        self._near = self._near_mean = self._far = self._far_mean = 0.0
        self._safe = list(safe[0]) if safe else []
        every = [*self._ratios, *self._safe, *((safe[1],) if safe else ())]
        steps = bet.ratio_steps(every, doubt)
        self._low = bet.lowest_step(steps)
        self._fits = [0.0] * bet.table_size(steps)
        self._steps = steps[: len(self._ratios)]
        self._safe_steps = steps[len(self._ratios) :]
        self._null = bet.node_weights()
        self._safe_null = bet.node_weights()
        self._table = [(1.0 - self._unspent) * one for _ in self._ratios for one in self._null]
        self._safe_table = [one for _ in self._safe_steps for one in self._null]
        self.seen = 0.0
        self.expected = 0.0
        self.others = 0.0

    def baseline(self, x: float, mean: float) -> None:
        """Take what the baseline counted in a minute, and what was expected of it."""
        seen, expected = x / self._burst, mean / self._burst
        self._near = bet.NEAR * self._near + seen
        self._near_mean = bet.NEAR * self._near_mean + expected
        self._far = bet.FAR * self._far + seen
        self._far_mean = bet.FAR * self._far_mean + expected
        self.others += x

    @property
    def level(self) -> float:
        """How many times its usual the baseline counts now."""
        return bet.level(self._swing, self._near, self._near_mean, self._far, self._far_mean)

    def canary(self, x: float, mean: float, *, is_whole: bool = True) -> None:
        """Take what the canary counted in that minute; ``mean``: what is usual for it.

        ``is_whole``: False where lines were lost, so that the count is a lower bound and proves
        no health.
        """
        if mean <= 0.0:
            return
        mean *= self.level
        middle = mean * exp(-0.5 * self._doubt * self._doubt)
        loose = 1.0 / (self._swing + self._near)
        bet.likelihoods(x, middle, loose, self._burst, self._doubt / 3.0, self._low, self._fits)
        late = self._late if self._unspent >= self._late else 0.0
        bet.advance(
            self._table, self._null, self._fits, self._steps, self._low, self._ceiling, 0.0, late
        )
        self._unspent -= late
        if self._safe and is_whole:
            bet.advance(
                self._safe_table,
                self._safe_null,
                self._fits,
                self._safe_steps,
                self._low,
                _CLIP,
                1.0 / _CLIP,
                0.0,
            )
        self.seen += x
        self.expected += mean

    @property
    def worth(self) -> float:
        """The e-value: about how many times likelier under a worse rate."""
        return min(bet.MOST, bet.worth(self._table, self._stakes) + self._unspent)

    @property
    def safety(self) -> float:
        """The e-value the other way round: how many times likelier under a fine rate."""
        good = len(self._safe)
        fine = sum(bet.worth_of(self._safe_table, r) for r in range(good)) / max(1, good)
        return fine / max(1e-30, bet.worth_of(self._safe_table, good))

    def interval(self) -> tuple[float, float] | None:
        """Give about 95 % of the ratio of rates; None where nothing was expected."""
        if self.expected <= 0.0:
            return None
        middle = (self.seen + 0.5 * self._burst) / (self.expected + 0.5 * self._burst)
        bursts = self.seen / self._burst + 0.5
        spread = 1.96 * sqrt(1.0 / bursts + self._doubt**2 + 1.0 / (self.others / self._burst + 4))
        return middle * exp(-spread), middle * exp(spread)
