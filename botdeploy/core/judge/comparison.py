"""A comparison: all evidence over one watch, of the canary now or of a host in the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge import latency
from botdeploy.core.judge.count_table import (
    CLASS,
    ERRORS,
    LINES,
    NEW_ERRORS,
    SLOW,
    WEIGHED,
    WORK,
    Table,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from botdeploy.core.judge.history_model import Usual
    from botdeploy.core.judge.streams import Stream

APART = "apart"
"""Evidence of each frequent error by itself, a mean over them."""
SHARES = {WEIGHED: 0.45, APART: 0.12, NEW_ERRORS: 0.15, LINES: 0.10, WORK: 0.18}
"""How the stake is shared among the kinds of evidence; they sum to 1."""


class Slowness:
    """The evidence of latencies."""

    def __init__(self, table: Table, usual: Usual, canary: Collection[int], minutes: int) -> None:
        """Learn how the gap between these hosts and the others strayed in the past."""
        self._table = table
        self._usual = usual
        self._is_canary = [h in canary for h in range(len(table.names))]
        self._sums = self._weight = 0.0
        past = [self._gap(t) for t in range(table.past)]
        noise = usual.latency_noise
        self._about = latency.learn([one.size for one in past], [one.share for one in past], noise)
        self.is_known = noise > 0.0 and self._about.minutes >= latency.ENOUGH_MIN
        if self.is_known:
            each = [1.0 / self._variance(one.share) for one in past if one.share > 0.0]
            weight = sum(each) / table.past * minutes
            self._stakes = latency.stakes(weight, self._about.hourly)

    def _gap(self, t: int) -> latency.Gap:
        rows, covered = self._table.rows, self._table.covered
        n = [row[t] if known[t] else 0.0 for row, known in zip(rows[WORK], covered, strict=True)]
        sums = [row[t] if known[t] else 0.0 for row, known in zip(rows[SLOW], covered, strict=True)]
        return latency.gap_at(n, sums, self._usual.latency_means, self._is_canary)

    def _variance(self, share: float) -> float:
        return (self._usual.latency_noise * share + self._about.wander) * self._about.inflation

    def minute(self, t: int) -> None:
        """Take a minute in."""
        gap = self._gap(t)
        if gap.share <= 0.0:
            return
        most = self._about.most
        variance = self._variance(gap.share)
        self._sums += max(-most, min(most, gap.size)) / variance
        self._weight += 1.0 / variance

    @property
    def e_value(self) -> float:
        """The evidence for "slower"."""
        return latency.slower_e_value(self._sums, self._weight, self._about.hourly, self._stakes)

    @property
    def safety(self) -> float:
        """The e-value for "not 1.25 times slower"."""
        return latency.not_slower_e_value(self._sums, self._weight, self._about.hourly)

    @property
    def middle(self) -> tuple[float, float]:
        """The gap so far and its standard deviation, in logarithms."""
        if self._weight <= 0.0:
            return 0.0, 1.0
        return self._sums / self._weight, (self._about.hourly + 1.0 / self._weight) ** 0.5


class Comparison:
    """Streams over the minutes of a table, with some hosts as the canary and the rest beside."""

    def __init__(
        self,
        table: Table,
        usual: Usual,
        canary: Collection[int],
        minutes: int,
        worse: float | None = None,
    ) -> None:
        """``minutes``: the longest that the watch may last; ``worse``: what a pass excludes."""
        self._table = table
        self._usual = usual
        self.canary = sorted(canary)
        self._others = [h for h in range(len(table.names)) if h not in canary]
        self.weighed = usual.stream(WEIGHED, canary, minutes, worse)
        self.traffic = usual.stream(LINES, canary, minutes, worse)
        self.new_errors = usual.stream(NEW_ERRORS, canary, minutes, None)
        self.apart = {
            kind: opened
            for kind in ("", *table.apart)
            if (opened := usual.stream(CLASS + kind, canary, minutes, None)) is not None
        }
        slow = Slowness(table, usual, canary, minutes) if usual.latency_noise else None
        self.slow = slow if slow is not None and slow.is_known else None
        self.minutes = 0
        self.errors = self.errors_expected = 0.0

    def minute(self, t: int, ready: Collection[int]) -> None:
        """Take minute ``t`` of the table in; only ``ready`` canary hosts are weighed."""
        usual, table = self._usual, self._table
        around = self._others or self.canary
        swing = usual.swing(self._others, t) if self._others else 1.0
        own = {h: usual.lines[h] * swing for h in ready if table.covered[h][t]}
        # beside the canary every host is compared with what all of them do
        rest = {h: usual.lines[h] * swing for h in around if table.covered[h][t]}
        if not self._others:
            rest = {}
        busy = [h for h in own if not table.cut_off[h][t]]
        time = dict.fromkeys(busy, 1.0)
        is_whole = all(table.whole[h][t] for h in own)
        self._take(self.weighed, WEIGHED, t, own, rest, is_whole=is_whole)
        for kind, one in self.apart.items():
            self._take(one, CLASS + kind, t, own, rest, is_whole=is_whole)
        if is_whole and len(busy) == len(own):
            self._take(self.traffic, LINES, t, time, dict.fromkeys(rest, 1.0))
        if self.new_errors is not None:
            # a new error seen while starting counts, if it comes back
            alive = [h for h in self.canary if table.covered[h][t]]
            self.new_errors.canary(
                sum(table.rows[NEW_ERRORS][h][t] for h in alive), usual.new_error_rate * len(alive)
            )
        if not own:
            return
        if self.slow is not None and len(busy) == len(own):
            self.slow.minute(t)
        self.minutes += 1
        rates = usual.of(ERRORS).rates
        level = self.weighed.level.ratio if self.weighed is not None else 1.0
        self.errors += sum(table.rows[ERRORS][h][t] for h in own)
        self.errors_expected += sum(rates[h] * size for h, size in own.items()) * level

    def _take(
        self,
        stream: Stream | None,
        kind: str,
        t: int,
        own: dict[int, float],
        rest: dict[int, float],
        *,
        is_whole: bool = True,
    ) -> None:
        if stream is None:
            return
        about = self._usual.of(kind)
        row = self._table.rows[kind]
        if rest:
            stream.baseline(
                sum(row[h][t] for h in rest),
                sum(about.rates[h] * size for h, size in rest.items()),
                self.weighed if kind.startswith(CLASS) else None,
            )
        if own:
            stream.canary(
                sum(row[h][t] for h in own),
                sum(about.rates[h] * size for h, size in own.items()),
                is_whole=is_whole,
            )

    def parts(self) -> dict[str, tuple[float, float]]:
        """Give each kind of evidence's share of the stake, and its e-value by now."""
        return self._parts(
            _value(self.weighed),
            [one.e_value for one in self.apart.values()],
            _value(self.traffic),
        )

    def _parts(
        self, weighed: float, apart: list[float], traffic: float
    ) -> dict[str, tuple[float, float]]:
        shares = dict(SHARES)
        if self.slow is None:
            shares[WEIGHED] += shares.pop(WORK)
        values = {
            WEIGHED: weighed,
            APART: sum(apart) / len(apart) if apart else 1.0,
            NEW_ERRORS: _value(self.new_errors),
            LINES: traffic,
            WORK: _value(self.slow),
        }
        return {kind: (share, values[kind]) for kind, share in shares.items()}

    @property
    def e_value(self) -> float:
        """The whole evidence against the release: a weighted mean of e-values is one."""
        return _mean(self.parts())

    def in_hindsight(self) -> float:
        """Give the whole evidence, by what the baseline showed after each minute as well.

        What happens to all hosts at once reaches the canary's journal before it is plain in the
        baseline's; looking back it is.
        """
        weighed, outages = self.weighed.in_hindsight() if self.weighed is not None else (1.0, [])
        apart = [one.in_hindsight(outages)[0] for one in self.apart.values()]
        traffic = self.traffic.in_hindsight()[0] if self.traffic is not None else 1.0
        return _mean(self._parts(weighed, apart, traffic))


def _value(evidence: Stream | Slowness | None) -> float:
    return evidence.e_value if evidence is not None else 1.0


def _mean(parts: dict[str, tuple[float, float]]) -> float:
    return sum(share * value for share, value in parts.values())
