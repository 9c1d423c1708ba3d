"""What the sequential test of ``normal`` and ``careful`` finds, on all canary hosts together."""

from __future__ import annotations

from math import ceil, exp, log2, sqrt
from typing import TYPE_CHECKING

from botdeploy.core.judge import bet, rates
from botdeploy.core.judge.comparison import SHARES
from botdeploy.core.judge.count_table import LINES, NEW_ERRORS, NEW_FOR_MIN, WEIGHED, WORK
from botdeploy.core.judge.past_windows import WINDOW_MIN, windows_of
from botdeploy.core.judge.power.scenario import BURST_LINES, MOST_LINES, rarest
from botdeploy.core.judge.sequential import MOST_PAST_MIN
from botdeploy.core.judge.streams import Stream, Variation
from botdeploy.core.judge.tails import at_least, bursts_of
from botdeploy.core.judge.threshold import ENOUGH_WINDOWS, least_threshold

if TYPE_CHECKING:
    from botdeploy.core.judge.power.scenario import Scenario

KINDS = 4
"""Kinds of errors that the lines are taken to be of; damping counts each by itself."""
_ONE_BURST = 1.75
"""What a burst weighs where hardly any comes: the mean of log2(1 + lines)."""
_MOST_BURSTS = 1_000_000
_STEPS = 60
"""Pieces that a long watch is cut into."""
_REST = 0.15
"""What all other kinds of evidence add up to while nothing shows in them."""


class SequentialPower:
    """What ``normal`` and ``careful`` find: a preset's side of a forecast."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        options = scenario.options
        self.watch_s = options.deadline_s
        self._minutes = max(1.0, (options.deadline_s - options.grace_s) / 60.0)
        self._past_min = min(MOST_PAST_MIN, scenario.history_s / 60.0)
        self._usual = _Damped(scenario.errors / BURST_LINES / KINDS)
        self._limit = _limit(scenario, self._past_min, self._burst)
        self._needed: float | None = None

    @property
    def _mean(self) -> float:
        """Weighed errors a minute that are usual on the canary hosts together."""
        return self._usual.mean * KINDS * self._scenario.hosts

    @property
    def _burst(self) -> float:
        usual = self._usual
        return min(60.0, max(1.05, usual.squares / usual.mean if usual.mean > 0.0 else 1.75))

    @property
    def _variation(self) -> Variation:
        """How the weighed errors vary, by what the judge will know of them."""
        doubt = rates.doubt(self._mean * self._past_min, self._burst, rates.WANDER)
        return Variation(self._burst, rates.NO_SWING, doubt)

    @property
    def _steps(self) -> int:
        return max(1, min(_STEPS, ceil(self._minutes)))

    def _evidence(self, bursts: int) -> float:
        """Give all evidence after a watch with so many bursts, evenly spread over it."""
        steps = self._steps
        opened = Stream.of_errors(self._variation, self._mean, self._minutes, steps=steps)
        mean = self._mean * self._minutes / steps
        rest = mean * self._scenario.baseline / self._scenario.hosts
        for step in range(steps):
            if rest > 0.0:
                opened.baseline(rest, rest)
            now = bursts * (2 * step + 3) // (2 * steps) - bursts * (2 * step + 1) // (2 * steps)
            opened.canary(now * self._usual.each, mean)
        return (SHARES[WEIGHED] + SHARES[WORK]) * opened.e_value + _REST

    def _enough(self) -> float:
        """Find the least count of weighed errors that condemns; a burst is the least step."""
        if self._needed is None:
            low = int(self._mean * self._minutes / self._usual.each)
            high = low + 2
            while self._evidence(high) < self._limit and high < _MOST_BURSTS:
                low, high = high, 2 * high
            while high - low > max(1, high // 100):
                middle = (low + high) // 2
                low, high = (
                    (low, middle) if self._evidence(middle) >= self._limit else (middle, high)
                )
            self._needed = high * self._usual.each
        return self._needed

    def chance(self, ratio: float) -> float:
        """Give how likely the count of a worse release is enough, whatever the host's bias."""
        burst, doubt = self._variation.burst, self._variation.doubt
        damped = _Damped(ratio * self._scenario.errors / BURST_LINES / KINDS)
        size = KINDS * self._scenario.hosts * self._minutes
        needed = self._enough()
        out = 0.0
        for z, weight in enumerate(bet.node_weights()):
            bias = exp((z - (bet.NODES - 1) // 2) * doubt / 3.0 - 0.5 * doubt * doubt)
            spread = max(1.0, damped.squares / max(damped.mean, 1e-12)) if damped.mean else burst
            out += weight * at_least(needed / spread, damped.mean * size * bias / spread)
        return out

    def new_s(self) -> float | None:
        """Give how rarely a new error may come and still be found: by how often it must come."""
        scenario = self._scenario
        hosts = scenario.hosts + scenario.baseline
        usual = 0.5 / max(60.0, hosts * self._past_min / 2.0) * scenario.hosts
        minutes = min(240, max(1, round(self._minutes)))

        def evidence(times: int) -> float:
            opened = Stream.of_new_errors(minutes)
            for minute in range(minutes):
                came = times * (minute + 1) // minutes - times * minute // minutes
                opened.canary(float(came), usual)
            return SHARES[NEW_ERRORS] * opened.e_value + _REST

        needed = next((n for n in range(1, minutes // 2 + 1) if evidence(n) >= self._limit), None)
        if needed is None:
            return None

        def found(every_s: float) -> float:
            # a minute without it must lie between, or it has not come back; and an error is young
            # for so long only
            apart_s = every_s + 60.0
            if self.watch_s <= 60.0 * NEW_FOR_MIN:
                return at_least(float(needed), self.watch_s / apart_s)
            first = at_least(1.0, (self.watch_s - 60.0 * NEW_FOR_MIN) / apart_s)
            return first * at_least(needed - 1.0, 60.0 * NEW_FOR_MIN / apart_s)

        return rarest(found, self.watch_s)

    def silence_s(self) -> float | None:
        """Give how many seconds without a line are enough."""
        scenario = self._scenario
        mean = scenario.lines * scenario.hosts
        doubt = rates.doubt(mean * self._past_min, 1.5, rates.WANDER)
        minutes = max(1, round(self._minutes))
        opened = Stream.of_traffic(Variation(1.5, rates.NO_SWING, doubt), minutes)
        rest = scenario.lines * scenario.baseline
        for minute in range(1, min(240, max(1, int(self._minutes))) + 1):
            if rest > 0.0:
                opened.baseline(rest, rest)
            opened.canary(0.0, mean)
            if SHARES[LINES] * opened.e_value >= self._limit:
                return scenario.options.grace_s + 60.0 * minute
        return None


def _limit(scenario: Scenario, past_min: float, burst: float) -> float:
    """Give the evidence that condemns; less where windows of the past support it."""
    rate = scenario.options.false_abort_rate
    least = least_threshold(rate, burst)
    hosts = scenario.hosts + scenario.baseline
    windows = windows_of(int(past_min), hosts)
    is_backed = past_min >= 3 * WINDOW_MIN and windows * hosts >= ENOUGH_WINDOWS
    if not is_backed or scenario.options.deadline_s > 90.0 * WINDOW_MIN:
        return max(least, 1.0 / rate)
    return least


class _Damped:
    """What bursts of one kind of error weigh in a minute: the moments of log2(1 + lines)."""

    def __init__(self, bursts: float) -> None:
        most = min(MOST_LINES, 64 + round(8.0 * BURST_LINES * (bursts + 2.0 * sqrt(bursts) + 4.0)))
        self.mean = self.squares = 0.0
        for n, chance in enumerate(bursts_of(bursts, BURST_LINES, most)):
            weight = log2(1.0 + n)
            self.mean += chance * weight
            self.squares += chance * weight * weight
        # the variance, so that squares / mean is the size of a burst in weighed errors
        self.squares -= self.mean * self.mean
        self.each = self.mean / bursts if self.mean > 0.0 else _ONE_BURST
        """What one burst weighs."""
