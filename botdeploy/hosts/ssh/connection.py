"""A host over SSH: its programs, on as many connections as its sshd makes necessary."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from botdeploy.errors import Unreachable
from botdeploy.hosts.process.program import HostConnection
from botdeploy.hosts.ssh.remote_programs import RemotePrograms

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.hosts.ssh.link import SshLink
    from botdeploy.hosts.ssh.remote_session import RemoteSession
    from botdeploy.hosts.ssh.transport import Transport


class SshConnection(HostConnection):
    """One host over SSH. Made by ``Connector.connect``."""

    def __init__(self, host: str, open_link: Callable[[], SshLink]) -> None:
        """Take what opens a link, and further ones where sshd allows few sessions on one."""
        super().__init__(host)
        #: The Fabric connection underneath, for whatever Fabric offers and this does not.
        self.fabric = open_link()
        self._open_link = open_link
        self._lock = threading.Lock()
        self._further: list[SshLink] = []
        self._is_closed = False
        self._programs = RemotePrograms(
            host, self.fabric.transport, self._counts, self._open_further
        )

    @property
    def user(self) -> str:
        """Who logged in."""
        return self.fabric.place.user

    @property
    def is_alive(self) -> bool:
        """Whether the connection still stands (a cut is noticed within 25 s)."""
        return bool(self.fabric.transport.is_active())

    @property
    def sessions_each(self) -> int | None:
        """How many sessions the host allows on one connection; None where that never mattered."""
        return self._programs.sessions_each

    def open(self, command: str, timeout_s: float) -> RemoteSession:
        """Start a command; raise HostError when it was not started."""
        return self._programs.open(command, timeout_s)

    def close(self) -> None:
        """End the connection and all that runs over it, from any thread."""
        with self._lock:
            self._is_closed = True
            further = tuple(self._further)
        self._programs.close()
        for link in (self.fabric, *further):
            link.close()

    def _open_further(self) -> Transport:
        link = self._open_link()
        with self._lock:
            self._further.append(link)
            is_closed = self._is_closed
        if is_closed:
            link.close()
            raise Unreachable(self._host, "the connection was closed")
        return link.transport
