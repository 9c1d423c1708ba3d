"""Faults: the errors that a host's program tells."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from botdeploy import __version__
from botdeploy.core.host.running import Unit, unit_of
from botdeploy.core.host.state_record import lock_holder
from botdeploy.core.text.untrusted import told
from botdeploy.errors import (
    ActFailed,
    ExitCode,
    Hint,
    HostError,
    LockedError,
    OutcomeUnknown,
    Todo,
    UserError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdeploy.core.host.host_state import LockHolder


class ProgramMissing(HostError):
    """The host does not have this version of the program yet."""

    def __init__(self, host: str, message: str, there: str = "") -> None:
        """Keep which version is ``there`` instead, and where; empty where none is."""
        super().__init__(host, message)
        self.there = there


class OtherVersion(UserError):
    """A host has another version's program, and who deploys may not install this one's."""

    def __init__(self, host: str, there: str) -> None:
        """Name both versions and what to do."""
        super().__init__(
            f"{host}: this is botdeploy {__version__}, and on the host is the program of botdeploy "
            f"{there}; sudo allows that one only, and nothing was touched. Use that version, or "
            "once, as an administrator (here root): botdeploy setup ENV --user root"
        )


class NoAnswer(OutcomeUnknown):
    """Nothing came of a program that runs for longer than we waited."""


class NameTaken(UserError):
    """The bot's name is taken on a host; nothing was touched.

    By somebody else's unit or folder, or by the same environment's bot in the other form: plain, or
    as named instances.
    """


def is_other_form(error: HostError) -> bool:
    """Tell whether a host refused because the bot stands there in its other form."""
    return isinstance(error, ActFailed) and error.code == "form"


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

    def __init__(self, host: str, act: str, message: str, unit: Unit, instance: str) -> None:
        """Keep what the host said of the unit, and whose it is; an empty name: the plain form.

        Of instances that are confirmed together it may be another one than was asked.
        """
        super().__init__(host, act, message, code="not-running")
        self.unit = unit
        self.instance = instance


class LockRefused(LockedError):
    """One host's lock is somebody else's."""

    def __init__(self, host: str, holder: LockHolder, instance: str = "") -> None:
        """Tell who has it, since when and why, and the instance where several were asked."""
        super().__init__(f"{host}: locked by {holder}")
        self.host = host
        self.holder = holder
        self.instance = instance


class LockLost(LockedError):
    """The lock lapsed or was taken over while we thought that we had it."""

    def __init__(self, host: str, message: str) -> None:
        """Name the host that said so first."""
        super().__init__(
            f"{host}: {message}. Another rollout or rollback has taken over; a host that is not "
            "confirmed returns to its previous release by itself",
            hint=Hint(Todo.HISTORY),
        )
        self.host = host


@contextmanager
def parsing(host: str, act: str, fault: type[HostError] | None = None) -> Iterator[None]:
    """Make an answer that is not of the form that it should have that host's fault.

    Whatever is read of a record is read within this: a host that answers with other types, with
    numbers or times that can't be, or without what belongs there raises OutcomeUnknown, or
    ActFailed where ``fault`` says so.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        message = f"the host's answer is damaged: {told(what, 300)}"
        if fault is ActFailed:
            raise ActFailed(host, act, message) from error
        raise OutcomeUnknown(host, f"{act}: {message}") from error


def read_unit(host: str, act: str, record: Mapping[str, Any]) -> Unit:
    """Read what a record tells of the unit; raises ActFailed where it is damaged."""
    with parsing(host, act, ActFailed):
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
        case "version":
            raise ProgramMissing(host, f"it has the program of botdeploy {message}", message)
        case "locked" if isinstance(record.get("lock"), dict):
            with parsing(host, act):
                holder = lock_holder(record["lock"])
            raise LockRefused(host, holder, told(record.get("instance", "")))
        case "environment":
            raise OtherEnvironment(host, message)
        case "lost-lock":
            raise LockLost(host, message)
        case "not-running":
            unit = read_unit(host, act, record)
            raise NotRunning(host, act, message, unit, told(record.get("instance", "")))
        case "lost":
            raise LeaseLost(host, act, message, code=code)
        case "input":
            mend = (
                "sudo-rs 0.2.5 does not hand on the input that follows a password: install a newer "
                "sudo-rs, or sudo, or use it without a password (botdeploy setup ENV --user root)"
            )
            raise ActFailed(host, act, f"{message}; {mend}", code=code)
        case "sudo":
            mend = "once, as an administrator (here root): botdeploy setup ENV --user root"
            if is_wrong_password(message):
                mend = "correct ansible_become_password"
            raise ActFailed(host, act, f"{message or 'sudo refuses'}; {mend}", code=code)
        case _:
            raise ActFailed(host, act, message, code=code)
