"""Opens links to hosts: directly, by a ProxyCommand, or behind a gateway."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import paramiko

from botdeploy.errors import HostKeyUnknown, Unreachable
from botdeploy.hosts.ssh.dial import dial
from botdeploy.hosts.ssh.fabric_import import fabric
from botdeploy.hosts.ssh.keys.host_key_policy import HostKeyPolicy
from botdeploy.hosts.ssh.keys.known_hosts import HostKeys, KnownHosts, host_name
from botdeploy.hosts.ssh.keys.login import KeyLogin
from botdeploy.hosts.ssh.keys.user_keys import UserKeys
from botdeploy.hosts.ssh.link import Route, SshLink
from botdeploy.hosts.ssh.ssh_errors import TryAgain, of_dialing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from botdeploy.hosts.ssh.config.ssh_config import Destination
    from botdeploy.hosts.ssh.gateway import Gateway
    from botdeploy.hosts.ssh.retry import Deadline


class Links:
    """All links of one command run; thread-safe."""

    def __init__(
        self, environ: Mapping[str, str], now_s: Callable[[], float], connect_timeout_s: float
    ) -> None:
        self._environ = environ
        self._now_s = now_s
        self._connect_timeout_s = connect_timeout_s
        self.stop = threading.Event()
        self._keys = UserKeys()
        # Lazy: files of Fabric's own on this machine must not change where we connect.
        self._config = fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._known_lock = threading.Lock()
        self._lock = threading.Lock()
        #: By identity (Fabric's equality is of names), in the order of opening.
        self._links: dict[int, SshLink] = {}
        self._prune_at = 100
        #: Opened so far, those to gateways included.
        self.count = 0

    def open(
        self, name: str, place: Destination, gateway: Gateway | None, deadline: Deadline
    ) -> SshLink:
        """Reach a place and log in; raise TryAgain for what may be different in a moment."""
        with self._until_interrupted(name):
            policy = HostKeyPolicy(name, place, self._host_keys(name, place), self._now_s)
            route = self._route(name, place, gateway, deadline)
            login = KeyLogin(name, place, self._keys)
            link = SshLink(name, place, policy, login, route, self._config)
            with self._lock:
                self._links[id(link)] = link
            if self.stop.is_set():  # ``close`` may not have seen it.
                link.abort()
            try:
                link.open()
            except BaseException:
                with self._lock:
                    del self._links[id(link)]
                raise
        with self._lock:
            self.count += 1
            if len(self._links) > self._prune_at:
                self._links = {key: one for key, one in self._links.items() if not one.has_ended}
                self._prune_at = 2 * len(self._links) + 100
        if self.stop.is_set():
            link.close()
            raise Unreachable(name, "interrupted")
        return link

    def close(self) -> None:
        """Close all, at once and from any thread."""
        self.stop.set()
        with self._lock:
            links = list(self._links.values())
        # First all sockets, so that nothing waits for a link that is dead. A gateway's is before
        # those of the hosts behind it. Then wait for the threads' ends. A link that is being
        # opened is closed by its opener.
        for link in links:
            link.abort()
        for link in links:
            if link.transport is not None:
                link.close()
        self._keys.close()

    @contextlib.contextmanager
    def _until_interrupted(self, name: str) -> Iterator[None]:
        """Raise Unreachable once ``stop`` is set, instead of what this has caused."""
        if self.stop.is_set():
            raise Unreachable(name, "interrupted")
        try:
            yield
        except (TryAgain, OSError) as error:
            if self.stop.is_set():
                raise Unreachable(name, "interrupted") from error
            raise

    def _route(
        self, name: str, place: Destination, gateway: Gateway | None, deadline: Deadline
    ) -> Route:
        limit_s = place.connect_timeout_s or self._connect_timeout_s
        if gateway is not None:
            return Route(gateway.channel(name, place, limit_s, deadline))
        try:
            if place.proxy_command is not None:
                from botdeploy.hosts.ssh.proxy_command import ProxyProcess

                process = ProxyProcess(place.proxy_command, self._environ)
                return Route(process.sock, process)
            return Route(
                dial(
                    place.hostname,
                    place.port,
                    timeout_s=min(limit_s, deadline.left_s()),
                    stop=self.stop,
                    family=place.family,
                    bind_address=place.bind_address,
                )
            )
        except OSError as error:
            raise of_dialing(name, place, error) from error

    def _host_keys(self, name: str, place: Destination) -> HostKeys:
        """Look up which keys the host may show; each set of files is read once."""
        with self._known_lock:
            known = self._known.get(place.known_hosts)
            if known is None:
                try:
                    known = KnownHosts.read(place.known_hosts)
                except OSError as error:
                    raise HostKeyUnknown(
                        name, f"cannot read {error.filename}: {error.strerror}"
                    ) from error
                self._known[place.known_hosts] = known
        if place.host_key_alias:
            return HostKeys.of(known, host_name(place.host_key_alias))
        return HostKeys.of(known, host_name(place.hostname, place.port), host_name(place.hostname))
