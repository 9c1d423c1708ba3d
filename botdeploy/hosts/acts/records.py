"""The records that a host's program prints, and the faults that they tell."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from botdeploy.core.host_state import LockHolder, lock_holder
from botdeploy.core.rollout.running import Unit, unit_of
from botdeploy.core.text.untrusted import object_of, told
from botdeploy.errors import ActFailed, ExitCode, HostError, LockedError, OutcomeUnknown, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Record = dict[str, Any]


class ProgramMissing(HostError):
    """The host does not have this version of the program yet."""


class NameTaken(UserError):
    """A unit or a folder of the bot's name is somebody else's on a host; nothing was touched."""


class LeaseLost(ActFailed):
    """The host went back by itself before the controller came to confirm."""


class OtherEnvironment(HostError):
    """The bot on this host belongs to another environment; nothing was touched."""

    exit_code = ExitCode.USAGE

    def __init__(self, host: str, environment: str) -> None:
        """Name the environment that has it."""
        super().__init__(host, f"it belongs to environment '{environment}'")
        self.environment = environment


class NotRunning(ActFailed):
    """The host did not do it, because the bot does not run."""

    def __init__(self, host: str, act: str, message: str, unit: Unit) -> None:
        """Keep what the host said of the unit."""
        super().__init__(host, act, message, code="not-running")
        self.unit = unit


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
    """Read one line; None when it is not a record of this call, or none that can be read."""
    mark = _mark(nonce)
    if not line.startswith(mark):
        return None
    try:
        return object_of(line[len(mark) :])
    except ValueError:
        return None


def _mark(nonce: str) -> bytes:
    return f"@@{nonce} ".encode()


@contextmanager
def believed(host: str, act: str, fault: type[HostError] | None = None) -> Iterator[None]:
    """Take what a host's answer holds for what it is said to be; else it is that host's fault.

    Whatever is read of a record is read within this: a host that answers with other types, with
    numbers or times that can't be, or without what belongs there raises OutcomeUnknown, or
    ActFailed where ``fault`` says so.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        said = f"the host's answer is damaged: {told(what, 300)}"
        if fault is ActFailed:
            raise ActFailed(host, act, said) from error
        raise OutcomeUnknown(host, f"{act}: {said}") from error


def any_record(line: bytes) -> Record | None:
    """Read a record of whatever call, from a stream in which nobody else writes such lines."""
    mark, _, _ = line.partition(b" ")
    return read_record(line, mark[2:].decode("ascii", "replace"))


def unsaid(user: str, heard: bytes, said: bytes) -> str:
    """Tell the last line of what came in place of an answer, and who logged in; may be empty.

    ``heard`` came on standard output: a forced command or a login shell that is none says there why
    it does nothing. ``said`` came on standard error.
    """
    lines = (text.decode("utf-8", "replace").strip().splitlines()[-1:] for text in (heard, said))
    last = "; ".join(dict.fromkeys(told(line[0], 300) for line in lines if line))
    if not last:
        return ""
    return f" ({f'as {user}: ' if user else ''}{last})"


def read_reply(
    host: str, act: str, lines: Iterable[bytes], nonce: str, said: bytes = b"", *, user: str = ""
) -> Reply:
    """Read a program's whole output; ``said`` is what came on standard error, ``user`` logged in.

    Raises OutcomeUnknown when the final record is missing: the connection ended, and what the
    program did after its last record is not known. Raises the fault that a record tells.
    """
    records: list[Record] = []
    damaged = False
    heard = b""
    for line in lines:
        record = read_record(line, nonce)
        if record is None:
            damaged = damaged or line.startswith(_mark(nonce))
            heard = line if line.strip() else heard
            continue
        if record.get("final"):
            if record.get("rc"):
                break  # its fault came in a line that was none of ours
            return Reply(tuple(records))
        if "fault" in record:
            raise_fault(host, act, record)
        records.append(record)
    reason = unsaid(user, b"" if damaged or records else heard, said)
    if damaged:
        raise OutcomeUnknown(host, f"{act}: the host's answer can't be read{reason}")
    raise OutcomeUnknown(
        host, f"{act}: the connection ended before the host said how it went{reason}"
    )


def unit_in(host: str, act: str, record: Mapping[str, Any]) -> Unit:
    """Read what a record tells of the unit; raises ActFailed where it is damaged."""
    with believed(host, act, ActFailed):
        return unit_of(record["unit"])


def is_wrong_password(said: str) -> bool:
    """Tell whether sudo's (or sudo-rs') words mean that the password was not the right one."""
    words = ("incorrect password", "incorrect authentication", "try again", "Authentication failed")
    return any(word in said for word in words)


def raise_fault(host: str, act: str, record: Mapping[str, Any]) -> NoReturn:
    """Raise the error for a record that tells a fault."""
    code = told(record["fault"], 100)
    message = told(record.get("message", code))
    match code:
        case "missing":
            raise ProgramMissing(host, message)
        case "locked" if isinstance(record.get("lock"), dict):
            with believed(host, act):
                holder = lock_holder(record["lock"])
            raise LockRefused(host, holder)
        case "environment":
            raise OtherEnvironment(host, message)
        case "lost-lock":
            raise LockLost(host, message)
        case "not-running":
            raise NotRunning(host, act, message, unit_in(host, act, record))
        case "lost":
            raise LeaseLost(host, act, message, code=code)
        case "input":
            mend = (
                "sudo-rs 0.2.5 takes what follows a password for itself: install a newer sudo-rs, "
                "or sudo, or let it ask for none (botdeploy setup ENV --user root)"
            )
            raise ActFailed(host, act, f"{message}; {mend}", code=code)
        case "sudo":
            mend = "once, as an administrator (here root): botdeploy setup ENV --user root"
            if is_wrong_password(message):
                mend = "mend ansible_become_password"
            raise ActFailed(host, act, f"{message or 'sudo refuses'}; {mend}", code=code)
        case _:
            raise ActFailed(host, act, message, code=code)
