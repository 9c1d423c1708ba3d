"""A connection to a host, and what a program over it brought."""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.hosts.process.pipes import Session

#: How long ``start`` waits for a free place on the host.
_PLACE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program said before it ended.

    ``exit_status`` is what a shell would say (128 + the signal's number when a signal ended
    it). None means that nobody knows whether the program did its work: the connection ended
    first, or time was up; ``unknown_because`` tells which.
    """

    exit_status: int | None
    stdout: bytes
    stderr: bytes
    unknown_because: str = ""
    is_late: bool = False
    """Time was up: it may still be at work."""


@dataclass(slots=True)
class ConnectionCounts:
    """What went over one connection: programs, and bytes of their input and output."""

    programs_started: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, programs: int = 0, sent: int = 0, received: int = 0) -> None:
        """Count more of each; safe from any thread."""
        with self._lock:
            self.programs_started += programs
            self.bytes_sent += sent
            self.bytes_received += received


class HostConnection(ABC):
    """One host, reached: starts programs there, up to eight at a time."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._counts = ConnectionCounts()

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

    @property
    def counts(self) -> ConnectionCounts:
        """What went over this connection so far."""
        return self._counts

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Whether the connection still stands (a cut is noticed within 25 s)."""

    @property
    @abstractmethod
    def heard_s_ago(self) -> float:
        """How many seconds ago the host said anything over this connection."""

    @abstractmethod
    def ask(self) -> None:
        """Have the host say something soon; runs nothing there, and waits for no answer."""

    @property
    @abstractmethod
    def sessions_each(self) -> int | None:
        """How many programs the host allows on one connection; None where that never mattered."""

    def make_room(self, programs: int) -> None:  # noqa: B027 (most know no limit)
        """Let at least so many programs run at a time: several bots may share the connection."""

    @abstractmethod
    def close(self) -> None:
        """End the connection and all that runs over it, from any thread."""

    @abstractmethod
    def open(self, command: str, timeout_s: float) -> Session:
        """Start a command, waiting at most so long; raise HostError when it was not started."""

    def run(
        self, command: str, *, stdin: bytes | Iterable[bytes] = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Run a command to its end, or until ``timeout_s`` is over.

        Never raises for what the program did: a lost connection and a timeout both give an
        ``exit_status`` of None, as nobody knows what was done. Raises HostError when the
        command was surely not started.
        """
        ends_at = time.monotonic() + timeout_s
        session = self.open(command, timeout_s)
        try:
            return session.run(stdin, ends_at, timeout_s)
        finally:
            session.close()

    def start(self, command: str, *, stdin: bytes = b"") -> Session:
        """Start a command and give the running program; its input stays open.

        Raises HostError when it was not started.
        """
        session = self.open(command, _PLACE_TIMEOUT_S)
        try:
            with contextlib.suppress(OSError):  # It ended early; the reader will see how.
                session.write(stdin)
        except BaseException:
            session.close()
            raise
        return session
