"""What systemd and journald themselves say of a bot, read from their message ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botdeploy.core.text.untrusted import whole

if TYPE_CHECKING:
    from collections.abc import Mapping


class SystemKind(StrEnum):
    """What happened to a bot's unit, or to its journal."""

    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DEACTIVATED = "deactivated"
    """The process ended without fault, by itself or because it was told to."""
    RELOADED = "reloaded"
    EXITED = "exited"
    """A process of the unit ended while the unit was being stopped, or beside the main one."""
    CRASHED = "crashed"
    """The main process ended with a fault and nobody had asked it to stop."""
    START_FAILED = "start-failed"
    SPAWN_FAILED = "spawn-failed"
    """The program could not be executed (missing, not executable, no such user …)."""
    TIMEOUT = "timeout"
    LIFETIME = "lifetime"
    """It ran as long as its unit lets it (``RuntimeMaxSec``), and is ended for that."""
    WATCHDOG = "watchdog"
    FAILED = "failed"
    STOP_FAILED = "stop-failed"
    """The unit is called failed because its process took a stop that was asked for badly."""
    RESTART = "restart"
    START_LIMIT = "start-limit"
    OOM = "oom"
    COREDUMP = "coredump"
    """The main process dumped core; what systemd-coredump says of any process is a plain error."""
    DROPPED = "dropped"
    """journald left lines out: what is counted around it are lower bounds."""
    MISSED = "missed"
    """Kernel or forwarded lines that journald lost; tells nothing of how many were the bot's."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """One record of systemd's or journald's about the bot."""

    kind: SystemKind
    code: str = ""
    """``exited``, ``killed`` or ``dumped`` of an ended process, else empty."""
    status: int | None = None
    """Exit status of a process that exited, number of the signal of one that was killed.

    Of a restart: 0 where the process before it ended without fault.
    """
    count: int = 0
    """Restarts since the last full stop (``RESTART``), or lines left out (``DROPPED``)."""
    result: str = ""
    """systemd's word for how a unit failed: ``exit-code``, ``signal``, ``oom-kill`` …"""

    @property
    def is_new_process(self) -> bool:
        """Whether it is the first that systemd says of a new invocation."""
        return self.kind in {SystemKind.STARTING, SystemKind.STARTED}


# https://github.com/systemd/systemd/blob/main/src/systemd/sd-messages.h
_BY_ID: dict[str, SystemKind] = {
    "7d4958e842da4a758f6c1cdc7b36dcc5": SystemKind.STARTING,
    "39f53479d3a045ac8e11786248231fbf": SystemKind.STARTED,
    "be02cf6855d2428ba40df7e9d022f03d": SystemKind.START_FAILED,
    "de5b426a63be47a7b6ac3eaac82e2f6f": SystemKind.STOPPING,
    "9d1aaa27d60140bd96365438aad20286": SystemKind.STOPPED,
    "7ad2d189f7e94e70a38c781354912448": SystemKind.DEACTIVATED,
    "7b05ebc668384222baa8881179cfda54": SystemKind.RELOADED,
    "98e322203f7a4ed290d09fe03c09fe15": SystemKind.CRASHED,
    "d9b373ed55a64feb8242e02dbe79a49c": SystemKind.FAILED,
    "5eb03494b6584870a536b337290809b3": SystemKind.RESTART,
    "641257651c1b4ec9a8624d7a40a9e1e7": SystemKind.SPAWN_FAILED,
    "fe6faa94e7774663a0da52717891d8ef": SystemKind.OOM,
    "d989611b15e44c9dbf31e3c81256e4ed": SystemKind.OOM,
    "a596d6fe7bfa4994828e72309e95d61e": SystemKind.DROPPED,
    "e9bf28e6e834481bb6f48f548ad13606": SystemKind.MISSED,
}

# Said by PID 1 without a message id.
_BY_TEXT: tuple[tuple[re.Pattern[str], SystemKind], ...] = (
    (re.compile(r"Start request repeated too quickly"), SystemKind.START_LIMIT),
    (re.compile(r"Watchdog timeout"), SystemKind.WATCHDOG),
    (re.compile(r"reached runtime time limit"), SystemKind.LIFETIME),
    (
        re.compile(r"operation timed out|timed out\. (?:Kill|Terminat|Stopp|Skipp)"),
        SystemKind.TIMEOUT,
    ),
    (re.compile(r"killed by the OOM killer|systemd-oomd killed"), SystemKind.OOM),
)
DUMPED_CORE = "fc2e22bc6ee647b6b90729ab34a250b1"
"""systemd-coredump's message id: some process of the unit dumped core, be it a child."""
_EXITED = re.compile(r"code=(exited|killed|dumped), status=(\d+)")
_SUPPRESSED = re.compile(r"Suppressed (\d+) messages")


def read_system_record(
    entry: Mapping[str, Any], text: str, *, is_stopping: bool, has_ended_well: bool = False
) -> SystemRecord | None:
    """Read an entry of systemd's or journald's; None when the bot itself wrote it.

    ``is_stopping`` tells that a stop was asked for: a process that ends then has not crashed.
    ``has_ended_well`` tells that the last one ended without fault: the restart has status 0 then.
    """
    kind = _BY_ID.get(entry.get("MESSAGE_ID") or "")
    is_pid_1 = str(entry.get("_PID", "")) == "1"
    if kind is None:
        if not is_pid_1:
            return None
        kind = next((kind for form, kind in _BY_TEXT if form.search(text)), SystemKind.OTHER)
    elif not is_pid_1 and kind not in _NOT_OF_PID_1:
        return None
    match kind:
        case SystemKind.CRASHED:
            return _ended(entry, text, is_stopping=is_stopping)
        case SystemKind.FAILED:
            return SystemRecord(
                SystemKind.STOP_FAILED if is_stopping else kind,
                result=str(entry.get("UNIT_RESULT") or ""),
            )
        case SystemKind.RESTART:
            restarts = _number(entry.get("N_RESTARTS")) or 1
            return SystemRecord(kind, status=0 if has_ended_well else None, count=restarts)
        case SystemKind.DROPPED:
            found = _SUPPRESSED.search(text)
            count = _number(entry.get("N_DROPPED")) or (_number(found[1]) if found else 1)
            return SystemRecord(kind, count=count or 1)
        case _:
            return SystemRecord(kind)


# What others than PID 1 write: journald, and the child that could not execute.
_NOT_OF_PID_1 = frozenset({SystemKind.DROPPED, SystemKind.MISSED, SystemKind.SPAWN_FAILED})


def _ended(entry: Mapping[str, Any], text: str, *, is_stopping: bool) -> SystemRecord:
    code = str(entry.get("EXIT_CODE") or "")
    status = _number(entry.get("EXIT_STATUS"))
    if not code or status is None:
        found = _EXITED.search(text)
        if found:
            code, status = found[1], _number(found[2])
    is_main = "ain process exited" in text or not text
    is_fault = not (code == "exited" and status == 0)
    if not (is_main and is_fault) or is_stopping:
        return SystemRecord(SystemKind.EXITED, code, status)
    kind = SystemKind.COREDUMP if code == "dumped" else SystemKind.CRASHED
    return SystemRecord(kind, code, status)


def _number(value: object) -> int | None:
    try:
        return whole(value, most=1 << 31)
    except ValueError:
        return None
