"""The bot's own lines, as it wrote them: last ones or as they come, from all hosts."""

from __future__ import annotations

import heapq
import queue
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence import proven_past
from botdeploy.core.lines.entry_text import message_of
from botdeploy.core.lines.header import level_of_text
from botdeploy.core.lines.level import Level, level_of_priority
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.text.printable import bare
from botdeploy.engine.fleet.observe import clock_note, observe, observe_timed
from botdeploy.errors import HostError, NoneReached
from botdeploy.hosts.follower import Follower
from botdeploy.hosts.follower_threads import FollowerThreads
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Host
    from botdeploy.core.text.secret_mask import Mask
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.follower import Delivery


class AsWritten:
    """Gives each journal entry as one line with its whole text, secrets masked."""

    def __init__(self, mask: Mask) -> None:
        """``mask`` hides secrets."""
        self._mask = mask
        self._cut: set[str] = set()
        """Processes whose last entry journald cut off: the next one goes on with it."""

    def feed(self, entry: Mapping[str, Any]) -> list[LogLine]:
        """Give the entry's line."""
        pid = str(entry.get("_PID") or "")
        is_cut = entry.get("_LINE_BREAK") == "line-max"
        mask = self._mask.piece if is_cut or pid in self._cut else self._mask
        (self._cut.add if is_cut else self._cut.discard)(pid)
        text = "".join(
            one if one.isprintable() or one == "\t" else " "
            for one in mask(bare(message_of(entry)))
        )
        level = level_of_priority(entry.get("PRIORITY"))
        if level is None or level < Level.ERROR:
            level = level_of_text(text) or level
        run = entry.get("_SYSTEMD_INVOCATION_ID") or entry.get("INVOCATION_ID")
        return [
            LogLine(
                at_us=int(entry.get("__REALTIME_TIMESTAMP", 0)),
                kind=LineKind.LOG,
                level=level,
                message=text,
                invocation=str(run) if run else None,
                cursor=str(entry.get("__CURSOR", "")),
            )
        ]

    def flush(self, now_us: int | None = None) -> list[LogLine]:
        """Nothing waits here."""
        del now_us
        return []

    has_waiting = False


class Writers:
    """Names the release that wrote each line of a host, also of those that are gone.

    By the process run: the one that runs is known, and of others the host wrote down since when
    it ran what. A run's first line decides for all of its lines.
    """

    def __init__(self, state: HostState, ahead_us: int = 0) -> None:
        """Take what the host says; ``ahead_us``: how far its clock is ahead of the lines'."""
        self._attribution = proven_past.attribution(state, ahead_us=ahead_us)
        self._seen: dict[str, str] = {}

    def knows(self, run: str) -> bool:
        """Tell whether a line of this run was seen, or it is the one that runs."""
        return run in self._seen or run in self._attribution.runs

    def release_of(self, line: LogLine) -> str:
        """Name the release; empty where nobody knows."""
        run = line.invocation
        if run is not None and run in self._seen:
            return self._seen[run]
        found = self._attribution.release_of(line)
        release = "" if found in (None, proven_past.BEFORE, proven_past.NOBODY) else str(found)
        if run is not None:
            self._seen[run] = release
        return release


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """A line with the environment, the host and the release that wrote it."""

    environment: str
    host: Host
    release: str
    """Empty where it is not known."""
    line: LogLine


class LogReader:
    """Reads the lines of several hosts, merged by time, each marked with its release."""

    def __init__(
        self,
        fleet: Fleet,
        names: Sequence[str],
        mask: Mask,
        clock: Clock,
        warn: Callable[[str], None],
    ) -> None:
        """Ask the hosts what they run; raises NoneReached.

        ``warn`` is told in a sentence what could not be read.
        """
        self._fleet, self._mask, self._warn = fleet, mask, warn
        seen = observe_timed(fleet, names, clock)
        self.away = {name: one for name, one in seen.items() if isinstance(one, HostError)}
        self._writers: dict[str, Writers] = {}
        self._ahead_us: dict[str, int] = {}
        for name, one in seen.items():
            if isinstance(one, HostError):
                continue
            state, ahead = one
            self._ahead_us[name] = ahead // timedelta(microseconds=1)
            self._writers[name] = Writers(state, self._ahead_us[name])
            if ahead:
                warn(clock_note(name, ahead))
        if not self._writers:
            raise NoneReached(self.away)
        for error in self.away.values():
            warn(str(error))

    def last(self, count: int) -> Iterator[MarkedLine]:
        """Give the last ``count`` entries of each host."""
        seen = self._fleet.each(self._writers, lambda name: self._read(name, count))
        streams = []
        for name, result in seen.items():
            if isinstance(result, HostError):
                self._warn(str(result))
            else:
                streams.append([(line.at_us, name, line) for line in result])
        for _at, name, line in heapq.merge(*streams, key=lambda item: item[:2]):
            yield self._marked(name, line)

    def _read(self, name: str, count: int) -> Sequence[LogLine]:
        reader = JournalReader(AsWritten(self._mask), ahead_us=self._ahead_us[name])
        read = reader.read(self._fleet.acts(name).journal.lines(count))
        if unread := read.unread():
            self._warn(f"{name}: {unread}")
        return read.lines

    def followers(
        self, deliver: Callable[[Delivery], None], threads: FollowerThreads
    ) -> list[Follower]:
        """Give what follows the hosts, not started yet."""
        return [
            Follower(
                name,
                lambda name=name: self._fleet.acts(name),  # type: ignore[misc]
                deliver,
                position="since:0",
                threads=threads,
                maker=AsWritten(self._mask),
                ahead_us=self._ahead_us[name],
            )
            for name in self._writers
        ]

    def marked(self, delivery: Delivery) -> Iterator[MarkedLine]:
        """Give the lines of a delivery; ``warn`` is told of a gap."""
        if delivery.gap:
            self._warn(f"{delivery.host}: {delivery.gap}")
        for line in delivery.lines:
            self._refresh(delivery.host, line)
            yield self._marked(delivery.host, line)

    def _refresh(self, name: str, line: LogLine) -> None:
        """Ask a host anew when a process writes that was not there before."""
        if line.invocation and not self._writers[name].knows(line.invocation):
            state = observe(self._fleet, [name])[0].get(name)
            if state is not None:
                self._writers[name] = Writers(state, self._ahead_us[name])

    def _marked(self, name: str, line: LogLine) -> MarkedLine:
        environment, host = self._fleet.inventory.environment, self._fleet.host(name)
        return MarkedLine(environment, host, self._writers[name].release_of(line), line)


def follow(readers: Iterable[LogReader], stop: threading.Event) -> Iterator[MarkedLine]:
    """Give new lines of several environments as they come, until ``stop`` is set."""
    arrived: queue.SimpleQueue[tuple[LogReader, Delivery]] = queue.SimpleQueue()
    threads = FollowerThreads()
    followers = [
        follower
        for reader in readers
        for follower in reader.followers(lambda one, its=reader: arrived.put((its, one)), threads)  # type: ignore[misc]
    ]
    for follower in followers:
        follower.start()
    try:
        while not stop.is_set():
            try:
                reader, delivery = arrived.get(timeout=0.2)
            except queue.Empty:
                continue
            yield from reader.marked(delivery)
    finally:
        for follower in followers:
            follower.stop()
        threads.close()
