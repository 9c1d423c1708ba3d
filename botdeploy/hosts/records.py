"""The records that a host's program prints, and the faults that they tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from botdeploy.core.hoststate import LockHolder, lock_holder
from botdeploy.errors import ActFailed, HostError, LockedError, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Record = dict[str, Any]


class ProgramMissing(HostError):
    """The host does not have this version of the program yet."""


class LeaseLost(ActFailed):
    """The host went back by itself before the controller came to confirm."""


class LockRefused(LockedError):
    """One host's lock is somebody else's."""

    def __init__(self, host: str, holder: LockHolder) -> None:
        """Tell who has it, since when and why."""
        super().__init__(f"{host}: locked by {holder}")
        self.host = host
        self.holder = holder


class LockLost(LockedError):
    """The lock lapsed or was taken over while we thought that we had it."""

    def __init__(self, host: str, message: str) -> None:
        """Name the host that said so first."""
        super().__init__(
            f"{host}: {message}. Somebody else took over; an unconfirmed host goes back by itself. "
            "See: botdeploy history"
        )
        self.host = host


@dataclass(frozen=True, slots=True)
class Reply:
    """What one program said: its records in order, without the final one."""

    records: tuple[Record, ...]

    def get(self, key: str) -> Any:
        """Give the value of the first record that has ``key``, or None."""
        return next((record[key] for record in self.records if key in record), None)


def read_record(line: bytes, nonce: str) -> Record | None:
    """Read one line; None when it is not a record of this call."""
    mark = f"@@{nonce} ".encode()
    if not line.startswith(mark):
        return None
    try:
        record = json.loads(line[len(mark) :].decode("utf-8", "replace"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def any_record(line: bytes) -> Record | None:
    """Read a record of whatever call, from a stream in which nobody else writes such lines."""
    mark, _, _ = line.partition(b" ")
    return read_record(line, mark[2:].decode("ascii", "replace"))


def read_reply(host: str, act: str, lines: Iterable[bytes], nonce: str, said: bytes = b"") -> Reply:
    """Read a program's whole output; ``said`` is what came on standard error.

    Raises OutcomeUnknown when the final record is missing: the connection ended, and what the
    program did after its last record is not known. Raises the fault that a record tells.
    """
    records: list[Record] = []
    for line in lines:
        record = read_record(line, nonce)
        if record is None:
            continue
        if record.get("final"):
            return Reply(tuple(records))
        if "fault" in record:
            raise_fault(host, act, record)
        records.append(record)
    last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
    told = f" ({last[0][:300]})" if last[0] else ""
    raise OutcomeUnknown(
        host, f"{act}: the connection ended before the host said how it went{told}"
    )


def raise_fault(host: str, act: str, record: Mapping[str, Any]) -> NoReturn:
    """Raise the error for a record that tells a fault."""
    code = str(record["fault"])
    message = str(record.get("message", code))
    match code:
        case "missing":
            raise ProgramMissing(host, message)
        case "locked" if isinstance(record.get("lock"), dict):
            raise LockRefused(host, lock_holder(record["lock"]))
        case "lost-lock":
            raise LockLost(host, message)
        case "lost":
            raise LeaseLost(host, act, message, code=code)
        case "sudo":
            mend = "once, as an administrator: botdeploy setup ENV --user ADMIN"
            raise ActFailed(host, act, f"{message or 'sudo refuses'}; {mend}", code=code)
        case _:
            raise ActFailed(host, act, message, code=code)
