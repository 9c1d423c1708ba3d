"""Whether a host may show its key: by known_hosts, authorities and lists of revoked keys."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import paramiko

from botdeploy.errors import HostKeyChanged, HostKeyUnknown
from botdeploy.hosts.ssh import ssh_errors
from botdeploy.hosts.ssh.channels.transport import HOST_KEY_TYPES
from botdeploy.hosts.ssh.keys.host_certificate import (
    BadCertificate,
    HostCertificate,
    certificate_types,
)
from botdeploy.hosts.ssh.keys.known_hosts import HostKeys, KeyStatus, revoked_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.hosts.ssh.config.ssh_config import Destination


class HostKeyPolicy(paramiko.MissingHostKeyPolicy):
    """Compares every key with known_hosts; Fabric's own policy accepts any key."""

    def __init__(
        self, name: str, place: Destination, host_keys: HostKeys, now_s: Callable[[], float]
    ) -> None:
        """Take a name for messages, what known_hosts says, and a clock in seconds since 1970."""
        self._name = name
        self._place = place
        self._host_keys = host_keys
        self._now_s = now_s

    @property
    def key_types(self) -> tuple[str, ...]:
        """The types of key to ask the host for, the best first."""
        known = self._host_keys.key_types
        certified = certificate_types(HOST_KEY_TYPES) if self._host_keys.authorities else ()
        return (*certified, *known)

    def _check_revoked(self, key: paramiko.PKey) -> None:
        """Raise HostKeyChanged for a key that RevokedHostKeys lists, or where it can't be read."""
        file = self._place.revoked_host_keys
        if file is None:
            return
        shown = [key.asbytes()]
        if key.public_blob is not None:
            with contextlib.suppress(BadCertificate):  # Then it proves nothing anyway.
                shown.append(HostCertificate.parse(key.public_blob.key_blob).authority)
        try:
            is_listed = any(blob in revoked_keys(file) for blob in shown)
        except (OSError, ValueError) as error:
            raise HostKeyChanged(
                self._name,
                f"RevokedHostKeys {file} cannot be read ({error}), so no host key is trusted, as "
                "with ssh; botdeploy reads lists of public keys, not a KRL",
            ) from error
        if is_listed:
            raise HostKeyChanged(self._name, ssh_errors.revoked(self._place, key, str(file)))

    def _certificate_problem(self, key: paramiko.PKey) -> str | None:
        """Say why no certificate proves the key; None when one does, empty without authorities."""
        authorities = self._host_keys.authorities
        if not authorities:
            return ""
        listed = f"{authorities[0].place} lists a certificate authority for it, but "
        if key.public_blob is None:
            return f"{listed}the host has no certificate"
        name = self._place.host_key_alias or self._place.hostname
        try:
            certificate = HostCertificate.parse(key.public_blob.key_blob)
            for blob in (certificate.authority, key.asbytes()):
                if (line := self._host_keys.is_revoked(blob)) is not None:
                    raise BadCertificate(f"is revoked in {line.place}")  # noqa: TRY301
            certificate.check(name, self._now_s(), (one.blob for one in authorities))
        except BadCertificate as error:
            return f"{listed}its certificate {error}"
        return None

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Return when known_hosts has the key; raise HostKeyUnknown or HostKeyChanged else."""
        del client, hostname
        self._check_revoked(key)
        problem = self._certificate_problem(key)
        if problem is None:
            return
        finding = self._host_keys.judge(key.asbytes())
        match finding.status:
            case KeyStatus.KNOWN:
                return
            case KeyStatus.UNKNOWN:
                raise HostKeyUnknown(self._name, ssh_errors.unknown(self._place, key, problem))
            case KeyStatus.REVOKED:
                message = ssh_errors.revoked(self._place, key, finding.because[0].place)
            case KeyStatus.CHANGED:
                message = ssh_errors.changed(self._place, finding.because, key)
        raise HostKeyChanged(self._name, message)
