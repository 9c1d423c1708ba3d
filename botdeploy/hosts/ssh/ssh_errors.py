"""Messages for connections that failed: what happened, where, and what to type next."""

from __future__ import annotations

import os
import shlex
import socket
from typing import TYPE_CHECKING

import paramiko

from botdeploy.errors import AuthenticationFailed, HostError, Unreachable
from botdeploy.hosts.ssh.keys.known_hosts import KnownKey, fingerprint, host_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.hosts.ssh.config.ssh_config import Destination
    from botdeploy.hosts.ssh.proxy_command import ProxyProcess


#: What sshd says to an address that it blocks (OpenSSH 9.8 and later).
_PENALISED = "Not allowed at this time"


class TryAgain(Exception):
    """Connecting failed in a way that may be over in a moment."""

    def __init__(self, error: HostError) -> None:
        super().__init__(str(error))
        self.error = error


def of_dialing(name: str, place: Destination, error: OSError) -> Exception:
    """Give the error for a failed TCP connection; TryAgain when it may succeed later."""
    match error:
        case socket.gaierror(errno=socket.EAI_AGAIN):
            reason = f"cannot look up the name {place.hostname} now ({error.strerror}): "
            reason += "check the DNS of this machine"
        case socket.gaierror():
            return Unreachable(
                name,
                f"unknown name {place.hostname} ({error.strerror}); "
                "set ansible_host to its address, or correct the DNS",
            )
        case ConnectionRefusedError():
            reason = f"connection refused by {place}: check that sshd runs there on this port"
        case TimeoutError():
            reason = f"no answer from {place}: check that the host is up and that no firewall "
            reason += f"blocks port {place.port}"
        case _:
            reason = f"cannot reach {place}: {error.strerror or error}"
    return TryAgain(Unreachable(name, reason))


def of_ssh(
    name: str,
    place: Destination,
    error: Exception,
    *,
    proxy: ProxyProcess | None,
    limit_s: float,
    preamble: Sequence[str] = (),
) -> Exception:
    """Give the error for a failed handshake; TryAgain when it may succeed later.

    ``preamble`` is what the host sent before the SSH protocol began.
    """
    said = str(error)
    last = next((line for line in reversed(preamble) if line), "")
    if last.startswith(_PENALISED):
        # Each further try may prolong the penalty.
        return AuthenticationFailed(
            name,
            f"{place} closed the connection and said {last!r}: its sshd blocks the address of "
            "this machine for a while, because of failed logins (PerSourcePenalties). There was "
            f"no further try. Find out why the login fails (ssh -v -p {place.port} "
            f"{place.user}@{place.hostname}), then wait a minute; or add this machine's address to "
            "PerSourcePenaltyExemptList in the host's sshd_config",
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return Unreachable(name, f"{place} and botdeploy have no algorithm in common: {said}")
    if "Indecipherable protocol" in said or "Invalid SSH banner" in said:
        return Unreachable(
            name, f"the service on {place} is not SSH (check the port): {said[:200]}"
        )
    if isinstance(error, paramiko.AuthenticationException):
        return AuthenticationFailed(name, f"authentication failed for {place.user}@{place}: {said}")
    if last and isinstance(error, paramiko.SSHException) and "banner" in said:
        return TryAgain(Unreachable(name, f"{place} closed the connection and said {last!r}"))
    if proxy is not None:
        said = proxy.last_line() or said or "it ended"
        return TryAgain(Unreachable(name, f"ProxyCommand {proxy.command!r} failed: {said}"))
    if "No existing session" in said:
        said = f"the SSH handshake was not complete within {limit_s:.0f} s"
    elif isinstance(error, EOFError) or "banner" in said:
        said = "the host closed the connection during the SSH handshake; it may be overloaded, or "
        said += "limit logins (MaxStartups in its sshd_config)"
    return TryAgain(Unreachable(name, f"SSH to {place} failed: {said}"))


def refusal(
    place: Destination,
    refused: list[str],
    problems: list[str],
    methods: list[str],
    disconnect_message: str,
) -> str:
    """Say why the login failed, and what to type next."""
    parts = [f"authentication failed for {place.user}@{place}"]
    if methods and "publickey" not in methods:
        parts.append(f"the host only accepts {', '.join(methods)}; botdeploy only logs in by key")
    elif refused:
        parts.append(f"the host refused {', '.join(refused)}")
    else:
        parts.append("no private key was found")
    if disconnect_message:
        parts.append(f"the host said {disconnect_message!r}")
    parts.extend(problems)
    if disconnect_message and len(refused) > 1:
        parts.append("set ansible_ssh_private_key_file to the right key")
    else:
        login = f"-p {place.port} {place.user}@{place.hostname}"
        parts.append(f"test the login: ssh {login}; install a key: ssh-copy-id {login}")
    return "; ".join(parts)


def shown(key: paramiko.PKey) -> str:
    """Give a key's type and fingerprint."""
    return f"{key.get_name()} {fingerprint(key.asbytes())}"


def _listed_as(place: Destination) -> str:
    """Give the name that known_hosts must have for the place."""
    if place.host_key_alias:
        return host_name(place.host_key_alias)
    return host_name(place.hostname, place.port)


def unknown(place: Destination, key: paramiko.PKey, problem: str) -> str:
    """Say which key is unknown, how to compare it, and how to accept it."""
    keeping = next((one for one in place.known_hosts if str(one) != os.devnull), None)
    file = shlex.quote(str(keeping)) if keeping else "~/.ssh/known_hosts"
    if not place.known_hosts or str(place.known_hosts[0]) == os.devnull:
        what = os.devnull if place.known_hosts else "none"
        note = (
            f"UserKnownHostsFile is {what}, so no host key can be stored; botdeploy always checks "
            "host keys. Remove this setting from ansible_ssh_common_args or ssh's config, or name "
            "a file there"
        )
        problem = f"{note}; {problem}" if problem else note
        file = "~/.ssh/known_hosts"
    make = ""
    if keeping is not None and not keeping.parent.is_dir():
        make = f"mkdir -p -m 700 {shlex.quote(str(keeping.parent))} && "
    algorithm = key.get_name().removeprefix("ssh-").partition("-")[0]
    if place.jumps or place.proxy_command or place.host_key_alias:
        line = f"{_listed_as(place)} {key.get_name()} {key.get_base64()}"
        accept = f"{make}echo {shlex.quote(line)} >> {file}"
    else:
        port = "" if place.port == 22 else f"-p {place.port} "  # noqa: PLR2004 # ssh's port
        host = shlex.quote(place.hostname)
        accept = f"{make}ssh-keyscan {port}-t {algorithm} {host} >> {file}"
    note = f" ({problem})" if problem else ""
    return (
        f"the host key of {place} is not known: {shown(key)}{note}; compare it on the host: "
        f"ssh-keygen -lf /etc/ssh/ssh_host_{algorithm}_key.pub; if it is the same, accept it: "
        f"{accept}"
    )


def revoked(place: Destination, key: paramiko.PKey, by: str) -> str:
    """Say which key is revoked, and where this is written."""
    return (
        f"the host key of {place} is revoked in {by}: {shown(key)}; "
        "do not connect before the host has a new key"
    )


def changed(place: Destination, known: tuple[KnownKey, ...], key: paramiko.PKey) -> str:
    """Say which key was known and which is shown, and how to remove the known one."""
    same_type = [one for one in known if one.key_type == key.get_name()] or list(known)
    old = same_type[0]
    return (
        f"THE HOST KEY OF {place} HAS CHANGED: it is {shown(key)}, but {old.place} says "
        f"{old.key_type} {old.fingerprint}; either the host was reinstalled, or somebody "
        "intercepts the connection; if you are sure that it was reinstalled, remove the old key: "
        f"ssh-keygen -R {shlex.quote(_listed_as(place))} -f {shlex.quote(old.file)}"
    )
