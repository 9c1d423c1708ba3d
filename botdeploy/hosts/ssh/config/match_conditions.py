"""Whether the conditions of a Match line of ssh's config hold for a host."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from typing import TYPE_CHECKING

from botdeploy.errors import UserError
from botdeploy.hosts.ssh.patterns import in_list
from botdeploy.user_dirs import shell_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdeploy.hosts.ssh.config.config_tokens import Tokens
    from botdeploy.hosts.ssh.config.ssh_config_file import Found, Line

#: How every command begins that is sent to a host: what ``Match command`` compares.
COMMAND = "exec /bin/sh -c"

#: Conditions without an argument.
_ALONE = frozenset({"all", "canonical", "final"})


class CannotTell(Exception):
    """A condition that can't be evaluated here; says which."""


class MatchConditions:
    """Judges conditions for one user; thread-unsafe."""

    def __init__(self, environ: Mapping[str, str], tokens: Tokens) -> None:
        self._environ = environ
        self._tokens = tokens
        self._version: str | None = None

    def hold(self, line: Line, found: Found, *, is_active: bool) -> bool:
        """Tell whether all conditions of a Match line hold, asked in their order."""
        holds = is_active
        unknown = ""
        for name, negated, argument in _conditions(line):
            if name == "final":
                found.wants_final = True
            if name in {"canonical", "final"}:
                holds = holds and found.is_final != negated
                continue
            if not holds:
                continue
            try:
                holds = self._holds(found, name, argument) != negated
            except CannotTell as problem:
                unknown = str(problem)
        if holds and unknown:
            raise UserError(f"{line.place}: Match {unknown}")
        return holds

    def _holds(self, found: Found, name: str, argument: str) -> bool:
        match name:
            case "all":
                return True
            case "host":
                real = found.first("hostname") or found.host
                if not found.is_final:
                    real = real.replace("%h", found.host).replace("%%", "%")
                return in_list(argument.lower(), real.lower())
            case "originalhost":
                return in_list(argument.lower(), found.original.lower())
            case "user":
                return in_list(argument, found.first("user") or found.local_user)
            case "localuser":
                return in_list(argument, found.local_user)
            case "tagged":
                return in_list(argument, found.first("tag") or "")
            case "exec":
                real = found.first("hostname") or found.host
                tokens = self._tokens.of(found, real)
                return self._succeeds(self._tokens.expand(argument, tokens, with_environment=True))
            case "localnetwork":
                try:
                    networks = [ipaddress.ip_network(text) for text in argument.split(",")]
                    from botdeploy.hosts.ssh.config import network_interfaces

                    ours = network_interfaces.addresses()
                except ValueError as error:
                    raise CannotTell(f"localnetwork {argument}: {error}") from error
                except (OSError, AttributeError) as error:
                    raise CannotTell(
                        "localnetwork: the addresses of this machine cannot be read"
                    ) from error
                return any(one in network for network in networks for one in ours)
            case "sessiontype":
                return in_list(argument.lower(), "exec")
            case "command":
                return in_list(argument, COMMAND)
            case "version":
                return in_list(argument, self._client_version())
            case _:
                raise CannotTell(f"{name} is not supported")

    def _succeeds(self, command: str) -> bool:
        """Run a command of ``Match exec`` with the user's shell, as ssh does."""
        shell = shell_of(self._environ)
        none = subprocess.DEVNULL
        try:
            ended = subprocess.run(
                [shell, "-c", command],
                stdin=none,
                stdout=none,
                stderr=none,
                env=dict(self._environ),
                check=False,
            )
        except OSError as error:
            raise CannotTell(f"exec: cannot run {shell}: {error.strerror}") from error
        return ended.returncode == 0

    def _client_version(self) -> str:
        """Give what the installed ssh calls itself; empty where there is none."""
        if self._version is None:
            program = shutil.which("ssh", path=self._environ.get("PATH"))
            said = b""
            if program:
                asked = subprocess.run(
                    [program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, check=False
                )
                said = asked.stderr
            self._version = said.decode("utf-8", "replace").partition(",")[0].strip()
        return self._version


def _conditions(line: Line) -> Iterator[tuple[str, bool, str]]:
    """Give a Match line's conditions: name, whether it is negated, argument."""
    words = list(line.words())
    count = 0
    while words:
        word = words.pop(0)
        negated = word.startswith("!")
        name, equals, argument = word.removeprefix("!").partition("=")
        name = name.lower()
        if name == "all" and (count > 1 or words):
            raise UserError(f"{line.place}: Match all cannot be combined with other conditions")
        count += 1
        if name not in _ALONE and not equals:
            if not words:
                raise UserError(f"{line.place}: Match {name} has no value")
            argument = words.pop(0)
            if argument == "=" and words:  # as before OpenSSH 10
                argument = words.pop(0)
        yield name, negated, argument
