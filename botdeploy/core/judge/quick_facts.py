"""What the rules of ``quick`` ask about a host: how long it was watched, and what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US, START_US
from botdeploy.core.lines.error_grouping import group
from botdeploy.core.text.phrases import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally, Quote
    from botdeploy.core.judge.judge_options import JudgeOptions

_START_S = 10.0
_AFTER_START_US = 5 * SECOND_US
OUTAGE = 2.5
"""Times its usual errors of the baseline from which on what the canary shows is no evidence."""


@dataclass(frozen=True, slots=True)
class UsualRates:
    """What is usual for a host by its own past, or by the baseline where it has none."""

    errors_s: float
    """Error lines a second."""
    lines_s: float
    """Lines a second."""
    burst: float
    """Lines that come together, at least 1.5."""
    known_s: float
    """Host-seconds this rests on."""
    own: bool


class QuickFacts:
    """What is known of each host now, for the rules of ``quick``."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Answer for what ``fleet`` holds at the moment of asking."""
        self.fleet = fleet
        self.options = options
        self._usual: dict[str, UsualRates | None] = {}

    def grace_end_us(self, tally: HostTally) -> int:
        """Give when the grace of a host ends, microseconds since the epoch."""
        return tally.start_us + round(self.options.grace_s * SECOND_US)

    def start_end_us(self, tally: HostTally, error: str) -> int:
        """Give until when an error of a host is one of its start; at least until the grace ends.

        As long as the old release said it after its own starts, and half as long again. Where no
        start is known it may be any error, for half the soak, but no longer than a minute.
        """
        grace_us = self.grace_end_us(tally)
        parts = list(self.fleet.parts())
        if not any(one.starts_before for one in parts):
            half_us = round(self.options.soak_s / 2 * SECOND_US)
            return max(grace_us, tally.start_us + min(START_US, half_us))
        said = [item for one in parts for item in one.start_errors.items()]
        classes = group({error, *(name for name, _ in said)})
        same = [after for name, after in said if classes[name] == classes[error]]
        if not same:
            return grace_us
        longest_us = max(same) * 3 // 2 + _AFTER_START_US
        return max(grace_us, tally.start_us + min(START_US, longest_us))

    def is_outage(self, now_us: int) -> bool:
        """Tell whether the baseline has far more errors than usual, of those that may be its own.

        An external cause is seen by each error's text, whatever else goes on.
        """
        from_us = self.fleet.watch_us
        external = sum(
            self.fleet.external.count_in(tally.between(from_us, now_us))
            for tally in self.fleet.baseline.values()
        )
        return self.baseline_ratio(from_us, now_us, external) >= OUTAGE

    def known_span(self) -> str:
        """Say how much of the old release is known, behind "never seen"."""
        known_s = self.fleet.history_s
        return f"in {duration(known_s)} of the old release" if known_s else "before"

    def new_errors(self, tally: HostTally) -> Iterator[tuple[str, Quote]]:
        """Give the errors of a host, since the switch, that the old release does not know."""
        is_known = self.fleet.is_known
        return ((name, one) for name, one in tally.quotes.items() if not is_known(name))

    @staticmethod
    def watched_s(tally: HostTally, from_us: int, now_us: int) -> float:
        """Give the seconds of this stretch in which the journal of a host was read."""
        return max(0.0, (now_us - from_us - tally.unheard.between(from_us, now_us)) / 1e6)

    def baseline_ratio(self, from_us: int, now_us: int, excused: int = 0) -> float:
        """Give how many times its usual errors the baseline has now, at least 1.

        ``excused``: errors that are not counted.
        """
        seen, expected = -float(excused), 0.0
        burst = 1.5
        for tally in self.fleet.baseline.values():
            usual = self.usual(tally)
            if usual is None:
                continue
            burst = max(burst, usual.burst)
            expected += usual.errors_s * self.watched_s(tally, from_us, now_us)
            seen += sum(bucket.error_lines for bucket in tally.between(from_us, now_us))
        return max(1.0, (1.0 + seen / burst) / (1.0 + expected / burst))

    def baseline_traffic(self, now_us: int) -> float:
        """Give the share of its usual lines that the baseline prints now, a quarter to 1."""
        seen = expected = 0.0
        for tally in self.fleet.baseline.values():
            usual = self.usual(tally)
            if usual is not None and usual.own and not tally.unheard.is_broken:
                expected += usual.lines_s * self.watched_s(tally, tally.start_us, now_us)
                seen += tally.lines_after
        return min(1.0, max(0.25, seen / expected)) if expected else 1.0

    def baseline_errors_s(
        self, tally: HostTally, from_us: int, now_us: int, *, is_proof: bool
    ) -> float:
        """Give the errors a second that the baseline has now, for as much traffic as here.

        For a proof a burst more than were seen; 0 where the baseline has no errors.
        """
        errors = seconds = traffic = 0.0
        burst = 1.5
        others = 0
        for other in self.fleet.baseline.values():
            errors += sum(bucket.error_lines for bucket in other.between(from_us, now_us))
            seconds += self.watched_s(other, from_us, now_us)
            usual = self.usual(other)
            if usual is not None:
                burst = max(burst, usual.burst)
                traffic += usual.lines_s
                others += 1
        own = self.usual(tally)
        if not errors or seconds <= 0.0:
            return 0.0
        share = 1.0
        if own is not None and own.own and traffic > 0.0:
            share = max(1.0, own.lines_s * others / traffic)
        return share * (errors + (burst if is_proof else 0.0)) / seconds

    def usual(self, tally: HostTally) -> UsualRates | None:
        """Give what is usual for a host; None where nothing is known."""
        if tally.name not in self._usual:
            self._usual[tally.name] = self._learn(tally)
        return self._usual[tally.name]

    def _learn(self, tally: HostTally) -> UsualRates | None:
        """Take the host's own past; else all hosts' past; else nothing.

        A past of seconds is mostly a start, which prints more than is usual: it counts only
        where a baseline tells whether the old release still goes on like that.
        """
        baseline = self.fleet.baseline.values()
        needed_s = (
            _START_S if any(one.is_known_before for one in baseline) else MINUTE_US / SECOND_US
        )
        if tally.history_s >= needed_s and tally.is_known_before:
            return _usual([tally], own=True)
        others = [one for one in baseline if one.history_s >= needed_s and one.is_known_before]
        return _usual(others, own=False) if others else None


def _usual(parts: list[HostTally], *, own: bool) -> UsualRates:
    known_s = sum(tally.history_s for tally in parts)
    lines = errors = squares = 0.0
    minutes = 0
    for tally in parts:
        minutes += max(1, round(tally.history_s / 60.0))
        for bucket in tally.before.values():
            lines += bucket.events
            bad = bucket.error_lines
            errors += bad
            squares += bad * bad
    # variance over mean of the counts by minute, drawn towards 3 by ten lines' worth
    mean = errors / minutes
    surplus = squares - minutes * mean * mean
    burst = min(60.0, max(1.5, (surplus + 30.0) / (errors + 10.0)))
    return UsualRates(errors / known_s, lines / known_s, burst, known_s, own)
