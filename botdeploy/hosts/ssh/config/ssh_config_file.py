"""Files in the form of ssh_config: their lines, and what they say of one host.

As OpenSSH reads them (``readconf.c``); ``ssh -G`` is what the tests compare with. It is not asked
itself: it costs a process a host, does not run where the user has no passwd entry or where no ssh
client is installed, and does not say which keys were named and which are its defaults.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model.address import split
from botdeploy.errors import UserError
from botdeploy.hosts.ssh.patterns import is_included

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdeploy.hosts.ssh.config.match_conditions import MatchConditions

_DEPTH = 16
_KEYWORD = re.compile(r'\s*(?:"([^"]*)"|([^\s="]+))(?:[ \t]*=[ \t]*|[ \t]+|$)')

#: Keywords that may stand several times and count each time.
_REPEATED = frozenset({"certificatefile", "identityfile"})
#: Keywords whose value is the rest of the line as it stands.
_VERBATIM = frozenset({"proxycommand"})


@dataclass(frozen=True, slots=True)
class Line:
    """One setting: ``keyword`` in lower case, the rest of the line, and where it stands."""

    keyword: str
    rest: str
    place: str

    def words(self) -> tuple[str, ...]:
        """Split the rest as ssh does; raise UserError where its quotes don't match."""
        found = split(self.rest)
        if found is None:
            raise UserError(f"{self.place}: {self.keyword}: a quote is not closed")
        if not found or (not found[0] and self.keyword != "match"):
            raise UserError(f"{self.place}: {self.keyword} has no value")
        return found


@dataclass
class Found:
    """What was found for one host so far: the first value of each keyword, as words."""

    original: str
    """The name that ssh would be given."""
    host: str
    """The name that Host lines are compared with: on a second pass the real one."""
    local_user: str
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_final: bool = False
    wants_final: bool = False

    def first(self, keyword: str) -> str | None:
        """Give the first word of a keyword's value."""
        words = self.options.get(keyword)
        return words[0] if words else None

    def take(self, keyword: str, words: tuple[str, ...]) -> None:
        """Set a keyword that is not set yet, or add to one that may be repeated."""
        if keyword in _REPEATED:
            known = self.options.get(keyword, ())
            if words[0] not in known:
                self.options[keyword] = (*known, words[0])
        elif keyword == "connecttimeout" and words[0].lower() == "none":
            pass  # ssh takes this for not set.
        elif keyword == "proxycommand" and "proxyjump" in self.options:
            pass  # Of the two, the one that stands first counts.
        elif not (keyword == "proxyjump" and "proxycommand" in self.options):
            self.options.setdefault(keyword, words)


class ConfigFiles:
    """Reads files once, and applies them to hosts."""

    def __init__(self, home: Path, system: Path, conditions: MatchConditions) -> None:
        """Take the user's home, the folder of the system's files, and who judges Match lines."""
        self._home = home
        self._system = system
        self._conditions = conditions
        self._files: dict[Path, tuple[Line, ...] | None] = {}
        self._globs: dict[str, list[Path]] = {}

    def apply(self, path: Path, found: Found, *, of_user: bool, is_named: bool = False) -> None:
        """Add what a file says of the host.

        Raises UserError for what is wrong with it where it applies, and for a file that was named
        and is not there.
        """
        lines = self._read(path, is_checked=of_user and not is_named)
        if lines is None:
            if is_named:
                raise UserError(f"{path}: this ssh config file does not exist")
            return
        self._walk(lines, found, of_user=of_user, is_active=True, depth=0)

    def _walk(
        self, lines: Sequence[Line], found: Found, *, of_user: bool, is_active: bool, depth: int
    ) -> None:
        if depth > _DEPTH:
            raise UserError(f"{lines[0].place}: Include goes deeper than {_DEPTH} files")
        applies = is_active
        for line in lines:
            match line.keyword:
                case "host":
                    applies = is_active and is_included(line.words(), found.host)
                case "match":
                    applies = self._conditions.hold(line, found, is_active=is_active)
                case "include":
                    try:
                        for path in self._included(line, of_user=of_user):
                            inner = self._read(path, is_checked=True)
                            if inner:
                                self._walk(
                                    inner,
                                    found,
                                    of_user=of_user,
                                    is_active=applies,
                                    depth=depth + 1,
                                )
                    except UserError:
                        if applies:
                            raise
                case keyword if applies:
                    if keyword in _VERBATIM:
                        found.take(keyword, (line.rest,))
                    elif keyword == "proxyjump":
                        found.take(keyword, (line.rest.partition("#")[0].strip(),))
                    else:
                        found.take(keyword, line.words())

    def _included(self, line: Line, *, of_user: bool) -> Iterator[Path]:
        for word in line.words():
            if not word:
                raise UserError(f"{line.place}: include has an empty name")
            if word.startswith("~") and not of_user:
                raise UserError(f"{line.place}: include of {word}: ssh allows no ~ in this file")
            yield from self._expanded(word, of_user=of_user)

    def _expanded(self, pattern: str, *, of_user: bool) -> list[Path]:
        if pattern == "~" or pattern.startswith("~/"):
            pattern = f"{self._home}{pattern[1:]}"
        elif pattern.startswith("~"):
            pattern = os.path.expanduser(pattern)  # noqa: PTH111 (an unknown user stays)
        elif not pattern.startswith("/"):
            pattern = f"{self._home / '.ssh' if of_user else self._system}/{pattern}"
        if pattern not in self._globs:
            self._globs[pattern] = sorted(Path(name) for name in glob.glob(pattern))  # noqa: PTH207
        return self._globs[pattern]

    def _read(self, path: Path, *, is_checked: bool) -> tuple[Line, ...] | None:
        if path not in self._files:
            self._files[path] = _lines(path, is_checked=is_checked)
        return self._files[path]


def _lines(path: Path, *, is_checked: bool) -> tuple[Line, ...] | None:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            status = os.fstat(stream.fileno())
            text = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    # Its commands run as the user, so nobody else may write it.
    if is_checked and (
        status.st_uid not in {0, os.getuid()} or stat.S_IMODE(status.st_mode) & 0o022
    ):
        raise UserError(
            f"{path}: bad owner or permissions: other users may write it, so ssh refuses it too; "
            f"type: chmod go-w {path}"
        )
    found = []
    for number, text_line in enumerate(text.split("\n"), start=1):
        line = text_line.rstrip(" \t\r\f")
        if not (head := _KEYWORD.match(line)):
            continue
        keyword = (head[1] if head[1] is not None else head[2]).lower()
        if keyword and not keyword.startswith("#"):
            found.append(Line(keyword, line[head.end() :].strip(), f"{path}:{number}"))
    return tuple(found)
