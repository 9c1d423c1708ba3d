"""A host over SSH: which channel, and which link, each of its programs runs over."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import paramiko
from paramiko import ChannelException

from botdeploy.errors import HostError, Unreachable
from botdeploy.hosts.process.program import HostConnection
from botdeploy.hosts.process.slots import Slots
from botdeploy.hosts.ssh.channels.program_channel import start_program
from botdeploy.hosts.ssh.channels.remote_session import RemoteSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko.channel import Channel

    from botdeploy.hosts.process.program import ConnectionCounts
    from botdeploy.hosts.ssh.channels.openings import Opening
    from botdeploy.hosts.ssh.link import SshLink

#: Programs at a time on one host; sshd allows 10 sessions on a link unless set otherwise.
_PROGRAMS = 8

#: How long opening a channel may take.
_OPEN_TIMEOUT_S = 15.0


class SshConnection(HostConnection):
    """One host over SSH. Made by ``Connector.connect``.

    sshd's MaxSessions may allow fewer programs on one link than run at a time: then the others
    run over a further connection.
    """

    def __init__(
        self,
        host: str,
        open_link: Callable[[], SshLink],
        slots: Slots | None = None,
        counts: ConnectionCounts | None = None,
    ) -> None:
        """Open a link; a further connection shares ``slots`` and ``counts`` of the first."""
        super().__init__(host)
        self._open_link = open_link
        self._slots = slots or Slots(_PROGRAMS)
        self._counts = counts or self._counts
        self._lock = threading.Lock()
        self._running = 0
        self._has_run = False
        #: How many programs fit on this link; None while none was refused.
        self._limit: int | None = None
        self._further: SshConnection | None = None
        self._further_lock = threading.Lock()
        self._wants_spare = True
        self._connect()

    def _connect(self) -> None:
        """Open the link, again where it was lost."""
        #: The Fabric connection underneath, for whatever Fabric offers and this does not.
        self.fabric = self._open_link()
        self._transport = self.fabric.transport
        self._spare: Opening | None = None
        self._ask_for_spare()

    @property
    def user(self) -> str:
        """Who logged in."""
        return self.fabric.place.user

    @property
    def is_alive(self) -> bool:
        """Whether the connection still stands (a cut is noticed within 25 s)."""
        return self._transport.is_active()

    @property
    def heard_s_ago(self) -> float:
        """How many seconds ago the host said anything over this connection."""
        return time.monotonic() - self._transport.packetizer.heard_at

    def ask(self) -> None:
        """Have the host say something soon."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._transport.silence.ask()

    @property
    def sessions_each(self) -> int | None:
        """How many programs the host allows on one link; None where that never mattered."""
        return self._limit

    def make_room(self, programs: int) -> None:
        """Let at least so many programs run at a time."""
        self._slots.widen(programs)

    def close(self) -> None:
        """End the connection and all that runs over it, from any thread."""
        self._slots.close()
        self.fabric.close()
        if self._further is not None:
            self._further.close()

    def open(self, command: str, timeout_s: float) -> RemoteSession:
        """Start a command; raise HostError when it was surely not started."""
        ends_at = time.monotonic() + timeout_s
        if not self._slots.take(timeout_s):
            self._check_alive()
            raise HostError(
                self._host,
                f"no free session within {timeout_s:.0f} s: {self._slots.taken} programs "
                "are running on it",
            )
        try:
            return self._open_somewhere(command, ends_at)
        except BaseException:
            self._slots.give_back()
            raise

    def _open_somewhere(self, command: str, ends_at: float) -> RemoteSession:
        """Start a command here, or over a further connection where this one is full."""
        with self._lock:
            fits = self._limit is None or self._running < self._limit
            self._running += fits
        if fits:
            try:
                return self._open_here(command, ends_at)
            except ChannelException as error:
                with self._lock:
                    self._running -= 1
                    self._limit = max(1, self._running)
                    takes_none = not (self._has_run or self._running)
                if takes_none:
                    raise HostError(
                        self._host,
                        f"the host allows no session ({error.text or error}): "
                        "raise MaxSessions in its sshd_config",
                    ) from error
            except BaseException:
                with self._lock:
                    self._running -= 1
                raise
        return self._next()._open_somewhere(command, ends_at)  # noqa: SLF001

    def _next(self) -> SshConnection:
        """Give the further connection, opened when it is first needed."""
        with self._further_lock:
            further = self._further
            if further is not None and further.is_alive:
                return further
            self._check_alive()
            try:
                if further is None:
                    further = self._further = SshConnection(
                        self._host, self._open_link, self._slots, self._counts
                    )
                else:
                    further.fabric.close()
                    further._connect()
            except HostError as error:
                raise HostError(
                    self._host,
                    f"its sshd allows {self._limit} sessions on a connection (MaxSessions in its "
                    f"sshd_config), and a further connection failed: {error.message}",
                ) from error
            if self._slots.is_closed:
                further.close()
            return further

    def _open_here(self, command: str, ends_at: float) -> RemoteSession:
        """Start a command; raise ChannelException when the host has no room for one more now."""
        wait_s = max(0.05, min(_OPEN_TIMEOUT_S, ends_at - time.monotonic()))
        transport = self._transport
        try:
            channel = self._take_spare(wait_s) or transport.open_session(timeout=wait_s)
            program = start_program(transport, channel, command)
        except ChannelException:
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            self._check_alive()
            raise Unreachable(
                self._host, f"the host opened no session, nothing was done ({error})"
            ) from error
        self._has_run = True
        self._counts.add(programs=1, sent=len(command.encode()))
        self._ask_for_spare()

        def forget() -> None:
            transport.programs.pop(channel.chanid, None)
            with self._lock:
                self._running -= 1
            self._slots.give_back()

        return RemoteSession(transport, channel, program, self._counts, forget)

    # A program needs two round trips: one to open a channel, one to run. So a channel is kept
    # open for the next program, and it needs one.

    def _ask_for_spare(self) -> None:
        """Have a channel opened for the next program, without waiting for it."""
        with self._lock:
            if self._wants_spare and self._spare is None and self._limit is None:
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                    self._spare = self._transport.openings.ask("session")

    def _take_spare(self, wait_s: float) -> Channel | None:
        """Give the channel kept for this, if there is one.

        Not when the host has been silent for longer than it should: then the opening of a new
        channel shows whether it is there, before anything is sent that may be lost.
        """
        if not self._transport.silence.was_heard_lately:
            return None
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None:
            return None
        try:
            return spare.wait(wait_s)
        except ChannelException:
            # This host has no sessions to spare. That is no reason not to ask for one.
            self._wants_spare = False
            return None

    def _check_alive(self) -> None:
        if not self._transport.is_active():
            raise Unreachable(
                self._host, "the connection ended before the command was sent; nothing was done"
            )
