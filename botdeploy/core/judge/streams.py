"""A stream: one kind of count, watched for a change of its rate against what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.judge import baseline_level, bet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.judge.baseline_level import BaselineLevel

WORSE = (1.5, 2.0, 3.0, 4.5, 7.0, 10.0, 15.0, 22.0, 33.0, 50.0)
"""Ratios that are bet on for errors."""
NEW = (10.0, 30.0, 100.0, 300.0, 1000.0)
"""The same for errors that nobody saw before."""
NEW_GAIN = 54.6
LESS = (0.02, 0.06, 0.12, 0.2, 0.35)
"""The same for traffic."""
LESS_STAKES = (0.35, 0.3, 0.2, 0.1, 0.05)
LESS_GAIN = 7.39
LOST = 0.2
"""Share of the usual traffic below which it counts as lost."""
FINE = (0.5, 0.7, 0.85, 1.0, 1.15)
"""Ratios of errors at which nothing is wrong."""
BUSY = (0.8, 1.0, 1.25, 1.6)
"""The same for traffic."""
_CLIP = exp(2.0)
_FOR = bet.Stake(_CLIP, 1.0 / _CLIP, 0.0, 1.0)


class Variation(NamedTuple):
    """How a count varies while nothing is wrong with the release."""

    burst: float
    """Lines that come together."""
    swing: float
    """Shape of the ups and downs that all hosts share."""
    doubt: float
    """Standard deviation of what the canary's log-rate may be."""
    length: float = 1.0
    """Minutes over which the lines that come together are spread."""


class Wager(NamedTuple):
    """What a stream bets on."""

    ratios: Sequence[float]
    stakes: Sequence[float]
    gain: float
    """By how much one step may multiply the e-value of a pair."""
    steps: int
    """Steps of the longest watch: minutes, where it is not cut into fewer."""
    good: Sequence[float] = ()
    """Ratios at which nothing is wrong; empty where nothing is to be excluded,"""
    bad: float = 1.0
    """and the one that a pass excludes."""


@dataclass(slots=True)
class _Minute:
    """A minute as it was counted, to be judged again."""

    rest: float
    rest_mean: float
    own: tuple[float, float] | None = None
    """The canary's count and mean, where it was judged."""


class _Pairs:
    """The e-values of some ratios, each for all supposed biases of the host."""

    def __init__(self, steps: list[int], first: int, share: float) -> None:
        self._steps = steps
        self._first = first
        self._null = bet.node_weights()
        self.table = [share * one for _ in steps for one in self._null]

    def take(self, fits: list[float], stake: bet.Stake) -> None:
        """Take a minute in, by its likelihoods."""
        bet.advance(self.table, self._null, fits, self._steps, self._first, stake)


class Stream:
    """The evidence of one count: fed a minute at a time."""

    def __init__(self, variation: Variation, wager: Wager) -> None:
        """Bet on what ``wager`` names, by how the count is known to vary."""
        self._about = variation
        self._wager = wager
        self._late = bet.LATE / max(1, wager.steps)
        self._baseline = baseline_level.unseen_baseline(variation.swing)
        bad = [wager.bad] if wager.good else []
        steps = bet.ratio_steps([*wager.ratios, *wager.good, *bad], variation.doubt)
        many = len(wager.ratios)
        self._grid = bet.Grid(variation.doubt / 3.0, bet.lowest_step(steps))
        self._fits = [0.0] * bet.table_size(steps)
        self._steps = steps[:many]
        self._against = self._opened()
        self._unspent = bet.LATE
        self._for = _Pairs(steps[many:], self._grid.first, 1.0)
        self._minutes: list[_Minute] = []
        self.seen = 0.0
        self.expected = 0.0
        self.others = 0.0

    @classmethod
    def of_errors(
        cls,
        variation: Variation,
        mean: float,
        minutes: float,
        *,
        steps: int | None = None,
        bad: float | None = None,
    ) -> Stream:
        """Open a stream of errors of which ``mean`` a minute are usual on the canary.

        ``steps``: pieces into which the watch of so many minutes is cut, each of them one where
        left out. ``bad``: the ratio that a pass excludes.
        """
        many = max(1, round(minutes)) if steps is None else steps
        gain = min(1e12, bet.greatest_gain(mean) ** (minutes / many))
        stakes = bet.stakes(mean * minutes / variation.burst, variation.doubt, list(WORSE))
        if bad is None:
            return cls(variation, Wager(WORSE, stakes, gain, many))
        return cls(variation, Wager(WORSE, stakes, gain, many, FINE, bad))

    @classmethod
    def of_traffic(
        cls, variation: Variation, minutes: int, *, is_excluding: bool = False
    ) -> Stream:
        """Open the stream of lines; ``is_excluding``: a pass excludes that they are lost."""
        good = BUSY if is_excluding else ()
        return cls(variation, Wager(LESS, LESS_STAKES, LESS_GAIN, minutes, good, LOST))

    @classmethod
    def of_new_errors(cls, minutes: int) -> Stream:
        """Open the stream of errors that nobody saw before."""
        stakes = [1.0 / len(NEW)] * len(NEW)
        return cls(Variation(2.0, 3.0, 0.5), Wager(NEW, stakes, NEW_GAIN, minutes))

    def _opened(self) -> _Pairs:
        """Give the bet as it begins: most of the stake now, the rest on changes that come later."""
        return _Pairs(self._steps, self._grid.first, 1.0 - bet.LATE)

    def baseline(self, x: float, mean: float, beside: Stream | None = None) -> None:
        """Take what the baseline counted in a minute, and what was expected of it.

        ``beside``: the stream of all errors, of which this is a part: what happens to all hosts
        shows there first.
        """
        enter = baseline_level.ENTER
        if beside is not None:
            enter = baseline_level.enter_beside(beside.level.outage)
        burst, swing = self._about.burst, self._about.swing
        self._baseline = baseline_level.follow_baseline(
            x, mean, burst, swing, enter, self._baseline
        )
        self._minutes.append(_Minute(x, mean))
        self.others += x

    @property
    def level(self) -> BaselineLevel:
        """What the baseline counts now, compared with its usual."""
        return self._baseline.level

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
        self._fit(x, mean, self.level)
        self._unspent = self._bet(self._against, self._unspent, self.level)
        if self._wager.good and is_whole:
            self._for.take(self._fits, _FOR)
        self.seen += x
        self.expected += mean * self.level.ratio

    def _fit(self, x: float, mean: float, level: BaselineLevel) -> None:
        middle = mean * level.ratio * exp(-0.5 * self._about.doubt * self._about.doubt)
        burst, length = self._about.burst, self._about.length
        bet.likelihoods(x, middle, level.variance, burst, length, self._grid, self._fits)

    def _bet(self, pairs: _Pairs, unspent: float, level: BaselineLevel) -> float:
        """Bet on the minute that was fitted last; gives the stake that is kept for later ones."""
        late = self._late if unspent >= self._late else 0.0
        trust = baseline_level.trust_in(level.ratio, level.outage)
        pairs.take(self._fits, bet.Stake(self._wager.gain, 0.0, late, trust))
        return unspent - late

    def lately(self, minutes: int, back: int = 0) -> tuple[float, float]:
        """Give what the canary counted in so many minutes, and its mean; ``back`` ago, or now."""
        end = len(self._minutes) - back
        own = [one.own for one in self._minutes[max(0, end - minutes) : max(0, end)] if one.own]
        return sum(x for x, _ in own), sum(mean for _, mean in own)

    def in_hindsight(self, outages: Sequence[float] = ()) -> tuple[float, list[float]]:
        """Give the e-value and each minute's outage, by what the baseline showed later as well.

        ``outages``: those of the stream of all errors, by minute (probabilities, 0 to 1).
        """
        levels = baseline_level.look_back(
            [one.rest for one in self._minutes],
            [one.rest_mean for one in self._minutes],
            self._about.burst,
            self._about.swing,
            list(outages) if len(outages) == len(self._minutes) else [],
        )
        pairs, unspent = self._opened(), bet.LATE
        for one, level in zip(self._minutes, levels, strict=True):
            if one.own is not None:
                self._fit(*one.own, level)
                unspent = self._bet(pairs, unspent, level)
        return _e_value(pairs, self._wager, unspent), [level.outage for level in levels]

    @property
    def e_value(self) -> float:
        """The evidence against the release: how many times likelier the counts are if it is worse.

        A mean over the ratios that are bet on.
        """
        return _e_value(self._against, self._wager, self._unspent)

    @property
    def safety(self) -> float:
        """The e-value for the release: how many times likelier the counts are at a fine rate."""
        good = len(self._wager.good)
        if not good:
            return 0.0
        fine = sum(bet.ratio_value(self._for.table, r) for r in range(good)) / good
        return fine / max(1e-30, bet.ratio_value(self._for.table, good))

    def interval(self) -> tuple[float, float] | None:
        """Give about 95 % of the ratio of rates; None where nothing was expected."""
        if self.expected <= 0.0:
            return None
        burst = self._about.burst
        middle = (self.seen + 0.5 * burst) / (self.expected + 0.5 * burst)
        variance = 1.0 / (self.seen / burst + 0.5) + self._about.doubt**2
        spread = 1.96 * sqrt(variance + 1.0 / (self.others / burst + 4))
        return middle * exp(-spread), middle * exp(spread)


def _e_value(pairs: _Pairs, wager: Wager, unspent: float) -> float:
    return min(bet.MOST, bet.e_value(pairs.table, list(wager.stakes)) + unspent)
