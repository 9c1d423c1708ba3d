"""Hosts whose journals are what a test says, for the parts of a watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.engine.watch import following
from botdeploy.engine.watch.watch import Watch
from botdeploy.hosts.acts.journal import Entries
from botdeploy.hosts.follower import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

    from botdeploy.core.evidence.past_starts import PastStarts

SECOND = 1_000_000
BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)
T0 = int(BEGIN.timestamp() * 1e6)


def line(at_s: float, text: str = "handled", kind: LineKind = LineKind.LOG, **more: Any) -> LogLine:
    """Make a line, so many seconds after the begin."""
    return LogLine(T0 + round(at_s * SECOND), kind, Level.INFO, text, **more)


def error(at_s: float, name: str = "boom", **more: Any) -> LogLine:
    """Make an error's line."""
    return line(at_s, f"ERROR {name}", fingerprint=name, **more)


def record(at_s: float, kind: SystemKind, count: int = 0) -> LogLine:
    """Make a record of systemd's."""
    return line(at_s, kind.value, LineKind.SYSTEMD, system=SystemRecord(kind, count=count))


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    passed: float = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 100.0 + self.passed


@dataclass
class Fleet:
    """Hosts without probes, that answer when they are told to."""

    rows: list[bytes] = field(default_factory=list)
    is_cut: bool = False
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    heard_at: dict[str, float] = field(default_factory=dict)
    """When hosts said anything last, by ``clock``."""
    clock: Clock = field(default_factory=Clock)
    positions: list[str] = field(default_factory=list)

    def host(self, _name: str) -> Any:
        return SimpleNamespace(bot=SimpleNamespace(probe=None))

    def ask(self, name: str) -> None:
        self.asked.append(name)

    def heard_s_ago(self, name: str) -> float | None:
        at = self.heard_at.get(name)
        return None if at is None else self.clock.monotonic() - at

    def acts(self, _name: str) -> Any:
        return SimpleNamespace(journal=self)

    def entries(self, position: str) -> Entries:
        self.positions.append(position)
        if self.error is not None:
            raise self.error
        return Entries(self.rows, self.is_cut)


class Journal:
    """Stands for a host's follower."""

    def __init__(
        self, name: str, _connect: object, deliver: Callable[[Delivery], None], **how: Any
    ) -> None:
        self.name, self.how, self._deliver = name, how, deliver
        self.has_caught_up = True
        self.cut_us: int | None = None
        self.is_open = False

    def start(self) -> None:
        self.is_open = True

    def stop(self) -> None:
        self.is_open = False

    def brings(self, *lines: LogLine, gap: str = "", starts: PastStarts | None = None) -> None:
        self._deliver(Delivery(self.name, lines, gap, starts))


class Stand:
    """A watch over such journals."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        options: Mapping[str, object],
        machines: Mapping[str, str] | None = None,
    ) -> None:
        monkeypatch.setattr(following, "Follower", Journal)
        self.clock = Clock()
        self.fleet = Fleet(clock=self.clock)
        self.watch = Watch(self.fleet, self.clock, Assembler, options, machines or {})  # type: ignore[arg-type]
        self.heard: list[tuple[object, ...]] = []
        self.watch.following.listeners.append(self)

    def feed(self, host: str, one: LogLine) -> None:
        self.heard.append((host, one.message))

    def unheard(self, host: str, from_us: int, to_us: int) -> None:
        self.heard.append((host, (from_us - T0) / SECOND, (to_us - T0) / SECOND))

    def gap(self, host: str, _at_us: int) -> None:
        self.heard.append((host, "gap"))

    def journal(self, name: str) -> Journal:
        found: Any = self.watch.following.hosts[name].follower
        assert isinstance(found, Journal)
        return found
