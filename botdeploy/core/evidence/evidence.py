"""Evidence: what one host's journal told of each release, minute by minute, small and mergeable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence import stored_evidence
from botdeploy.core.evidence.counts import Counts, summed
from botdeploy.core.evidence.coverage import Coverage
from botdeploy.core.evidence.incidents import (
    MAX_SAMPLE,
    FirstSeen,
    Incident,
    incident_of,
    incident_order,
)
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.quote import sample_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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
UNKNOWN = ""
"""The release of lines that nobody can attribute."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of one release, as it is read: when it began, and what was counted in it."""

    at_us: int
    counts: Counts


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
        self.coverage = Coverage()
        """What was read."""
        self.cells: dict[tuple[str, int, int], Counts] = {}
        """By release, start of the bucket, and where in it a reader began."""
        self.first_seen: dict[str, FirstSeen] = {}
        self.incident_set: set[Incident] = set()
        self.reader: dict[str, Any] = {}
        """Where reading goes on: the reader's own data (cursor, ``Assembler.save()`` …)."""

    # -- what is told ---------------------------------------------------------------------------

    def open(self, from_us: int) -> None:
        """Begin to read at this instant; up to there a span goes on, later there is a gap."""
        self.coverage.open(from_us)

    def extend(self, to_us: int) -> None:
        """Say that everything up to this instant was read, be it silence."""
        self.coverage.extend(to_us)

    def add(self, line: LogLine, release: str | None = None) -> None:
        """Count a line for a release (None: nobody knows which).

        Opens a span at the line's time if none is open. Adding is not repeatable: drop the entry
        that a resumed journal begins with, and merge evidence of reads that overlap.
        """
        at_us = line.at_us
        name = release or UNKNOWN
        begun_us = self.coverage.take(at_us)
        part = start = at_us - at_us % self.bucket_us
        if start < begun_us <= at_us:
            part = begun_us
        cell = self.cells.get((name, start, part))
        if cell is None:
            cell = self.cells[name, start, part] = Counts()
        cell.add(line, self._error_name(cell, line, name) if line.is_error else None)
        incident = incident_of(line, name)
        if incident is not None:
            self.incident_set.add(incident)
            if len(self.incident_set) > MAX_INCIDENTS:
                self.incident_set.discard(min(self.incident_set, key=incident_order))

    def _error_name(self, cell: Counts, line: LogLine, release: str) -> str:
        """Name the class that an error is counted in, and note where it was seen first."""
        name = line.fingerprint or OTHER
        seen = self.first_seen.get(name)
        if seen is None and len(self.first_seen) >= MAX_CLASSES:
            name = OTHER
        elif seen is None or line.at_us < seen.at_us:
            level = int(line.level or Level.ERROR)
            self.first_seen[name] = FirstSeen(
                line.at_us, release, level, line.is_fatal, sample_of(line.message, MAX_SAMPLE)
            )
        is_full = name not in cell.errors and len(cell.errors) >= MAX_BUCKET_CLASSES
        return OTHER if is_full else name

    # -- what is read ---------------------------------------------------------------------------

    def releases(self) -> tuple[str, ...]:
        """Releases that wrote anything, in the order of their first bucket."""
        first: dict[str, int] = {}
        for name, start, _ in self.cells:
            first[name] = min(first.get(name, start), start)
        return tuple(sorted(first, key=lambda name: (first[name], name)))

    def buckets(self, release: str, from_us: int = 0, to_us: int | None = None) -> list[Bucket]:
        """Give a release's buckets that begin in ``[from_us, to_us)``, in order.

        A bucket without any line has no entry: ``coverage`` tells silence from a gap.
        """
        parts: dict[int, list[tuple[int, Counts]]] = {}
        for (name, start, part), counts in self.cells.items():
            if name == release and start >= from_us and (to_us is None or start < to_us):
                parts.setdefault(start, []).append((part, counts))
        return [Bucket(start, _joined(parts[start])) for start in sorted(parts)]

    def totals(self, release: str, from_us: int = 0, to_us: int | None = None) -> Counts:
        """Add a release's buckets up."""
        return summed(bucket.counts for bucket in self.buckets(release, from_us, to_us))

    def classes(self) -> Mapping[str, FirstSeen]:
        """Classes of errors by fingerprint: when, where and as what each was first seen."""
        return self.first_seen

    def incidents(self, release: str | None = None, since_us: int = 0) -> list[Incident]:
        """List what a verdict may hang on, in order: crashes, restarts, fatal lines (256)."""
        return sorted(
            (
                one
                for one in self.incident_set
                if one.at_us >= since_us and (release is None or one.release == release)
            ),
            key=incident_order,
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
        out.coverage = self.coverage.merged(other.coverage)
        for key in self.cells.keys() | other.cells.keys():
            read = [one.cells[key] for one in (self, other) if key in one.cells]
            out.cells[key] = summed((max(read, key=Counts.weight),))
        seen = dict(self.first_seen)
        for name, first in other.first_seen.items():
            seen[name] = min(first, seen.get(name, first))
        kept = sorted(seen, key=lambda name: (seen[name], name))[:MAX_CLASSES]
        out.first_seen = {name: seen[name] for name in kept}
        incidents = sorted(self.incident_set | other.incident_set, key=incident_order)
        out.incident_set = set(incidents[-MAX_INCIDENTS:])
        out.reader = max(
            self.reader, other.reader, key=lambda one: (bool(one), json.dumps(one, sort_keys=True))
        )
        return out

    def trim(self, before_us: int) -> None:
        """Forget buckets that ended before this instant; first sights and incidents stay."""
        for key in [key for key in self.cells if key[1] + self.bucket_us <= before_us]:
            del self.cells[key]
        self.coverage.trim(before_us)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    # -- to keep --------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Write everything as one line of compact JSON, the same for the same evidence."""
        return stored_evidence.write(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Evidence:
        """Read what ``to_json`` wrote; raises ValueError for anything else."""
        return stored_evidence.read(text, cls)


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
