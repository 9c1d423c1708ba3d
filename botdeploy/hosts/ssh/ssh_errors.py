"""What went wrong on the way to a host, in words that say what to type next."""

from __future__ import annotations

import os
import shlex
import socket
from typing import TYPE_CHECKING

import paramiko

from botdeploy.errors import AuthenticationFailed, HostError, Unreachable
from botdeploy.hosts.ssh.known_hosts import KnownKey, fingerprint, host_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.hosts.ssh.destination import Destination
    from botdeploy.hosts.ssh.proxy_command import ProxyProcess


#: What sshd says to an address that it keeps out (OpenSSH 9.8 and later).
_KEPT_OUT = "Not allowed at this time"


class TryAgain(Exception):
    """Connecting failed in a way that may be over in a moment."""

    def __init__(self, error: HostError) -> None:
        super().__init__(str(error))
        self.error = error


def of_dialing(name: str, place: Destination, error: OSError) -> Exception:
    """Turn what the network said into our own words; TryAgain when it may pass."""
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
    """Turn a failed handshake into our own words; TryAgain when it may pass.

    ``preamble`` is what the host said before it spoke ssh.
    """
    said = str(error)
    told = next((line for line in reversed(preamble) if line), "")
    if told.startswith(_KEPT_OUT):
        # Each further try may keep us out for longer.
        return AuthenticationFailed(
            name,
            f"{place} hung up and said {told!r}: its sshd keeps the address that we come from out "
            "for a while, after logins that it refused or that were broken off "
            "(PerSourcePenalties); nothing more was tried. Mend the login first (ssh -v shows it) "
            "and wait a minute, or list our address in its PerSourcePenaltyExemptList",
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return Unreachable(name, f"{place} has no algorithm in common with us: {said}")
    if "Indecipherable protocol" in said or "Invalid SSH banner" in said:
        return Unreachable(name, f"what listens on {place} does not speak SSH: {said[:200]}")
    if isinstance(error, paramiko.AuthenticationException):
        return AuthenticationFailed(name, f"{place.user}@{place}: {said}")
    if told and isinstance(error, paramiko.SSHException) and "banner" in said:
        return TryAgain(Unreachable(name, f"{place} hung up and said {told!r}"))
    if proxy is not None:
        words = proxy.last_words() or said or "it ended"
        return TryAgain(Unreachable(name, f"ProxyCommand {proxy.command!r}: {words}"))
    if "No existing session" in said:
        said = f"no SSH handshake within {limit_s:.0f} s"
    elif isinstance(error, EOFError) or "banner" in said:
        said = "it hung up during the handshake (is it overloaded, or are logins limited?)"
    return TryAgain(Unreachable(name, f"{place} was reached, but {said}"))


def refusal(
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


def shown(key: paramiko.PKey) -> str:
    """Give a key's type and fingerprint."""
    return f"{key.get_name()} {fingerprint(key.asbytes())}"


def _listed_as(place: Destination) -> str:
    """Give the name that known_hosts must have for the place."""
    if place.host_key_alias:
        return host_name(place.host_key_alias)
    return host_name(place.hostname, place.port)


def unknown(place: Destination, key: paramiko.PKey, complaint: str) -> str:
    """Say which key nobody knows, how to compare it, and how to accept it."""
    keeping = next((one for one in place.known_hosts if str(one) != os.devnull), None)
    file = shlex.quote(str(keeping)) if keeping else "~/.ssh/known_hosts"
    if not place.known_hosts or str(place.known_hosts[0]) == os.devnull:
        what = os.devnull if place.known_hosts else "none"
        note = (
            f"UserKnownHostsFile is {what}, which keeps no key, so that this host can never be "
            "known; botdeploy always checks host keys. Take that setting out of "
            "ansible_ssh_common_args or ssh's config, or name a file there, and list the key in it"
        )
        complaint = f"{note}; {complaint}" if complaint else note
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
    note = f" ({complaint})" if complaint else ""
    return (
        f"the host key of {place} is not known: {shown(key)}{note}; compare it on the host: "
        f"ssh-keygen -lf /etc/ssh/ssh_host_{algorithm}_key.pub; if it is the same, accept it: "
        f"{accept}"
    )


def revoked(place: Destination, key: paramiko.PKey, by: str) -> str:
    """Say which key is revoked, and where this is written."""
    return (
        f"{place} shows a key that {by} marks as revoked ({shown(key)}); "
        "do not connect until the host has a new one"
    )


def changed(place: Destination, known: tuple[KnownKey, ...], key: paramiko.PKey) -> str:
    """Say which key was known and which is shown, and how to forget the known one."""
    same_type = [one for one in known if one.key_type == key.get_name()] or list(known)
    old = same_type[0]
    return (
        f"THE HOST KEY OF {place} HAS CHANGED: it shows {shown(key)}, but {old.place} says "
        f"{old.key_type} {old.fingerprint}; either the host was installed anew, or something "
        "stands in between; if you are sure that it was installed anew: "
        f"ssh-keygen -R {shlex.quote(_listed_as(place))} -f {shlex.quote(old.file)}"
    )
