"""A program's channel: how it is started, and what wakes those who wait for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import paramiko
from paramiko import common
from paramiko.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from paramiko.channel import Channel

    from botdeploy.hosts.ssh.channels.transport import Transport

#: What ssh calls signals, with Linux's numbers.
_NAMES = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM"
_SIGNALS = {**{name: number for number, name in enumerate(_NAMES.split(), start=1)}, "SYS": 31}


class ChangeSignal:
    """Wakes threads that wait for a change; several may wait, none misses one.

    A waiter reads ``count`` first, looks at the state next, and then waits for a change after
    the one that it read. ``set`` and ``clear`` make it fit where paramiko expects an event.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._listener: Callable[[], None] | None = None
        self.count = 0

    def set(self) -> None:
        """Count a change and wake those who wait."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        if self._listener is not None:
            self._listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called now and at each change; it must not wait."""
        self._listener = listener
        listener()

    def clear(self) -> None:
        """Do nothing: a change stays counted."""

    def wait_after(self, count: int, timeout_s: float | None = None) -> None:
        """Return as soon as there is a change after ``count``, or when time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != count, timeout_s)


@dataclass(slots=True)
class Program:
    """What a transport knows about a program beyond its channel."""

    changed: ChangeSignal = field(default_factory=ChangeSignal)
    refused: bool = False


def start_program(transport: Transport, channel: Channel, command: str) -> Program:
    """Ask the host to run a command on a session channel.

    Does not wait for the host's answer, which would cost a round trip: a refusal marks
    the program as refused and closes the channel.
    """
    channel.settimeout(0.0)
    program = Program()
    transport.programs[channel.chanid] = program
    for buffer in (channel.in_buffer, channel.in_stderr_buffer):
        buffer.set_event(cast("threading.Event", program.changed))
    message = Message()
    message.add_byte(common.cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)  # noqa: FBT003 # we want an answer
    message.add_string(command)
    transport._send_user_message(message)  # noqa: SLF001
    return program


def _on_window_adjust(channel: Channel, message: Message) -> None:
    channel._window_adjust(message)  # type: ignore[attr-defined] # noqa: SLF001
    _wake(channel)


def _on_request_failed(channel: Channel, message: Message) -> None:
    program = _program(channel)
    if program is not None:
        program.refused = True
    channel._request_failed(message)  # type: ignore[attr-defined] # noqa: SLF001
    _wake(channel)


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
    _wake(channel)


def _program(channel: Channel) -> Program | None:
    transport = cast("Transport", channel.get_transport())
    return transport.programs.get(channel.chanid)


def _wake(channel: Channel) -> None:
    program = _program(channel)
    if program is not None:
        program.changed.set()


HANDLERS: dict[int, Callable[[Channel, Message], None]] = {
    **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined] # noqa: SLF001
    common.MSG_CHANNEL_WINDOW_ADJUST: _on_window_adjust,
    common.MSG_CHANNEL_REQUEST: _on_request,
    common.MSG_CHANNEL_FAILURE: _on_request_failed,
}
"""What is done with a channel's messages."""
