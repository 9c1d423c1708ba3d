"""The evidence in sentences: what a comparison shows."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

from botdeploy.core.judge.comparison import APART
from botdeploy.core.judge.count_table import LINES, NEW_ERRORS, WEIGHED, WORK
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.judge.comparison import Comparison
    from botdeploy.core.judge.fleet_tally import FleetTally


class EvidenceText:
    """Puts the evidence of one comparison into words."""

    def __init__(self, fleet: FleetTally, comparison: Comparison) -> None:
        """``fleet``: the hosts that were compared, with the errors that they quote."""
        self._fleet = fleet
        self._comparison = comparison

    def figures(self) -> str:
        """Sum the comparison up in numbers."""
        comparison = self._comparison
        said = (
            f"{count(comparison.errors, 'error')} in {count(comparison.minutes, 'minute')},"
            f" {comparison.errors_expected:.2g} expected"
        )
        span = comparison.weighed.interval() if comparison.weighed and comparison.minutes else None
        if span is not None:
            said += f" (ratio {span[0]:.2g} to {span[1]:.2g}, 95 %)"
        return f"{said}; evidence against the release {comparison.e_value:.2g}"

    def against(self, reached: Sequence[float] = ()) -> tuple[str, ...]:
        """Say what condemns the release, the weightiest first; windows of the past ``reached``."""
        parts = {kind: share * value for kind, (share, value) in self._comparison.parts().items()}
        total = sum(parts.values())
        first, *others = sorted(parts, key=lambda kind: -parts[kind])
        heavy = [kind for kind in others if parts[kind] >= 0.2 * total and self._is_telling(kind)]
        said = [sentence for kind in (first, *heavy) for sentence in self._sentences(kind)]
        past = ""
        if reached:
            past = (
                f"; the same calculation for {len(reached)} hours of the past gave"
                f" {max(reached):.2g} at most"
            )
        said.append(f"together {total:.3g} times likelier if the release is worse{past}")
        return tuple(said)

    def _is_telling(self, kind: str) -> bool:
        """Tell whether a ratio that a sentence would state plainly differs from 1."""
        if kind == WEIGHED:
            return self._errors_interval() is not None
        return kind != WORK or self._work_interval() is not None

    def _errors_interval(self) -> tuple[float, float] | None:
        """Give the interval of the ratio of error rates where it lies above 1."""
        weighed = self._comparison.weighed
        span = weighed.interval() if weighed is not None else None
        return span if span is not None and span[0] > 1.0 else None

    def _work_interval(self) -> tuple[float, float] | None:
        """Give the interval of how many times as long work takes where it lies above 1."""
        slow = self._comparison.slow
        if slow is None:
            return None
        middle, spread = slow.middle
        low, high = exp(middle - 1.96 * spread), exp(middle + 1.96 * spread)
        return (low, high) if low > 1.0 else None

    def host(self) -> str | None:
        """Name the canary host that shows it, if one alone does."""
        errors = {
            tally.name: sum(one.lines for one in tally.quotes.values())
            for tally in self._fleet.canary.values()
        }
        worst = max(errors, key=lambda name: errors[name])
        return worst if len(errors) == 1 or errors[worst] > 0.8 * sum(errors.values()) else None

    def _sentences(self, kind: str) -> list[str]:
        comparison = self._comparison
        if kind == NEW_ERRORS:
            return self._new_errors()
        if kind == WORK and comparison.slow is not None:
            said = (
                f"work takes {exp(comparison.slow.middle[0]):.2f} times as long as before,"
                " compared with the baseline"
            )
            span = self._work_interval()
            sure = "" if span is None else f" (95 % interval {span[0]:.2f} to {span[1]:.2f})"
            return [said + sure]
        traffic = comparison.traffic
        if kind == LINES and traffic is not None:
            said = (
                f"{count(traffic.seen, 'line')} in {count(comparison.minutes, 'minute')}, where"
                f" {traffic.expected:.0f} were expected: traffic stopped or is going down"
            )
            return [said]
        if kind == WEIGHED and comparison.weighed is not None:
            return [self._more_errors(), *self._most_frequent()]
        if kind == APART and comparison.apart:
            name = max(comparison.apart, key=lambda one: comparison.apart[one].e_value)
            one = comparison.apart[name]
            ratio = one.seen / max(one.expected, 0.01)
            if name:
                return [f"one error comes {ratio:.1f} times as often: {quote(self._sample(name))}"]
            return [f"rare errors come {ratio:.1f} times as often{self._most_frequent_new()}"]
        return []

    def _more_errors(self) -> str:
        comparison = self._comparison
        said = (
            f"{count(comparison.errors, 'error')} in {count(comparison.minutes, 'minute')}, where"
            f" {comparison.errors_expected:.2g} were expected"
        )
        span = self._errors_interval()
        if span is None:
            return said
        return f"{said}; ratio of rates {span[0]:.2g} to {span[1]:.2g} (95 %, bursts damped)"

    def _most_frequent(self) -> list[str]:
        found = [one for tally in self._fleet.canary.values() for one in tally.quotes.values()]
        found.sort(key=lambda one: -one.lines)
        return [f"{count(one.lines, 'time')}: {quote(one.text)}" for one in found[:2]]

    def _most_frequent_new(self) -> str:
        new = [
            one
            for tally in self._fleet.canary.values()
            for name, one in tally.quotes.items()
            if not self._fleet.is_known(name)
        ]
        most = max(new, key=lambda one: one.lines, default=None)
        return f", most often {quote(most.text)}" if most else ""

    def _new_errors(self) -> list[str]:
        out = []
        for tally in self._fleet.canary.values():
            for name, one in tally.quotes.items():
                if self._fleet.is_known(name):
                    continue
                span_s = (one.last_us - one.first_us) / 1e6
                again = f", over {duration(span_s)}" if one.lines > 1 else ""
                out.append(
                    f"an error never seen before, {count(one.lines, 'time')}{again}:"
                    f" {quote(one.text)}"
                )
        return out[:3]

    def _sample(self, name: str) -> str:
        found = (tally.quotes.get(name) for tally in self._fleet.canary.values())
        return next((one.text for one in found if one is not None), name)
