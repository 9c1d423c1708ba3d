"""Evidence: what one host's journal told of each release, minute by minute, small and mergeable."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence import quantile_sketch
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.text.untrusted import LATEST_US, json_of, real, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.lines.line import LogLine

BUCKET_US = 60_000_000
"""Length of a bucket unless another is asked for: one minute."""
OTHER = "(more errors)"
"""Where errors are counted when there are more classes than are kept apart."""
MAX_CLASSES = 1000
"""Classes of errors that a host's evidence keeps apart."""
MAX_BUCKET_CLASSES = 64
"""Classes of errors that one bucket keeps apart."""
MAX_INCIDENTS = 256
MAX_SAMPLE = 240
"""Characters of a sample line."""
UNKNOWN = ""
"""The release of lines that nobody can attribute."""


@dataclass(slots=True)
class Counts:
    """What was counted in one bucket of one release."""

    lines: int = 0
    """Lines that the bot wrote; journald's and systemd's are not among them."""
    handled: int = 0
    """Units of work done, as lines or a probe tell."""
    probed: int = 0
    """Those of them that a probe told of."""
    errors: dict[str, int] = field(default_factory=dict)
    """Error lines by fingerprint."""
    latency_count: int = 0
    latency_sum: float = 0.0
    """Sum of the natural logarithms of latencies in milliseconds."""
    latency_squares: float = 0.0
    latency_bins: dict[int, int] = field(default_factory=dict)
    """The same latencies as a sketch, see ``core.sketch``."""
    system: dict[SystemKind, int] = field(default_factory=dict)
    """systemd's records by kind: crashes, restarts, OOM kills …"""
    dropped: int = 0
    """Lines that journald says it left out: the other counts are then lower bounds."""
    until_us: int = 0
    """Time of the last line counted."""

    @property
    def error_lines(self) -> int:
        """Error lines of all classes."""
        return sum(self.errors.values())

    @property
    def restarts(self) -> int:
        """Restarts that systemd scheduled."""
        return self.system.get(SystemKind.RESTART, 0)

    @property
    def crashes(self) -> int:
        """Times that the main process ended with a fault unasked."""
        return self.system.get(SystemKind.CRASHED, 0)

    def weight(self) -> tuple[int, int, int, int, str]:
        """Give a total order in which a longer read of the same lines comes after a shorter one."""
        return (
            self.lines + sum(self.system.values()),
            self.error_lines,
            self.latency_count,
            self.until_us,
            repr(self._sorted()),
        )

    def _sorted(self) -> tuple[Any, ...]:
        return (
            self.handled,
            sorted(self.errors.items()),
            self.latency_sum,
            self.latency_squares,
            sorted(self.latency_bins.items()),
            sorted(self.system.items()),
            self.dropped,
            self.probed,
        )


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of one release, as it is read: when it began, and what was counted in it."""

    at_us: int
    counts: Counts


@dataclass(frozen=True, slots=True, order=True)
class FirstSeen:
    """When and as what a class of errors was first seen on a host."""

    at_us: int
    release: str
    level: int
    is_fatal: bool
    sample: str


@dataclass(frozen=True, slots=True, order=True)
class Incident:
    """A record of systemd's or journald's that a verdict may hang on, or a fatal line."""

    at_us: int
    release: str
    kind: str
    """A ``SystemKind``, or ``fatal`` for a fatal line of the bot's."""
    text: str
    fingerprint: str = ""
    status: int | None = None
    count: int = 0


FATAL = "fatal"
_PLAIN = frozenset(
    {
        SystemKind.STARTING,
        SystemKind.STOPPING,
        SystemKind.STOPPED,
        SystemKind.DEACTIVATED,
        SystemKind.RELOADED,
        SystemKind.EXITED,
        SystemKind.STOP_FAILED,
        SystemKind.OTHER,
        SystemKind.MISSED,
    }
)
"""Kinds that are counted, but are no incidents."""


class Evidence:
    """What one host's journal told, by release and bucket.

    Reading is one or more *spans* of time, told by ``open`` and ``extend``: what lies between
    spans is a gap, not silence. Going on where the last span ended continues it, so that many
    short reads give the same as one long one. Two readers' evidence of the same time merges to
    the fuller reading of each bucket; merging is commutative, associative and idempotent.
    """

    def __init__(self, host: str = "", *, bucket_us: int = BUCKET_US) -> None:
        """Begin with nothing known of a host."""
        self.host = host
        self.bucket_us = bucket_us
        self._cells: dict[tuple[str, int, int], Counts] = {}
        self._spans: list[list[int]] = []
        self._seen: dict[str, FirstSeen] = {}
        self._incidents: set[Incident] = set()
        self.reader: dict[str, Any] = {}
        """Where reading goes on: the reader's own data (cursor, ``Assembler.save()`` …)."""

    # -- what is told ---------------------------------------------------------------------------

    def open(self, from_us: int) -> None:
        """Begin to read at this instant; up to there a span goes on, later there is a gap."""
        if self._spans and from_us <= self._spans[-1][1]:
            return
        self._spans.append([from_us, from_us])

    def extend(self, to_us: int) -> None:
        """Say that everything up to this instant was read, be it silence."""
        if not self._spans:
            raise ValueError("extend() before open()")
        self._spans[-1][1] = max(self._spans[-1][1], to_us)

    def add(self, line: LogLine, release: str | None = None) -> None:
        """Count a line for a release (None: nobody knows which).

        Opens a span at the line's time if none is open. Adding is not repeatable: drop the entry
        that a resumed journal begins with, and merge evidence of reads that overlap.
        """
        at_us = line.at_us
        spans = self._spans
        if not spans:
            spans.append([at_us, at_us])
        span = spans[-1]
        span[1] = max(span[1], at_us)
        name = release or UNKNOWN
        part = start = at_us - at_us % self.bucket_us
        if start < span[0] <= at_us:
            part = span[0]
        key = (name, start, part)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Counts()
        cell.until_us = max(cell.until_us, at_us)
        if line.system is not None:
            self._add_system(cell, line, name)
            return
        count = line.count
        if line.is_handled:
            cell.handled += count
        if line.kind is not LineKind.PROBE:
            cell.lines += 1
        elif line.is_handled:
            cell.probed += count
        if line.latency_ms is not None and line.latency_ms > 0:
            value = log(line.latency_ms)
            cell.latency_count += count
            cell.latency_sum += value * count
            cell.latency_squares += value * value * count
            number = quantile_sketch.bin_of_log(value)
            cell.latency_bins[number] = cell.latency_bins.get(number, 0) + count
        if line.fingerprint is not None:
            self._add_error(cell, line, name)

    def _add_system(self, cell: Counts, line: LogLine, release: str) -> None:
        record = line.system
        if record is None:
            return
        cell.system[record.kind] = cell.system.get(record.kind, 0) + 1
        if record.kind is SystemKind.DROPPED:
            cell.dropped += record.count
        if record.kind not in _PLAIN:
            self._add_incident(
                Incident(
                    line.at_us,
                    release,
                    record.kind.value,
                    line.message[:MAX_SAMPLE],
                    "",
                    record.status,
                    record.count,
                )
            )

    def _add_error(self, cell: Counts, line: LogLine, release: str) -> None:
        name = line.fingerprint or OTHER
        seen = self._seen.get(name)
        if seen is None and len(self._seen) >= MAX_CLASSES:
            name = OTHER
        elif seen is None or line.at_us < seen.at_us:
            self._seen[name] = FirstSeen(
                line.at_us,
                release,
                int(line.level or Level.ERROR),
                line.is_fatal,
                line.message[:MAX_SAMPLE],
            )
        if name not in cell.errors and len(cell.errors) >= MAX_BUCKET_CLASSES:
            name = OTHER
        cell.errors[name] = cell.errors.get(name, 0) + line.count
        if line.is_fatal:
            self._add_incident(
                Incident(
                    line.at_us, release, FATAL, line.message[:MAX_SAMPLE], line.fingerprint or ""
                )
            )

    def _add_incident(self, incident: Incident) -> None:
        self._incidents.add(incident)
        if len(self._incidents) > MAX_INCIDENTS:
            self._incidents.discard(min(self._incidents, key=_incident_order))

    # -- what is read ---------------------------------------------------------------------------

    def releases(self) -> tuple[str, ...]:
        """Releases that wrote anything, in the order of their first bucket."""
        first: dict[str, int] = {}
        for name, start, _ in self._cells:
            first[name] = min(first.get(name, start), start)
        return tuple(sorted(first, key=lambda name: (first[name], name)))

    def buckets(self, release: str, from_us: int = 0, to_us: int | None = None) -> list[Bucket]:
        """Give a release's buckets that begin in ``[from_us, to_us)``, in order.

        A bucket without any line has no entry: ``covered_us`` tells silence from a gap.
        """
        parts: dict[int, list[tuple[int, Counts]]] = {}
        for (name, start, part), counts in self._cells.items():
            if name == release and start >= from_us and (to_us is None or start < to_us):
                parts.setdefault(start, []).append((part, counts))
        return [Bucket(start, _joined(parts[start])) for start in sorted(parts)]

    def totals(self, release: str, from_us: int = 0, to_us: int | None = None) -> Counts:
        """Add a release's buckets up."""
        return summed(bucket.counts for bucket in self.buckets(release, from_us, to_us))

    def covered_us(self, from_us: int, to_us: int) -> int:
        """How much of this time was read, in microseconds."""
        return sum(max(0, min(end, to_us) - max(begin, from_us)) for begin, end in self.spans())

    def spans(self) -> list[tuple[int, int]]:
        """List the times that were read, in order, without overlap."""
        return _united(self._spans)

    @property
    def begin_us(self) -> int:
        """When the first time that was read begins; 0 where nothing was."""
        spans = self.spans()
        return spans[0][0] if spans else 0

    def gaps(self) -> list[tuple[int, int]]:
        """List the times between the spans: nobody knows what happened there."""
        spans = self.spans()
        return [(before[1], after[0]) for before, after in pairwise(spans)]

    def classes(self) -> Mapping[str, FirstSeen]:
        """Classes of errors by fingerprint: when, where and as what each was first seen."""
        return self._seen

    def incidents(self, release: str | None = None, since_us: int = 0) -> list[Incident]:
        """List what a verdict may hang on, in order: crashes, restarts, fatal lines (256)."""
        return sorted(
            (
                one
                for one in self._incidents
                if one.at_us >= since_us and (release is None or one.release == release)
            ),
            key=_incident_order,
        )

    # -- together -------------------------------------------------------------------------------

    def merge(self, other: Evidence) -> Evidence:
        """Unite two readings of one host; neither is changed.

        Raises ValueError when they are of different hosts or have buckets of different length.
        """
        if self.bucket_us != other.bucket_us or (
            self.host and other.host and self.host != other.host
        ):
            raise ValueError(f"evidence of {self.host!r} and {other.host!r} does not merge")
        out = Evidence(self.host or other.host, bucket_us=self.bucket_us)
        out._cells = {key: _copied(counts) for key, counts in self._cells.items()}
        for key, counts in other._cells.items():
            mine = out._cells.get(key)
            if mine is None or mine.weight() < counts.weight():
                out._cells[key] = _copied(counts)
        out._spans = [list(span) for span in _united([*self._spans, *other._spans])]
        seen = dict(self._seen)
        for name, first in other._seen.items():
            known = seen.get(name)
            seen[name] = first if known is None else min(first, known)
        kept = sorted(seen, key=lambda name: (seen[name], name))[:MAX_CLASSES]
        out._seen = {name: seen[name] for name in kept}
        out._incidents = set(
            sorted(self._incidents | other._incidents, key=_incident_order)[-MAX_INCIDENTS:]
        )
        out.reader = max(self.reader, other.reader, key=lambda one: json.dumps(one, sort_keys=True))
        return out

    def trim(self, before_us: int) -> None:
        """Forget buckets that ended before this instant; first sights and incidents stay."""
        for key in [key for key in self._cells if key[1] + self.bucket_us <= before_us]:
            del self._cells[key]
        self._spans = [
            [max(begin, before_us), end] for begin, end in self._spans if end > before_us
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    # -- to keep --------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Write everything as one line of compact JSON, the same for the same evidence."""
        releases = sorted({key[0] for key in self._cells})
        names = sorted(
            {*self._seen, *(name for one in self._cells.values() for name in one.errors)}
        )
        release_at = {name: at for at, name in enumerate(releases)}
        name_at = {name: at for at, name in enumerate(names)}
        cells = [
            [
                release_at[name],
                start // self.bucket_us,
                part - start,
                counts.until_us - start,
                *_packed(counts, name_at),
            ]
            for (name, start, part), counts in sorted(self._cells.items())
        ]
        return json.dumps(
            {
                "v": 1,
                "host": self.host,
                "bucket_us": self.bucket_us,
                "releases": releases,
                "names": names,
                "cells": cells,
                "spans": self._spans,
                "seen": {
                    name_at[name]: [
                        one.at_us,
                        one.release,
                        one.level,
                        int(one.is_fatal),
                        one.sample,
                    ]
                    for name, one in sorted(self._seen.items())
                },
                "incidents": [
                    [
                        one.at_us,
                        one.release,
                        one.kind,
                        one.text,
                        one.fingerprint,
                        one.status,
                        one.count,
                    ]
                    for one in sorted(self._incidents, key=_incident_order)
                ],
                "reader": self.reader,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Evidence:
        """Read what ``to_json`` wrote; raises ValueError for anything else."""
        try:
            data = json_of(text, is_lenient=True)
            if data["v"] != 1:
                raise ValueError(f"evidence of version {data['v']} is not known here")
            _check_whole([data["bucket_us"]], least=1)
            out = cls(data["host"], bucket_us=data["bucket_us"])
            releases, names = data["releases"], data["names"]
            for at, number, part, until, *packed in data["cells"]:
                _check_whole([number, part, until])
                start = number * out.bucket_us
                counts = _unpacked(packed, names)
                counts.until_us = start + until
                out._cells[releases[at], start, start + part] = counts
            out._spans = [list(span) for span in data["spans"]]
            out._seen = {
                names[int(at)]: FirstSeen(when, release, level, bool(fatal), sample)
                for at, (when, release, level, fatal, sample) in data["seen"].items()
            }
            out._incidents = {Incident(*one) for one in data["incidents"]}
            out.reader = data["reader"]
            out._check()
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"not evidence: {error!r}") from error
        return out

    def _check(self) -> None:
        """Raise ValueError or TypeError for what no reading of a journal can have told."""
        _check_types([self.host], str)
        _check_types([self.reader], dict)
        for (name, start, part), counts in self._cells.items():
            _check_types([name, *counts.errors], str)
            _check_whole([start, part, counts.until_us, *counts.errors.values()])
            _check_whole([counts.lines, counts.handled, counts.dropped, counts.probed])
            _check_whole([*counts.latency_bins.values(), *counts.system.values()])
            for value in (counts.latency_sum, counts.latency_squares, *counts.latency_bins):
                real(value)
        for begin, end in self._spans:
            _check_whole([begin, end])
        for name, first in self._seen.items():
            _check_types([name, first.release, first.sample], str)
            _check_whole([first.at_us, first.level])
        for one in self._incidents:
            _check_types([one.release, one.kind, one.text, one.fingerprint], str)
            _check_whole([one.at_us, one.count, one.status or 0], least=-LATEST_US)


def _check_types(values: Iterable[object], kind: type) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{told(value)!r} is no {kind.__name__}")


def _check_whole(values: Iterable[object], least: int = 0) -> None:
    for value in values:
        if not isinstance(value, int) or not least <= value <= LATEST_US:
            raise ValueError(f"{told(value)!r} is no number that it can be")


def summed(many: Iterable[Counts]) -> Counts:
    """Add counts up."""
    out = Counts()
    for one in many:
        out.lines += one.lines
        out.handled += one.handled
        out.probed += one.probed
        out.latency_count += one.latency_count
        out.latency_sum += one.latency_sum
        out.latency_squares += one.latency_squares
        out.dropped += one.dropped
        out.until_us = max(out.until_us, one.until_us)
        for name, count in one.errors.items():
            out.errors[name] = out.errors.get(name, 0) + count
        for number, count in one.latency_bins.items():
            out.latency_bins[number] = out.latency_bins.get(number, 0) + count
        for kind, count in one.system.items():
            out.system[kind] = out.system.get(kind, 0) + count
    return out


def _joined(parts: list[tuple[int, Counts]]) -> Counts:
    """Unite the parts of a bucket that several reads saw; of overlapping ones the fuller counts."""
    if len(parts) == 1:
        return parts[0][1]
    kept: list[tuple[int, Counts]] = []
    for part, counts in sorted(parts, key=lambda one: one[0]):
        if kept and part <= kept[-1][1].until_us:
            if kept[-1][1].weight() < counts.weight():
                kept[-1] = (part, counts)
        else:
            kept.append((part, counts))
    return summed(counts for _, counts in kept)


def _copied(counts: Counts) -> Counts:
    out = summed((counts,))
    out.until_us = counts.until_us
    return out


def _united(spans: Iterable[Iterable[int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for begin, end in sorted(tuple(span) for span in spans):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return out


def _incident_order(one: Incident) -> tuple[Any, ...]:
    return (one.at_us, one.release, one.kind, one.text, one.fingerprint, one.status or 0, one.count)


def _packed(counts: Counts, name_at: Mapping[str, int]) -> list[Any]:
    packed: list[Any] = [
        counts.lines,
        counts.handled,
        [part for name, n in sorted(counts.errors.items()) for part in (name_at[name], n)],
        [counts.latency_sum, counts.latency_squares, *_run_of(counts.latency_bins)]
        if counts.latency_count
        else 0,
        {kind.value: n for kind, n in sorted(counts.system.items())} or 0,
        counts.dropped,
        counts.probed,
    ]
    while packed and not packed[-1]:
        packed.pop()
    return packed


def _unpacked(packed: list[Any], names: list[str]) -> Counts:
    packed = packed + [0] * (7 - len(packed))
    counts = Counts(lines=packed[0], handled=packed[1], dropped=packed[5], probed=packed[6])
    errors = packed[2] or []
    counts.errors = {names[errors[at]]: errors[at + 1] for at in range(0, len(errors), 2)}
    if packed[3]:
        counts.latency_sum, counts.latency_squares = packed[3][:2]
        counts.latency_bins = _bins_of(packed[3][2:])
        counts.latency_count = sum(counts.latency_bins.values())
    if packed[4]:
        counts.system = {SystemKind(kind): n for kind, n in packed[4].items()}
    return counts


def _run_of(bins: Mapping[int, int]) -> list[int]:
    """Write bins as: first number, then the count of each bin, minus for empty ones in a row."""
    if not bins:
        return []
    first = min(bins)
    out = [first]
    empty = 0
    for number in range(first, max(bins) + 1):
        count = bins.get(number, 0)
        if count == 0:
            empty += 1
            continue
        if empty:
            out.append(-empty)
            empty = 0
        out.append(count)
    return out


def _bins_of(run: list[int]) -> dict[int, int]:
    bins: dict[int, int] = {}
    if not run:
        return bins
    number = run[0]
    for one in run[1:]:
        if one < 0:
            number -= one
        else:
            bins[number] = one
            number += 1
    return bins
