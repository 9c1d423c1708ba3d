"""Packets of one connection: read without delay, and with a deadline for the handshake."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

from paramiko.packet import Packetizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko.message import Message

#: sshd leaves Nagle's algorithm on, so it holds back a second small packet until we have
#: acknowledged the first, which the kernel does 40 ms late. Acknowledging at once takes the
#: first program of a connection from 54 ms to 14 ms; the option wears off and is set anew.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_QUICK_MESSAGES = 64

_PREAMBLE_CHARACTERS = 200


class WatchfulPacketizer(Packetizer):
    """Packets with a deadline for the handshake and a note of when the host last spoke."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.heard_at = time.monotonic()
        self.watch: Callable[[], None] | None = None
        self.preamble: list[str] = []
        self._handshake_ends_at: float | None = None
        self._sock = sock
        is_tcp = isinstance(sock, socket.socket) and sock.family != socket.AF_UNIX
        self._to_acknowledge = _QUICK_MESSAGES if is_tcp and _TCP_QUICKACK is not None else 0

    # paramiko starts one (non-daemon) timer thread for each handshake, which outlives a
    # failed one by up to 15 s. A deadline costs no thread.

    def start_handshake(self, timeout: float) -> None:
        """Begin the handshake, which may take ``timeout`` seconds."""
        self._handshake_ends_at = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """Tell whether it took too long."""
        ends_at = self._handshake_ends_at
        return ends_at is not None and time.monotonic() > ends_at

    def complete_handshake(self) -> None:
        """End the handshake."""
        self._handshake_ends_at = None

    def readline(self, timeout: float) -> str:
        """Read a line of what comes before ssh; sshd says there why it refuses a connection."""
        line: str = super().readline(timeout)
        if not line.startswith("SSH-"):
            self.preamble.append(line.strip()[:_PREAMBLE_CHARACTERS])
        return line

    def read_message(self) -> tuple[int, Message]:
        """Read one, and note when; the first ones are acknowledged at once."""
        if self._to_acknowledge and _TCP_QUICKACK is not None:
            self._to_acknowledge -= 1
            with contextlib.suppress(OSError):  # Closed meanwhile; reading fails then.
                self._sock.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        read: tuple[int, Message] = super().read_message()
        self.heard_at = time.monotonic()
        return read

    def _check_keepalive(self) -> None:
        """Watch; paramiko calls this each time that it read nothing for a while."""
        if self.watch is not None:
            self.watch()
