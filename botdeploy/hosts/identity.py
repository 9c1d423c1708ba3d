"""The user's keys: loaded once, offered in a fixed order, shared by all connections."""

from __future__ import annotations

import base64
import os
import socket
import stat
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.agent import AgentSSH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paramiko import PKey

    from botdeploy.hosts.sshconfig import Destination

#: An agent may have to ask its user; a machine that nobody sits at must not wait for ever.
_AGENT_TIMEOUT_S = 60.0

_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True, slots=True)
class Offer:
    """A key to log in with, and what to call it in messages."""

    name: str
    key: PKey


class KeyProblem(Exception):
    """A key file that can't be used, with what is wrong and what to do about it."""


@dataclass(frozen=True, slots=True)
class _KeyFile:
    """What one file gave: a key, or only its public half, or a fault."""

    key: PKey | None = None
    public_blob: bytes = b""
    problem: str = ""


class _Agent(AgentSSH):
    """A connection to an ssh agent that several threads may use."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._lock = threading.Lock()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_AGENT_TIMEOUT_S)
        try:
            sock.connect(str(path))
            self._connect(sock)  # type: ignore[attr-defined]
        except BaseException:
            sock.close()
            raise

    def _send_message(self, message: Any) -> Any:
        with self._lock:
            return super()._send_message(message)  # type: ignore[misc]


class Keys:
    """All keys of one command run; thread-safe, each file and agent is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, _KeyFile] = {}
        self._agents: dict[Path, _Agent | None] = {}

    def offers(self, place: Destination, problems: list[str]) -> Iterator[Offer]:
        """Give the keys to try, best first; append to ``problems`` what could not be tried.

        The order is: the inventory's key files, the agent's keys, then key files of ssh's
        config or its defaults. Raises KeyProblem for a key file of the inventory that does
        not exist or can't be read.
        """
        agent_keys = self._agent_keys(place.agent, problems)
        offered: set[bytes] = set()

        def fresh(offer: Offer) -> bool:
            blob = _blob(offer.key)
            is_fresh = blob not in offered
            offered.add(blob)
            return is_fresh

        def from_files(paths: tuple[Path, ...], *, required: bool) -> Iterator[Offer]:
            for path in paths:
                file = self._file(path)
                in_agent = agent_keys.get(file.public_blob)
                if file.key is not None:
                    yield Offer(str(path), file.key)
                elif in_agent is not None:
                    yield Offer(f"{path} (agent)", in_agent)
                elif required:
                    raise KeyProblem(f"{path}: {file.problem}")
                elif path.exists():
                    problems.append(f"{path}: {file.problem}")

        yield from filter(fresh, from_files(place.required_identities, required=True))
        if not place.identities_only:
            for key in agent_keys.values():
                offer = Offer(f"agent key {getattr(key, 'comment', '')}".rstrip(), key)
                if fresh(offer):
                    yield offer
        yield from filter(fresh, from_files(place.identities, required=False))

    def close(self) -> None:
        """Let go of the agents."""
        with self._lock:
            for agent in self._agents.values():
                if agent is not None:
                    agent._close()  # type: ignore[attr-defined] # noqa: SLF001
            self._agents.clear()

    def _file(self, path: Path) -> _KeyFile:
        with self._lock:
            found = self._files.get(path)
            if found is None:
                found = self._files[path] = _load(path)
            return found

    def _agent_keys(self, path: Path | None, problems: list[str]) -> dict[bytes, PKey]:
        if path is None:
            return {}
        with self._lock:
            if path not in self._agents:
                try:
                    self._agents[path] = _Agent(path)
                except (OSError, paramiko.SSHException) as error:
                    self._agents[path] = None
                    problems.append(f"ssh agent {path}: {error}")
            agent = self._agents[path]
        keys = agent.get_keys() if agent is not None else ()
        return {key.asbytes(): key for key in keys}


def _blob(key: PKey) -> bytes:
    certificate = getattr(key, "public_blob", None)
    return certificate.key_blob if certificate is not None else key.asbytes()


def _load(path: Path) -> _KeyFile:
    """Read one private key file; what is wrong with it becomes a sentence."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(256 * 1024)
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else error.strerror
        # An agent may hold the private half of which only the public one lies here.
        public, _ = _public_half(path, b"")
        return _KeyFile(public_blob=public, problem=f"the key file {reason}")
    public, is_encrypted = _public_half(path, data)
    if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        return _KeyFile(
            public_blob=public,
            problem=f"others may read this key (mode {mode:04o}), ssh would refuse it too; "
            f"type: chmod 600 {path}",
        )
    if is_encrypted:
        return _KeyFile(
            public_blob=public,
            problem="the key is encrypted and no agent holds it; type: ssh-add "
            f"{path} (or name a key without a passphrase)",
        )
    try:
        key = paramiko.PKey.from_path(path)
    except (
        ValueError,
        TypeError,
        IndexError,
        struct.error,
        OSError,
        UnsupportedAlgorithm,
        paramiko.SSHException,
        paramiko.pkey.UnknownKeyType,
    ):
        return _KeyFile(
            public_blob=public, problem=f"not a private key that ssh can use ({_kind(data)})"
        )
    return _KeyFile(key=key, public_blob=key.asbytes())


def _kind(data: bytes) -> str:
    if not data.strip():
        return "the file is empty"
    first = data.lstrip().split(b"\n", 1)[0]
    if first.startswith((b"ssh-", b"ecdsa-")):
        return "it is a public key; name the file without .pub"
    if first.startswith(b"PuTTY-"):
        return "it is PuTTY's format; convert it with puttygen -O private-openssh"
    return "unknown or damaged format"


def _public_half(path: Path, data: bytes) -> tuple[bytes, bool]:
    """Give the public key of a private one without decrypting it, and whether that is needed."""
    text = data.decode("ascii", "replace")
    is_encrypted = "ENCRYPTED" in text[:1000]
    public = b""
    if "BEGIN OPENSSH PRIVATE KEY" in text:
        body = text.partition("-----\n")[2].partition("-----END")[0]
        try:
            raw = base64.b64decode(body)
            fields = _strings(raw.removeprefix(_MAGIC))
            cipher, _, _ = next(fields), next(fields), next(fields)
            is_encrypted = cipher != b"none"
            public = next(_strings(raw.removeprefix(_MAGIC), skip=3, gap=4))
        except (ValueError, struct.error, StopIteration):
            public = b""
    if not public:
        try:
            public = base64.b64decode(path.with_name(f"{path.name}.pub").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            public = b""
    return public, is_encrypted


def _strings(data: bytes, skip: int = 0, gap: int = 0) -> Iterator[bytes]:
    """Give the length-prefixed strings of ssh's formats, after some of them and a gap."""
    position = 0
    index = 0
    while position < len(data):
        if index == skip and skip:
            position += gap
        (size,) = struct.unpack_from(">I", data, position)
        position += 4
        if index >= skip:
            yield data[position : position + size]
        position += size
        index += 1
