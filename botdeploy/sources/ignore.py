"""Patterns of what is left out of a release, with the meaning that .gitignore gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdeploy.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What no bot needs on a host. A later "!pattern" takes one back.
DEFAULT_PATTERNS = (
    ".git",
    "__pycache__",
    "*.pyc",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".DS_Store",
)

#: What usually holds secrets: not released unless a later pattern takes it back.
PRIVATE_PATTERNS = (
    *(".env", ".env.*", "!.env.example", "!.env.sample", "!.env.template", "!.env.dist"),
    *(".envrc", ".netrc", ".pypirc", ".pgpass", ".git-credentials", ".ssh/", ".aws/"),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
)

#: A file in a source's top folder that holds more patterns, one a line; not released itself.
IGNORE_FILE = ".botdeployignore"

#: Matches no path.
_NOTHING = "(?!)"

#: One of the things that stand in brackets.
_MEMBER = re.compile(
    r"\[:(?P<class>[^\]]*):\]|\\?(?P<first>(?<=\\).|[^\\])(?:-(?!\])\\?(?P<last>(?<=\\).|[^\\]))?",
    re.DOTALL,
)

#: Classes by their name, as they stand in a regular expression's brackets.
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: re.Pattern[str]
    only_folders: bool
    takes_back: bool
    is_private: bool = False


class Ignore:
    """Rules in order; the last one that matches a path decides, as in git."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Read the patterns, after those of secrets; raises SourceError for what means nothing."""
        rules = [rule for pattern in PRIVATE_PATTERNS if (rule := _rule(pattern)) is not None]
        self._private = [replace(rule, is_private=True) for rule in rules]
        self._rules = [
            *self._private,
            *(rule for pattern in patterns if (rule := _rule(pattern)) is not None),
        ]
        self._folders: dict[str, bool] = {}

    def covers(self, path: str, *, is_folder: bool = False) -> bool:
        """Tell whether a path is left out, by a rule of its own or with a folder above it."""
        for end, character in enumerate(path):
            if character == "/" and self._covers_folder(path[:end]):
                return True
        return self._matches(path, is_folder=is_folder)

    def hides(self, path: str, *, is_folder: bool = False) -> bool:
        """Tell whether a path is left out only because secrets are usually there."""
        above = [path[:end] for end, character in enumerate(path) if character == "/"]
        for one in (*above, path):
            rule = _last(self._rules, one, is_folder=is_folder or one != path)
            if rule is not None and not rule.takes_back:
                return rule.is_private
        return False

    def is_private(self, path: str) -> bool:
        """Tell whether a file of this path usually holds secrets, whatever other rules say."""
        rule = _last(self._private, path, is_folder=False)
        return rule is not None and not rule.takes_back

    def _covers_folder(self, path: str) -> bool:
        covered = self._folders.get(path)
        if covered is None:
            covered = self._folders[path] = self._matches(path, is_folder=True)
        return covered

    def _matches(self, path: str, *, is_folder: bool) -> bool:
        rule = _last(self._rules, path, is_folder=is_folder)
        return rule is not None and not rule.takes_back


def _last(rules: list[_Rule], path: str, *, is_folder: bool) -> _Rule | None:
    """Give the rule that decides."""
    for rule in reversed(rules):
        if (is_folder or not rule.only_folders) and rule.regex.fullmatch(path):
            return rule
    return None


def _rule(pattern: str) -> _Rule | None:
    text = pattern.rstrip("\r\n")
    stripped = text.rstrip(" ")
    if stripped.endswith("\\") and stripped != text:  # "\ " keeps one blank at the end
        stripped += " "
    text = stripped
    if not text or text.startswith("#"):
        return None
    takes_back = text.startswith("!")
    text = text.removeprefix("!")
    only_folders = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    text = text.removeprefix("/")
    if not text:
        return None
    prefix = "" if anchored else "(?:.*/)?"
    try:
        regex = re.compile(prefix + _translate(text), re.DOTALL)
    except re.error as error:
        raise SourceError(f"exclude: {pattern!r} is not a pattern: {error}") from error
    return _Rule(regex, only_folders, takes_back)


def _translate(glob: str) -> str:
    out = []
    i = 0
    while i < len(glob):
        at_start = i == 0 or glob[i - 1] == "/"
        if at_start and glob.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif at_start and glob[i:] == "**":
            out.append(".+" if i else ".*")
            i += 2
        elif glob[i] == "*":
            out.append("[^/]*")
            i += 1
        elif glob[i] == "?":
            out.append("[^/]")
            i += 1
        elif glob[i] == "[":
            text, i = _brackets(glob, i)
            out.append(text)
        elif glob[i] == "\\":
            out.append(re.escape(glob[i + 1]) if i + 1 < len(glob) else _NOTHING)
            i += 2
        else:
            out.append(re.escape(glob[i]))
            i += 1
    return "".join(out)


def _brackets(glob: str, start: int) -> tuple[str, int]:
    """Translate what begins with a bracket, and say where it ends.

    As in git, a pattern matches nothing where the end is missing or a class is unknown.
    """
    position = start + 1
    negated = glob[position : position + 1] in {"!", "^"}
    position += negated
    members: list[str] = []
    while not members or glob[position : position + 1] != "]":
        found = _MEMBER.match(glob, position)
        text = _member(found) if found else None
        if found is None or text is None:
            return _NOTHING, len(glob)
        members.append(text)
        position = found.end()
    return f"(?!/)[{'^' if negated else ''}{''.join(members)}]", position + 1


def _member(found: re.Match[str]) -> str | None:
    """Translate a class, a sign or a range in brackets; None for an unknown class."""
    if found["class"] is not None:
        return _CLASSES.get(found["class"])
    first = re.escape(found["first"])
    return f"{first}-{re.escape(found['last'])}" if found["last"] else first
