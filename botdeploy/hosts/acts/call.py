"""The call of an act: its name and arguments in, its records out.

Nothing outside of this module knows how an act's program is started.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from enum import Enum, auto
from itertools import chain
from typing import TYPE_CHECKING, TypedDict

from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import HostError
from botdeploy.hosts import host_program
from botdeploy.hosts.acts.faults import ProgramMissing
from botdeploy.hosts.acts.records import RecordReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from botdeploy.core.model.address import Address
    from botdeploy.hosts.acts.records import Record, Reply
    from botdeploy.hosts.process.pipes import Session
    from botdeploy.hosts.process.program import HostConnection

QUICK_S = 60.0
"""Longest time for an act that only reads or writes state."""


class How(Enum):
    """Which program runs an act."""

    INSTALLED = auto()
    """The one that is installed; ProgramMissing where it is not."""
    LOOKING = auto()
    """The installed one, else one that is sent along: for acts that change nothing."""
    SENT = auto()
    """One that is sent along, as root."""
    UNPRIVILEGED = auto()
    """One that is sent along, without root's rights."""


class OpenCall:
    """A call whose program is heard while it runs; one thread reads, any may write or close."""

    def __init__(self, session: Session, reader: RecordReader) -> None:
        self._session = session
        self._reader = reader
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        """Have it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the program runs and can be heard."""
        return self._session.exit_status is None and not self._session.unknown_because

    def items(self, timeout_s: float = QUICK_S) -> Iterator[Record | bytes]:
        """Give records, and lines that are none, as they come, up to the final record.

        Raises the fault that a record tells; NoAnswer when nothing came for ``timeout_s``,
        after which another call goes on; OutcomeUnknown where the final record is missing.
        """
        try:
            yield from self._reader.items(self._session.lines(timeout_s=timeout_s))
        except TimeoutError as error:
            raise self._reader.no_answer(self._session.read_error()) from error
        if not self._reader.is_complete:
            raise self._reader.unfinished(self._session.read_error())

    def write(self, data: bytes) -> None:
        """Send something to the program; that it could not be sent shows at the next act."""
        with self._writing, suppress(OSError, HostError):
            self._session.write(data)

    def close(self) -> None:
        """Let go of the program, from any thread; harmless to repeat."""
        self._session.close()


class _Rights(TypedDict):
    """How a program becomes root."""

    with_password: bool
    become_user: str | None


class Caller:
    """Calls acts of one bot on one host over a connection, by a program for each call."""

    def __init__(
        self, connection: HostConnection, bot: str, address: Address, mask: Mask | None = None
    ) -> None:
        """Take an open connection; ``mask`` learns what the host's lines must not show."""
        self.connection = connection
        self.host = connection.host
        self._bot = bot
        self._mask = Mask() if mask is None else mask
        self._user = str(getattr(connection, "user", "") or address.user or "")
        password = address.become_password
        self._password = None if password is None else f"{password}\n".encode()
        self._rights = _Rights(with_password=password is not None, become_user=address.become_user)

    def call(
        self,
        act: str,
        *arguments: object,
        stdin: bytes | Iterable[bytes] = b"",
        timeout_s: float = QUICK_S,
        how: How = How.INSTALLED,
    ) -> Reply:
        """Run an act to its end; raises HostError subclasses, never an exit code.

        ``stdin`` is for the installed program only: one that is sent along comes that way itself.
        """
        if how is How.LOOKING:
            try:
                return self.call(act, *arguments, stdin=stdin, timeout_s=timeout_s)
            except ProgramMissing:
                how = How.SENT
        reader = self._reader(act)
        command = self._command(how, reader.nonce, act, arguments)
        sent = self._input(stdin if how is How.INSTALLED else host_program.PROGRAM, how)
        return self._finish(reader, command, sent, timeout_s)

    def open(self, act: str, *arguments: object) -> OpenCall:
        """Begin an act of the installed program that is heard while it runs."""
        reader = self._reader(act)
        command = self._command(How.INSTALLED, reader.nonce, act, arguments)
        return OpenCall(self.connection.start(command, stdin=self._password or b""), reader)

    def install(self) -> None:
        """Put this version of the program on the host; repeatable."""
        reader = self._reader("install")
        command = host_program.install_command(self._bot, reader.nonce, **self._rights)
        self._finish(reader, command, self._input(host_program.PROGRAM, How.SENT), QUICK_S)

    def _finish(
        self,
        reader: RecordReader,
        command: str,
        stdin: bytes | Iterable[bytes],
        timeout_s: float,
    ) -> Reply:
        done = self.connection.run(command, stdin=stdin, timeout_s=timeout_s)
        return reader.reply(done.stdout.split(b"\n"), done.stderr)

    def _reader(self, act: str) -> RecordReader:
        return RecordReader(self.host, act, secrets.token_hex(8), self._user, self._mask)

    def _command(self, how: How, nonce: str, act: str, arguments: Sequence[object]) -> str:
        words = [str(one) for one in arguments]
        if how is How.UNPRIVILEGED:
            return host_program.unprivileged_command(self._bot, nonce, act, words)
        write = host_program.call if how is How.INSTALLED else host_program.ephemeral_command
        return write(self._bot, nonce, act, words, **self._rights)

    def _input(self, stdin: bytes | Iterable[bytes], how: How) -> bytes | Iterable[bytes]:
        """Put the password's line before what the program reads."""
        if self._password is None or how is How.UNPRIVILEGED:
            return stdin
        return chain((self._password,), (stdin,) if isinstance(stdin, bytes) else stdin)


class Subject:
    """The acts of one subject, and the token of the lock that some of them need."""

    def __init__(self, caller: Caller, token: str) -> None:
        self._caller = caller
        self._token = token

    @property
    def _host(self) -> str:
        return self._caller.host

    def _locked(
        self,
        act: str,
        *arguments: object,
        stdin: bytes | Iterable[bytes] = b"",
        timeout_s: float = QUICK_S,
    ) -> Reply:
        """Call an act that the lock's token allows."""
        return self._caller.call(act, self._token, *arguments, stdin=stdin, timeout_s=timeout_s)
