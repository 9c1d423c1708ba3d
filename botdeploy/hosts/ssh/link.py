"""One SSH link: Fabric's connection, opened our way."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.auth_strategy import (
    AuthResult,
    AuthSource,
    AuthStrategy,
    InMemoryPrivateKey,
    SourceResult,
)

from botdeploy.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    HostKeyUnknown,
    Unreachable,
)
from botdeploy.hosts.ssh import ssh_errors
from botdeploy.hosts.ssh.fabric_import import fabric
from botdeploy.hosts.ssh.host_certificate import BadCertificate, HostCertificate, certificate_types
from botdeploy.hosts.ssh.known_hosts import HostKeys, KeyStatus, revoked_keys
from botdeploy.hosts.ssh.transport import HOST_KEY_TYPES, Transport, shut
from botdeploy.hosts.ssh.user_keys import KeyProblem, UserKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.hosts.ssh.proxy_command import ProxyProcess
    from botdeploy.hosts.ssh.ssh_config import Destination

#: For the handshake and for logging in, each.
HANDSHAKE_TIMEOUT_S = 15.0

#: sshd hangs up at the sixth refusal, or earlier (MaxAuthTries).
_REFUSALS = 2


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


class _StrictPolicy(paramiko.MissingHostKeyPolicy):
    """Asks known_hosts about every key; Fabric's own policy accepts whatever comes."""

    def __init__(self, link: SshLink) -> None:
        self._link = link

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Return when the key is known; raise HostKeyUnknown or HostKeyChanged else."""
        del client, hostname
        self._link.check_host_key(key)


class _KeysOnly(AuthStrategy):
    """Offers the user's keys in their order and says in the end what was refused."""

    def __init__(self, link: SshLink) -> None:
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
                        raise _no_answer(transport) from error
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
            if self._needs_no_key(transport, refused, methods):
                return result
        except KeyProblem as problem:
            raise AuthenticationFailed(link.name, str(problem)) from None
        if not transport.is_active() and not transport.goodbye and len(refused) <= 1:
            # Nobody said no: the connection was lost while logging in.
            raise EOFError("the connection ended while logging in")
        raise AuthenticationFailed(
            link.name, ssh_errors.refusal(place, refused, problems, methods, transport.goodbye)
        )

    def _needs_no_key(self, transport: Any, refused: list[str], methods: list[str]) -> bool:
        """Ask last whether the host lets the user in as he is, as the ssh of mesh VPNs does.

        ssh asks first, which costs a round trip each time. Not after several refusals: the host
        would hang up and say that it was asked too often. ``methods`` learns what the host takes.
        """
        if not transport.is_active() or methods or len(refused) >= _REFUSALS:
            return False
        try:
            transport.auth_none(self._link.place.user)
        except paramiko.BadAuthenticationType as error:
            methods.extend(error.allowed_types)
        except paramiko.AuthenticationException as error:
            if "timeout" in str(error):
                raise _no_answer(transport) from error
        except (paramiko.SSHException, EOFError, OSError):
            if not refused:
                raise
        else:
            return bool(transport.is_authenticated())
        return False


def _no_answer(transport: Any) -> TimeoutError:
    banner = transport.get_banner() or b""
    said = " ".join(banner.decode("utf-8", "replace").split())[-300:]
    asks = f"; it said {said!r}" if said else ""
    return TimeoutError(f"it did not answer the login within {HANDSHAKE_TIMEOUT_S:.0f} s{asks}")


class SshLink(fabric.Connection):  # type: ignore[misc] # Fabric has no types
    """Fabric's connection with our own way in: strict keys, tuned socket, no surprises.

    Stock Fabric accepts unknown host keys, opens a gateway per host, leaks a thread for each
    refused login, and quietly reconnects in ``run`` after a loss.
    """

    #: None until it is open.
    transport: Transport

    def __init__(
        self,
        *,
        name: str,
        place: Destination,
        host_keys: HostKeys,
        keys: UserKeys,
        way: Route,
        config: fabric.Config,
    ) -> None:
        super().__init__(
            host=place.hostname,
            user=place.user,
            port=place.port,
            config=config,
            forward_agent=False,
        )
        self.name = name
        self.place = place
        self.host_keys = host_keys
        self.keys = keys
        self._way = way
        self._was_opened = False
        #: What the host said before it spoke ssh, when it hung up then.
        self.preamble: tuple[str, ...] = ()
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
        self.connect_kwargs = {
            "sock": self._way.sock,
            "transport_factory": self._transport_over,
            "auth_strategy": _KeysOnly(self),
            "timeout": HANDSHAKE_TIMEOUT_S,
            "banner_timeout": HANDSHAKE_TIMEOUT_S,
            "auth_timeout": HANDSHAKE_TIMEOUT_S,
            "channel_timeout": HANDSHAKE_TIMEOUT_S,
        }
        try:
            super().open()
        except BaseException:
            transport = self.client.get_transport()
            if transport is not None:
                self.preamble = transport.preamble
            self.close()
            raise
        self.transport.watch_over()

    def _transport_over(self, sock: Any, **_: Any) -> Transport:
        """Make the transport; what else paramiko hands over has its default there."""
        key_types = self.host_keys.key_types
        if self.host_keys.authorities:
            key_types = (*certificate_types(HOST_KEY_TYPES), *key_types)
        transport = Transport(sock, key_types=key_types)
        transport.handshake_timeout = HANDSHAKE_TIMEOUT_S
        return transport

    def close(self) -> None:
        """End the connection, its thread and its way; harmless to repeat, from any thread."""
        super().close()
        self.client.close()
        if self.transport is not None:
            self.transport.close()
        self._way.close()

    def _check_list(self, key: paramiko.PKey) -> None:
        """Raise HostKeyChanged for a key that RevokedHostKeys lists, or where it can't be read."""
        file = self.place.revoked_host_keys
        if file is None:
            return
        shown = [key.asbytes()]
        if key.public_blob is not None:
            with contextlib.suppress(BadCertificate):  # Then it vouches for nothing anyway.
                shown.append(HostCertificate.parse(key.public_blob.key_blob).authority)
        try:
            is_listed = any(blob in revoked_keys(file) for blob in shown)
        except (OSError, ValueError) as error:
            raise HostKeyChanged(
                self.name,
                f"RevokedHostKeys {file} can't be read ({error}), and without it ssh trusts no "
                "key either; botdeploy reads lists of public keys, no KRL",
            ) from error
        if is_listed:
            raise HostKeyChanged(
                self.name,
                f"{self.place} shows a key that {file} marks as revoked ({ssh_errors.shown(key)}); "
                "do not connect until the host has a new one",
            )

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
        self._check_list(key)
        complaint = self._complaint(key)
        if complaint is None:
            return
        finding = self.host_keys.judge(key.asbytes())
        match finding.standing:
            case KeyStatus.KNOWN:
                return
            case KeyStatus.UNKNOWN:
                raise HostKeyUnknown(self.name, ssh_errors.unknown(self.place, key, complaint))
            case KeyStatus.REVOKED:
                raise HostKeyChanged(
                    self.name,
                    f"{self.place} shows a key that {finding.because[0].place} marks as revoked "
                    f"({ssh_errors.shown(key)}); do not connect until the host has a new one",
                )
            case KeyStatus.CHANGED:
                raise HostKeyChanged(
                    self.name, ssh_errors.changed(self.place, finding.because, key)
                )
