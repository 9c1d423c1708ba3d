"""known_hosts files, read once and quickly: which keys a host may show."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from botdeploy.hosts.ssh.patterns import in_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_DEFAULT_PORT = 22


class Marker(Enum):
    """What a line's key may be used for."""

    PLAIN = ""
    REVOKED = "@revoked"
    AUTHORITY = "@cert-authority"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known_hosts file: a key, and where it stands."""

    marker: Marker
    key_type: str
    text: str
    file: str
    line: int

    @property
    def blob(self) -> bytes:
        """The key as it goes over the wire; empty when the line is not valid base64."""
        try:
            return base64.b64decode(self.text)
        except (binascii.Error, ValueError):
            return b""

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint as ssh prints it."""
        return fingerprint(self.blob)

    @property
    def place(self) -> str:
        """Where it stands, as ``file:line``."""
        return f"{self.file}:{self.line}"


class KeyStatus(Enum):
    """What known_hosts says about a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Finding:
    """How a shown key stands, and the lines that say so."""

    status: KeyStatus
    because: tuple[KnownKey, ...] = ()


def fingerprint(blob: bytes) -> str:
    """Give a key's fingerprint as ssh prints it: ``SHA256:`` and base64 without padding."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def host_name(hostname: str, port: int = _DEFAULT_PORT) -> str:
    """Give the name under which known_hosts lists a host: ``name`` or ``[name]:port``."""
    name = hostname.lower()
    return name if port == _DEFAULT_PORT else f"[{name}]:{port}"


class KnownHosts:
    """The keys of some known_hosts files, found by name in constant time where possible."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[KnownKey]] = {}
        #: Salt, digest and key of each hashed name.
        self._hashed: list[tuple[bytes, bytes, KnownKey]] = []
        self._patterns: list[tuple[str, KnownKey]] = []

    @classmethod
    def read(cls, files: Iterable[Path]) -> KnownHosts:
        """Read files in the order in which they count; one that does not exist has no keys.

        Raises OSError for one that exists and can't be read: missing a revoked key because of
        that would be worse than stopping.
        """
        known = cls()
        for file in files:
            try:
                text = file.read_text(encoding="utf-8", errors="surrogateescape")
            except (FileNotFoundError, NotADirectoryError):
                continue
            known.add(text, str(file))
        return known

    def add(self, text: str, file: str) -> None:
        """Add the lines of one file; what is no valid line is passed over, as ssh does."""
        for number, line in enumerate(text.split("\n"), start=1):
            fields = line.split(None, 4)
            if not fields or fields[0].startswith("#"):
                continue
            marker = Marker.PLAIN
            if fields[0].startswith("@"):
                try:
                    marker = Marker(fields.pop(0).lower())
                except ValueError:
                    continue
            if len(fields) < 3:  # noqa: PLR2004 # names, type, key
                continue
            names, key_type, key_text = fields[:3]
            self._add(names, KnownKey(marker, key_type, key_text, file, number))

    def _add(self, names: str, key: KnownKey) -> None:
        if names.startswith("|"):
            parts = names.split("|")
            if len(parts) == 4 and parts[1] == "1":  # noqa: PLR2004 # '', 1, salt, digest
                try:
                    salt = base64.b64decode(parts[2], validate=True)
                    digest = base64.b64decode(parts[3], validate=True)
                except (binascii.Error, ValueError):
                    return
                self._hashed.append((salt, digest, key))
            return
        names = names.lower()
        if any(sign in names for sign in "*?!"):
            self._patterns.append((names, key))
            return
        for name in names.split(","):
            if name:
                self._by_name.setdefault(name, []).append(key)

    def keys_of(self, name: str) -> tuple[KnownKey, ...]:
        """Give all keys listed for a name (see ``host_name``), in no particular order."""
        name = name.lower()
        found = list(self._by_name.get(name, ()))
        if self._hashed:
            wire = name.encode("utf-8", "surrogateescape")
            found.extend(
                key
                for salt, digest, key in self._hashed
                if hmac.digest(salt, wire, "sha1") == digest
            )
        found.extend(key for names, key in self._patterns if in_list(names, name))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class HostKeys:
    """What known_hosts says about one host: by its name with port, and without it.

    Without the port a key is only taken as a match and never as a contradiction, as in ssh.
    """

    keys: tuple[KnownKey, ...]
    without_port: tuple[KnownKey, ...] = ()

    @classmethod
    def of(cls, known: KnownHosts, name: str, name_without_port: str | None = None) -> HostKeys:
        """Look a host up; ``name_without_port`` is for hosts that listen elsewhere than on 22."""
        other = name_without_port not in (None, name)
        return cls(known.keys_of(name), known.keys_of(name_without_port or "") if other else ())

    @property
    def key_types(self) -> tuple[str, ...]:
        """The types that the host is known by, as signature algorithms to ask it for."""
        usable = [
            key.key_type for key in (self.keys or self.without_port) if key.marker is Marker.PLAIN
        ]
        names: list[str] = []
        for kind in dict.fromkeys(usable):
            names.extend(("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))
        return tuple(names)

    @property
    def authorities(self) -> tuple[KnownKey, ...]:
        """The certificate authorities that may sign the host's key."""
        return _with(Marker.AUTHORITY, self.keys or self.without_port)

    def is_revoked(self, blob: bytes) -> KnownKey | None:
        """Give the line that revokes a key, if there is one."""
        revoked = _with(Marker.REVOKED, (*self.keys, *self.without_port))
        return next((key for key in revoked if key.blob == blob), None)

    def judge(self, blob: bytes) -> Finding:
        """Say how a key stands that the host shows and has proven to hold."""
        if (line := self.is_revoked(blob)) is not None:
            return Finding(KeyStatus.REVOKED, (line,))
        plain = _with(Marker.PLAIN, self.keys)
        candidates = plain or _with(Marker.PLAIN, self.without_port)
        if hit := tuple(key for key in candidates if key.blob == blob):
            return Finding(KeyStatus.KNOWN, hit)
        if plain:
            return Finding(KeyStatus.CHANGED, plain)
        return Finding(KeyStatus.UNKNOWN)


def _with(marker: Marker, keys: Sequence[KnownKey]) -> tuple[KnownKey, ...]:
    return tuple(key for key in keys if key.marker is marker)


def revoked_keys(file: Path) -> frozenset[bytes]:
    """Read a list of revoked public keys, one a line.

    Raises OSError where it can't be read, and ValueError for a line that is none (and for a KRL).
    """
    found = set()
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(b"#"):
            continue
        if len(fields) < 2:  # noqa: PLR2004 # type, key
            raise ValueError(f"line {number} is no public key")
        found.add(base64.b64decode(fields[1], validate=True))
    return frozenset(found)
