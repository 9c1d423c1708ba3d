"""Programs on a host over one ssh connection, on raw channels."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import paramiko
from paramiko import ChannelException

from botdeploy.errors import HostError, Unreachable
from botdeploy.hosts.process.pipes import Streams
from botdeploy.hosts.process.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paramiko.channel import Channel

    from botdeploy.hosts.process.program import Completed, ConnectionCounts
    from botdeploy.hosts.ssh.transport import Opening, Program, Transport

#: Programs at a time on one connection; sshd allows 10 sessions unless told otherwise.
CHANNELS = 8

#: How long opening a channel may take, waiting for a free place included.
OPEN_TIMEOUT_S = 15.0
PLACE_TIMEOUT_S = 60.0

_READ_BYTES = 1024 * 1024


class RemoteSession(Streams):
    """A running program on a host, over one channel."""

    def __init__(
        self,
        transport: Transport,
        channel: Channel,
        program: Program,
        counts: ConnectionCounts,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._channel = channel
        self._program = program
        self._counts = counts
        self._on_end = on_end
        self._is_let_go = False
        self._was_closed_by_us = False
        self._is_broken = False

    @property
    def exit_status(self) -> int | None:
        """What the program ended with; None while it runs, or when nobody knows."""
        status = self._channel.exit_status
        return status if status >= 0 and not self._is_broken else None

    @property
    def unknown_because(self) -> str:
        """Why there is no exit status although the session ended."""
        if self.exit_status is not None or not (self._channel.closed or self._is_broken):
            return ""
        if self._program.refused:
            return "the host refused to run it"
        if self._was_closed_by_us:
            return "it was closed from here"
        if self._transport.is_active():
            return "the host closed the channel without saying how it went"
        return "the connection ended first"

    def write_some(self, data: memoryview) -> int:
        """Send what the host takes now, in whole packets; raise OSError when it takes no more."""
        channel = self._channel
        position = 0
        while position < len(data):
            if channel.closed or channel.eof_sent:
                raise BrokenPipeError("the program's input is closed")
            if channel.out_window_size <= 0:
                break
            packet = bytes(data[position : position + channel.out_max_packet_size - 64])
            try:
                sent = channel.send(packet)
            except TimeoutError:
                break
            except (EOFError, paramiko.SSHException) as error:
                raise BrokenPipeError("the connection ended") from error
            if sent == 0:
                raise BrokenPipeError("the program's input is closed")
            position += sent
        self._counts.add(sent=position)
        return position

    def end_input(self) -> None:
        """Close the program's standard input; harmless when it is closed."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()

    def mark(self) -> int:
        """Remember how often the bell rang."""
        return self._program.bell.rings

    def wait(self, mark: int, timeout_s: float | None, *, to_write: bool) -> None:
        """Wait for any change since the mark."""
        del to_write  # The bell rings for both.
        self._program.bell.wait_after(mark, timeout_s)

    def take(self) -> tuple[bytes, bytes]:
        """Give what has arrived on standard output and standard error, without waiting."""
        channel = self._channel
        try:
            stdout = channel.recv(_READ_BYTES) if channel.recv_ready() else b""
            stderr = channel.recv_stderr(_READ_BYTES) if channel.recv_stderr_ready() else b""
        except (OSError, EOFError, paramiko.SSHException):
            # paramiko could not ask for more; what it had taken is lost, and with it the end.
            self._is_broken = True
            self._transport.hang_up()
            return b"", b""
        if stdout or stderr:
            self._counts.add(received=len(stdout) + len(stderr))
        return stdout, stderr

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come: the output ended and the status is in, or it died."""
        channel = self._channel
        if self._is_broken:
            return True
        ended = channel.closed or (channel.eof_received and channel.exit_status_ready())
        return bool(ended and not channel.recv_ready() and not channel.recv_stderr_ready())

    def close(self) -> None:
        """Let go of the program, from any thread; a reader wakes up and sees the end."""
        if not self._channel.closed:
            self._was_closed_by_us = True
        self._let_go()

    def _let_go(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()
        self._program.bell.set()
        if not self._is_let_go:
            self._is_let_go = True
            self._on_end()


class RemotePrograms:
    """Starts programs on one host, at most eight at a time.

    sshd's MaxSessions may allow fewer on one connection: then the others run over further ones,
    which ``more`` opens.
    """

    def __init__(
        self,
        host: str,
        transport: Transport,
        counts: ConnectionCounts,
        more: Callable[[], Transport] | None = None,
        places: Slots | None = None,
    ) -> None:
        self._host = host
        self._transport = transport
        self._counts = counts
        self._more = more
        #: Of all connections together.
        self._places = Slots(CHANNELS) if places is None else places
        self._lock = threading.Lock()
        self._running = 0
        self._has_run = False
        #: How many fit on this connection; None while nothing was refused.
        self._fit: int | None = None
        self._further: RemotePrograms | None = None
        self._further_lock = threading.Lock()
        self._spare: Opening | None = None
        self._wants_spare = True
        self._ask_for_spare()

    @property
    def sessions_each(self) -> int | None:
        """How many sessions the host allows on one connection; None where that never mattered."""
        return self._fit

    def run(
        self, command: str, *, stdin: bytes | Iterable[bytes] = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Run a command to its end, or until ``timeout_s`` is over."""
        ends_at = time.monotonic() + timeout_s
        session = self._open(command, timeout_s)
        try:
            return session.run(stdin, ends_at, timeout_s)
        finally:
            session.close()

    def start(self, command: str, *, stdin: bytes = b"") -> RemoteSession:
        """Start a command and give the running program; its input stays open."""
        session = self._open(command, PLACE_TIMEOUT_S)
        try:
            if stdin:
                session.write(stdin)
        except OSError:
            pass  # It ended before it read everything; the reader will see how.
        except BaseException:
            session.close()
            raise
        return session

    def close(self) -> None:
        """End all waiting for a place."""
        self._places.close()

    def _open(self, command: str, timeout_s: float) -> RemoteSession:
        """Start a command; raise HostError when it was surely not started."""
        ends_at = time.monotonic() + timeout_s
        if not self._places.take(timeout_s):
            self._check_alive()
            raise HostError(
                self._host,
                f"no free session within {timeout_s:.0f} s: {self._places.taken} programs "
                "are running on it",
            )
        try:
            return self._open_somewhere(command, ends_at)
        except BaseException:
            self._places.give_back()
            raise

    def _open_somewhere(self, command: str, ends_at: float) -> RemoteSession:
        """Start a command here, or over a further connection where this one is full."""
        with self._lock:
            fits = self._fit is None or self._running < self._fit
            self._running += fits
        if fits:
            try:
                return self._open_here(command, ends_at)
            except ChannelException as error:
                with self._lock:
                    self._running -= 1
                    self._fit = max(1, self._running)
                    takes_none = not (self._has_run or self._running)
                if takes_none or self._more is None:
                    raise HostError(
                        self._host,
                        f"the host allows no session ({error.text or error}); "
                        "see MaxSessions in its sshd_config",
                    ) from error
            except BaseException:
                with self._lock:
                    self._running -= 1
                raise
        return self._beyond()._open_somewhere(command, ends_at)  # noqa: SLF001 # its own kind

    def _beyond(self) -> RemotePrograms:
        """Give the next connection, opened by whoever needs it first."""
        with self._further_lock:
            if self._further is None or not self._further._transport.is_active():  # noqa: SLF001
                self._check_alive()
                assert self._more is not None  # noqa: S101 # a full connection has it
                try:
                    transport = self._more()
                except HostError as error:
                    raise HostError(
                        self._host,
                        f"its sshd allows {self._fit} sessions on a connection (MaxSessions in its "
                        f"sshd_config), and a further connection failed: {error.message}",
                    ) from error
                self._further = RemotePrograms(
                    self._host, transport, self._counts, self._more, self._places
                )
            return self._further

    def _open_here(self, command: str, ends_at: float) -> RemoteSession:
        """Start a command; raise ChannelException when the host has no room for one more now."""
        wait_s = max(0.05, min(OPEN_TIMEOUT_S, ends_at - time.monotonic()))
        try:
            channel = self._take_spare(wait_s) or self._transport.open_session(timeout=wait_s)
            program = self._transport.start_program(command, channel)
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
            self._transport.programs.pop(channel.chanid, None)
            with self._lock:
                self._running -= 1
            self._places.give_back()

        return RemoteSession(self._transport, channel, program, self._counts, forget)

    # A program needs two round trips: one to open a channel, one to run. So a channel is kept
    # open for the next program, and it needs one.

    def _ask_for_spare(self) -> None:
        """Have a channel opened for the next program, without waiting for it."""
        with self._lock:
            if self._wants_spare and self._spare is None and self._fit is None:
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                    self._spare = self._transport.ask_for_channel("session")

    def _take_spare(self, wait_s: float) -> Channel | None:
        """Give the channel kept for this, if there is one.

        Not when the host has been silent for longer than it should: then the opening of a new
        channel shows whether it is there, before anything is sent that may be lost.
        """
        if not self._transport.was_heard_lately:
            return None
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is None:
            return None
        try:
            return self._transport.get_channel(spare, wait_s)
        except ChannelException:
            # This host has no sessions to spare. That is no reason not to ask for one.
            self._wants_spare = False
            return None

    def _check_alive(self) -> None:
        if not self._transport.is_active():
            raise Unreachable(
                self._host, "the connection ended before the command was sent; nothing was done"
            )
