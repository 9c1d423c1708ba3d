"""Errors that people can cause and mend; the command line turns each into its exit code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ExitCode(IntEnum):
    """What a command's exit code means; relied on by scripts and cron."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FAULT = 3
    LOCKED = 4
    HELD = 5
    UNREACHABLE = 6
    NEEDS_PERSON = 7
    INTERRUPTED = 130


class Todo(StrEnum):
    """What a person may do next; the views word the command."""

    CANARY = "canary"
    FORCE = "force"
    """Release in spite of the quarantine."""
    TAKE_OVER = "take over"
    """Take hosts from another environment."""
    PROMOTE = "promote"
    APPROVE = "approve"
    RESUME = "resume"
    ROLLBACK = "rollback"
    RELEASES = "releases"
    STATUS = "status"
    HISTORY = "history"
    UNLOCK = "unlock"
    RETIRE = "retire"
    """Take away an instance that the inventory does not name."""
    LOGS = "logs"
    START_UNIT = "start unit"
    """Start the bot's unit on its host, by hand."""
    RENUMBER = "renumber"
    """Agree that instances change their numbers."""
    SHOW_UNIT = "show unit"
    """Look at the bot's unit on its host."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing that a person may do next."""

    todo: Todo
    hosts: tuple[str, ...] = ()
    name: str = ""
    """Of the release or of the other environment that it is about."""


class BotdeployError(Exception):
    """Base of every error that is told to the user as a message, never as a traceback."""

    exit_code: ExitCode = ExitCode.FAULT
    hints: tuple[Hint, ...] = ()

    def __init__(self, message: str = "", *, hint: Hint | None = None) -> None:
        """Say what happened; ``hint`` is what a person may do about it."""
        super().__init__(message)
        if hint is not None:
            self.hints = (hint,)


class UserError(BotdeployError):
    """Wrong usage, inventory or source; nothing was touched."""

    exit_code = ExitCode.USAGE


class InventoryError(UserError):
    """A fault in an inventory, told with file, line and key where they are known."""

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str = ""
    ) -> None:
        """Compose ``file:line: key: message`` from the parts that are known."""
        place = file or ""
        if file and line is not None:
            place = f"{file}:{line}"
        parts = [part for part in (place, key, message) if part]
        super().__init__(": ".join(parts))
        self.file = file
        self.line = line
        self.key = key


class NoMatch(UserError):
    """A pattern that means no host of an environment."""


class SourceError(UserError):
    """A source that does not exist, is empty, or holds what cannot be released."""


class NotAgreed(BotdeployError):
    """The release changes numbers of instances, and no person agreed; nothing was touched."""

    exit_code = ExitCode.HELD

    def __init__(self, numbers: Sequence[Mapping[str, str | None]]) -> None:
        """Take the numbers that change, as machine output has them: ``host``, ``from``, ``to``."""
        super().__init__("instances change their numbers", hint=Hint(Todo.RENUMBER))
        self.numbers = numbers


class LockedError(BotdeployError):
    """Another rollout or rollback has the environment's lock."""

    exit_code = ExitCode.LOCKED


class HostError(BotdeployError):
    """One host could not be worked on; carries the host's name and what to do about it."""

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, host: str, message: str) -> None:
        """Name the host first, then what happened and what to type next."""
        super().__init__(f"{host}: {message}")
        self.host = host
        self.message = message

    def of(self, host: str) -> HostError:
        """Give the same error as another host's: several may be reached over one connection."""
        if host == self.host:
            return self
        other = self.__class__.__new__(self.__class__)
        other.__dict__.update(self.__dict__)
        other.host, other.args = host, (f"{host}: {self.message}",)
        return other


class Unreachable(HostError):
    """No connection: refused, timed out, no route, unknown name."""


class AddressRefused(HostError, UserError):
    """What ssh's configuration or the inventory asks for on the way to one host can't be done."""

    exit_code = ExitCode.USAGE


class NoneReached(BotdeployError):
    """None of the hosts that were asked has answered; carries what each of them said instead."""

    def __init__(self, errors: Mapping[str, HostError]) -> None:
        """Take host → why. Where all of them are faults of usage, this is one, too."""
        told = "; ".join(str(error) for error in errors.values())
        super().__init__(f"no host can be reached: {told}")
        is_usage = all(error.exit_code is ExitCode.USAGE for error in errors.values())
        self.exit_code = ExitCode.USAGE if is_usage else ExitCode.UNREACHABLE


class AuthenticationFailed(HostError):
    """The host refused every key that was offered."""


class HostKeyUnknown(HostError):
    """The host's key is not in known_hosts; told with its fingerprint and how to accept it."""


class HostKeyChanged(HostError):
    """The host's key differs from the one in known_hosts."""


class OutcomeUnknown(HostError):
    """The connection ended before the program said how it went."""


class ActFailed(HostError):
    """A program ran on the host and said that it could not do its work."""

    def __init__(self, host: str, act: str, message: str, *, code: str = "failed") -> None:
        """Name the act in the message; ``code`` is the fault's, for programs."""
        super().__init__(host, f"{act}: {message}")
        self.code = code
