"""Connections to hosts: strict about keys, one per host, gateways shared, quick to close."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fabric
import paramiko
import tenacity
from paramiko.auth_strategy import (
    AuthResult,
    AuthSource,
    AuthStrategy,
    InMemoryPrivateKey,
    SourceResult,
)

from botdeploy.errors import (
    AuthenticationFailed,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    Unreachable,
    UserError,
)
from botdeploy.hosts.hostcert import BadCertificate, HostCertificate, certificate_types
from botdeploy.hosts.identity import KeyProblem, Keys
from botdeploy.hosts.knownhosts import (
    HostKeys,
    KnownHosts,
    KnownKey,
    Standing,
    fingerprint,
    host_name,
)
from botdeploy.hosts.local import LocalConnection
from botdeploy.hosts.program import Completed, ConnectionCounts, HostConnection, Session
from botdeploy.hosts.proxy import ProxyProcess
from botdeploy.hosts.remote import RemotePrograms
from botdeploy.hosts.slots import Slots
from botdeploy.hosts.sshconfig import Destination, SshConfig
from botdeploy.hosts.transport import HOST_KEY_TYPES, Alarm, Transport, dial, shut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from botdeploy.core.address import Address, Jump

__all__ = [
    "Completed",
    "ConnectionCounts",
    "Connector",
    "HostConnection",
    "LocalConnection",
    "Session",
    "SshConnection",
]

#: For the handshake and for logging in, each.
HANDSHAKE_TIMEOUT_S = 15.0

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


class _TryAgain(Exception):
    """Connecting failed in a way that may be over in a moment."""

    def __init__(self, error: HostError) -> None:
        super().__init__(str(error))
        self.error = error


class SshConnection:
    """One host over SSH. Made by ``Connector.connect``."""

    def __init__(self, host: str, link: Link) -> None:
        self._host = host
        #: The Fabric connection underneath, for whatever Fabric offers and this does not.
        self.fabric = link
        self._counts = ConnectionCounts()
        self._programs = RemotePrograms(host, link.transport, self._counts)

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._host

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
        self._programs.close()
        self.fabric.close()


@dataclass(slots=True)
class _Way:
    """An open way to a host: something to talk over, and what must be ended with it."""

    sock: Any
    process: ProxyProcess | None = None

    def close(self) -> None:
        shut(self.sock)
        self.sock.close()
        if self.process is not None:
            self.process.close()


class _StrictPolicy(paramiko.MissingHostKeyPolicy):
    """Asks known_hosts about every key; Fabric's own policy accepts whatever comes."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Return when the key is known; raise HostKeyUnknown or HostKeyChanged else."""
        del client, hostname
        self._link.check_host_key(key)


class _KeysOnly(AuthStrategy):
    """Offers the user's keys in their order and says in the end what was refused."""

    def __init__(self, link: Link) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._link = link

    def get_sources(self) -> Iterator[AuthSource]:
        """Give nothing: ``authenticate`` knows the order, and when to stop."""
        return iter(())

    def authenticate(self, transport: Any) -> AuthResult:
        """Log in with the first key that is accepted; raise AuthenticationFailed if none is."""
        link = self._link
        place = link.place
        problems: list[str] = []
        refused: list[str] = []
        methods: list[str] = []
        result = AuthResult(strategy=self)
        try:
            for offer in link.keys.offers(place, problems):
                try:
                    methods = transport.auth_publickey(place.user, offer.key)
                except paramiko.BadAuthenticationType as error:
                    methods = error.allowed_types
                    break
                except paramiko.AuthenticationException as error:
                    if "timeout" in str(error):
                        raise TimeoutError(
                            f"it did not answer the login within {HANDSHAKE_TIMEOUT_S:.0f} s"
                        ) from error
                    refused.append(offer.name)
                except (paramiko.SSHException, EOFError, OSError) as error:
                    if transport.is_active():
                        problems.append(f"{offer.name}: {error}")
                    elif not refused:
                        raise
                else:
                    if not methods:
                        source = InMemoryPrivateKey(place.user, offer.key)
                        result.append(SourceResult(source, methods))
                        return result
                    break
                if not transport.is_active():
                    break
        except KeyProblem as problem:
            raise AuthenticationFailed(link.name, str(problem)) from None
        if not transport.is_active() and not transport.goodbye and len(refused) <= 1:
            # Nobody said no: the connection was lost while logging in.
            raise EOFError("the connection ended while logging in")
        raise AuthenticationFailed(
            link.name, _refusal(place, refused, problems, methods, transport.goodbye)
        )


class Link(fabric.Connection):  # type: ignore[misc] # Fabric has no types
    """Fabric's connection with our own way in: strict keys, tuned socket, no surprises.

    Stock Fabric accepts unknown host keys, opens a gateway per host, leaks a thread for each
    refused login, and quietly reconnects in ``run`` after a loss.
    """

    def __init__(
        self,
        *,
        name: str,
        place: Destination,
        host_keys: HostKeys,
        keys: Keys,
        way: _Way,
        config: fabric.Config,
    ) -> None:
        super().__init__(
            host=place.hostname,
            user=place.user,
            port=place.port,
            config=config,
            connect_kwargs={},
            forward_agent=False,
            connect_timeout=int(HANDSHAKE_TIMEOUT_S),
        )
        self.name = name
        self.place = place
        self.host_keys = host_keys
        self.keys = keys
        self._way = way
        self._was_opened = False
        self.client.set_missing_host_key_policy(_StrictPolicy(self))

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; Fabric would look whether it is meant for its configuration."""
        object.__setattr__(self, name, value)

    def open(self) -> None:
        """Shake hands, check the host's key, and log in.

        Raises HostError's children, and paramiko's or the socket's errors for what may be
        different next time. Nothing stays open then.
        """
        if self.is_connected:
            return
        if self._was_opened:
            raise Unreachable(self.name, "the connection has ended")
        self._was_opened = True
        made: list[Transport] = []

        def factory(sock: Any, **_: Any) -> Transport:
            key_types = self.host_keys.key_types
            if self.host_keys.authorities:
                key_types = (*certificate_types(HOST_KEY_TYPES), *key_types)
            transport = Transport(sock, key_types=key_types)
            transport.handshake_timeout = HANDSHAKE_TIMEOUT_S
            made.append(transport)
            return transport

        try:
            self.client.connect(
                self.place.hostname,
                port=self.place.port,
                username=self.place.user,
                sock=self._way.sock,
                timeout=HANDSHAKE_TIMEOUT_S,
                banner_timeout=HANDSHAKE_TIMEOUT_S,
                auth_timeout=HANDSHAKE_TIMEOUT_S,
                channel_timeout=HANDSHAKE_TIMEOUT_S,
                transport_factory=factory,
                auth_strategy=_KeysOnly(self),
            )
        except BaseException:
            self.client.close()
            for transport in made:
                transport.close()
            self._way.close()
            raise
        self.transport = made[0]
        self.transport.watch_over()

    def close(self) -> None:
        """End the connection, its thread and its way; harmless to repeat, from any thread."""
        super().close()
        self.client.close()
        if self.transport is not None:
            self.transport.close()
        self._way.close()

    def _complaint(self, key: paramiko.PKey) -> str | None:
        """Say why no authority vouches for a key; None when one does."""
        authorities = self.host_keys.authorities
        if not authorities:
            return ""
        trusts = f"{authorities[0].place} trusts an authority for it, but "
        if key.public_blob is None:
            return f"{trusts}it shows no certificate"
        name = self.place.host_key_alias or self.place.hostname
        try:
            certificate = HostCertificate.parse(key.public_blob.key_blob)
            for blob in (certificate.authority, key.asbytes()):
                if (line := self.host_keys.is_revoked(blob)) is not None:
                    raise BadCertificate(f"revoked by {line.place}")  # noqa: TRY301
            certificate.check(name, time.time(), (one.blob for one in authorities))
        except BadCertificate as error:
            return f"{trusts}its certificate is {error}"
        return None

    def hang_up(self) -> None:
        """End the connection without waiting for anything."""
        if self.transport is not None:
            self.transport.hang_up()

    def check_host_key(self, key: paramiko.PKey) -> None:
        """Return when known_hosts has the key; raise HostKeyUnknown or HostKeyChanged else."""
        complaint = self._complaint(key)
        if complaint is None:
            return
        finding = self.host_keys.judge(key.asbytes())
        match finding.standing:
            case Standing.KNOWN:
                return
            case Standing.UNKNOWN:
                raise HostKeyUnknown(self.name, _unknown(self.place, key, complaint))
            case Standing.REVOKED:
                raise HostKeyChanged(
                    self.name,
                    f"{self.place} shows a key that {finding.because[0].place} marks as revoked "
                    f"({_shown(key)}); do not connect until the host has a new one",
                )
            case Standing.CHANGED:
                raise HostKeyChanged(self.name, _changed(self.place, finding.because, key))


class _Gateway:
    """One bastion: a connection that all hosts behind it share."""

    def __init__(self, place: Destination, before: _Gateway | None) -> None:
        self.place = place
        self.before = before
        self.slots = Slots(_GATEWAY_OPENINGS)
        self.lock = threading.Lock()
        self.link: Link | None = None
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
        self._keys = Keys()
        # Lazy: files of Fabric's own on this machine must not change where we connect.
        self._config = fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
        self._lock = threading.Lock()
        self._files_lock = threading.Lock()
        self._alarm = Alarm()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}
        self._gateways: dict[tuple[Destination, int], _Gateway] = {}
        self._links: list[Link] = []
        self._prune_at = 100
        self._locals: list[LocalConnection] = []
        self._ways: dict[int, _Way] = {}
        #: Connections opened so far, those to gateways included.
        self.connections = 0

    def connect(self, address: Address) -> HostConnection:
        """Open a new connection.

        Raises Unreachable, AuthenticationFailed, HostKeyUnknown or HostKeyChanged, each with
        what to type next, and UserError for an ssh config that can't be read.

        Only what may be over in a moment is tried again, at most five times and until the total
        timeout: never a refused login nor a host key that is not known.
        """
        if address.local:
            return self._connect_local(address)
        with self._files_lock:
            place = self._ssh_config.resolve(address)
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
            retry=tenacity.retry_if_exception_type(_TryAgain),
            sleep=tenacity.sleep_using_event(self._alarm.event),
            reraise=True,
        )
        try:
            link = tries(self._try_to_connect, address, place, deadline)
        except _TryAgain as failure:
            took_s = time.monotonic() - started_at
            count = tries.statistics.get("attempt_number", 1)
            tried = f" ({count} tries in {took_s:.0f} s)" if count > 1 else ""
            raise type(failure.error)(
                failure.error.host, f"{failure.error.message}{tried}"
            ) from failure.__cause__
        return SshConnection(address.host, link)

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

    def _try_to_connect(self, address: Address, place: Destination, deadline: _Deadline) -> Link:
        """Try once; raise _TryAgain for what may be different in a moment."""
        before = self._gateways_to(place.jumps, address, depth=0)
        return self._open(address.host, place, before, deadline)

    def _gateways_to(self, jumps: tuple[Jump, ...], target: Address, depth: int) -> _Gateway | None:
        """Give the last of the gateways on the way; none is opened by this."""
        if depth > _HOPS:
            raise UserError(f"{target.host}: ProxyJump goes round in circles")
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

    def _through(self, gateway: _Gateway, host: str, deadline: _Deadline) -> Link:
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
                except (HostError, _TryAgain) as error:
                    fault = gateway.fault = error
                    gateway.failed_at = time.monotonic()
                else:
                    gateway.fault = None
                    return gateway.link
        if isinstance(fault, _TryAgain):
            raise _TryAgain(Unreachable(host, str(fault.error))) from fault
        if isinstance(fault, HostError):
            raise type(fault)(host, str(fault)) from fault
        raise AssertionError(fault)

    def _open(
        self, name: str, place: Destination, before: _Gateway | None, deadline: _Deadline
    ) -> Link:
        """Reach a place and log in there."""
        self._check_open(name)
        way = self._way(name, place, before, deadline)
        with self._lock:
            self._ways[id(way)] = way
        link: Link | None = None
        try:
            if self._alarm.is_pulled:
                way.close()
                self._check_open(name)
            host_keys = self._host_keys(name, place)
            link = Link(
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
            raise _of_ssh(name, place, way, error) from error
        except (OSError, EOFError) as error:
            self._check_open(name)
            raise _of_ssh(name, place, way, error) from error
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

    def _keep(self, link: Link) -> None:
        """Remember a link for ``close``, and forget now and then those that ended."""
        self._links.append(link)
        self.connections += 1
        if len(self._links) > self._prune_at:
            self._links = [one for one in self._links if one.is_connected]
            self._prune_at = 2 * len(self._links) + 100

    def _way(
        self, name: str, place: Destination, before: _Gateway | None, deadline: _Deadline
    ) -> _Way:
        """Open something to talk over: a socket, a gateway's channel, or a command."""
        timeout_s = min(place.connect_timeout_s or self._connect_timeout_s, deadline.left_s())
        if before is not None:
            return _Way(self._channel(name, place, before, deadline))
        if place.proxy_command is not None:
            process = ProxyProcess(place.proxy_command)
            return _Way(process.sock, process)
        try:
            return _Way(
                dial(
                    place.hostname,
                    place.port,
                    timeout_s=timeout_s,
                    alarm=self._alarm,
                    family=place.family,
                )
            )
        except OSError as error:
            self._check_open(name)
            raise _of_dialing(name, place, error) from error

    def _channel(
        self, name: str, place: Destination, gateway: _Gateway, deadline: _Deadline
    ) -> paramiko.Channel:
        """Have a gateway connect to a place."""
        link = self._through(gateway, name, deadline)
        asked_at = time.monotonic()
        if not gateway.slots.take(_TURN_S):
            self._check_open(name)
            raise _TryAgain(Unreachable(name, f"gateway {gateway.place} is too busy"))
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
            raise _TryAgain(Unreachable(name, message)) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            self._check_open(name)
            message = f"gateway {gateway.place} did not reach {place} within {timeout_s:.0f} s"
            raise _TryAgain(Unreachable(name, message)) from error
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


def _of_dialing(name: str, place: Destination, error: OSError) -> Exception:
    """Turn what the network said into our own words; _TryAgain when it may pass."""
    match error:
        case socket.gaierror(errno=socket.EAI_AGAIN):
            reason = f"cannot look up the name {place.hostname} now: {error.strerror}"
        case socket.gaierror():
            return Unreachable(
                name,
                f"unknown name {place.hostname} ({error.strerror}); "
                "set ansible_host to its address, or mend the DNS",
            )
        case ConnectionRefusedError():
            reason = f"refused on {place}: does sshd run there and listen on this port?"
        case TimeoutError():
            reason = f"no answer from {place}: is it up, and does a firewall let port "
            reason += f"{place.port} through?"
        case _:
            reason = f"cannot reach {place}: {error.strerror or error}"
    return _TryAgain(Unreachable(name, reason))


def _of_ssh(name: str, place: Destination, way: _Way, error: Exception) -> Exception:
    """Turn a failed handshake into our own words; _TryAgain when it may pass."""
    said = str(error)
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return Unreachable(name, f"{place} has no algorithm in common with us: {said}")
    if "Indecipherable protocol" in said or "Invalid SSH banner" in said:
        return Unreachable(name, f"what listens on {place} does not speak SSH: {said[:200]}")
    if isinstance(error, paramiko.AuthenticationException):
        return AuthenticationFailed(name, f"{place.user}@{place}: {said}")
    if way.process is not None:
        words = way.process.last_words() or said or "it ended"
        return _TryAgain(Unreachable(name, f"ProxyCommand {way.process.command!r}: {words}"))
    if "No existing session" in said:
        said = f"no SSH handshake within {HANDSHAKE_TIMEOUT_S:.0f} s"
    elif isinstance(error, EOFError) or "banner" in said:
        said = "it hung up during the handshake (is it overloaded, or are logins limited?)"
    return _TryAgain(Unreachable(name, f"{place} was reached, but {said}"))


def _refusal(
    place: Destination,
    refused: list[str],
    problems: list[str],
    methods: list[str],
    goodbye: str,
) -> str:
    """Say why nobody could log in, and what to type next."""
    parts = [f"{place.user}@{place} let nobody in"]
    if methods and "publickey" not in methods:
        parts.append(f"it wants {', '.join(methods)}, botdeploy only logs in by keys")
    elif refused:
        parts.append(f"it refused {', '.join(refused)}")
    else:
        parts.append("there was no key to offer")
    if goodbye:
        parts.append(f"it said {goodbye!r}")
    parts.extend(problems)
    if goodbye and len(refused) > 1:
        parts.append("name the right key with ansible_ssh_private_key_file")
    else:
        parts.append(
            f"try: ssh -p {place.port} {place.user}@{place.hostname}; a key is put there by: "
            f"ssh-copy-id -p {place.port} {place.user}@{place.hostname}"
        )
    return "; ".join(parts)


def _shown(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {fingerprint(key.asbytes())}"


def _listed_as(place: Destination) -> str:
    """Give the name that known_hosts must have for the place."""
    if place.host_key_alias:
        return host_name(place.host_key_alias)
    return host_name(place.hostname, place.port)


def _unknown(place: Destination, key: paramiko.PKey, complaint: str) -> str:
    """Say which key nobody knows, how to compare it, and how to accept it."""
    file = shlex.quote(str(place.known_hosts[0])) if place.known_hosts else "~/.ssh/known_hosts"
    algorithm = key.get_name().removeprefix("ssh-").partition("-")[0]
    if place.jumps or place.proxy_command or place.host_key_alias:
        line = f"{_listed_as(place)} {key.get_name()} {key.get_base64()}"
        accept = f"echo {shlex.quote(line)} >> {file}"
    else:
        port = "" if place.port == 22 else f"-p {place.port} "  # noqa: PLR2004 # ssh's port
        host = shlex.quote(place.hostname)
        accept = f"ssh-keyscan {port}-t {algorithm} {host} >> {file}"
    note = f" ({complaint})" if complaint else ""
    return (
        f"the host key of {place} is not known: {_shown(key)}{note}; compare it on the host: "
        f"ssh-keygen -lf /etc/ssh/ssh_host_{algorithm}_key.pub; if it is the same, accept it: "
        f"{accept}"
    )


def _changed(place: Destination, known: tuple[KnownKey, ...], key: paramiko.PKey) -> str:
    """Say which key was known and which is shown, and how to forget the known one."""
    same_type = [one for one in known if one.key_type == key.get_name()] or list(known)
    old = same_type[0]
    return (
        f"THE HOST KEY OF {place} HAS CHANGED: it shows {_shown(key)}, but {old.place} says "
        f"{old.key_type} {old.fingerprint}; either the host was installed anew, or something "
        "stands in between; if you are sure that it was installed anew: "
        f"ssh-keygen -R {shlex.quote(_listed_as(place))} -f {shlex.quote(old.file)}"
    )
