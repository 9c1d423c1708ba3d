"""One SSH link: Fabric's connection, over our socket and with our login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko

from botdeploy.errors import Unreachable
from botdeploy.hosts.ssh.channels.silence import SilenceWatch
from botdeploy.hosts.ssh.channels.transport import Transport, shut
from botdeploy.hosts.ssh.fabric_import import fabric
from botdeploy.hosts.ssh.ssh_errors import of_ssh

if TYPE_CHECKING:
    from botdeploy.hosts.ssh.config.ssh_config import Destination
    from botdeploy.hosts.ssh.keys.host_key_policy import HostKeyPolicy
    from botdeploy.hosts.ssh.keys.login import KeyLogin
    from botdeploy.hosts.ssh.proxy_command import ProxyProcess

#: For the handshake and for logging in, each.
HANDSHAKE_TIMEOUT_S = 15.0
_TIMEOUTS = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")


@dataclass(slots=True)
class Route:
    """An open way to a host: something to talk over, and what must be ended with it."""

    sock: Any
    process: ProxyProcess | None = None

    def close(self) -> None:
        """End it; harmless to repeat."""
        shut(self.sock)
        self.sock.close()
        if self.process is not None:
            self.process.close()


class SshLink(fabric.Connection):  # type: ignore[misc] # Fabric has no types
    """Fabric's connection over our socket: strict host keys, our login, opened once.

    Stock Fabric accepts unknown host keys, opens a gateway per host, leaks a thread for each
    refused login, and quietly reconnects in ``run`` after a loss.
    """

    #: None until it is open.
    transport: Transport

    def __init__(
        self,
        name: str,
        place: Destination,
        policy: HostKeyPolicy,
        login: KeyLogin,
        route: Route,
        config: fabric.Config,
    ) -> None:
        """Take an open route, which ends with the link; ``name`` is for messages."""
        super().__init__(
            host=place.hostname,
            user=place.user,
            port=place.port,
            config=config,
            forward_agent=False,
        )
        self.name = name
        self.place = place
        self._policy = policy
        self._login = login
        self._route = route
        self._was_opened = False
        self.client.set_missing_host_key_policy(policy)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; Fabric would look whether it is meant for its configuration."""
        object.__setattr__(self, name, value)

    @property
    def has_ended(self) -> bool:
        """Whether it was open and is no more."""
        return self.transport is not None and not self.is_connected

    def open(self) -> None:
        """Shake hands, check the host's key, and log in.

        Raises HostError's children, and TryAgain for what may be different next time. Nothing
        stays open then.
        """
        if self.is_connected:
            return
        if self._was_opened:
            raise Unreachable(self.name, "the connection has ended")
        self._was_opened = True
        self.connect_kwargs = {
            "sock": self._route.sock,
            "transport_factory": self._transport_over,
            "auth_strategy": self._login,
            **dict.fromkeys(_TIMEOUTS, HANDSHAKE_TIMEOUT_S),
        }
        try:
            super().open()
            self.transport.silence = SilenceWatch(self.transport)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._failure(error) from error
        finally:
            if not self.is_connected:
                self.close()

    def _failure(self, error: Exception) -> Exception:
        transport = self.client.get_transport()
        return of_ssh(
            self.name,
            self.place,
            error,
            proxy=self._route.process,
            limit_s=HANDSHAKE_TIMEOUT_S,
            preamble=transport.packetizer.preamble if transport is not None else (),
        )

    def _transport_over(self, sock: Any, **_: Any) -> Transport:
        """Make the transport; paramiko's other arguments have their default."""
        transport = Transport(sock, key_types=self._policy.key_types)
        transport.handshake_timeout = HANDSHAKE_TIMEOUT_S
        return transport

    def close(self) -> None:
        """End the connection, its thread and its route; harmless to repeat, from any thread."""
        super().close()
        self.client.close()
        if self.transport is not None:
            self.transport.close()
        self._route.close()

    def abort(self) -> None:
        """End the connection, or its opening, without waiting for anything."""
        if self.transport is not None:
            self.transport.abort()
        else:
            shut(self._route.sock)
