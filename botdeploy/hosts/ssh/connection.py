"""A host over SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.hosts.process.program import HostConnection
from botdeploy.hosts.ssh.channels.remote_programs import RemotePrograms

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.hosts.ssh.channels.remote_session import RemoteSession
    from botdeploy.hosts.ssh.link import SshLink


class SshConnection(HostConnection):
    """One host over SSH. Made by ``Connector.connect``."""

    def __init__(self, host: str, open_link: Callable[[], SshLink]) -> None:
        """Open a link; further ones are opened where sshd allows few sessions on one."""
        super().__init__(host)
        self._programs = RemotePrograms(host, open_link, self._counts)
        #: The Fabric connection underneath, for whatever Fabric offers and this does not.
        self.fabric = self._programs.link

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
        self._programs.close()
