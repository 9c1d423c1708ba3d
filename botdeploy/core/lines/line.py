"""A log line: one thing that a bot, systemd or journald said, and the user's rules for lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.lines.level import Level
    from botdeploy.core.lines.systemd_record import SystemRecord


JOURNAL_FIELDS = (
    "MESSAGE",
    "PRIORITY",
    "_PID",
    "MESSAGE_ID",
    "INVOCATION_ID",
    "_SYSTEMD_INVOCATION_ID",
    "N_RESTARTS",
    "EXIT_CODE",
    "EXIT_STATUS",
    "UNIT_RESULT",
    "N_DROPPED",
    "_LINE_BREAK",
)
"""The journal's fields that are read here, besides the cursor and the time."""

MAX_MESSAGE = 4096
"""Characters of a line's text that are kept: its head, and of a long trace its end as well."""


class LineKind(StrEnum):
    """Who said it, and in which form."""

    LOG = "log"
    """One line of the bot's."""
    TRACEBACK = "traceback"
    """A stack trace of the bot's, joined to one line, with the error line that introduces it."""
    SYSTEMD = "systemd"
    """A record of systemd's about the unit; ``system`` is set."""
    DROPPED = "dropped"
    """journald left lines out; ``system.count`` says how many."""
    PROBE = "probe"
    """What a probe told (``core.probe``): no line of the journal."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing that a bot, systemd or journald said."""

    at_us: int
    """When journald took it, in microseconds UTC; of a joined line, its first entry."""
    kind: LineKind
    level: Level | None
    message: str
    """Plain text, at most 4096 characters: no ANSI codes, credentials masked."""
    fingerprint: str | None = None
    """Name of the error's class, of errors only: None of other lines and of ignored ones."""
    latency_ms: float | None = None
    invocation: str | None = None
    """The process run that wrote it: its own id, or by its position when it bears none."""
    cursor: str = ""
    """journald's name for the entry; of a joined line, its last entry."""
    is_fatal: bool = False
    """Whether a person would call it fatal: import errors, panics, level CRITICAL …"""
    system: SystemRecord | None = None
    is_handled: bool = False
    """Whether it tells of a unit of work done (``LineRules.handled``, else: it has a latency)."""
    count: int = 1
    """How many equal events it stands for: more than one only where a probe counted them."""
    pid: str = ""
    """The process that wrote it, of the bot's own lines."""
    states_level: bool = False
    """Whether the bot wrote how bad it is; journald gives everything on stdout one priority."""

    @property
    def is_traffic(self) -> bool:
        """Whether it shows that the bot is at work: what a probe asks for does not."""
        return self.kind is not LineKind.PROBE or self.is_handled

    @property
    def is_error(self) -> bool:
        """Whether it counts as an error."""
        return self.fingerprint is not None


def moved(lines: Sequence[LogLine], by_us: int) -> Sequence[LogLine]:
    """Give lines with their times moved, from one clock to another."""
    return [replace(line, at_us=line.at_us + by_us) for line in lines] if by_us else lines


@dataclass(frozen=True, slots=True)
class LineRules:
    """What the user knows better about the bot's lines: regular expressions, searched."""

    ignore: tuple[str, ...] = ()
    """Lines that are no errors, whatever they say."""
    fatal: tuple[str, ...] = ()
    """Lines that are fatal errors, whatever their level."""
    same: tuple[str, ...] = ()
    """Errors that are one class: each expression is one; its groups, if any, tell them apart."""
    latency: str | None = None
    """Where a line tells how long work took: a group named ``ms``, ``s`` or ``us``."""
    handled: str | None = None
    """Lines that tell of one unit of work done: what errors are counted against."""
    levels: tuple[tuple[str, str], ...] = ()
    """Words that the bot's logger writes for levels: each with a level's name in small letters."""

    @classmethod
    def from_policy(cls, judge: Mapping[str, Any]) -> LineRules:
        """Take what the inventory's ``judge`` says of log lines; its other keys are the judge's."""
        return cls(
            ignore=tuple(judge.get("ignore", ())),
            fatal=tuple(judge.get("fatal", ())),
            same=tuple(
                one["pattern"] if isinstance(one, dict) else one for one in judge.get("same", ())
            ),
            latency=judge.get("latency"),
            handled=judge.get("handled"),
            levels=tuple(sorted(judge.get("levels", {}).items())),
        )
