"""What ssh's config may leave to be filled in: ``%h`` and the like, ``${NAME}`` and ``~``."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model.address import parse_jump
from botdeploy.errors import UserError
from botdeploy.user_dirs import home_of, user_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.hosts.ssh.config.ssh_config_file import Found

_TOKEN = re.compile(r"\$\{(\w+)\}|%.?")


def name_tokens(found: Found) -> dict[str, str]:
    """Give the tokens that a HostName may hold."""
    return {"%%": "%", "%h": found.original}


class Tokens:
    """Fills in for one user."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.home = home_of(environ) or Path("/")
        self.user = user_of(environ)

    def of(self, found: Found, hostname: str | None = None) -> dict[str, str]:
        """Give what stands for each token; ``hostname`` where it is not expanded yet."""
        alias = found.first("hostkeyalias") or found.original
        if hostname is None:
            host = found.options["hostname"][0]
            alias = alias.lower()
        else:
            host = self.expand(hostname, name_tokens(found))
        port = found.first("port") or "22"
        user = found.first("user") or self.user
        here = socket.gethostname()
        jump = found.first("proxyjump") or ""
        last = jump.rpartition(",")[2] if jump.lower() != "none" else ""
        jump_host = parse_jump(last).hostname if last else ""
        whole = f"{here}{host}{port}{user}{jump_host}"
        return {
            "%%": "%",
            "%C": hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest(),
            "%L": here.partition(".")[0],
            "%d": str(self.home),
            "%h": host,
            "%i": str(os.getuid()),
            "%j": jump_host,
            "%k": alias,
            "%l": here,
            "%n": found.original,
            "%p": port,
            "%r": user,
            "%u": self.user,
        }

    def expand(
        self, text: str, tokens: Mapping[str, str], *, with_environment: bool = False
    ) -> str:
        """Put tokens such as ``%h`` in, and ``${NAME}`` where ssh does; UserError for others."""

        def value(part: re.Match[str]) -> str:
            if part[1] is not None:
                if not with_environment:
                    return part[0]
                if part[1] not in self._environ:
                    raise UserError(f"ssh config: {text!r}: the variable {part[1]} is not set")
                return self._environ[part[1]]
            if part[0] not in tokens:
                raise UserError(
                    f"ssh config: {text!r}: {part[0]} is not a token that ssh knows here"
                )
            return tokens[part[0]]

        return _TOKEN.sub(value, text)

    def path(self, text: str, tokens: Mapping[str, str]) -> Path:
        """Expand ``~``, tokens and variables in a file's name; relative ones count from here."""
        text = self.expand(text, tokens, with_environment=True) if tokens else text
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return Path(os.path.expanduser(text))  # noqa: PTH111 (an unknown user's stays)

    def paths(self, texts: Iterable[str], tokens: Mapping[str, str]) -> tuple[Path, ...]:
        """Expand files' names; ``none`` names no file."""
        return tuple(self.path(text, tokens) for text in texts if text.lower() != "none")
