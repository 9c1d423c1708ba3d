"""Opening channels: several at a time, each with its own answer.

paramiko keeps one exception for all channels: with several openings at a time, one thread gets
another's reason, and the other gets none. It also waits where one may only want to ask.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import paramiko
from paramiko import common
from paramiko.channel import Channel
from paramiko.message import Message

if TYPE_CHECKING:
    from botdeploy.hosts.ssh.channels.transport import Transport

Place = tuple[str, int]


@dataclass(slots=True)
class Opening:
    """A channel that was asked for."""

    transport: Transport
    channel: Channel
    answered: threading.Event = field(default_factory=threading.Event)
    refusal: paramiko.ChannelException | None = None
    is_abandoned: bool = False

    def wait(self, timeout_s: float) -> Channel:
        """Give the channel when the host has opened it.

        Raises ChannelException with the host's own reason when it refuses, and SSHException
        when the connection ended, or when no answer came in time.
        """
        ends_at = time.monotonic() + timeout_s
        while not self.answered.is_set() and self.transport.active:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                break
            self.answered.wait(min(left_s, 1.0))
        with self.transport.lock:
            self.is_abandoned = not self.answered.is_set()
        if self.refusal is not None:
            raise self.refusal
        if not self.transport.active:
            raise paramiko.SSHException("the connection has ended")
        if self.is_abandoned:
            raise paramiko.SSHException(f"no answer within {timeout_s:.3g} s")
        if self.channel.closed:
            raise paramiko.SSHException("the host closed the channel at once")
        return self.channel


class Openings:
    """The channels that one connection has asked for and that were not answered yet."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._waiting: dict[int, Opening] = {}
        transport._handler_table.update(  # noqa: SLF001 # paramiko's own, as all below
            {
                common.MSG_CHANNEL_OPEN_SUCCESS: self._on_opened,
                common.MSG_CHANNEL_OPEN_FAILURE: self._on_refused,
            }
        )

    def ask(
        self, kind: str, destination: Place | None = None, origin: Place = ("127.0.0.1", 0)
    ) -> Opening:
        """Ask the host for a channel without waiting for the answer."""
        transport = self._transport
        if not transport.active:
            raise paramiko.SSHException("the connection has ended")
        window, packet = transport.default_window_size, transport.default_max_packet_size
        with transport.lock:
            number = transport._next_channel()  # noqa: SLF001
            message = Message()
            message.add_byte(common.cMSG_CHANNEL_OPEN)
            message.add_string(kind)
            message.add_int(number)
            message.add_int(window)
            message.add_int(packet)
            if destination is not None:
                for host, port in (destination, origin):
                    message.add_string(host)
                    message.add_int(port)
            channel = Channel(number)
            opening = self._waiting[number] = Opening(transport, channel)
            transport._channels.put(number, channel)  # noqa: SLF001
            transport.channel_events[number] = opening.answered
            transport.channels_seen[number] = True
            channel._set_transport(transport)  # type: ignore[attr-defined] # noqa: SLF001
            channel._set_window(window, packet)  # type: ignore[attr-defined] # noqa: SLF001
        transport._send_user_message(message)  # noqa: SLF001
        return opening

    def _on_refused(self, message: Message) -> None:
        number, reason, text = message.get_int(), message.get_int(), message.get_text()
        with self._transport.lock:
            self._transport._channels.delete(number)  # noqa: SLF001
            event = self._transport.channel_events.pop(number, None)
            opening = self._waiting.pop(number, None)
        if opening is not None:
            opening.refusal = paramiko.ChannelException(reason, text)
        if event is not None:
            event.set()

    def _on_opened(self, message: Message) -> None:
        """Take a channel, or close one that came after its opener had given up."""
        position = message.packet.tell()
        opening = self._waiting.pop(message.get_int(), None)
        message.packet.seek(position)
        self._transport._parse_channel_open_success(message)  # noqa: SLF001
        if opening is not None and opening.is_abandoned:
            opening.channel.close()
