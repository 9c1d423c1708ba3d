"""The reader of a journal: a host's rows in, log lines by our clock out, and what was not read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from botdeploy.core.lines.line import moved
from botdeploy.core.text.phrases import count
from botdeploy.core.text.untrusted import entry_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.lines.line import LogLine
    from botdeploy.hosts.acts.journal import Entries


class LineMaker(Protocol):
    """What turns entries into lines, all by the host's clock, as an ``Assembler`` does."""

    def feed(self, entry: Mapping[str, Any]) -> Sequence[LogLine]:
        """Take one entry in; gives the lines that are whole now."""
        ...

    def flush(self, now_us: int | None = None) -> Sequence[LogLine]:
        """Give what waited long enough for more by ``now_us``; all of it when that is None."""
        ...

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits for more."""
        ...


@dataclass(frozen=True, slots=True)
class JournalExcerpt:
    """What was read of a journal at once."""

    lines: Sequence[LogLine]
    entries: int
    """How many entries the host sent."""
    first_us: int
    """The time of the oldest entry, the one apart that was known; 0 where there was none."""
    goes_on: bool
    """Whether it begins with the entry that was read last: nothing is missing in between."""
    is_cut: bool
    """Whether older entries were asked for and left out: they were too many, or took too long."""
    unreadable: int
    """Entries that are no journal entries."""

    def unread(self) -> str:
        """Say what was not read, as a sentence without its end; empty where nothing was left."""
        said = []
        if self.is_cut:
            from_ = datetime.fromtimestamp(self.first_us / 1e6, tz=UTC)
            since = f" (from {from_:%H:%M:%S} UTC on)" if self.first_us else ""
            said.append(f"only the last {self.entries:,} journal entries could be read{since}")
        if self.unreadable:
            said.append(f"{count(self.unreadable, 'journal entry')} could not be read")
        return ", and ".join(said)


class JournalReader:
    """Reads the rows of one host's journal in their order, each once.

    The one place where the host's clock is taken into account: all times that it gives are by our
    clock. What is kept on the host stays by the host's own, ``ahead_us`` is 0 there.
    """

    def __init__(self, maker: LineMaker, *, ahead_us: int = 0, cursor: str = "") -> None:
        """``ahead_us``: how far the host's clock is ahead of ours; ``cursor``: where to go on."""
        self._maker = maker
        self.ahead_us = ahead_us
        self._expected = cursor
        self.cursor = cursor
        """Of the last entry that was read."""
        self.first_us = 0
        self.last_us = 0
        """The times of the first and the last entry that were read here."""
        self.unreadable = 0
        self.missed = 0
        """How often the entry that was read last was not there any more when reading went on."""

    def resume(self) -> None:
        """Expect the entry that was read last: the stream begins anew with it."""
        self._expected = self.cursor

    def feed(self, row: bytes) -> Sequence[LogLine]:
        """Take one row in; gives the lines that are whole now."""
        entry = entry_of(row)
        if entry is None:
            self.unreadable += 1
            return ()
        cursor = str(entry.get("__CURSOR", ""))
        is_known = bool(cursor) and cursor == self.cursor
        self.missed += bool(self._expected) and not is_known
        self._expected = ""
        if is_known:
            return ()
        self.cursor = cursor or self.cursor
        if "__REALTIME_TIMESTAMP" in entry:
            self.last_us = int(entry["__REALTIME_TIMESTAMP"]) - self.ahead_us
            self.first_us = self.first_us or self.last_us
        return moved(self._maker.feed(entry), -self.ahead_us)

    def flush(self, now_us: int | None = None) -> Sequence[LogLine]:
        """Give what waited long enough for more by ``now_us``; all of it when that is None."""
        host_us = None if now_us is None else now_us + self.ahead_us
        return moved(self._maker.flush(host_us), -self.ahead_us)

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits for more."""
        return self._maker.has_waiting

    def read(self, entries: Entries, *, now_us: int | None = None) -> JournalExcerpt:
        """Read at once what stood in the journal.

        What waits for more by ``now_us`` stays with the maker of lines; nothing when that is None.
        """
        expected, missed, unreadable = self._expected, self.missed, self.unreadable
        lines = [line for row in entries.rows for line in self.feed(row)]
        lines += self.flush(None if now_us is None else max(now_us, self.last_us))
        return JournalExcerpt(
            lines,
            entries=len(entries.rows),
            first_us=self.first_us,
            goes_on=bool(expected) and not self._expected and self.missed == missed,
            is_cut=entries.is_cut,
            unreadable=self.unreadable - unreadable,
        )
