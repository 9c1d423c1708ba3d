"""Last words: what a bot, or systemd of it, said before its process ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.quote import quote
from botdeploy.core.lines.systemd_record import SystemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botdeploy.core.lines.line import LogLine

NEAR_US = 5_000_000
"""An error so long before the end is the end's; an earlier one was survived."""
LATE_US = 2_000_000
"""journald may stamp what a bot said so long after systemd tells that it ended."""
YOUNG_US = 10_000_000
"""The last line of a bot that lived no longer is why, whatever it says."""
_NOT_STARTED = (126, 127)
"""What a shell, or env, ends with where the command is not there or can't be executed."""
_ENDS = frozenset(
    {
        SystemKind.CRASHED,
        SystemKind.SPAWN_FAILED,
        SystemKind.COREDUMP,
        SystemKind.OOM,
        SystemKind.WATCHDOG,
        SystemKind.TIMEOUT,
        SystemKind.FAILED,
        SystemKind.DEACTIVATED,
    }
)


@dataclass(frozen=True, slots=True)
class LastWords:
    """The telling line, as a clause of a sentence."""

    told: str
    """``it said “KeyError: 'x'”``; empty where nothing tells."""
    error: LogLine | None = None
    """The bot's own error that it quotes, if it is one."""


NOTHING = LastWords("")


def last_words(
    lines: Iterable[LogLine], since_us: int, old_invocation: str = "", *, must_end: bool = False
) -> LastWords:
    """Find the telling line of the first life that began since an instant.

    The bot's last error before its end; else what systemd says of a program that it could not
    execute, or of a step before the start, with that step's own words; else the last line of a bot
    that hardly lived; else systemd's first complaint. ``old_invocation`` is the life that was to
    end, where it is known: its last errors, and those after a return, are not meant. ``must_end``:
    only of a life that has ended.
    """
    later = [line for line in lines if line.at_us >= since_us]
    others = [line for line in later if line.invocation not in {None, old_invocation}]
    begun = (one.invocation for one in others if one.system and one.system.is_new_process)
    first = next(begun, others[0].invocation if others else None)
    life = [line for line in later if first is not None and line.invocation == first]
    end = next((line for line in life if _is_end(line)), None)
    if not life or (must_end and end is None):
        return NOTHING
    own = [line for line in life if line.kind in (LineKind.LOG, LineKind.TRACEBACK)]
    if end is not None:
        own = [line for line in own if line.at_us <= end.at_us + LATE_US]
    return (
        _own_error(own, end) or _of_start(life, own) or _of_a_young(life, own, end) or _plain(life)
    )


def _is_end(line: LogLine) -> bool:
    record = line.system
    return record is not None and (record.kind in _ENDS or _is_control(line))


def _is_control(line: LogLine) -> bool:
    """Tell whether it is of a step before the start, or after it, that failed."""
    record = line.system
    return (
        record is not None
        and record.kind in (SystemKind.EXITED, SystemKind.CRASHED)
        and "ontrol process exited" in line.message
        and record.status not in (None, 0)
    )


def _own_error(own: Sequence[LogLine], end: LogLine | None) -> LastWords | None:
    near_us = end.at_us - NEAR_US if end is not None else 0
    said = next((line for line in reversed(own) if line.is_error and line.at_us >= near_us), None)
    return None if said is None else LastWords(f"it said {quote(said.message)}", said)


def _of_start(life: Sequence[LogLine], own: Sequence[LogLine]) -> LastWords | None:
    for line in life:
        if line.system is not None and line.system.kind is SystemKind.SPAWN_FAILED:
            return LastWords(f"systemd said {quote(line.message)}")
        if _is_control(line):
            words = f"; its last line was {quote(own[-1].message)}" if own else ""
            return LastWords(f"systemd said {quote(line.message)}{words}")
    return None


def _of_a_young(
    life: Sequence[LogLine], own: Sequence[LogLine], end: LogLine | None
) -> LastWords | None:
    if not own or end is None:
        return None
    is_young = end.at_us - life[0].at_us < YOUNG_US
    status = next((one.system.status for one in life if one.system and one.system.status), None)
    if is_young or status in _NOT_STARTED:
        return LastWords(f"its last line was {quote(own[-1].message)}")
    return None


def _plain(life: Sequence[LogLine]) -> LastWords:
    """Quote systemd's first complaint: it tells of the step that failed, the last that it did."""
    of_systemd = (line for line in life if line.kind is LineKind.SYSTEMD)
    said = next((one for one in of_systemd if (one.level or 0) >= Level.ERROR), None)
    return LastWords(f"systemd said {quote(said.message)}") if said is not None else NOTHING
