"""A running program on a host, over one raw channel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import paramiko

from botdeploy.hosts.process.pipes import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko.channel import Channel

    from botdeploy.hosts.process.program import ConnectionCounts
    from botdeploy.hosts.ssh.channels.program_channel import Program
    from botdeploy.hosts.ssh.channels.transport import Transport

_READ_BYTES = 1024 * 1024


class RemoteSession(Session):
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
        self._is_released = False
        self._was_closed_by_us = False
        self._is_broken = False

    @property
    def exit_status(self) -> int | None:
        """What the program ended with; None while it runs, or when it is unknown."""
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
            return "botdeploy closed it"
        if self._transport.is_active():
            return "the host closed the channel without an exit status"
        return "the connection ended before the program"

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
        """Give how many changes there were."""
        return self._program.changed.count

    def wait(self, mark: int, timeout_s: float | None, *, to_write: bool) -> None:
        """Wait for any change since the mark."""
        del to_write  # Both are changes.
        self._program.changed.wait_after(mark, timeout_s)

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called at each change, by the thread of the connection."""
        self._program.changed.listen(changed)

    def take(self) -> tuple[bytes, bytes]:
        """Give what has arrived on standard output and standard error, without waiting."""
        channel = self._channel
        try:
            stdout = channel.recv(_READ_BYTES) if channel.recv_ready() else b""
            stderr = channel.recv_stderr(_READ_BYTES) if channel.recv_stderr_ready() else b""
        except (OSError, EOFError, paramiko.SSHException):
            # paramiko could not ask for more; what it had taken is lost, and with it the end.
            self._is_broken = True
            self._transport.abort()
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
        """Close the channel, from any thread; a reader wakes up and sees the end."""
        if not self._channel.closed:
            self._was_closed_by_us = True
        self._release()

    def _release(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()
        self._program.changed.set()
        if not self._is_released:
            self._is_released = True
            self._on_end()
