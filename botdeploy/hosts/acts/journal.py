"""A bot's journal on its host: followed, or read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import ProgramMissing
from botdeploy.hosts.host_program import How

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botdeploy.hosts.acts.call import OpenCall
    from botdeploy.hosts.acts.records import Record


@dataclass(frozen=True, slots=True)
class Entries:
    """What stood in a host's journal, as far back as it was read."""

    rows: Sequence[bytes]
    """journald's JSON, oldest first."""
    is_cut: bool = False
    """Whether older entries were asked for and left out: they were too many, or took too long."""

    @classmethod
    def of(cls, newest_first: list[bytes], record: Record) -> Entries:
        """Put in order what a host sent, with what it said of it."""
        read = record.get("read")
        is_cut = bool(read.get("cut")) if isinstance(read, dict) else True
        return cls(newest_first[::-1], is_cut)


class JournalActs(Subject):
    """Reads a bot's journal; the secrets of the host's releases are hidden from then on."""

    def follow(self, position: str, most_bytes: int | None = None) -> OpenCall:
        """Start reading from a cursor, or from ``since:SECONDS``.

        Each line that begins with a brace is an entry. What stands there comes newest first, then
        a ``read`` record, then what is new. ``most_bytes`` bounds what stands there, below the
        host's own bound.
        """
        bound = () if most_bytes is None else (most_bytes,)
        return self._caller.open("follow", position, "hidden", *bound)

    def entries(self, position: str) -> Entries:
        """Read once, from a cursor (that entry first) or ``since:SECONDS`` on.

        ``since:SECONDS:SECONDS`` leaves out what is younger than the second number of them.
        No more than 16 MB and what comes in five seconds, the newest of it. Raises OutcomeUnknown
        when the connection ended early.
        """
        return self._read("entries", position)

    def lines(self, count: int) -> Entries:
        """Read the last ``count`` entries, once, within the same bounds."""
        return self._read("lines", count)

    def _read(self, act: str, what: str | int) -> Entries:
        try:
            with self._caller.open(act, what, "hidden") as call:
                return _entries(call.items())
        except ProgramMissing:  # said before the first entry
            return _entries(self._caller.call(act, what, "hidden", how=How.SENT).items)


def _entries(items: Iterable[Record | bytes]) -> Entries:
    rows: list[bytes] = []
    last: Record = {}
    for item in items:
        if isinstance(item, dict):
            last = item if "read" in item else last
        elif item.startswith(b"{"):
            rows.append(item)
    return Entries.of(rows, last)
