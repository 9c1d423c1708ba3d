"""The user's ssh config, applied to an address as ssh would apply it."""

from __future__ import annotations

import glob
import io
import os
import pwd
import re
import shlex
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from botdeploy.core.address import Address, Jump, parse_jump
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INCLUDE_DEPTH = 16
_MATCH_WORDS = frozenset(
    {"all", "canonical", "exec", "final", "host", "localuser", "originalhost", "user"}
)
_SETTING = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.+)")

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
DEFAULT_IDENTITIES = ("id_rsa", "id_ecdsa", "id_ed25519")


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
    identities_only: bool = False
    agent: Path | None = None
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str | None = None
    jumps: tuple[Jump, ...] = ()
    proxy_command: str | None = None
    family: socket.AddressFamily = socket.AF_UNSPEC
    connect_timeout_s: float | None = None

    def __str__(self) -> str:
        """Write the place as ``host:port``."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{name}:{self.port}"


def home_of(environ: Mapping[str, str]) -> Path:
    """Give the user's home, also where HOME is unset (cron, systemd)."""
    home = environ.get("HOME")
    return Path(home) if home else Path(pwd.getpwuid(os.getuid()).pw_dir)


class _Rules(paramiko.SSHConfig):
    """paramiko's reader without two of its habits.

    Its tokens ask DNS for our own name in each lookup, and its ``Match exec`` reads our
    standard input.
    """

    TOKENS_BY_CONFIG_KEY = {  # noqa: RUF012 # as in paramiko
        "hostname": ["%h"],
        "match-exec": paramiko.SSHConfig.TOKENS_BY_CONFIG_KEY["match-exec"],
    }

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._environ = dict(environ)

    def _does_match(
        self,
        match_list: list[dict[str, Any]],
        target_hostname: str,
        canonical: bool,  # noqa: FBT001
        final: bool,  # noqa: FBT001
        options: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Give the criteria when all of them hold, trying them in their order, else nothing."""
        for criterion in match_list:
            if criterion["type"] == "exec":
                command = self._tokenize(  # type: ignore[attr-defined]
                    options, target_hostname, "match-exec", criterion["param"]
                )
                holds = self._succeeds(command) != criterion["negate"]
            else:
                holds = super()._does_match(  # type: ignore[misc]
                    [criterion], target_hostname, canonical, final, options
                )
            if not holds:
                return []
        return match_list

    def _succeeds(self, command: str) -> bool:
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environ,
            check=False,
        )
        return ended.returncode == 0


class SshConfig:
    """ssh's configuration files of one user, read when they are first needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.home = home_of(environ)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self._read: dict[str | None, _Rules] = {}

    def resolve(self, address: Address) -> Destination:
        """Complete an address by ssh's config; what the address says itself wins.

        Raises UserError for a config that can't be read or understood.
        """
        name = address.hostname
        options = self._options(name, address.option("configfile"))

        def option(key: str) -> str | None:
            value = address.option(key) or options.get(key)
            return value if isinstance(value, str) else None

        hostname = options.get("hostname") or name
        port = address.port or _port(options.get("port"), name)
        user = address.user or options.get("user") or self.user
        tokens = {
            "%%": "%",
            "%d": str(self.home),
            "%h": hostname,
            "%i": str(os.getuid()),
            "%n": name,
            "%p": str(port),
            "%r": user,
            "%u": self.user,
        }
        required = tuple(self._path(text, tokens) for text in address.identity_files)
        identities = tuple(
            self._path(text, tokens) for text in options.get("identityfile", ()) if text != "none"
        )
        if not required and not identities:
            identities = tuple(self.home / ".ssh" / name for name in DEFAULT_IDENTITIES)
        jumps, command = self._way(address, options, hostname)
        alias = option("hostkeyalias")
        timeout = option("connecttimeout")
        return Destination(
            hostname=hostname,
            port=port,
            user=user,
            required_identities=required,
            identities=tuple(dict.fromkeys(path for path in identities if path not in required)),
            identities_only=(option("identitiesonly") or "no").lower() == "yes",
            agent=self._agent(options.get("identityagent"), tokens),
            known_hosts=self._known_hosts(address, options, tokens),
            host_key_alias=_expand(alias, tokens) if alias else None,
            jumps=jumps,
            proxy_command=_expand(command, tokens) if command else None,
            family=_family(option("addressfamily")),
            connect_timeout_s=float(timeout) if timeout and timeout.isdigit() else None,
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
        extra_keys = tuple(self._path(text, tokens) for text in target.identity_files)
        extra_files = tuple(self._path(text, tokens) for text in target.known_hosts_files)
        return Destination(
            hostname=hop.hostname,
            port=hop.port,
            user=hop.user,
            identities=tuple(dict.fromkeys((*hop.identities, *extra_keys))),
            identities_only=hop.identities_only,
            agent=hop.agent,
            known_hosts=tuple(dict.fromkeys((*extra_files, *hop.known_hosts))),
            host_key_alias=hop.host_key_alias,
            jumps=hop.jumps,
            proxy_command=hop.proxy_command,
            family=hop.family,
            connect_timeout_s=hop.connect_timeout_s,
        )

    def _way(
        self, address: Address, options: Mapping[str, str], hostname: str
    ) -> tuple[tuple[Jump, ...], str | None]:
        """Find how to get there: over jumps, by a command, or directly."""
        if address.jumps:
            return tuple(parse_jump(text) for text in address.jumps), None
        command = address.option("proxycommand")
        if command is not None:
            return (), None if command.lower() == "none" else command
        if (address.option("proxyjump") or "").lower() == "none":
            return (), None
        # Of ProxyJump and ProxyCommand, the one that stands first counts.
        for key, value in options.items():
            if key == "proxycommand" and value:
                return (), value
            if key == "proxyjump" and value.lower() != "none":
                jumps = tuple(parse_jump(text) for text in value.split(","))
                # `Host *` with a ProxyJump matches the jump hosts themselves too.
                names = {address.hostname.lower(), hostname.lower()}
                if names & {hop.hostname.lower() for hop in jumps}:
                    return (), None
                return jumps, None
            if key in {"proxycommand", "proxyjump"}:
                return (), None
        return (), None

    def _agent(self, setting: str | None, tokens: Mapping[str, str]) -> Path | None:
        if setting and setting.lower() == "none":
            return None
        if setting and setting != "SSH_AUTH_SOCK":
            if setting.startswith("$"):
                setting = self._environ.get(setting[1:].strip("{}"), "")
            return self._path(setting, tokens) if setting else None
        sock = self._environ.get("SSH_AUTH_SOCK")
        return Path(sock) if sock else None

    def _known_hosts(
        self, address: Address, options: Mapping[str, str], tokens: Mapping[str, str]
    ) -> tuple[Path, ...]:
        users = address.known_hosts_files or tuple(_words(options.get("userknownhostsfile")))
        if users:
            files = [self._path(text, tokens) for text in users if text.lower() != "none"]
        else:
            files = [self.home / ".ssh" / name for name in ("known_hosts", "known_hosts2")]
        system = address.option("globalknownhostsfile") or options.get("globalknownhostsfile")
        if system:
            files += [self._path(text, tokens) for text in _words(system) if text != "none"]
        else:
            files += SYSTEM_KNOWN_HOSTS
        return tuple(dict.fromkeys(files))

    def _path(self, text: str, tokens: Mapping[str, str]) -> Path:
        """Expand ``~`` and tokens in a file's name; relative ones count from here, as in ssh."""
        text = _expand(text, tokens)
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return Path(text).expanduser() if text.startswith("~") else Path(text)

    def _options(self, name: str, file: str | None) -> dict[str, str]:
        """Look a name up in the user's files, or only in the file that ``-F`` names."""
        rules = self._read.get(file)
        if rules is None:
            rules = self._read[file] = self._load(file)
        try:
            found = rules.lookup(name)
        except (paramiko.SSHException, KeyError, ValueError) as error:
            raise UserError(f"ssh config, looking up {name}: {error}") from error
        return dict(found)

    def _load(self, file: str | None) -> _Rules:
        if file is None:
            files = [(self.home / ".ssh" / "config", False), (SYSTEM_CONFIG, False)]
        elif file.lower() == "none":
            files = []
        else:
            files = [(self._path(file, {}), True)]
        rules = _Rules(self._environ)
        for path, must_exist in files:
            lines = "\n".join(self._lines(path, must_exist=must_exist, conditions=(), depth=0))
            try:
                rules.parse(io.StringIO(lines))
            except paramiko.SSHException as error:
                raise UserError(f"{path}: {error}") from error
        return rules

    def _lines(
        self, path: Path, *, must_exist: bool, conditions: tuple[str, ...], depth: int
    ) -> Iterator[str]:
        """Give a file's lines with every Include replaced by what it includes.

        ``conditions`` are those of the block that includes it: they hold on inside, which
        paramiko can say by a Match with several criteria.
        """
        if depth > _INCLUDE_DEPTH:
            raise UserError(f"{path}: Include goes deeper than {_INCLUDE_DEPTH} files")
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            if must_exist:
                raise UserError(f"{path}: no such ssh config") from None
            return
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        block: tuple[str, ...] = ()
        for line in text.splitlines():
            setting = _SETTING.match(line.strip())
            key = setting[1].lower() if setting else ""
            value = setting[2] if setting else ""
            match key:
                case "host":
                    block = (_as_match(value),)
                    yield _header((*conditions, *block)) if conditions else line
                case "match":
                    _check_match(value, path)
                    block = () if value.strip().lower() == "all" else (value,)
                    yield _header((*conditions, *block))
                case "include":
                    inside = (*conditions, *block)
                    for included in self._included(value, path):
                        yield from self._lines(
                            included, must_exist=False, conditions=inside, depth=depth + 1
                        )
                        yield _header(inside)
                case _:
                    yield line

    def _included(self, value: str, path: Path) -> Iterator[Path]:
        """Give the files of an Include line: several, with wildcards, relative to the folder."""
        for pattern in _words(value):
            wanted = self._path(pattern, {"%d": str(self.home), "%u": self.user})
            if not wanted.is_absolute():
                system = path.is_relative_to(SYSTEM_CONFIG.parent)
                wanted = (SYSTEM_CONFIG.parent if system else self.home / ".ssh") / wanted
            yield from sorted(Path(name) for name in glob.glob(str(wanted)))  # noqa: PTH207


def _header(conditions: tuple[str, ...]) -> str:
    return f"Match {' '.join(conditions)}" if conditions else "Match all"


def _as_match(patterns: str) -> str:
    """Say ``Host a b !c`` as a criterion of Match."""
    return f"originalhost {','.join(_words(patterns))}"


def _check_match(value: str, path: Path) -> None:
    words = _words(value)
    while words:
        word = words.pop(0).lower().removeprefix("!")
        if word not in _MATCH_WORDS:
            raise UserError(f"{path}: Match {word} is not supported")
        if word not in {"all", "canonical", "final"} and words:
            words.pop(0)


def _words(text: str | None) -> list[str]:
    if not text:
        return []
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise UserError(f"ssh config: {text!r}: {error}") from error


def _expand(text: str, tokens: Mapping[str, str]) -> str:
    """Put tokens such as ``%h`` in; unknown ones stay as they are."""
    return re.sub(r"%.", lambda token: tokens.get(token[0], token[0]), text)


def _port(text: str | None, name: str) -> int:
    if text is None:
        return 22
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):  # noqa: PLR2004
        raise UserError(f"ssh config: Port {text!r} for {name} is not a port")
    return int(text)


def _family(text: str | None) -> socket.AddressFamily:
    match (text or "any").lower():
        case "inet":
            return socket.AF_INET
        case "inet6":
            return socket.AF_INET6
        case _:
            return socket.AF_UNSPEC
