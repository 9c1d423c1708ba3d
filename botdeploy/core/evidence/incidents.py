"""Incidents: what a verdict may hang on, and where each class of errors was seen first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.quote import sample_of
from botdeploy.core.lines.systemd_record import SystemKind

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine

MAX_SAMPLE = 240
"""Characters of a sample line."""


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


def incident_of(line: LogLine, release: str) -> Incident | None:
    """Give what a verdict may hang on, of one line: a record of systemd's, or a fatal error."""
    record = line.system
    if record is not None:
        if record.kind in _PLAIN:
            return None
        kind, text = record.kind.value, line.message[:MAX_SAMPLE]
        return Incident(line.at_us, release, kind, text, "", record.status, record.count)
    if line.is_fatal and line.fingerprint is not None:
        text = sample_of(line.message, MAX_SAMPLE)
        return Incident(line.at_us, release, FATAL, text, line.fingerprint)
    return None


def incident_order(one: Incident) -> tuple[Any, ...]:
    """Give a total order of incidents, by time first."""
    return (one.at_us, one.release, one.kind, one.text, one.fingerprint, one.status or 0, one.count)
