"""A stream: one kind of count, watched for a change of its rate against what is usual."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
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
FINE = (0.5, 0.7, 0.85, 1.0, 1.15)
"""Ratios of errors at which nothing is wrong."""
BUSY = (0.8, 1.0, 1.25, 1.6)
"""The same for traffic."""
_CLIP = exp(2.0)


@dataclass(slots=True)
class _Minute:
    """A minute as it was counted, to be weighed again."""

    rest: float
    rest_mean: float
    own: tuple[float, float] | None = None
    """The canary's count and mean, where it was weighed."""


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
        self._state = bet.quiet_state(swing)
        self._safe = list(safe[0]) if safe else []
        every = [*self._ratios, *self._safe, *((safe[1],) if safe else ())]
        steps = bet.ratio_steps(every, doubt)
        self._low = bet.lowest_step(steps)
        self._fits = [0.0] * bet.table_size(steps)
        self._steps = steps[: len(self._ratios)]
        self._safe_steps = steps[len(self._ratios) :]
        self._safe_null = bet.node_weights()
        self._safe_table = [one for _ in self._safe_steps for one in self._safe_null]
        self._open()
        self._minutes: list[_Minute] = []
        self.seen = 0.0
        self.expected = 0.0
        self.others = 0.0

    @classmethod
    def of_new_errors(cls, minutes: int) -> Stream:
        """Open the stream of errors that nobody saw before."""
        return cls(
            burst=2.0,
            swing=3.0,
            doubt=0.5,
            ratios=NEW,
            stakes=[1.0 / len(NEW)] * len(NEW),
            ceiling=54.6,
            minutes=minutes,
        )

    def _open(self) -> None:
        """Put the stake on the table: most now, the rest on changes that begin later."""
        self._null = bet.node_weights()
        self._unspent = bet.LATE
        self._table = [(1.0 - bet.LATE) * one for _ in self._ratios for one in self._null]

    def baseline(self, x: float, mean: float, beside: Stream | None = None) -> None:
        """Take what the baseline counted in a minute, and what was expected of it.

        ``beside``: the stream of all errors, of which this is a part: what happens to all hosts
        shows there first.
        """
        enter = bet.ENTER if beside is None else bet.enter_beside(beside.wildness)
        bet.watch_baseline(x, mean, self._burst, self._swing, enter, self._state)
        self._minutes.append(_Minute(x, mean))
        self.others += x

    @property
    def level(self) -> float:
        """How many times its usual the baseline counts now."""
        return self._state[7]

    @property
    def wildness(self) -> float:
        """How much the baseline looks as if something happened to all hosts (0 to 1)."""
        return self._state[6]

    def canary(self, x: float, mean: float, *, is_whole: bool = True) -> None:
        """Take what the canary counted in that minute; ``mean``: what is usual for it.

        ``is_whole``: False where lines were lost, so that the count is a lower bound and proves
        no health.
        """
        if mean <= 0.0:
            return
        if not self._minutes or self._minutes[-1].own is not None:
            self._minutes.append(_Minute(0.0, 0.0))
        self._minutes[-1].own = (x, mean)
        self._fit(x, mean, self._state[7], self._state[8])
        self._bet(self.wildness, self.level)
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
                1.0,
            )
        self.seen += x
        self.expected += mean * self._state[7]

    def _fit(self, x: float, mean: float, level: float, loose: float) -> None:
        middle = mean * level * exp(-0.5 * self._doubt * self._doubt)
        bet.likelihoods(x, middle, loose, self._burst, self._doubt / 3.0, self._low, self._fits)

    def _bet(self, wildness: float, level: float) -> None:
        late = self._late if self._unspent >= self._late else 0.0
        bet.advance(
            self._table,
            self._null,
            self._fits,
            self._steps,
            self._low,
            self._ceiling,
            0.0,
            late,
            bet.trust_in(wildness, level),
        )
        self._unspent -= late

    def lately(self, minutes: int, back: int = 0) -> tuple[float, float]:
        """Give what the canary counted in so many minutes, and its mean; ``back`` ago, or now."""
        end = len(self._minutes) - back
        own = [one.own for one in self._minutes[max(0, end - minutes) : max(0, end)] if one.own]
        return sum(x for x, _ in own), sum(mean for _, mean in own)

    def look_back(self, wildness: Sequence[float] = ()) -> list[float]:
        """Weigh all minutes again, knowing what the baseline showed later; gives their wildness.

        ``wildness``: that of the stream of all errors, by minute. Ends the stream: ``worth`` is
        what it comes to then.
        """
        many = len(self._minutes)
        levels, loose, shares = [1.0] * many, [1.0] * many, [0.0] * many
        bet.look_back(
            [one.rest for one in self._minutes],
            [one.rest_mean for one in self._minutes],
            self._burst,
            self._swing,
            list(wildness) if len(wildness) == many else [],
            levels,
            loose,
            shares,
        )
        self._open()
        for t, one in enumerate(self._minutes):
            if one.own is not None:
                self._fit(one.own[0], one.own[1], levels[t], loose[t])
                self._bet(shares[t], levels[t])
        return shares

    def copy(self) -> Stream:
        """Give a stream to look back with, without touching this one."""
        return copy(self)

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
