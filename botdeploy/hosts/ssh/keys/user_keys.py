"""The user's keys: loaded once, offered in a fixed order, shared by all connections."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.agent import AgentSSH
from paramiko.message import Message
from paramiko.pkey import PublicBlob

from botdeploy.hosts.ssh.keys import key_files
from botdeploy.hosts.ssh.keys.host_certificate import BadCertificate, plain_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from paramiko import PKey
    from paramiko.agent import AgentKey

    from botdeploy.hosts.ssh.config.ssh_config import Destination
    from botdeploy.hosts.ssh.keys.key_files import KeyFile

#: An agent may have to ask its user; an unattended run must not wait for ever.
_AGENT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A key to log in with, and what to call it in messages."""

    name: str
    key: PKey


class KeyProblem(Exception):
    """A key file that can't be used, with what is wrong and what to do about it."""


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


class _Certified(paramiko.PKey):
    """A key that is offered by its certificate."""

    def __init__(self, signer: PKey, certificate: bytes, comment: str = "") -> None:
        self.public_blob = PublicBlob.from_message(Message(certificate))
        self.comment = comment
        self._certificate = certificate
        self._signer = signer

    def asbytes(self) -> bytes:
        return self._certificate

    def get_name(self) -> str:
        return self._signer.get_name()

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Any:
        return self._signer.sign_ssh_data(data, algorithm)


@dataclass(slots=True)
class _Offers:
    """What one host is offered: each key once, by the halves that files and the agent have."""

    agent: dict[bytes, PKey]
    files: dict[Path, KeyFile]
    offered: set[bytes] = field(default_factory=set)

    def fresh(self, name: str, key: PKey) -> Iterator[Offer]:
        """Give a key that was not offered yet."""
        blob = key.asbytes()
        if blob not in self.offered:
            self.offered.add(blob)
            yield Offer(name, key)

    def of_file(self, path: Path, *, with_certificate: bool) -> Iterator[Offer]:
        """Give what stands for one key file: its certificate, then itself."""
        file = self.files[path]
        held = self.agent.get(file.public_blob)
        key = file.key or held
        if key is None:
            return
        if with_certificate and file.certificate:
            yield from self.fresh(f"{path}-cert.pub", _Certified(key, file.certificate))
        yield from self.fresh(str(path) if file.key else f"{path} (agent)", key)

    def of_certificate(self, path: Path, certificate: bytes) -> Iterator[Offer]:
        """Give a certificate with its private key, wherever that is; nothing where it is not."""
        plain = plain_key(certificate)
        key = next(
            (file.key for file in self.files.values() if file.key and file.public_blob == plain),
            self.agent.get(plain) or self.agent.get(certificate),
        )
        if key is not None:
            yield from self.fresh(str(path), _Certified(key, certificate))


class UserKeys:
    """All keys of one command run; thread-safe, each file and agent is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, KeyFile] = {}
        self._certificates: dict[Path, bytes | str] = {}
        self._agents: dict[Path, _Agent | None] = {}

    def offers(self, place: Destination, problems: list[str]) -> Iterator[Offer]:
        """Give the keys to try, best first; append to ``problems`` what could not be tried.

        The order is: certificates that are named, the inventory's key files, key files that ssh's
        config names, default ones that the agent holds too, the agent's others, other default
        ones. (ssh has the agent's others before key files that the agent does not hold; a host
        takes six tries, and what a person named is likelier.) Raises KeyProblem for a key file of
        the inventory that does not exist or can't be read.
        """
        paths = (*place.required_identities, *place.identities)
        offers = _Offers(
            self._agent_keys(place.agent, problems), {path: self._file(path) for path in paths}
        )
        for path in place.certificates:
            certificate = self._certificate(path)
            if isinstance(certificate, str):
                problems.append(f"{path}: {certificate}")
                continue
            found = tuple(offers.of_certificate(path, certificate))
            if not found:
                problems.append(
                    f"{path}: its private key is neither in a key file nor in the agent"
                )
            yield from found
        with_own = not place.certificates  # as in ssh
        for path in place.required_identities:
            usable = offers.files[path].key or offers.agent.get(offers.files[path].public_blob)
            if usable is None:
                raise KeyProblem(f"{path}: {offers.files[path].problem}")
            yield from offers.of_file(path, with_certificate=with_own)
        for path in place.identities:
            file = offers.files[path]
            if file.public_blob in offers.agent or not place.has_default_identities:
                yield from offers.of_file(path, with_certificate=with_own)
        for key in offers.agent.values() if not place.identities_only else ():
            name = f"agent key {getattr(key, 'comment', '')}".rstrip()
            yield from offers.fresh(name, key)
        for path in place.identities:
            yield from offers.of_file(path, with_certificate=with_own)
            file = offers.files[path]
            if file.key is None and file.public_blob not in offers.agent and path.exists():
                problems.append(f"{path}: {file.problem}")

    def close(self) -> None:
        """Close the connections to agents."""
        with self._lock:
            for agent in self._agents.values():
                if agent is not None:
                    agent._close()  # type: ignore[attr-defined] # noqa: SLF001
            self._agents.clear()

    def _file(self, path: Path) -> KeyFile:
        with self._lock:
            if path not in self._files:
                self._files[path] = key_files.load(path)
            return self._files[path]

    def _certificate(self, path: Path) -> bytes | str:
        """Read a certificate; what is wrong with it is given as text."""
        with self._lock:
            if path not in self._certificates:
                self._certificates[path] = key_files.read_certificate(path)
            return self._certificates[path]

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
        keys = {key.blob: key for key in (agent.get_keys() if agent is not None else ())}
        return {blob: _from_agent(blob, key, keys) for blob, key in keys.items()}


def _from_agent(blob: bytes, key: AgentKey, keys: Mapping[bytes, AgentKey]) -> PKey:
    """Give an agent's key as it is offered: a certificate is signed for by its own key."""
    try:
        plain = plain_key(blob)
    except BadCertificate:
        return key
    # Without it the agent is asked by the certificate's own bytes, which is what it holds.
    key.inner_key = None  # type: ignore[attr-defined]
    return _Certified(keys.get(plain, key), blob, f"{key.comment} (certificate)")
