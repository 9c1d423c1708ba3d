"""The user's ssh config, applied to an address as ssh would apply it."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model.address import LISTS, OFF, REFUSED, Address, Jump, parse_jump, split
from botdeploy.errors import UserError
from botdeploy.hosts.ssh.config import canonical_name
from botdeploy.hosts.ssh.config.config_tokens import Tokens, name_tokens
from botdeploy.hosts.ssh.config.match_conditions import MatchConditions
from botdeploy.hosts.ssh.config.ssh_config_file import ConfigFiles, Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
DEFAULT_IDENTITIES = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")

_HIGHEST_PORT = 65535
_TIME = re.compile(r"(?:(\d+)([smhdw]?))+", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where ssh would go, as whom and by which keys: nothing is left open."""

    hostname: str
    port: int
    user: str
    #: Named in the inventory: each must exist.
    required_identities: tuple[Path, ...] = ()
    #: Named in ssh's config, or its defaults: tried where they exist.
    identities: tuple[Path, ...] = ()
    #: Whether ``identities`` are ssh's defaults, which no setting named.
    has_default_identities: bool = False
    #: Certificates for one's own keys, in the order in which they are offered.
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: Path | None = None
    known_hosts: tuple[Path, ...] = ()
    #: A list of keys that no host may show, as OpenSSH reads it.
    revoked_host_keys: Path | None = None
    host_key_alias: str | None = None
    jumps: tuple[Jump, ...] = ()
    proxy_command: str | None = None
    family: socket.AddressFamily = socket.AF_UNSPEC
    connect_timeout_s: float | None = None
    bind_address: str | None = None

    def __str__(self) -> str:
        """Write the place as ``host:port``."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{name}:{self.port}"


class SshConfig:
    """ssh's configuration files of one user, read when they are first needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._tokens = Tokens(environ)
        self.user = self._tokens.user
        self.home = self._tokens.home
        conditions = MatchConditions(environ, self._tokens)
        self._files = ConfigFiles(self.home, SYSTEM_CONFIG.parent, conditions)

    def resolve(self, address: Address) -> Destination:
        """Complete an address by ssh's config; what the address says itself wins.

        Raises UserError for a config that can't be read, understood or followed for this host.
        """
        found = self._look_up(address)
        for keyword in ("bindinterface", "proxyusefdpass"):
            value = found.first(keyword) or "none"
            if value.lower() not in OFF:
                advice = REFUSED[keyword]
                raise UserError(f"ssh config: {keyword} {value} is not supported; {advice}")
        hostname = found.options["hostname"][0]
        user = found.first("user") or self.user
        if "%" in user or "${" in user:  # OpenSSH 10 expands these.
            user = self._tokens.expand(user, self._tokens.of(found), with_environment=True)
        tokens = self._tokens.of(found)
        required = tuple(self._tokens.path(text, tokens) for text in address.identity_files)
        named = found.options.get("identityfile", ())
        identities = self._tokens.paths(named, tokens)
        is_default = not required and not named
        if is_default:
            identities = tuple(self.home / ".ssh" / name for name in DEFAULT_IDENTITIES)
        jumps, command = self._way(address, found, hostname)
        alias = found.first("hostkeyalias")
        revoked = self._tokens.paths([found.first("revokedhostkeys") or "none"], tokens)
        return Destination(
            hostname=hostname,
            port=_port(found.first("port"), address.hostname),
            user=user,
            required_identities=required,
            identities=tuple(dict.fromkeys(path for path in identities if path not in required)),
            has_default_identities=is_default,
            certificates=self._tokens.paths(found.options.get("certificatefile", ()), tokens),
            identities_only=_flag(found.first("identitiesonly")),
            agent=self._agent(found.first("identityagent"), tokens),
            known_hosts=self._known_hosts(address, found, tokens),
            revoked_host_keys=next(iter(revoked), None),
            host_key_alias=alias.lower() if alias else None,
            jumps=jumps,
            proxy_command=self._tokens.expand(command, tokens) if command else None,
            family=_family(found.first("addressfamily")),
            connect_timeout_s=_seconds(found.first("connecttimeout")),
            bind_address=found.first("bindaddress"),
        )

    def resolve_jump(self, jump: Jump, target: Address) -> Destination:
        """Complete one hop on the way to a target.

        Besides what ssh gives it, the hop is offered the target's own keys (last) and checked
        against the target's known_hosts too, so that an inventory can say all of it once.
        """
        address = Address(
            host=jump.hostname,
            hostname=jump.hostname,
            port=jump.port,
            user=jump.user,
            options=tuple(
                (key, value)
                for key, value in target.options
                if key in {"configfile", "globalknownhostsfile"}
            ),
        )
        hop = self.resolve(address)
        tokens = {"%d": str(self.home), "%u": self.user, "%%": "%"}
        extra_keys = tuple(self._tokens.path(text, tokens) for text in target.identity_files)
        extra_files = tuple(self._tokens.path(text, tokens) for text in target.known_hosts_files)
        return replace(
            hop,
            identities=tuple(dict.fromkeys((*hop.identities, *extra_keys))),
            has_default_identities=hop.has_default_identities and not extra_keys,
            known_hosts=tuple(dict.fromkeys((*extra_files, *hop.known_hosts))),
        )

    def _look_up(self, address: Address) -> Found:
        """Read the files for an address, a second time where they ask for that.

        ``hostname`` is in the result in any case: the name or address to connect to.
        """
        found = Found(address.hostname, address.hostname, self.user)
        file = None
        for keyword, value in _given(address):
            if keyword == "configfile":
                file = value
            else:
                words = split(value) if keyword in LISTS else None
                found.take(keyword, words or (value,))
        self._apply(found, file)
        host = self._tokens.expand(found.first("hostname") or found.original, name_tokens(found))
        name = canonical_name.canonical(host, found)
        found.options["hostname"] = (name,)
        if found.wants_final or canonical_name.is_asked_for(found):
            found.host = name
            found.is_final = True
            self._apply(found, file)
        return found

    def _apply(self, found: Found, file: str | None) -> None:
        if file is None:
            self._files.apply(self.home / ".ssh" / "config", found, of_user=True)
            self._files.apply(SYSTEM_CONFIG, found, of_user=False)
        elif file.lower() != "none":
            self._files.apply(self._tokens.path(file, {}), found, of_user=True, is_named=True)

    def _agent(self, setting: str | None, tokens: Mapping[str, str]) -> Path | None:
        if setting and setting.lower() == "none":
            return None
        if setting and setting != "SSH_AUTH_SOCK":
            if setting.startswith("$") and not setting.startswith("${"):
                setting = self._environ.get(setting[1:], "")
            return self._tokens.path(setting, tokens) if setting else None
        sock = self._environ.get("SSH_AUTH_SOCK")
        return Path(sock) if sock else None

    def _known_hosts(
        self, address: Address, found: Found, tokens: Mapping[str, str]
    ) -> tuple[Path, ...]:
        users = address.known_hosts_files or found.options.get("userknownhostsfile")
        of_user = tuple(self.home / ".ssh" / name for name in ("known_hosts", "known_hosts2"))
        system = found.options.get("globalknownhostsfile")
        files = (
            *(self._tokens.paths(users, tokens) if users else of_user),
            *(self._tokens.paths(system, tokens) if system else SYSTEM_KNOWN_HOSTS),
        )
        return tuple(dict.fromkeys(files))

    def _way(
        self, address: Address, found: Found, hostname: str
    ) -> tuple[tuple[Jump, ...], str | None]:
        """Find how to get there: over jumps, by a command, or directly."""
        command = found.first("proxycommand")
        if command is not None:
            return (), None if command.lower() == "none" else command
        text = found.first("proxyjump") or "none"
        if text.lower() == "none":
            return (), None
        jumps = tuple(parse_jump(self._expand_jump(hop, found)) for hop in text.split(","))
        # `Host *` with a ProxyJump matches the jump hosts themselves too.
        names = {address.hostname.lower(), hostname.lower()}
        if not address.jumps and names & {hop.hostname.lower() for hop in jumps}:
            return (), None
        return jumps, None

    def _expand_jump(self, text: str, found: Found) -> str:
        if "%" not in text:
            return text
        tokens = self._tokens.of(found)
        return self._tokens.expand(
            text, {key: tokens[key] for key in ("%%", "%h", "%n", "%p", "%r")}
        )


def _given(address: Address) -> Sequence[tuple[str, str]]:
    """Give what the address itself says, as the settings that ssh would be called with."""
    given: list[tuple[str, str]] = []
    if address.user:
        given.append(("user", address.user))
    if address.port:
        given.append(("port", str(address.port)))
    if address.jumps:
        given.append(("proxyjump", ",".join(address.jumps)))
    return (*given, *address.options)


def _flag(text: str | None) -> bool:
    return (text or "no").lower() in {"yes", "true"}


def _port(text: str | None, name: str) -> int:
    if text is None:
        return 22
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= _HIGHEST_PORT:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        raise UserError(f"ssh config: Port {text!r} for {name} is not a port") from None


def _seconds(text: str | None) -> float | None:
    """Read a time such as ``90`` or ``1m30s``."""
    if text is None or text.lower() == "none":
        return None
    if not _TIME.fullmatch(text):
        raise UserError(f"ssh config: ConnectTimeout {text!r} is not a duration")
    parts = re.findall(r"(\d+)([smhdw]?)", text.lower())
    return float(sum(int(number) * _SECONDS[unit] for number, unit in parts)) or None


def _family(text: str | None) -> socket.AddressFamily:
    match (text or "any").lower():
        case "inet":
            return socket.AF_INET
        case "inet6":
            return socket.AF_INET6
        case _:
            return socket.AF_UNSPEC
