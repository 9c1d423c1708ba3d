"""A sighting: what the judge needs of one journal line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a line says of the bot's process, or that it is the bot's own."""

    LINE = "line"
    STARTED = "started"
    STOPPING = "stopping"
    CRASH = "crash"
    """The main process ended by itself: a status other than 0, or a signal."""
    RESTART = "restart"
    """systemd's scheduled restart; carries systemd's own count."""
    FAILED = "failed"
    OOM = "oom"
    CORE = "core"
    START_LIMIT = "start_limit"
    DROPPED = "dropped"
    """journald refused lines of this unit."""
    OTHER = "other"
    """systemd's own words that say nothing of health."""


class Level(StrEnum):
    """How bad a line of the bot's own says it is, as far as the judge cares."""

    FINE = "fine"
    ERROR = "error"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One line, reduced: when, what kind, which error, how slow."""

    at_us: int
    """Microseconds since the epoch, of the host's clock."""
    kind: Kind = Kind.LINE
    level: Level = Level.FINE
    fingerprint: str = ""
    """Which error it is; empty unless ``level`` is above fine."""
    text: str = ""
    traced: bool = False
    """It came with a traceback."""
    latency_s: float | None = None
    count: int = 0
    """Lines dropped, or systemd's restart counter, by ``kind``."""


LineLike = Sighting


def sight(line: LineLike) -> Sighting:
    """Reduce a line to what the judge needs of it."""
    return line
