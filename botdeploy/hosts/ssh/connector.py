"""Connections to hosts: strict about keys, one per host, gateways shared, quick to close."""

from __future__ import annotations

import contextlib
import resource
import threading
from functools import partial
from typing import TYPE_CHECKING

from botdeploy.errors import AddressRefused, Unreachable, UserError
from botdeploy.hosts.ssh.config.ssh_config import SshConfig
from botdeploy.hosts.ssh.connection import SshConnection
from botdeploy.hosts.ssh.links import Links
from botdeploy.hosts.ssh.retry import Deadline, with_tries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdeploy.core.model.address import Address, Jump
    from botdeploy.hosts.process.local import LocalConnection
    from botdeploy.hosts.process.program import HostConnection
    from botdeploy.hosts.ssh.config.ssh_config import Destination
    from botdeploy.hosts.ssh.gateway import Gateway
    from botdeploy.hosts.ssh.link import SshLink

_HOPS = 8

#: Each connection takes one descriptor, behind a ProxyCommand two. (macOS allows no more.)
_DESCRIPTORS = 10_240


class Connector:
    """Opens connections for one command run; thread-safe.

    Shares what is the same for all hosts: gateways, known_hosts, ssh's config, loaded keys.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        now_s: Callable[[], float],
        *,
        connect_timeout_s: float = 10.0,
        total_timeout_s: float | None = None,
    ) -> None:
        """Take the user's environment (HOME, SSH_AUTH_SOCK) and a clock in seconds since 1970.

        ``connect_timeout_s`` is for one try to reach a host, ``total_timeout_s`` for all tries
        (2.5 times as long unless given).
        """
        _allow_many_descriptors()
        self._total_timeout_s = total_timeout_s or 2.5 * connect_timeout_s
        self._environ = environ
        self._links = Links(environ, now_s, connect_timeout_s)
        self._ssh_config = SshConfig(environ)
        self._config_lock = threading.Lock()
        self._lock = threading.Lock()
        self._gateways: dict[tuple[Destination, Gateway | None], Gateway] = {}
        self._locals: list[LocalConnection] = []

    @property
    def connections(self) -> int:
        """How many were opened so far, those to gateways included."""
        return self._links.count + len(self._locals)

    def connect(self, address: Address) -> HostConnection:
        """Open a new connection.

        Raises Unreachable, AuthenticationFailed, HostKeyUnknown or HostKeyChanged, each with
        what to type next, and AddressRefused for an ssh config, or arguments of ssh, that can't be
        read or followed for this host.

        Only what may be over in a moment is tried again, at most five times and until the total
        timeout: never a refused login nor a host key that is not known.
        """
        if address.local:
            return self._connect_local(address)
        if address.refused:
            raise AddressRefused(address.host, address.refused)
        try:
            with self._config_lock:
                place = self._ssh_config.resolve(address)
            gateway = self._gateway(place.jumps, address)
        except UserError as error:
            raise AddressRefused(address.host, str(error)) from error

        def open_link() -> SshLink:
            deadline = Deadline(self._total_timeout_s)
            return with_tries(
                lambda: self._links.open(address.host, place, gateway, deadline),
                deadline,
                self._links.stop,
            )

        return SshConnection(address.host, open_link)

    def close(self) -> None:
        """Close everything that was opened, at once and from any thread."""
        self._links.stop.set()
        with self._lock:
            gateways, local = list(self._gateways.values()), list(self._locals)
        for gateway in gateways:
            gateway.close()
        self._links.close()
        for connection in local:
            connection.close()

    def _connect_local(self, address: Address) -> LocalConnection:
        if self._links.stop.is_set():
            raise Unreachable(address.host, "interrupted")
        from botdeploy.hosts.process.local import LocalConnection

        connection = LocalConnection(address.host, self._environ)
        with self._lock:
            self._locals.append(connection)
        return connection

    def _gateway(self, jumps: tuple[Jump, ...], target: Address, depth: int = 0) -> Gateway | None:
        """Give the last of the gateways on the way; none is opened by this."""
        if depth > _HOPS:
            raise UserError(f"ProxyJump is circular, or has more than {_HOPS} levels")
        last: Gateway | None = None
        for index, jump in enumerate(jumps):
            with self._config_lock:
                place = self._ssh_config.resolve_jump(jump, target)
            if index == 0 and place.jumps:
                last = self._gateway(place.jumps, target, depth + 1)
            with self._lock:
                key = (place, last)
                if key not in self._gateways:
                    from botdeploy.hosts.ssh.gateway import Gateway

                    log_in = partial(self._links.open, f"gateway {place}", place, last)
                    self._gateways[key] = Gateway(place, log_in)
                last = self._gateways[key]
        return last


def _allow_many_descriptors() -> None:
    """Use as many descriptors as this process may: the usual 1,024 are fewer than many fleets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # Then it stays as it is.
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
