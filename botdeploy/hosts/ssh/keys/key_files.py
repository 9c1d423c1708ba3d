"""The user's key files and certificates, and what is wrong with one that can't be used."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from botdeploy.hosts.ssh.keys.host_certificate import BadCertificate, FieldReader, plain_key

if TYPE_CHECKING:
    from pathlib import Path

    from paramiko import PKey

_MAGIC = b"openssh-key-v1\0"
#: How a file begins that holds a public key.
_PUBLIC = (b"ssh-", b"ecdsa-", b"sk-")

_NOT_OF_THIS_KIND = (ValueError, TypeError, IndexError, struct.error, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What one file gave: a key, or only its public half, or a fault."""

    key: PKey | None = None
    public_blob: bytes = b""
    problem: str = ""
    #: The certificate that lies beside it; empty where there is none.
    certificate: bytes = b""


def load(path: Path) -> KeyFile:
    """Read one private key file; what is wrong with it is given as text."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(256 * 1024)
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else error.strerror
        # An agent may hold the private half of which only the public one lies here.
        public, _ = _public_half(path, b"")
        return KeyFile(public_blob=public, problem=f"the key file {reason}")
    public, is_encrypted = _public_half(path, data)
    if data.lstrip().startswith(_PUBLIC):
        return KeyFile(
            public_blob=public,
            problem="not a private key: it is a public key, and no agent holds its private half; "
            "name the file without .pub, or add the key to an agent",
        )
    if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        return KeyFile(
            public_blob=public,
            problem=f"other users may read this key (mode {mode:04o}), ssh refuses it too; "
            f"type: chmod 600 {path}",
        )
    if is_encrypted:
        return KeyFile(
            public_blob=public,
            problem="the key is encrypted and no agent holds it; type: ssh-add "
            f"{path} (or name a key without a passphrase)",
        )
    key = _private_key(data)
    if key is None:
        problem = f"not a private key that ssh can use ({_kind(data)})"
        return KeyFile(public_blob=public, problem=problem)
    beside = read_certificate(path.with_name(f"{path.name}-cert.pub"))
    return KeyFile(
        key=key,
        public_blob=key.asbytes(),
        certificate=beside if isinstance(beside, bytes) else b"",
    )


def _private_key(data: bytes) -> PKey | None:
    """Read a private key of any type; None when it is none."""
    text = data.decode("ascii", "replace")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            key: PKey = kind.from_private_key(io.StringIO(text))
        except (*_NOT_OF_THIS_KIND, paramiko.SSHException):
            continue
        return key
    return None


def _kind(data: bytes) -> str:
    if not data.strip():
        return "the file is empty"
    first = data.lstrip().split(b"\n", 1)[0]
    if first.startswith(b"PuTTY-"):
        return "it is PuTTY's format; convert it with puttygen -O private-openssh"
    return "unknown or damaged format"


def _public_half(path: Path, data: bytes) -> tuple[bytes, bool]:
    """Give the public key of a private one without decrypting it, and whether that is needed."""
    text = data.decode("ascii", "replace")
    is_encrypted = "ENCRYPTED" in text[:1000]
    if "BEGIN OPENSSH PRIVATE KEY" in text:
        with contextlib.suppress(ValueError, BadCertificate):
            body = base64.b64decode(text.partition("-----\n")[2].partition("-----END")[0])
            reader = FieldReader(body.removeprefix(_MAGIC))
            cipher, _, _ = reader.string(), reader.string(), reader.string()
            is_encrypted = cipher != b"none"
            reader.number(4)  # how many keys
            if public := reader.string():
                return public, is_encrypted
    try:
        if not data.lstrip().startswith(_PUBLIC):
            text = path.with_name(f"{path.name}.pub").read_text("ascii", "replace")
        return base64.b64decode(text.split()[1]), is_encrypted
    except (OSError, ValueError, IndexError):
        return b"", is_encrypted


def read_certificate(path: Path) -> bytes | str:
    """Read a file of one certificate for users; what is wrong with it is given as text."""
    try:
        blob = base64.b64decode(path.read_text("ascii", "replace").split()[1])
        plain_key(blob)
    except OSError as error:
        return error.strerror or "cannot be read"
    except (ValueError, IndexError, BadCertificate):
        return "not a certificate"
    return blob
