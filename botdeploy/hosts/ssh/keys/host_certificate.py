"""Host certificates: whether an authority of known_hosts has signed a host's key.

The format is OpenSSH's PROTOCOL.certkeys; what is checked, and in which order, is what ssh does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
from paramiko.message import Message

from botdeploy.hosts.ssh.patterns import fits

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIX = "-cert-v01@openssh.com"
_HOST = 2

#: How many fields the public key itself has, by the type of key.
_KEY_FIELDS = {
    f"ssh-ed25519{_SUFFIX}": 1,
    f"ssh-rsa{_SUFFIX}": 2,
    f"ecdsa-sha2-nistp256{_SUFFIX}": 2,
    f"ecdsa-sha2-nistp384{_SUFFIX}": 2,
    f"ecdsa-sha2-nistp521{_SUFFIX}": 2,
}

#: The same for keys in hardware tokens, which users have and hosts don't.
_TOKEN_KEY_FIELDS = {
    f"sk-ssh-ed25519{_SUFFIX}": 2,
    f"sk-ecdsa-sha2-nistp256{_SUFFIX}": 3,
}


class BadCertificate(Exception):
    """A certificate that can't be read or does not prove the host's key; says why."""


@dataclass(frozen=True, slots=True)
class HostCertificate:
    """What a certificate says; times are in seconds since 1970, the end is not included."""

    kind: int
    key_id: str
    principals: tuple[str, ...]
    valid_after_s: int
    valid_before_s: int
    has_critical_options: bool
    authority: bytes
    signature: bytes
    signed: bytes

    @classmethod
    def parse(cls, blob: bytes) -> HostCertificate:
        """Read a certificate as it comes over the wire; raise BadCertificate for any other."""
        reader = FieldReader(blob)
        fields = _KEY_FIELDS.get(reader.text())
        if fields is None:
            raise BadCertificate("has an unknown type")
        for _ in range(1 + fields):  # the nonce, and the key
            reader.string()
        reader.number(8)  # the serial number
        kind = reader.number(4)
        key_id = reader.text()
        names = FieldReader(reader.string())
        principals = []
        while names.is_left:
            principals.append(names.text())
        valid_after_s, valid_before_s = reader.number(8), reader.number(8)
        critical = reader.string()
        reader.string()  # extensions, none of which are for hosts
        reader.string()  # reserved
        authority = reader.string()
        signed = blob[: reader.position]
        signature = reader.string()
        if reader.is_left:
            raise BadCertificate("is damaged")
        return cls(
            kind,
            key_id,
            tuple(principals),
            valid_after_s,
            valid_before_s,
            bool(critical),
            authority,
            signature,
            signed,
        )

    def check(self, hostname: str, now_s: float, authorities: Iterable[bytes]) -> None:
        """Return when one of the authorities has signed this for the host; else BadCertificate."""
        if self.authority not in set(authorities):
            raise BadCertificate(
                "is signed by an authority that known_hosts does not list for this host"
            )
        if self.kind != _HOST:
            raise BadCertificate("is not for hosts")
        if not self.valid_after_s <= now_s < self.valid_before_s:
            raise BadCertificate("is not valid at this time")
        name = hostname.lower()
        if self.principals and not any(fits(one.lower(), name) for one in self.principals):
            raise BadCertificate(f"is for {', '.join(self.principals)}, not for {hostname}")
        if self.has_critical_options:
            raise BadCertificate("has critical options, which botdeploy does not support")
        if not self._is_signed():
            raise BadCertificate("has a wrong signature")

    def _is_signed(self) -> bool:
        reader = FieldReader(self.signature)
        reader.text()
        reader.string()
        if reader.is_left:  # paramiko reads ssh's fields leniently.
            return False
        try:
            kind = Message(self.authority).get_text()
            key = paramiko.PKey.from_type_string(kind, self.authority)
            return bool(key.verify_ssh_sig(self.signed, Message(self.signature)))
        except Exception:  # noqa: BLE001 # whatever paramiko trips over, it is no signature
            return False


def plain_key(certificate: bytes) -> bytes:
    """Give the public key that a certificate is for; raise BadCertificate for anything else."""
    reader = FieldReader(certificate)
    kind = reader.text()
    fields = {**_KEY_FIELDS, **_TOKEN_KEY_FIELDS}.get(kind)
    if fields is None:
        raise BadCertificate("has an unknown type")
    plain = kind.replace("-cert-v01", "") if kind.startswith("sk-") else kind.removesuffix(_SUFFIX)
    reader.string()  # the nonce
    parts = [plain.encode(), *(reader.string() for _ in range(fields))]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def certificate_types(key_types: Iterable[str]) -> tuple[str, ...]:
    """Name the algorithms to ask a host for, so that it shows its certificates."""
    return tuple(f"{kind}{_SUFFIX}" for kind in key_types)


class FieldReader:
    """Reads ssh's fields from bytes; raises BadCertificate when they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def is_left(self) -> bool:
        """Whether anything is left."""
        return self.position < len(self._data)

    def number(self, size: int) -> int:
        """Read a number of so many bytes."""
        return int.from_bytes(self._take(size))

    def string(self) -> bytes:
        """Read a string with its length before it."""
        (size,) = struct.unpack(">I", self._take(4))
        return self._take(size)

    def text(self) -> str:
        """Read a string that is UTF-8."""
        try:
            return self.string().decode()
        except UnicodeDecodeError:
            raise BadCertificate("is damaged") from None

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._data):
            raise BadCertificate("is damaged")
        part = self._data[self.position : end]
        self.position = end
        return part
