"""Connections to hosts: strict about keys, one per host, gateways shared, quick to close."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING

from botdeploy.hosts.ssh.fabric_import import fabric  # before paramiko, which imports invoke too

# isort: split
import paramiko
import tenacity

from botdeploy.errors import AddressRefused, HostError, HostKeyUnknown, Unreachable, UserError
from botdeploy.hosts.process.local import LocalConnection
from botdeploy.hosts.process.program import Completed, ConnectionCounts, HostConnection, Session
from botdeploy.hosts.process.slots import Slots
from botdeploy.hosts.ssh import link as link_module
from botdeploy.hosts.ssh.channels import RemotePrograms
from botdeploy.hosts.ssh.dial import Alarm, dial
from botdeploy.hosts.ssh.known_hosts import HostKeys, KnownHosts, host_name
from botdeploy.hosts.ssh.link import Route, SshLink
from botdeploy.hosts.ssh.proxy_command import ProxyProcess
from botdeploy.hosts.ssh.ssh_config import Destination, SshConfig, shell_of
from botdeploy.hosts.ssh.ssh_errors import TryAgain, of_dialing, of_ssh
from botdeploy.hosts.ssh.transport import shut
from botdeploy.hosts.ssh.user_keys import UserKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from botdeploy.core.model.address import Address, Jump
    from botdeploy.hosts.ssh.transport import Transport

__all__ = [
    "Completed",
    "ConnectionCounts",
    "Connector",
    "HostConnection",
    "LocalConnection",
    "Session",
    "SshConnection",
]

_TRIES = 5
#: Between tries, growing from the first, each with some chance in it.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 3.0

#: Openings through one gateway at a time: its sshd drops what is too much at once.
_GATEWAY_OPENINGS = 8
_HOPS = 8
_TURN_S = 120.0
_PROHIBITED = 1

#: Each connection takes one descriptor, behind a ProxyCommand two. (macOS allows no more.)
_DESCRIPTORS = 10_240


class SshConnection:
    """One host over SSH. Made by ``Connector.connect``."""

    def __init__(self, host: str, link: SshLink, more: Callable[[], SshLink]) -> None:
        """Take an open link, and what opens further ones where sshd allows few sessions on one."""
        self._host = host
        #: The Fabric connection underneath, for whatever Fabric offers and this does not.
        self.fabric = link
        self._counts = ConnectionCounts()
        self._more = more
        self._lock = threading.Lock()
        self._further: list[SshLink] = []
        self._is_closed = False
        self._programs = RemotePrograms(host, link.transport, self._counts, self._open_further)

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

    @property
    def user(self) -> str:
        """Who logged in."""
        return self.fabric.place.user

    @property
    def counts(self) -> ConnectionCounts:
        """What went over this connection so far."""
        return self._counts

    @property
    def is_alive(self) -> bool:
        """Whether the connection still stands (a cut is noticed within 25 s)."""
        return bool(self.fabric.transport.is_active())

    def run(
        self, command: str, *, stdin: bytes | Iterable[bytes] = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Run a command to its end, or until ``timeout_s`` is over; see HostConnection."""
        return self._programs.run(command, stdin=stdin, timeout_s=timeout_s)

    def start(self, command: str, *, stdin: bytes = b"") -> Session:
        """Start a command and give the running program; raise HostError when it can't."""
        return self._programs.start(command, stdin=stdin)

    def close(self) -> None:
        """End the connection and all that runs over it, from any thread."""
        with self._lock:
            self._is_closed = True
            further = tuple(self._further)
        self._programs.close()
        for link in (self.fabric, *further):
            link.close()

    @property
    def sessions_each(self) -> int | None:
        """How many sessions the host allows on one connection; None where that never mattered."""
        return self._programs.sessions_each

    def _open_further(self) -> Transport:
        link = self._more()
        with self._lock:
            self._further.append(link)
            is_closed = self._is_closed
        if is_closed:
            link.close()
            raise Unreachable(self._host, "the connection was closed")
        return link.transport


class _Gateway:
    """One bastion: a connection that all hosts behind it share."""

    def __init__(self, place: Destination, before: _Gateway | None) -> None:
        self.place = place
        self.before = before
        self.slots = Slots(_GATEWAY_OPENINGS)
        self.lock = threading.Lock()
        self.link: SshLink | None = None
        self.failed_at = 0.0
        self.fault: BaseException | None = None


class _Deadline:
    """When to stop trying; waiting for one's turn at a gateway does not count."""

    def __init__(self, timeout_s: float) -> None:
        self._ends_at = time.monotonic() + timeout_s

    def left_s(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def extend(self, seconds: float) -> None:
        self._ends_at += seconds


class _stop_at(tenacity.stop.stop_base):  # noqa: N801 # named as tenacity's own
    """Stops trying when a deadline is over."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        del retry_state
        return self._deadline.left_s() <= 0


class Connector:
    """Opens connections for one command run; thread-safe.

    Shares what is the same for all hosts: gateways, known_hosts, ssh's config, loaded keys.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        connect_timeout_s: float = 10.0,
        total_timeout_s: float | None = None,
    ) -> None:
        """Take the user's environment (HOME, SSH_AUTH_SOCK) and how long connecting may take.

        ``connect_timeout_s`` is for one try to reach a host, ``total_timeout_s`` for all tries
        (2.5 times as long unless given).
        """
        _allow_many_descriptors()
        self._connect_timeout_s = connect_timeout_s
        self._total_timeout_s = total_timeout_s or 2.5 * connect_timeout_s
        self._environ = environ
        self._ssh_config = SshConfig(environ)
        self._keys = UserKeys()
        # Lazy: files of Fabric's own on this machine must not change where we connect.
        self._config = fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
        self._lock = threading.Lock()
        self._files_lock = threading.Lock()
        self._alarm = Alarm()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._gateways: dict[tuple[Destination, int], _Gateway] = {}
        self._links: list[SshLink] = []
        self._prune_at = 100
        self._locals: list[LocalConnection] = []
        self._ways: dict[int, Route] = {}
        #: Connections opened so far, those to gateways included.
        self.connections = 0

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
            with self._files_lock:
                place = self._ssh_config.resolve(address)
        except UserError as error:
            raise AddressRefused(address.host, str(error)) from error
        return SshConnection(
            address.host, self._reach(address, place), lambda: self._reach(address, place)
        )

    def _reach(self, address: Address, place: Destination) -> SshLink:
        """Log in at a place, with as many tries as make sense."""
        deadline = _Deadline(self._total_timeout_s)
        started_at = time.monotonic()
        tries = tenacity.Retrying(
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(_TRIES),
                tenacity.stop_when_event_set(self._alarm.event),
                _stop_at(deadline),
            ),
            wait=tenacity.wait_exponential_jitter(
                multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S, jitter=FIRST_PAUSE_S
            ),
            retry=tenacity.retry_if_exception_type(TryAgain),
            sleep=tenacity.sleep_using_event(self._alarm.event),
            reraise=True,
        )
        try:
            return tries(self._try_to_connect, address, place, deadline)
        except TryAgain as failure:
            took_s = time.monotonic() - started_at
            count = tries.statistics.get("attempt_number", 1)
            tried = f" ({count} tries in {took_s:.0f} s)" if count > 1 else ""
            raise type(failure.error)(
                failure.error.host, f"{failure.error.message}{tried}"
            ) from failure.__cause__

    def close(self) -> None:
        """Close everything that was opened, at once and from any thread."""
        self._alarm.pull()
        with self._lock:
            links, ways = list(self._links), list(self._ways.values())
            gateways, local = list(self._gateways.values()), list(self._locals)
        for gateway in gateways:
            gateway.slots.close()
        # First all sockets, so that nothing waits for a link that is dead; then what lives
        # inside other connections; then see the threads off.
        for way in ways:
            if way.process is None and isinstance(way.sock, socket.socket):
                shut(way.sock)
        for link in links:
            link.hang_up()
        for way in ways:
            shut(way.sock)
        for link in links:
            link.close()
        for connection in local:
            connection.close()
        self._keys.close()

    def _connect_local(self, address: Address) -> LocalConnection:
        self._check_open(address.host)
        connection = LocalConnection(address.host, environ=self._environ)
        with self._lock:
            self._locals.append(connection)
            self.connections += 1
        return connection

    def _check_open(self, host: str) -> None:
        if self._alarm.is_pulled:
            raise Unreachable(host, "interrupted")

    def _try_to_connect(self, address: Address, place: Destination, deadline: _Deadline) -> SshLink:
        """Try once; raise TryAgain for what may be different in a moment."""
        try:
            before = self._gateways_to(place.jumps, address, depth=0)
        except UserError as error:
            raise AddressRefused(address.host, str(error)) from error
        return self._open(address.host, place, before, deadline)

    def _gateways_to(self, jumps: tuple[Jump, ...], target: Address, depth: int) -> _Gateway | None:
        """Give the last of the gateways on the way; none is opened by this."""
        if depth > _HOPS:
            raise UserError("ProxyJump goes round in circles")
        before: _Gateway | None = None
        for index, jump in enumerate(jumps):
            with self._files_lock:
                place = self._ssh_config.resolve_jump(jump, target)
            if index == 0 and place.jumps:
                before = self._gateways_to(place.jumps, target, depth + 1)
            key = (place, id(before))
            with self._lock:
                before = self._gateways.setdefault(key, _Gateway(place, before))
        return before

    def _through(self, gateway: _Gateway, host: str, deadline: _Deadline) -> SshLink:
        """Give the one connection to a gateway, opened by whoever comes first."""
        asked_at = time.monotonic()
        with gateway.lock:
            waited_s = time.monotonic() - asked_at
            deadline.extend(waited_s)
            if gateway.link is not None and gateway.link.is_connected:
                return gateway.link
            fault = gateway.fault
            # A refusal stays one, and who waited while another tried need not try as well:
            # a hundred hosts must not knock a hundred times.
            is_final = isinstance(fault, HostError)
            if fault is None or not (is_final or gateway.failed_at >= asked_at):
                fault = None
                name = f"gateway {gateway.place}"
                try:
                    gateway.link = self._open(name, gateway.place, gateway.before, deadline)
                except (HostError, TryAgain) as error:
                    fault = gateway.fault = error
                    gateway.failed_at = time.monotonic()
                else:
                    gateway.fault = None
                    return gateway.link
        if isinstance(fault, TryAgain):
            raise TryAgain(Unreachable(host, str(fault.error))) from fault
        if isinstance(fault, HostError):
            raise type(fault)(host, str(fault)) from fault
        raise AssertionError(fault)

    def _open(
        self, name: str, place: Destination, before: _Gateway | None, deadline: _Deadline
    ) -> SshLink:
        """Reach a place and log in there."""
        self._check_open(name)
        way = self._way(name, place, before, deadline)
        with self._lock:
            self._ways[id(way)] = way
        link: SshLink | None = None
        try:
            if self._alarm.is_pulled:
                way.close()
                self._check_open(name)
            host_keys = self._host_keys(name, place)
            link = SshLink(
                name=name,
                place=place,
                host_keys=host_keys,
                keys=self._keys,
                way=way,
                config=self._config,
            )
            link.open()
        except HostError:
            raise
        except paramiko.SSHException as error:
            self._check_open(name)
            raise self._of_ssh(name, place, error, way, link) from error
        except (OSError, EOFError) as error:
            self._check_open(name)
            raise self._of_ssh(name, place, error, way, link) from error
        finally:
            with self._lock:
                del self._ways[id(way)]
                if link is not None and link.is_connected:
                    self._keep(link)
            if link is None or not link.is_connected:
                way.close()
        if self._alarm.is_pulled:
            link.close()
            self._check_open(name)
        return link

    def _of_ssh(
        self, name: str, place: Destination, error: Exception, way: Route, link: SshLink | None
    ) -> Exception:
        return of_ssh(
            name,
            place,
            error,
            proxy=way.process,
            limit_s=link_module.HANDSHAKE_TIMEOUT_S,
            preamble=link.preamble if link is not None else (),
        )

    def _keep(self, link: SshLink) -> None:
        """Remember a link for ``close``, and forget now and then those that ended."""
        self._links.append(link)
        self.connections += 1
        if len(self._links) > self._prune_at:
            self._links = [one for one in self._links if one.is_connected]
            self._prune_at = 2 * len(self._links) + 100

    def _way(
        self, name: str, place: Destination, before: _Gateway | None, deadline: _Deadline
    ) -> Route:
        """Open something to talk over: a socket, a gateway's channel, or a command."""
        timeout_s = min(place.connect_timeout_s or self._connect_timeout_s, deadline.left_s())
        if before is not None:
            return Route(self._channel(name, place, before, deadline))
        if place.proxy_command is not None:
            process = ProxyProcess(place.proxy_command, shell_of(self._environ))
            return Route(process.sock, process)
        try:
            return Route(
                dial(
                    place.hostname,
                    place.port,
                    timeout_s=timeout_s,
                    alarm=self._alarm,
                    family=place.family,
                    bind_address=place.bind_address,
                )
            )
        except OSError as error:
            self._check_open(name)
            raise of_dialing(name, place, error) from error

    def _channel(
        self, name: str, place: Destination, gateway: _Gateway, deadline: _Deadline
    ) -> paramiko.Channel:
        """Have a gateway connect to a place."""
        link = self._through(gateway, name, deadline)
        asked_at = time.monotonic()
        if not gateway.slots.take(_TURN_S):
            self._check_open(name)
            raise TryAgain(Unreachable(name, f"gateway {gateway.place} is too busy"))
        deadline.extend(time.monotonic() - asked_at)
        timeout_s = min(place.connect_timeout_s or self._connect_timeout_s, deadline.left_s())
        try:
            channel: paramiko.Channel = link.transport.open_channel(
                "direct-tcpip",
                (place.hostname, place.port),
                ("127.0.0.1", 0),
                timeout=max(timeout_s, 0.1),
            )
        except paramiko.ChannelException as error:
            message = f"gateway {gateway.place} cannot reach {place}: {error.text or error}"
            if error.code == _PROHIBITED:
                raise Unreachable(
                    name, f"{message}; see AllowTcpForwarding in the gateway's sshd_config"
                ) from error
            raise TryAgain(Unreachable(name, message)) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            self._check_open(name)
            message = f"gateway {gateway.place} did not reach {place} within {timeout_s:.0f} s"
            raise TryAgain(Unreachable(name, message)) from error
        finally:
            gateway.slots.give_back()
        return channel

    def _host_keys(self, name: str, place: Destination) -> HostKeys:
        """Look up which keys the host may show; each set of files is read once."""
        with self._files_lock:
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


def _allow_many_descriptors() -> None:
    """Use as many descriptors as this process may: the usual 1,024 are fewer than many fleets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # Then it stays as it is.
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
