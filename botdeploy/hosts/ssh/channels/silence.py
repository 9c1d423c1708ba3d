"""A silent host: when it is asked for an answer, and when it counts as lost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paramiko import common
from paramiko.message import Message

from botdeploy.hosts.ssh.dial import TCP_ASK_AFTER_S, unheard_for_s

if TYPE_CHECKING:
    from botdeploy.hosts.ssh.channels.transport import Transport


@dataclass(frozen=True, slots=True)
class SilenceLimits:
    """After how long a silent host is asked, and after how long it counts as lost; in seconds.

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
DIRECT = SilenceLimits(look_every=4.0, ask_after=60.0, give_up_after=30.0, unheard=18.0)
#: Behind a gateway or a ProxyCommand only we ask: at most 23 s to notice a cut.
INDIRECT = SilenceLimits(look_every=2.0, ask_after=7.0, give_up_after=12.0)


class SilenceWatch:
    """Notices when the host of one connection is silent for too long, from now on."""

    def __init__(self, transport: Transport) -> None:
        """Begin; the connection is logged in."""
        self._transport = transport
        self._packetizer = transport.packetizer
        self._packetizer.heard_at = time.monotonic()
        self._limits = INDIRECT if unheard_for_s(transport.sock) is None else DIRECT
        self._asked_at: float | None = None
        transport.sock.settimeout(self._limits.look_every)
        self._packetizer.watch = self.check

    @property
    def was_heard_lately(self) -> bool:
        """Whether the host, or at least its kernel, answered when it last should have."""
        unheard_s = unheard_for_s(self._transport.sock)
        if unheard_s is not None:
            return unheard_s < TCP_ASK_AFTER_S + 2
        silent_s = time.monotonic() - self._packetizer.heard_at
        return silent_s < INDIRECT.ask_after + INDIRECT.look_every + 2

    def check(self) -> None:
        """Ask a silent host for an answer; raise EOFError when it counts as lost.

        TCP's own keepalive does not see a host behind a gateway, nor a frozen sshd.
        """
        now = time.monotonic()
        if self._limits.unheard is not None:
            unheard_s = unheard_for_s(self._transport.sock)
            if unheard_s is not None and unheard_s >= self._limits.unheard:
                raise EOFError("the link is dead")
        heard_at = self._packetizer.heard_at
        if self._asked_at is not None and heard_at >= self._asked_at:
            self._asked_at = None
        if self._asked_at is not None:
            if now - self._asked_at >= self._limits.give_up_after:
                raise EOFError("the host is silent")
        elif now - heard_at >= self._limits.ask_after and self._transport.clear_to_send.is_set():
            # In a key exchange the message would wait for the very thread that sends it.
            self._asked_at = now
            self.ask()

    def ask(self) -> None:
        """Ask the host for an answer, whatever it is; from any thread."""
        message = Message()
        message.add_byte(common.cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)  # noqa: FBT003 # we want an answer
        self._transport._send_user_message(message)  # noqa: SLF001
