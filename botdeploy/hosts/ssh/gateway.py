"""A jump host: one connection to it, shared by all hosts behind it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import paramiko

from botdeploy.errors import HostError, Unreachable
from botdeploy.hosts.process.slots import Slots
from botdeploy.hosts.ssh.ssh_errors import TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.hosts.ssh.config.ssh_config import Destination
    from botdeploy.hosts.ssh.link import SshLink
    from botdeploy.hosts.ssh.retry import Deadline

#: Openings through one gateway at a time: its sshd drops what is too much at once.
_OPENINGS = 8
_TURN_S = 120.0
_PROHIBITED = 1


class Gateway:
    """One jump host; its connection is opened when it is first needed."""

    def __init__(self, place: Destination, open_link: Callable[[Deadline], SshLink]) -> None:
        """Take what logs in at the place until a deadline."""
        self._place = place
        self._open_link = open_link
        self._slots = Slots(_OPENINGS)
        self._lock = threading.Lock()
        self._link: SshLink | None = None
        self._failed_at = 0.0
        self._fault: HostError | TryAgain | None = None

    def channel(
        self, host: str, place: Destination, limit_s: float, deadline: Deadline
    ) -> paramiko.Channel:
        """Have it connect to a place, within ``limit_s``; raise TryAgain or HostError."""
        link = self._connected(host, deadline)
        asked_at = time.monotonic()
        if not self._slots.take(_TURN_S):
            raise TryAgain(
                Unreachable(host, f"gateway {self._place} is busy: no turn within {_TURN_S:.0f} s")
            )
        deadline.extend(time.monotonic() - asked_at)
        timeout_s = min(limit_s, deadline.left_s())
        try:
            return link.transport.open_channel(
                "direct-tcpip", (place.hostname, place.port), timeout=max(timeout_s, 0.1)
            )
        except paramiko.ChannelException as error:
            message = f"gateway {self._place} cannot reach {place}: {error.text or error}"
            if error.code == _PROHIBITED:
                raise Unreachable(
                    host, f"{message}; set AllowTcpForwarding in the gateway's sshd_config"
                ) from error
            raise TryAgain(Unreachable(host, message)) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            message = f"gateway {self._place} did not reach {place} within {timeout_s:.0f} s"
            raise TryAgain(Unreachable(host, message)) from error
        finally:
            self._slots.give_back()

    def close(self) -> None:
        """End all waiting for a turn."""
        self._slots.close()

    def _connected(self, host: str, deadline: Deadline) -> SshLink:
        asked_at = time.monotonic()
        with self._lock:
            deadline.extend(time.monotonic() - asked_at)
            if self._link is not None and self._link.is_connected:
                return self._link
            fault = self._fault
            # A refusal stays one, and who waited while another tried need not try as well:
            # a hundred hosts must not cause a hundred logins.
            if not isinstance(fault, HostError) and not (fault and self._failed_at >= asked_at):
                try:
                    self._link = self._open_link(deadline)
                except (HostError, TryAgain) as error:
                    fault = self._fault = error
                    self._failed_at = time.monotonic()
                else:
                    self._fault = None
                    return self._link
        if isinstance(fault, HostError):
            raise type(fault)(host, str(fault)) from fault
        raise TryAgain(Unreachable(host, str(fault))) from fault
