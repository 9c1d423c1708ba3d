"""The bot's own lines, as it wrote them: last ones or as they come, from all hosts."""

from __future__ import annotations

import heapq
import queue
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence import proven_past
from botdeploy.core.lines.assembler import message_of
from botdeploy.core.lines.level import Level, level_of_priority, level_of_text
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.text.printable import bare
from botdeploy.core.text.untrusted import entry_of
from botdeploy.engine.fleet.observe import observe, observe_some
from botdeploy.errors import ExitCode, HostError
from botdeploy.hosts.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.host_state import HostState
    from botdeploy.core.text.secret_mask import Mask
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


def logs(context: Context, environment: str, limit: str | None, *, follow: bool, count: int) -> int:
    """Print lines from all hosts, merged by time."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        printer = _Printer(context, fleet, names)
        return printer.follow(count) if follow else printer.last(count)


class Writers:
    """Names the release that wrote each line of a host, also of those that are gone.

    By the process run: the one that runs is known, and of others the host wrote down since when
    it ran what. A run's first line decides for all of its lines.
    """

    def __init__(self, state: HostState) -> None:
        """Take what the host tells."""
        self._attribution = proven_past.attribution(state)
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


class _Printer:
    """Prints log lines with host and release."""

    def __init__(self, context: Context, fleet: Fleet, names: tuple[str, ...]) -> None:
        self.context = context
        self.fleet = fleet
        self.writers: dict[str, Writers] = {}
        self.width = max(len(name) for name in names)
        states, self.away = observe_some(fleet, names)
        for name, state in states.items():
            self.writers[name] = Writers(state)
        for error in self.away.values():
            context.say(str(error), "red")
        self.reachable = tuple(states)

    def last(self, count: int) -> int:
        """Print the last ``count`` entries of each host."""
        seen = self.fleet.each(self.reachable, lambda name: self._read(name, count))
        streams = []
        for name, result in seen.items():
            if isinstance(result, HostError):
                self.context.say(str(result), "red")
            else:
                streams.append([(line.at_us, name, line) for line in result])
        for _at, name, line in heapq.merge(*streams, key=lambda item: item[:2]):
            self._print(name, line)
        return int(ExitCode.UNREACHABLE if self.away else ExitCode.DONE)

    def _read(self, name: str, count: int) -> list[LogLine]:
        reader = AsWritten(self.context.mask)
        lines: list[LogLine] = []
        entries = self.fleet.acts(name).lines(count)
        if entries.is_cut:
            self.context.say(
                f"{name}: only the last {len(entries.rows)} of {count} lines could be read",
                "yellow",
            )
        for row in entries.rows:
            entry = entry_of(row)
            if entry is not None:
                lines += reader.feed(entry)
        return lines

    def follow(self, count: int) -> int:
        """Print new lines until interrupted."""
        if count:
            self.last(count)
        arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        followers = [
            Follower(
                name,
                lambda name=name: self.fleet.acts(name),  # type: ignore[misc]
                arrived.put,
                position="since:0",
                assembler=AsWritten(self.context.mask),
            )
            for name in self.reachable
        ]
        for follower in followers:
            follower.start()
        try:
            while not self.context.stop.is_set():
                try:
                    delivery = arrived.get(timeout=0.2)
                except queue.Empty:
                    continue
                if delivery.gap:
                    self.context.say(f"{delivery.host}: {delivery.gap}", "yellow")
                for line in delivery.lines:
                    self._look_again(delivery.host, line)
                    self._print(delivery.host, line)
        finally:
            for follower in followers:
                follower.stop()
        return int(ExitCode.INTERRUPTED)

    def _look_again(self, name: str, line: LogLine) -> None:
        """Ask a host anew when a process writes that was not there before."""
        if line.invocation and not self.writers[name].knows(line.invocation):
            state = observe(self.fleet, [name])[0].get(name)
            if state is not None:
                self.writers[name] = Writers(state)

    def _print(self, name: str, line: LogLine) -> None:
        release = self.writers[name].release_of(line)
        at = datetime.fromtimestamp(line.at_us / 1e6, tz=UTC)
        if self.context.as_json:
            self.context.json.write(
                {
                    "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                    "host": name,
                    "release": release or None,
                    "level": line.level.name.lower() if line.level is not None else None,
                    "message": line.message,
                }
            )
            return
        style = "red" if line.level is not None and line.level >= Level.ERROR else ""
        mark = release[-8:] if release else "-"
        head = at.astimezone().isoformat(sep=" ", timespec="milliseconds")
        self.context.copy_out(f"{head} {name:<{self.width}} {mark:<8} {line.message}", style)
