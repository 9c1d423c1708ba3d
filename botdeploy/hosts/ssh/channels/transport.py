"""A paramiko transport tuned for many short programs and for noticing that a link was cut."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.channel import Channel
from paramiko.message import Message

from botdeploy.hosts.ssh.channels.openings import Openings
from botdeploy.hosts.ssh.channels.packetizer import WatchfulPacketizer
from botdeploy.hosts.ssh.channels.program_channel import HANDLERS, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdeploy.hosts.ssh.channels.openings import Place
    from botdeploy.hosts.ssh.channels.silence import SilenceWatch

#: What a host may send before we read it: enough for a fast link with a long way, and the
#: bound on what a reader that falls behind costs in memory.
WINDOW_BYTES = 4 * 1024 * 1024

# paramiko logs what we turn into errors of our own; without a handler Python would print it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


#: The host keys that we can check, the preferred first.
HOST_KEY_TYPES: tuple[str, ...] = paramiko.Transport._preferred_keys  # type: ignore[attr-defined] # noqa: SLF001


class _EagerAuthHandler(AuthHandler):
    """Logs in without waiting for the answer to a question whose answer is known.

    SSH has a client ask for the service ``ssh-userauth`` before it uses it. Every server has
    it, so the login follows at once, which saves a round trip.
    """

    def _request_auth(self) -> None:
        super()._request_auth()  # type: ignore[misc]
        accepted = Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        super()._parse_service_accept(accepted)  # type: ignore[misc]

    def _parse_service_accept(self, message: Message) -> None:
        """Ignore the answer; the login was sent already."""


class Transport(paramiko.Transport):
    """One SSH connection: AEAD first, no polling to speak of, quick to close.

    paramiko looks every 0.1 s whether it should stop; with a thousand connections that is a
    fifth of a core. Seldom is enough here, because ``stop_thread`` wakes the reader.
    """

    # paramiko's own, which its stubs leave out.
    _channels: Any
    _send_message: Callable[[Message], None]
    _handler_table: dict[int, Callable[[Message], None]]
    _next_channel: Callable[[], int]
    _parse_channel_open_success: Callable[[Message], None]

    packetizer: WatchfulPacketizer
    #: From logging in on.
    silence: SilenceWatch

    _active_check_timeout = 1.0
    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes256-ctr",
        "aes128-ctr",
    )
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    _channel_handler_table: ClassVar = HANDLERS

    def __init__(self, sock: Any, *, key_types: Sequence[str] = ()) -> None:
        """Talk over a connected socket or channel; ask for these host key types first."""
        super().__init__(
            sock,
            default_window_size=WINDOW_BYTES,
            packetizer_class=WatchfulPacketizer,
        )
        others = [kind for kind in HOST_KEY_TYPES if kind not in key_types]
        known: Mapping[str, object] = paramiko.Transport._key_info  # type: ignore[attr-defined] # noqa: SLF001
        self._preferred_keys = (*(kind for kind in key_types if kind in known), *others)
        self.programs: dict[int, Program] = {}
        self.disconnect_message = ""
        self.name = f"ssh {self.name}"
        self._deferred: list[Message] = []
        self.openings = Openings(self)

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Give the host key types to ask for: certificates only where an authority is known."""
        return self._preferred_keys

    def auth_publickey(
        self, username: str, key: paramiko.PKey, event: threading.Event | None = None
    ) -> list[str]:
        """Log in with a key; see paramiko.Transport.

        An RSA key waits for the host to say which signatures it takes, others need not.
        """
        if "rsa" in key.get_name() or event is not None:
            return super().auth_publickey(username, key, event)
        if not self.active or not self.initial_kex_done:
            raise paramiko.SSHException("No existing session")
        handler = self.auth_handler = _EagerAuthHandler(self)
        answered = threading.Event()
        handler.auth_publickey(username, key, answered)
        return handler.wait_for_response(answered)

    def open_channel(  # noqa: D102 # as in paramiko
        self,
        kind: str,
        dest_addr: Place | None = None,
        src_addr: Place | None = None,
        window_size: int | None = None,
        max_packet_size: int | None = None,
        timeout: float | None = None,
    ) -> Channel:
        del window_size, max_packet_size
        opening = self.openings.ask(kind, dest_addr, src_addr or ("127.0.0.1", 0))
        return opening.wait(self.channel_timeout if timeout is None else timeout)

    # While new keys are exchanged, nothing else may be sent. paramiko makes each thread that
    # sends wait for the end of the exchange, the thread that reads included: when a channel
    # ends in that moment it answers, waits for itself, and gives the connection up after 30 s.

    def _send_user_message(self, message: Message) -> None:
        """Send when no key exchange is under way; dropped when the connection is dead."""
        if threading.current_thread() is not self:
            super()._send_user_message(message)  # type: ignore[misc]
        elif self.clear_to_send.is_set():
            self._send_message(message)
        else:
            self._deferred.append(message)

    def _parse_newkeys(self, message: Message) -> None:
        super()._parse_newkeys(message)  # type: ignore[misc]
        deferred, self._deferred = self._deferred, []
        for one in deferred:
            self._send_message(one)

    def _parse_disconnect(self, message: Message) -> None:
        """Keep what the host said when it disconnected."""
        position = message.packet.tell()
        message.get_int()
        self.disconnect_message = message.get_text()
        message.packet.seek(position)
        super()._parse_disconnect(message)  # type: ignore[misc]

    def abort(self) -> None:
        """End the connection without waiting for anything; ``close`` waits for its thread."""
        self.active = False
        shut(self.sock)
        for event in list(self.channel_events.values()):
            event.set()

    def stop_thread(self) -> None:
        """End the reading thread at once instead of at its next look at the clock."""
        self.abort()
        if self.is_alive() and self is not threading.current_thread():
            self.join(1.0)
        self.packetizer.close()

    def close(self) -> None:
        """End the connection and wait for its thread; harmless to repeat."""
        if self.ident is None:
            shut(self.sock)
            self.sock.close()
            return
        super().close()
        if self.is_alive() and self is not threading.current_thread():
            self.join(1.0)


def shut(sock: Any) -> None:
    """Wake whoever reads from a socket, or from a channel that stands in for one."""
    try:
        if isinstance(sock, Channel):
            sock.close()
        else:
            sock.shutdown(socket.SHUT_RDWR)
    except (OSError, EOFError, paramiko.SSHException):
        pass  # It was not connected any more.
