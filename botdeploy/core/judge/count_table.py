"""The table: counts by kind, host and minute, before the switch and since, as plain numbers."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

from botdeploy.core.evidence.counts import Counts
from botdeploy.core.judge.baseline_errors import ENOUGH_HOSTS, TROUBLE_RATIO
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.lines.error_grouping import group, overlap
from botdeploy.core.lines.fingerprint import PROBE, TRACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally

CLASSES_APART = 12
"""The most frequent classes of errors are watched one by one, the rest together."""
_FREQUENT = 5
"""Lines of a class in the past from which on it can be watched by itself."""
NEW_FOR_MIN = 90
"""For so many minutes after its first sight an error is new."""
_APART_MIN = 2
"""Minutes without it after which an error has come back."""
_REWORDED = 0.3
"""Words shared with a known error that is gone, from which on a new one is its rewording."""
_NOTHING = Counts()

LINES = "lines"
ERRORS = "errors"
WEIGHED = "weighed"
"""Errors with bursts damped: log2(1 + lines) of each class in a minute."""
NEW_ERRORS = "new errors"
WORK = "work"
"""Lines with a latency."""
SLOW = "slow"
"""Sum of their log-latencies."""
SQUARES = "squares"
CLASS = "class "
"""Before a class's name: its weighed errors; alone: those of all classes that are not apart."""


class Table:
    """Rows of counts a minute, for every host; the past first, then the watch as it goes on."""

    def __init__(self, fleet: FleetTally, past: int, first: int) -> None:
        """Read ``past`` minutes of history from minute ``first`` (since the epoch) on."""
        self._fleet = fleet
        self._parts: list[HostTally] = list(fleet.parts())
        self.names = [tally.name for tally in self._parts]
        self.canaries = len(fleet.canary)
        self.first = first
        self.past = past
        self.rows: dict[str, list[list[float]]] = {
            kind: [[] for _ in self._parts]
            for kind in (LINES, ERRORS, WEIGHED, NEW_ERRORS, WORK, SLOW, SQUARES)
        }
        self.covered: list[list[bool]] = [[] for _ in self._parts]
        self.whole: list[list[bool]] = [[] for _ in self._parts]
        self.cut_off: list[list[bool]] = [[] for _ in self._parts]
        """Whether an outage outside hits it: such a minute is neither silence nor slowness."""
        self.length = 0
        self._has_no_outage_now = True
        self._class_of = group(fleet.known)
        self._first_seen: dict[str, int] = {}
        self._hosts_of: dict[str, set[int]] = {}
        self._last_seen: dict[tuple[int, str], int] = {}
        self._had_new: set[int] = set()
        self._frequent: list[str] = []
        """Classes that came at least once an hour on a host; with the rest as ``apart``."""
        self._in_known_words: set[str] = set()
        self.apart = self._most_frequent()
        for name in ("", *self.apart):
            self.rows[CLASS + name] = [[] for _ in self._parts]
        for _ in range(past):
            self.append()

    def _most_frequent(self) -> list[str]:
        totals: dict[str, int] = {}
        for tally in self._parts:
            for name, number in tally.errors_before.items():
                kind = self._class_of.get(name, name)
                totals[kind] = totals.get(kind, 0) + number
        often = [name for name, number in totals.items() if number >= _FREQUENT]
        host_hours = len(self._parts) * self.past / 60.0
        self._frequent = [name for name in often if totals[name] >= host_hours]
        return sorted(often, key=lambda name: (-totals[name], name))[:CLASSES_APART]

    def append(self, grace: Iterable[int] = ()) -> None:
        """Read the next minute of all hosts; in ``grace`` (host numbers) new errors count once."""
        minute = self.first + self.length
        starting = set(grace)
        self._has_no_outage_now = self._has_no_outage(minute)
        for number, tally in enumerate(self._parts):
            bucket = self._bucket(tally, minute)
            begin_us = minute * MINUTE_US
            known_us = tally.start_us if tally.first_us is None else tally.first_us
            is_past = self.length < self.past
            self.covered[number].append(
                begin_us >= known_us - MINUTE_US
                and not (is_past and number < self.canaries and begin_us >= tally.start_us)
                and tally.unheard.between(begin_us, begin_us + MINUTE_US) == 0
            )
            self.cut_off[number].append(
                not is_past
                and number < self.canaries
                and not self._has_no_outage_now
                and self._is_troubled(tally, bucket)
            )
            self.whole[number].append(bucket.dropped == 0)
            self.rows[LINES][number].append(float(bucket.events))
            self.rows[WORK][number].append(float(bucket.latency_count))
            self.rows[SLOW][number].append(bucket.latency_sum)
            self.rows[SQUARES][number].append(bucket.latency_squares)
            self._append_errors(number, bucket)
        self._append_new_errors(minute, starting)
        self.length += 1

    def _is_troubled(self, tally: HostTally, bucket: Counts) -> bool:
        """Tell whether a host has more external errors in a minute than usual."""
        usual = self._fleet.external.each_s(tally) * MINUTE_US / SECOND_US
        return self._fleet.external.count_in([bucket]) > TROUBLE_RATIO * usual

    def _has_no_outage(self, minute: int) -> bool:
        """Tell whether so many hosts of the old release are free of external errors.

        In the past it counts as well where there are hosts enough to say so in the watch.
        """
        baseline = self._parts[self.canaries :]
        if self.length < self.past or not self._fleet.external.has_enough_hosts:
            return self._fleet.external.has_enough_hosts
        unaffected = sum(
            not self._is_troubled(tally, self._bucket(tally, minute))
            and not tally.unheard.is_broken
            for tally in baseline
        )
        return unaffected >= ENOUGH_HOSTS and 2 * unaffected > len(baseline)

    def _errors(self, bucket: Counts) -> dict[str, int]:
        """Give a bucket's errors; without external ones where no host shows their cause.

        Nor with those that may be in a past that was not read.
        """
        fleet = self._fleet
        is_cut = fleet.is_past_cut
        if self._has_no_outage_now and not is_cut:
            return bucket.errors
        return {
            name: number
            for name, number in bucket.errors.items()
            if (self._has_no_outage_now or not fleet.external.is_external(name))
            and (not is_cut or fleet.is_known(name))
        }

    def _bucket(self, tally: HostTally, minute: int) -> Counts:
        since = tally.after.get(minute)
        before = tally.before.get(minute)
        if since is not None and (before is None or tally.name in self._fleet.canary):
            return since
        if since is not None and before is not None:
            both = Counts()
            both.take(before)
            both.take(since)
            return both
        return before or _NOTHING

    def _append_errors(self, number: int, bucket: Counts) -> None:
        kinds: dict[str, int] = {}
        for name, lines in self._errors(bucket).items():
            kind = self._kind(number, name)
            kinds[kind] = kinds.get(kind, 0) + lines
        self.rows[ERRORS][number].append(float(sum(kinds.values())))
        weighed = 0.0
        rest = 0.0
        apart = dict.fromkeys(self.apart, 0.0)
        for kind, lines in kinds.items():
            damped = log2(1.0 + lines)
            weighed += damped
            if kind in apart:
                apart[kind] = damped
            else:
                rest += damped
        self.rows[WEIGHED][number].append(weighed)
        self.rows[CLASS][number].append(rest)
        for kind, damped in apart.items():
            self.rows[CLASS + kind][number].append(damped)

    def _append_new_errors(self, minute: int, starting: set[int]) -> None:
        """Count, a host, the errors that are new, come (back), and were on no other host."""
        seen: list[tuple[int, str]] = []
        parts = [] if self._fleet.is_past_cut else self._parts
        for number, tally in enumerate(parts):
            for name in self._errors(self._bucket(tally, minute)):
                kind = self._kind(number, name)
                seen.append((number, kind))
                self._first_seen.setdefault(kind, minute)
                self._hosts_of.setdefault(kind, set()).add(number)
        counts = [0.0] * len(self._parts)
        for number, kind in seen:
            last = self._last_seen.get((number, kind))
            self._last_seen[number, kind] = minute
            if last is not None and minute - last < _APART_MIN:
                continue
            if self.is_new(number, kind, minute):
                counts[number] += 1.0
        for number, count in enumerate(counts):
            if number in starting and count:
                # what a start prints is one event, however much of it is new
                self.rows[NEW_ERRORS][number].append(0.0 if number in self._had_new else 1.0)
                self._had_new.add(number)
            else:
                self.rows[NEW_ERRORS][number].append(count)

    def is_new(self, number: int, kind: str, minute: int) -> bool:
        """Tell whether an error of this host is new, and this host's alone."""
        if minute - self._first_seen[kind] >= NEW_FOR_MIN:
            return False
        if self.length < self.past:
            # what the first half of the past knew is not news in the second
            half = self.first + self.past // 2
            return self._first_seen[kind] >= half and len(self._hosts_of[kind]) == 1
        if number < self.canaries:
            on_baseline = any(one >= self.canaries for one in self._hosts_of[kind])
            return not (on_baseline or self._fleet.is_known(kind))
        return len(self._hosts_of[kind]) == 1

    def _kind(self, number: int, name: str) -> str:
        """Give the class of an error of this host: its own, or the one that it rewords."""
        kind = self._class_of.get(name, name)
        if number >= self.canaries or self.length < self.past:
            return kind
        if self._fleet.is_known(kind):
            self._in_known_words.add(kind)
            return kind
        return self._reworded(kind) or kind

    def _reworded(self, kind: str) -> str | None:
        """Find the error, frequent until now and gone from the canary, that this text rewords.

        Of stack traces only the message may differ: another place is another error. A rewording
        is counted as the error that it was, so that its rate is still judged.
        """
        if kind.startswith(PROBE):
            return None  # these are names, and not worded
        gone = [
            name
            for name in self._frequent
            if name not in self._in_known_words and _place(name) == _place(kind)
        ]
        best = max(gone, key=lambda name: overlap(kind, name), default=None)
        return best if best is not None and overlap(kind, best) >= _REWORDED else None

    def blocks(self, kind: str, width: int) -> list[float]:
        """Add the past up in blocks of ``width`` minutes: ``host*blocks + block``."""
        return [
            sum(row[t] for t in range(begin, begin + width) if covered[t])
            for row, covered in zip(self.rows[kind], self.covered, strict=True)
            for begin in range(0, self.past - width + 1, width)
        ]

    def saturation(self, times: int) -> float:
        """Tell how many times the weighed errors ``times`` as many would be.

        Damping makes them fewer than that where errors are frequent. Measured on the past: by
        laying that many minutes of one host over each other.
        """
        if times < 2:
            return float(times)
        third = self.past // times
        single = laid = 0.0
        for tally in self._parts:
            for t in range(third):
                sums: dict[str, int] = {}
                for k in range(times):
                    bucket = tally.before.get(self.first + t + k * third, _NOTHING)
                    for name, lines in bucket.errors.items():
                        kind = self._class_of.get(name, name)
                        sums[kind] = sums.get(kind, 0) + lines
                        single += log2(1.0 + lines)
                laid += sum(log2(1.0 + lines) for lines in sums.values())
        # single counts all minutes, laid a times-th of them
        return times * (laid + 1.0) / (single + 1.0) if single else float(times)


def _place(name: str) -> tuple[str, ...]:
    """Give what a stack trace's name begins with, its type and frame; nothing of other errors."""
    return tuple(name.split(" ", 2)[:2]) if name.startswith(TRACE) else ()
