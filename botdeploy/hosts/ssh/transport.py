"""A paramiko transport tuned for many short programs and for noticing that a link was cut."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

import paramiko
from paramiko import common
from paramiko.auth_handler import AuthHandler
from paramiko.channel import Channel
from paramiko.message import Message
from paramiko.packet import Packetizer

from botdeploy.hosts.ssh.dial import TCP_ASK_AFTER_S, unheard_for_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent host is left alone, asked, and then given up; in seconds.

    ``look_every`` is how often the reading thread looks at the clock while nothing comes, and
    adds to both others.
    """

    look_every: float
    ask_after: float
    give_up_after: float
    #: For a link where the kernel tells when the host's kernel was last heard; it asks by itself
    #: (``tune``), which costs us nothing. None elsewhere.
    unheard: float | None = None


#: Where the kernel does the asking, ours is only for a frozen sshd.
DIRECT = Patience(look_every=4.0, ask_after=60.0, give_up_after=30.0, unheard=18.0)
#: Behind a gateway or a ProxyCommand nobody else asks: at most 23 s to notice a cut.
INDIRECT = Patience(look_every=2.0, ask_after=7.0, give_up_after=12.0)

#: What a host may send before we read it: enough for a fast link with a long way, and the
#: bound on what a reader that falls behind costs in memory.
WINDOW_BYTES = 4 * 1024 * 1024

Place = tuple[str, int]

#: sshd leaves Nagle's algorithm on, so it holds back a second small packet until we have
#: acknowledged the first, which the kernel does 40 ms late. Acknowledging at once takes the
#: first program of a connection from 54 ms to 14 ms; the option wears off and is set anew.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_QUICK_MESSAGES = 64

_PREAMBLE_CHARACTERS = 200

_SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
    "SYS": 31,
}


# paramiko logs what we turn into errors of our own; where nobody set logging up, Python would
# print it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


#: The host keys that we can check, the preferred first.
HOST_KEY_TYPES: tuple[str, ...] = paramiko.Transport._preferred_keys  # type: ignore[attr-defined] # noqa: SLF001


class Bell:
    """Wakes whoever waits for a change; several may wait, none misses a ring.

    A waiter reads ``rings`` first, looks at the state next, and then waits for a ring after
    the one that it read. ``set`` and ``clear`` make it fit where paramiko expects an event.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self.rings = 0

    def set(self) -> None:
        """Ring."""
        with self._changed:
            self.rings += 1
            self._changed.notify_all()

    def clear(self) -> None:
        """Do nothing: what rang has rung."""

    def wait_after(self, rings: int, timeout_s: float | None = None) -> None:
        """Return as soon as the bell rang after ``rings``, or when time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self.rings != rings, timeout_s)


@dataclass(slots=True)
class Program:
    """What a transport knows about a program beyond its channel."""

    bell: Bell = field(default_factory=Bell)
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """A channel that was asked for."""

    channel: Channel
    answered: threading.Event = field(default_factory=threading.Event)


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
        """Ignore the answer; the login is on its way."""


class _WatchfulPacketizer(Packetizer):
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
        self._handshake_ends_at = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        ends_at = self._handshake_ends_at
        return ends_at is not None and time.monotonic() > ends_at

    def complete_handshake(self) -> None:
        self._handshake_ends_at = None

    def readline(self, timeout: float) -> str:
        """Read a line of what comes before ssh; sshd says there why it lets nobody in."""
        line: str = super().readline(timeout)
        if not line.startswith("SSH-"):
            self.preamble.append(line.strip()[:_PREAMBLE_CHARACTERS])
        return line

    def read_message(self) -> tuple[int, Message]:
        if self._to_acknowledge and _TCP_QUICKACK is not None:
            self._to_acknowledge -= 1
            with contextlib.suppress(OSError):  # Closed meanwhile; reading will tell.
                self._sock.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
        read: tuple[int, Message] = super().read_message()
        self.heard_at = time.monotonic()
        return read

    def _check_keepalive(self) -> None:
        """Watch; paramiko calls this each time that it read nothing for a while."""
        if self.watch is not None:
            self.watch()


def _on_window_adjust(channel: Channel, message: Message) -> None:
    channel._window_adjust(message)  # type: ignore[attr-defined] # noqa: SLF001
    _ring(channel)


def _on_request_failed(channel: Channel, message: Message) -> None:
    program = _program(channel)
    if program is not None:
        program.refused = True
    channel._request_failed(message)  # type: ignore[attr-defined] # noqa: SLF001
    _ring(channel)


def _on_request(channel: Channel, message: Message) -> None:
    """Handle a channel request as paramiko does, but understand death by a signal too."""
    position = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        number = _SIGNALS.get(message.get_text())
        if number is not None:
            channel.exit_status = 128 + number
            channel.status_event.set()
    else:
        message.packet.seek(position)
        channel._handle_request(message)  # type: ignore[attr-defined] # noqa: SLF001
    _ring(channel)


def _program(channel: Channel) -> Program | None:
    transport = channel.get_transport()
    return transport.programs.get(channel.chanid) if isinstance(transport, Transport) else None


def _ring(channel: Channel) -> None:
    program = _program(channel)
    if program is not None:
        program.bell.set()


class Transport(paramiko.Transport):
    """One SSH connection: AEAD first, no polling to speak of, quick to close.

    paramiko looks every 0.1 s whether it should stop; with a thousand connections that is a
    fifth of a core. Seldom is enough here, because ``stop_thread`` wakes the reader.
    """

    # paramiko's own, which its stubs leave out.
    _channels: Any
    _send_message: Callable[[Message], None]
    _handler_table: dict[int, Callable[[Message], None]]

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
    _channel_handler_table: ClassVar[dict[int, Callable[[Channel, Message], None]]] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined] # noqa: SLF001
        common.MSG_CHANNEL_WINDOW_ADJUST: _on_window_adjust,
        common.MSG_CHANNEL_REQUEST: _on_request,
        common.MSG_CHANNEL_FAILURE: _on_request_failed,
    }

    def __init__(self, sock: Any, *, key_types: Sequence[str] = ()) -> None:
        """Talk over a connected socket or channel; ask for these host key types first."""
        super().__init__(
            sock,
            default_window_size=WINDOW_BYTES,
            packetizer_class=_WatchfulPacketizer,
        )
        others = [kind for kind in HOST_KEY_TYPES if kind not in key_types]
        known: Mapping[str, object] = paramiko.Transport._key_info  # type: ignore[attr-defined] # noqa: SLF001
        self._preferred_keys = (*(kind for kind in key_types if kind in known), *others)
        self.programs: dict[int, Program] = {}
        self.goodbye = ""
        self.name = f"ssh {self.name}"
        self._deferred: list[Message] = []
        self._refusals: dict[int, paramiko.ChannelException] = {}
        self._abandoned: set[int] = set()
        self._handler_table.update(
            {
                common.MSG_CHANNEL_OPEN_SUCCESS: self._on_channel_opened,
                common.MSG_CHANNEL_OPEN_FAILURE: self._on_channel_refused,
            }
        )
        self._asked_at: float | None = None
        self.patience = INDIRECT

    @property
    def preamble(self) -> tuple[str, ...]:
        """Give the lines that the host said before it spoke ssh."""
        return tuple(cast("_WatchfulPacketizer", self.packetizer).preamble)

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Give the host key types to ask for: certificates only where somebody can check them."""
        return self._preferred_keys

    def watch_over(self) -> None:
        """From now on notice when the host is silent for too long; call when logged in."""
        packetizer = cast("_WatchfulPacketizer", self.packetizer)
        packetizer.heard_at = time.monotonic()
        self.patience = INDIRECT if unheard_for_s(self.sock) is None else DIRECT
        self.sock.settimeout(self.patience.look_every)
        packetizer.watch = self._watch

    @property
    def was_heard_lately(self) -> bool:
        """Whether the host, or at least its kernel, gave a sign of life when it last should."""
        unheard_s = unheard_for_s(self.sock)
        if unheard_s is not None:
            return unheard_s < TCP_ASK_AFTER_S + 2
        silent_s = time.monotonic() - cast("_WatchfulPacketizer", self.packetizer).heard_at
        return silent_s < INDIRECT.ask_after + INDIRECT.look_every + 2

    def _watch(self) -> None:
        """Ask a silent host for a sign of life, and give it up when it gives none.

        TCP's own keepalive does not see a host behind a gateway, nor a frozen sshd.
        """
        now = time.monotonic()
        if self.patience.unheard is not None:
            unheard_s = unheard_for_s(self.sock)
            if unheard_s is not None and unheard_s >= self.patience.unheard:
                raise EOFError("the link is dead")
        heard_at = cast("_WatchfulPacketizer", self.packetizer).heard_at
        if self._asked_at is not None and heard_at >= self._asked_at:
            self._asked_at = None
        if self._asked_at is not None:
            if now - self._asked_at >= self.patience.give_up_after:
                raise EOFError("the host is silent")
        elif now - heard_at >= self.patience.ask_after and self.clear_to_send.is_set():
            # In a key exchange the message would wait for the very thread that sends it.
            self._asked_at = now
            message = Message()
            message.add_byte(common.cMSG_GLOBAL_REQUEST)
            message.add_string("keepalive@openssh.com")
            message.add_boolean(True)  # noqa: FBT003 # we want an answer
            self._send_user_message(message)

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

    # paramiko keeps one exception for all channels: with several openings at a time, one
    # thread gets another's reason, and the other gets none. It also waits where one may only
    # want to ask.

    def ask_for_channel(
        self, kind: str, destination: Place | None = None, origin: Place = ("127.0.0.1", 0)
    ) -> Opening:
        """Ask the host for a channel without waiting for the answer."""
        if not self.active:
            raise paramiko.SSHException("the connection has ended")
        with self.lock:
            number = self._next_channel()  # type: ignore[attr-defined]
            message = Message()
            message.add_byte(common.cMSG_CHANNEL_OPEN)
            message.add_string(kind)
            message.add_int(number)
            message.add_int(self.default_window_size)
            message.add_int(self.default_max_packet_size)
            if destination is not None:
                for host, port in (destination, origin):
                    message.add_string(host)
                    message.add_int(port)
            channel = Channel(number)
            opening = Opening(channel)
            self._channels.put(number, channel)
            self.channel_events[number] = opening.answered
            self.channels_seen[number] = True
            channel._set_transport(self)  # type: ignore[attr-defined] # noqa: SLF001
            channel._set_window(  # type: ignore[attr-defined] # noqa: SLF001
                self.default_window_size, self.default_max_packet_size
            )
        self._send_user_message(message)
        return opening

    def get_channel(self, opening: Opening, timeout_s: float) -> Channel:
        """Wait for the channel that was asked for.

        Raises ChannelException with the host's own reason when it refuses, and SSHException
        when the connection ended, or when no answer came in time.
        """
        number = opening.channel.chanid
        ends_at = time.monotonic() + timeout_s
        while not opening.answered.is_set() and self.active:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                break
            opening.answered.wait(min(left_s, 1.0))
        with self.lock:
            refusal = self._refusals.pop(number, None)
            if refusal is None and not opening.answered.is_set():
                self._abandoned.add(number)
        if refusal is not None:
            raise refusal
        if not self.active:
            raise paramiko.SSHException("the connection has ended")
        if not opening.answered.is_set():
            raise paramiko.SSHException(f"no answer within {timeout_s:.3g} s")
        if opening.channel.closed:
            raise paramiko.SSHException("the host closed the channel at once")
        return opening.channel

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
        opening = self.ask_for_channel(kind, dest_addr, src_addr or ("127.0.0.1", 0))
        return self.get_channel(opening, self.channel_timeout if timeout is None else timeout)

    def _on_channel_refused(self, message: Message) -> None:
        chanid, reason, text = message.get_int(), message.get_int(), message.get_text()
        with self.lock:
            self._channels.delete(chanid)
            event = self.channel_events.pop(chanid, None)
            if chanid in self._abandoned:
                self._abandoned.discard(chanid)
            else:
                self._refusals[chanid] = paramiko.ChannelException(reason, text)
        if event is not None:
            event.set()

    def _on_channel_opened(self, message: Message) -> None:
        """Take a channel, or close one that came after its opener had given up."""
        position = message.packet.tell()
        chanid = message.get_int()
        message.packet.seek(position)
        self._parse_channel_open_success(message)  # type: ignore[attr-defined]
        if chanid in self._abandoned:
            self._abandoned.discard(chanid)
            channel = self._channels.get(chanid)
            if channel is not None:
                channel.close()

    def start_program(self, command: str, channel: Channel) -> Program:
        """Ask the host to run a command on a session channel.

        Does not wait for the host's answer, which would cost a round trip: a refusal marks
        the program as refused and closes the channel.
        """
        channel.settimeout(0.0)
        program = Program()
        self.programs[channel.chanid] = program
        for buffer in (channel.in_buffer, channel.in_stderr_buffer):
            buffer.set_event(cast("threading.Event", program.bell))
        message = Message()
        message.add_byte(common.cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)  # noqa: FBT003 # we want an answer
        message.add_string(command)
        self._send_user_message(message)
        return program

    # While new keys are exchanged, nothing else may be sent. paramiko makes whoever wants to
    # send wait for the end of the exchange, the thread that reads included: when a channel
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
        """Keep what the host said when it hung up."""
        position = message.packet.tell()
        message.get_int()
        self.goodbye = message.get_text()
        message.packet.seek(position)
        super()._parse_disconnect(message)  # type: ignore[misc]

    def hang_up(self) -> None:
        """End the connection without waiting for anything; ``close`` waits for its thread."""
        self.active = False
        shut(self.sock)
        for event in list(self.channel_events.values()):
            event.set()

    def stop_thread(self) -> None:
        """End the reading thread at once instead of at its next look at the clock."""
        self.hang_up()
        if self.is_alive() and self is not threading.current_thread():
            self.join(1.0)
        self.packetizer.close()

    def close(self) -> None:
        """End the connection and see its thread off; harmless to repeat."""
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
