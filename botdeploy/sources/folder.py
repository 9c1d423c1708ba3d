"""A folder as a source: what stands on disk now, without what no bot needs."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

from botdeploy.errors import SourceError
from botdeploy.sources.ignore import DEFAULT_PATTERNS, IGNORE_FILE, Ignore
from botdeploy.sources.tree import TreeBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from botdeploy.sources.tree import SourceTree

_CHUNK_BYTES = 1024 * 1024
_MOST_LOOKED_AT = 64 * 1024
_VARIABLE = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=", re.MULTILINE)
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_folder(
    folder: Path, describe: str, commit: str | None = None, exclude: Sequence[str] = ()
) -> SourceTree:
    """Read a folder; raises SourceError for what is missing, unreadable or cannot be released."""
    builder = TreeBuilder(str(folder), folder_rules(folder, exclude))
    builder.variables_of = lambda path: _variables(folder / path)
    private: list[str] = []
    _walk(builder, str(folder), private)
    if private:
        more = f" and {len(private) - 1} more" if len(private) > 1 else ""
        builder.note(
            f"{private[0]}{more} is private here (mode 0600) but would be readable by every user "
            "of the hosts; exclude it, or put what it holds under secrets:"
        )
    return builder.build(describe, commit)


def _variables(place: Path) -> list[str]:
    """Name the variables that a ``.env`` sets, without their values; none of other files."""
    if not place.name.startswith(".env"):
        return []
    try:
        with place.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST_LOOKED_AT)
    except OSError:
        return []
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def folder_rules(folder: Path, exclude: Sequence[str]) -> Ignore:
    """Give the rules for a folder: the defaults, its own file, then the inventory's."""
    return Ignore([*DEFAULT_PATTERNS, IGNORE_FILE, *_own_patterns(folder), *exclude])


def _own_patterns(folder: Path) -> list[str]:
    place = folder / IGNORE_FILE
    try:
        return place.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{place} cannot be read: {_words(error)}") from error


def _walk(builder: TreeBuilder, root: str, private: list[str]) -> None:
    todo = [""]  # a list, not recursion: a source may be nested deeper than Python's stack
    while todo:
        prefix = todo.pop()
        place = f"{root}/{prefix}" if prefix else root
        try:
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise SourceError(f"{place} cannot be read: {_words(error)}") from error
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            if _add(builder, root, path, entry, private):
                todo.append(path)


def _add(
    builder: TreeBuilder, root: str, path: str, entry: os.DirEntry[str], private: list[str]
) -> bool:
    """Add what stands at a path; True for a folder that must be looked into."""
    place = f"{root}/{path}"
    try:
        status = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if not builder.takes(path, is_folder=kind == stat.S_IFDIR):
            return False
        if kind == stat.S_IFLNK:
            builder.add_link(path, os.readlink(place))  # noqa: PTH115 - a Path costs more
            return False
    except OSError as error:
        raise SourceError(f"{place} cannot be read: {_words(error)}") from error
    if kind == stat.S_IFDIR:
        builder.add_folder(path)
        return True
    if kind != stat.S_IFREG:
        raise SourceError(f"{root}: {path} is {_KINDS.get(kind, 'no regular file')}")
    if not status.st_mode & 0o077 and status.st_size and not builder.is_private(path):
        private.append(path)
    builder.check_room(status.st_size)
    builder.add_file(
        path,
        is_executable=bool(status.st_mode & stat.S_IXUSR),
        size=status.st_size,
        sha256=_hash(place, status),
        read=_reader(place),
    )
    return False


_KINDS = {
    stat.S_IFSOCK: "a socket, which cannot be released; exclude it",
    stat.S_IFIFO: "a named pipe, which cannot be released; exclude it",
    stat.S_IFCHR: "a device, which cannot be released; exclude it",
    stat.S_IFBLK: "a device, which cannot be released; exclude it",
}


def _hash(place: str, listed: os.stat_result) -> str:
    """Hash a file that must stay as it was listed until it is read to its end."""
    digest = hashlib.sha256()
    try:
        descriptor = os.open(place, _OPEN_FLAGS)
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                digest.update(chunk)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SourceError(f"{place} cannot be read: {_words(error)}") from error
    if _identity(status) != _identity(listed):
        raise SourceError(f"{place} changed while it was being read; run it again")
    return digest.hexdigest()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
    )


def _reader(place: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            descriptor = os.open(place, _OPEN_FLAGS)
            with os.fdopen(descriptor, "rb") as file:
                return file.read()
        except OSError as error:
            raise SourceError(f"{place} cannot be read: {_words(error)}") from error

    return read


def _words(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if error.errno == errno.ELOOP:
        return "it became a link while it was being read"
    return (error.strerror or str(error)).lower()
