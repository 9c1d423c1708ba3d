"""A model of the history: the usual rate of each kind of count, and the usual latency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import floor
from typing import TYPE_CHECKING

from botdeploy.core.judge import latency, rates
from botdeploy.core.judge.count_table import (
    ERRORS,
    LINES,
    NEW_ERRORS,
    SLOW,
    SQUARES,
    WEIGHED,
    WORK,
    Table,
)
from botdeploy.core.judge.streams import Stream, Variation

if TYPE_CHECKING:
    from collections.abc import Collection

    from botdeploy.core.judge.rates import Spread

SWING_MIN = 10
"""Minutes over which the baseline's traffic is averaged."""
FLOOR_S = 600.0
"""Seconds between errors that are too few to be called worse by a factor: six an hour."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What is usual of one kind of count."""

    rates: list[float]
    """By host, for each unit of exposure."""
    spread: Spread
    counts: list[float]
    """By host, over the whole past."""

    def variation(self, canary: Collection[int], length: float) -> Variation:
        """Give how the counts of these hosts vary together; ``length``: minutes of a burst."""
        burst, swing, wander = self.spread
        counted = sum(self.counts[h] for h in canary)
        return Variation(burst, swing, rates.doubt(counted, burst, wander), length)


class Usual:
    """What a table's past teaches; made once, before the watch."""

    def __init__(self, table: Table) -> None:
        """Learn from ``table.past`` minutes; needs at least one block of ten."""
        self._table = table
        self.hosts = len(table.names)
        self.blocks = table.past // rates.BLOCK_MIN
        self.minutes = [
            max(1, sum(covered[: table.past])) if any(covered[: table.past]) else 0
            for covered in table.covered
        ]
        self.lines = [
            sum(row[: table.past]) / many if many else 0.0
            for row, many in zip(table.rows[LINES], self.minutes, strict=True)
        ]
        known = [lines for lines, many in zip(self.lines, self.minutes, strict=True) if many]
        # a host without a past is taken for a usual one
        middle = sum(known) / len(known) if known else 0.0
        self.lines = [
            lines if many else middle for lines, many in zip(self.lines, self.minutes, strict=True)
        ]
        self._by_time = [
            float(sum(covered[b * rates.BLOCK_MIN : (b + 1) * rates.BLOCK_MIN]))
            for covered in table.covered
            for b in range(self.blocks)
        ]
        everyone = range(self.hosts)
        self._swings = [self.swing(everyone, t) for t in range(table.past)]
        self._by_traffic = [
            self.lines[h]
            * sum(
                self._swings[t]
                for t in range(b * rates.BLOCK_MIN, (b + 1) * rates.BLOCK_MIN)
                if table.covered[h][t]
            )
            for h in everyone
            for b in range(self.blocks)
        ]
        self._kinds: dict[str, Rates] = {}

    def swing(self, hosts: Collection[int], t: int) -> float:
        """Tell how many times their usual these hosts print around minute ``t``."""
        seen = mean = 0.0
        table = self._table
        for at in range(max(0, t - SWING_MIN + 1), t + 1):
            for h in hosts:
                if table.covered[h][at]:
                    seen += table.rows[LINES][h][at]
                    mean += self.lines[h]
        return (seen + 10.0) / (mean + 10.0)

    def of(self, kind: str) -> Rates:
        """Learn one kind of count: errors against traffic, lines against time."""
        if kind not in self._kinds:
            counts = self._table.blocks(kind, rates.BLOCK_MIN)
            exposure = self._by_time if kind == LINES else self._by_traffic
            out = [0.0] * self.hosts
            spread = rates.learn(counts, exposure, self.blocks, out)
            sums = [sum(counts[h * self.blocks : (h + 1) * self.blocks]) for h in range(self.hosts)]
            self._kinds[kind] = Rates(out, spread, sums)
        return self._kinds[kind]

    @cached_property
    def burst_minutes(self) -> float:
        """Over how many minutes a burst of errors is spread, by all errors of the past."""
        past, table = self._table.past, self._table
        each = self.of(WEIGHED).rates
        counts, means = [], []
        for h in range(self.hosts):
            for t in range(past):
                known = table.covered[h][t]
                counts.append(table.rows[WEIGHED][h][t] if known else 0.0)
                means.append(each[h] * self.lines[h] * self._swings[t] if known else 0.0)
        return rates.burst_minutes(counts, means, past)

    @cached_property
    def new_error_rate(self) -> float:
        """How often a host shows a new error, a minute, by the past's second half."""
        half = self._table.past // 2
        events = minutes = 0.0
        for row, covered in zip(self._table.rows[NEW_ERRORS], self._table.covered, strict=True):
            for t in range(half, self._table.past):
                if covered[t]:
                    events += row[t]
                    minutes += 1.0
        return (events + 0.5) / max(60.0, minutes)

    @cached_property
    def latency_noise(self) -> float:
        """Variance of one log-latency within a minute; 0 where the bot prints no latencies."""
        return latency.noise_of(self._flat(WORK), self._flat(SLOW), self._flat(SQUARES))

    @cached_property
    def latency_means(self) -> list[float]:
        """Each host's mean log-latency."""
        return latency.usual_means(self._flat(WORK), self._flat(SLOW), self.hosts)

    def _flat(self, kind: str) -> list[float]:
        return [one for row in self._table.rows[kind] for one in row[: self._table.past]]

    @cached_property
    def error_gap_s(self) -> float:
        """Mean seconds between two errors that are to be expected of the canary hosts."""
        rates = self.of(ERRORS).rates
        each_min = sum(rates[h] * self.lines[h] for h in range(self._table.canaries))
        return 60.0 / each_min if each_min > 0.0 else 1e9

    def too_many(self, worse: float) -> float:
        """Give the ratio of errors that a pass excludes: ``worse``, or six an hour."""
        return max(worse, self.error_gap_s / FLOOR_S)

    def weighed_ratio(self, ratio: float) -> float:
        """Turn a ratio of errors into one of weighed errors, which damping makes smaller."""
        whole = floor(ratio)
        if whole >= 6:
            return ratio * self._table.saturation(6) / 6.0
        low = self._table.saturation(whole)
        high = self._table.saturation(whole + 1)
        return max(1.2, low + (ratio - whole) * (high - low))

    def stream(
        self, kind: str, canary: Collection[int], minutes: int, worse: float | None
    ) -> Stream | None:
        """Open a stream for a watch of so many minutes; None where nothing is usual of it."""
        if kind == NEW_ERRORS:
            return Stream.of_new_errors(minutes)
        usual = self.of(kind)
        is_traffic = kind == LINES
        mean = sum(usual.rates[h] * (1.0 if is_traffic else self.lines[h]) for h in canary)
        if mean <= 0.0:
            return None
        variation = usual.variation(canary, 1.0 if is_traffic else self.burst_minutes)
        if is_traffic:
            return Stream.of_traffic(variation, minutes, is_excluding=worse is not None)
        bad = None
        if worse is not None and kind == WEIGHED:
            bad = self.weighed_ratio(self.too_many(worse))
        return Stream.of_errors(variation, mean, minutes, bad=bad)
