"""TCP to a host: the first address that answers, tuned, and interruptible."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

TCP_ASK_AFTER_S = 10
_TCP_USER_TIMEOUT_MS = 20_000
#: Where ``tcpi_last_ack_recv`` stands in Linux's ``struct tcp_info``; in milliseconds.
_LAST_ACK_RECV = 56
#: How often to look, while connecting, whether to stop.
_LOOK_MS = 50
_DARWIN_TCP_KEEPALIVE = 0x10
_DARWIN_TCP_RXT_CONNDROPTIME = 0x80


def dial(
    hostname: str,
    port: int,
    *,
    timeout_s: float,
    stop: threading.Event,
    family: socket.AddressFamily = socket.AF_UNSPEC,
    bind_address: str | None = None,
) -> socket.socket:
    """Connect to the first of a name's addresses that answers; ``bind_address`` is our own.

    Raises OSError: socket.gaierror for a name, TimeoutError, ConnectionRefusedError and the
    like; InterruptedError when ``stop`` was set.
    """
    ends_at = time.monotonic() + timeout_s
    places = socket.getaddrinfo(hostname, port, family, socket.SOCK_STREAM)
    failure: OSError = OSError(f"{hostname} has no address")
    for index, (kind, _, protocol, _, place) in enumerate(places):
        # An address that swallows packets must leave time for those after it.
        share = (ends_at - time.monotonic()) / (len(places) - index)
        sock = socket.socket(kind, socket.SOCK_STREAM, protocol)
        try:
            if bind_address is not None:
                sock.bind(socket.getaddrinfo(bind_address, 0, kind, socket.SOCK_STREAM)[0][4])
            _connect(sock, place, share, stop)
            tune(sock)
        except OSError as error:
            sock.close()
            failure = error
            if stop.is_set():
                break
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _connect(sock: socket.socket, place: Any, timeout_s: float, stop: threading.Event) -> None:
    ends_at = time.monotonic() + timeout_s
    sock.setblocking(False)  # noqa: FBT003
    status = sock.connect_ex(place)
    if status not in (0, errno.EINPROGRESS):
        raise OSError(status, os.strerror(status))
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while not poll.poll(_LOOK_MS):
        if stop.is_set():
            raise InterruptedError("interrupted")
        if time.monotonic() >= ends_at:
            raise TimeoutError(f"no answer within {timeout_s:.3g} s")
    status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if status != 0:
        raise OSError(status, os.strerror(status))


def tune(sock: socket.socket) -> None:
    """Send small packets at once, and notice a dead link within 20 s."""
    options: list[tuple[int, int, int]] = [
        # Without this, Nagle's algorithm and delayed acknowledgements cost 40 ms on
        # most second small writes.
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    names = {
        "TCP_KEEPIDLE": TCP_ASK_AFTER_S,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": _TCP_USER_TIMEOUT_MS,
    }
    options += [
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in names.items()
        if hasattr(socket, name)
    ]
    if sys.platform == "darwin":
        options += [
            (socket.IPPROTO_TCP, _DARWIN_TCP_KEEPALIVE, TCP_ASK_AFTER_S),
            (socket.IPPROTO_TCP, _DARWIN_TCP_RXT_CONNDROPTIME, _TCP_USER_TIMEOUT_MS // 1000),
        ]
    for level, option, value in options:
        sock.setsockopt(level, option, value)


def unheard_for_s(sock: Any) -> float | None:
    """Give how long ago the other end's kernel last acknowledged anything, where known."""
    if not isinstance(sock, socket.socket) or sock.family == socket.AF_UNIX:
        return None
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_RECV + 4)
    except OSError:
        return None
    (milliseconds,) = struct.unpack_from("=I", info, _LAST_ACK_RECV)
    return float(milliseconds) / 1000
