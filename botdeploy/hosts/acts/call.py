"""The call of an act: its name and arguments in, its records out.

Nothing outside of this module knows how an act's program is started.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING

from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import HostError
from botdeploy.hosts import host_program
from botdeploy.hosts.acts.faults import ProgramMissing
from botdeploy.hosts.acts.records import RecordReader
from botdeploy.hosts.host_program import WITHOUT_PASSWORD, How, Rights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from botdeploy.core.model.address import Address
    from botdeploy.hosts.acts.records import Record, Reply
    from botdeploy.hosts.process.pipes import Session
    from botdeploy.hosts.process.program import HostConnection

QUICK_S = 60.0
"""Longest time for an act that only reads or writes state."""


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
            said = self._session.read_error()
            session = self._session
            raise self._reader.unfinished(said, session.unknown_because, session.exit_status)

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called now, and whenever ``items`` may give more, or end.

        From any thread, so it must not wait.
        """
        self._session.watch(changed)

    def write(self, data: bytes) -> None:
        """Send something to the program; that it could not be sent shows at the next act."""
        with self._writing, suppress(OSError, HostError):
            self._session.write(data)

    def close(self) -> None:
        """Let go of the program, from any thread; harmless to repeat."""
        self._session.close()


class Caller:
    """Calls acts of one instance of a bot over a connection, by a program for each call."""

    def __init__(
        self,
        connection: HostConnection,
        bot: str,
        address: Address,
        mask: Mask | None = None,
        *,
        host: str = "",
        instance: str | None = None,
    ) -> None:
        """Take an open connection; ``mask`` learns what the host's lines must not show.

        Errors name ``host`` (that of the connection unless given): instances of one machine share
        a connection.
        """
        self.connection = connection
        self.host = host or connection.host
        self.instance = instance
        self._bot = bot
        self._mask = Mask() if mask is None else mask
        self._user = str(getattr(connection, "user", "") or address.user or "")
        password = address.become_password
        self._password = b"" if password is None else f"{password}\n".encode()
        self._rights = Rights(password is not None, address.become_user)

    def look(
        self, act: str, *arguments: object, stdin: bytes = b"", timeout_s: float = QUICK_S
    ) -> Reply:
        """Run an act that changes nothing; the program is sent along where it is not installed."""
        try:
            return self.call(act, *arguments, stdin=stdin, timeout_s=timeout_s)
        except ProgramMissing:
            return self.call(act, *arguments, timeout_s=timeout_s, how=How.SENT)

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
        reader = self._reader(act)
        rights = WITHOUT_PASSWORD if how is How.UNPRIVILEGED else self._rights
        words = [str(one) for one in arguments]
        command = host_program.call(self._bot, reader.nonce, self._act(act), words, how, rights)
        sent = stdin if how is How.INSTALLED else host_program.PROGRAM
        if rights.with_password:
            sent = chain((self._password,), (sent,) if isinstance(sent, bytes) else sent)
        with self._named():
            return reader.reply(self.connection.run(command, stdin=sent, timeout_s=timeout_s))

    def open(self, act: str, *arguments: object) -> OpenCall:
        """Begin an act of the installed program that is heard while it runs."""
        reader = self._reader(act)
        words = [str(one) for one in arguments]
        command = host_program.call(
            self._bot, reader.nonce, self._act(act), words, rights=self._rights
        )
        with self._named():
            return OpenCall(self.connection.start(command, stdin=self._password), reader)

    def _act(self, act: str) -> str:
        return act if self.instance is None else f"{act}@{self.instance}"

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let an error of the connection name this host."""
        try:
            yield
        except HostError as error:
            raise error.of(self.host) from error

    def _reader(self, act: str) -> RecordReader:
        return RecordReader(self.host, act, secrets.token_hex(8), self._user, self._mask)


class Subject:
    """The acts of one subject, and the token of the lock that some of them need."""

    def __init__(self, caller: Caller, token: str) -> None:
        self._caller = caller
        self._token = token
        self._host = caller.host

    def _locked(
        self,
        act: str,
        *arguments: object,
        stdin: bytes | Iterable[bytes] = b"",
        timeout_s: float = QUICK_S,
    ) -> Reply:
        """Call an act that the lock's token allows."""
        return self._caller.call(act, self._token, *arguments, stdin=stdin, timeout_s=timeout_s)
