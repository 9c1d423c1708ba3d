"""A tree: the files, folders and links of a release, checked, sorted and immutable."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from botdeploy.core.release.manifest import (
    FileState,
    Manifest,
    has_hidden_characters,
    is_plain_path,
)
from botdeploy.errors import SourceError

if TYPE_CHECKING:
    from botdeploy.sources.ignore import Ignore

#: The largest release: more is a mistake (a data folder, a virtual environment) or a zip bomb.
MAX_BYTES = 2 * 1024**3
MAX_PATHS = 200_000
_MAX_COMPONENT_BYTES = 255
_MAX_HOPS = 40  # the kernel's own limit of links in one path

#: The name of botdeploy's own folder in a release on a host.
RESERVED = ".botdeploy"

_VENV_MARK = "pyvenv.cfg"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: content is read when asked for, and is then what was hashed or an error."""

    mode: int
    """0644 or 0755."""
    size: int
    sha256: str
    _content: Callable[[], bytes] = field(repr=False, compare=False)
    _name: str = field(default="", repr=False, compare=False)

    def read(self) -> bytes:
        """Give the content; raises SourceError when it is no longer what was hashed."""
        content = self._content()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise SourceError(f"{self._name} changed while it was being read; run it again")
        return content


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link whose target stays in the tree."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, empty ones too; its mode is 0755."""


Entry: TypeAlias = File | Symlink | Folder


class SourceTree(Mapping[str, Entry]):
    """Path → entry, sorted bytewise by path, parents before what they hold."""

    __slots__ = ("_entries", "_manifest", "commit", "describe", "notes")

    def __init__(
        self,
        entries: Mapping[str, Entry],
        describe: str,
        commit: str | None = None,
        notes: tuple[str, ...] = (),
        manifest: Manifest | None = None,
    ) -> None:
        """Take entries that a TreeBuilder has checked, or none and what a host told of them."""
        self._entries = {path: entries[path] for path in sorted(entries)}
        self._manifest = manifest
        self.describe = describe
        self.commit = commit
        self.notes = notes
        """What a person should know before this is released, one sentence each."""

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Tree of {len(self)} paths from {self.describe}>"

    def files(self) -> dict[str, File]:
        """Give path → file, without folders and links."""
        return {path: entry for path, entry in self.items() if isinstance(entry, File)}

    @property
    def manifest(self) -> Manifest:
        """The manifest of the tree as it stands when unpacked."""
        if self._manifest is None:
            files = self.files()
            self._manifest = Manifest.of(
                {path: FileState(file.sha256, file.mode) for path, file in files.items()},
                [path for path, entry in self.items() if isinstance(entry, Folder)],
                {path: entry.target for path, entry in self.items() if isinstance(entry, Symlink)},
                sum(file.size for file in files.values()),
            )
        return self._manifest


class TreeBuilder:
    """Collects what a source holds, refuses what cannot be released, and names the path."""

    def __init__(self, source: str, ignore: Ignore | None = None) -> None:
        """Say where the paths come from, for errors, and what is left out."""
        self._source = source
        self._ignore = ignore
        self._entries: dict[str, Entry] = {}
        self._folders: set[str] = set()
        self._size_bytes = 0
        self._notes: list[str] = []
        self._kept_back: list[str] = []
        self.variables_of: Callable[[str], list[str]] = lambda _path: []
        """Names the variables that a file of secrets sets, where it can be looked into."""

    def takes(self, path: str, *, is_folder: bool = False) -> bool:
        """Check a path's name, and tell whether it is part of the release."""
        self._check_name(path)
        if self._ignore is None or not self._ignore.covers(path, is_folder=is_folder):
            return True
        if self._ignore.hides(path, is_folder=is_folder):
            self._kept_back.append(path)
        return False

    def add_folder(self, path: str) -> None:
        """Add a folder; adding one twice is fine."""
        if path not in self._folders:
            self._place(path)
            self._put_folder(path)

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link; whether it stays in the tree is checked at the end."""
        if not target:
            raise self._refusal(path, "is a link to nothing")
        if has_hidden_characters(target):
            raise self._refusal(path, "is a link to a name with characters that cannot be shown")
        self._place(path)
        self._entries[path] = Symlink(target)

    def add_file(
        self, path: str, *, is_executable: bool, size: int, sha256: str, read: Callable[[], bytes]
    ) -> None:
        """Add a regular file; ``read`` gives its content when it is needed."""
        self._place(path)
        self.check_room(size)
        self._size_bytes += size
        name = f"{self._source}: {path}"
        self._entries[path] = File(0o755 if is_executable else 0o644, size, sha256, read, name)
        if self.is_private(path):
            self.note(f"{path} was asked for: every user of the hosts will be able to read it")

    def is_private(self, path: str) -> bool:
        """Tell whether a file's name says already that it usually holds secrets."""
        return self._ignore is not None and self._ignore.is_private(path)

    def note(self, text: str) -> None:
        """Keep a sentence that a person should see."""
        self._notes.append(text)

    def check_room(self, size_bytes: int) -> None:
        """Refuse what would be larger than the largest release; call before keeping content."""
        if self._size_bytes + size_bytes > MAX_BYTES:
            raise SourceError(
                f"{self._source} holds more than {MAX_BYTES // 1024**3} GiB; exclude what the bot "
                "does not need"
            )

    def build(self, describe: str, commit: str | None = None) -> SourceTree:
        """Check what can be checked only at the end, and give the tree."""
        for path, entry in self._entries.items():
            if isinstance(entry, Symlink):
                self._follow(path)
        if not any(isinstance(entry, File) for entry in self._entries.values()):
            raise SourceError(f"{self._source} holds no files to release")
        if self._kept_back:
            variables = self.variables_of(self._kept_back[0])
            self.note(_kept_back(self._source, self._kept_back, variables))
        return SourceTree(self._entries, describe, commit, tuple(self._notes))

    def _place(self, path: str) -> None:
        if path in self._entries:
            raise self._refusal(path, "is there twice")
        if len(self._entries) >= MAX_PATHS:
            raise SourceError(f"{self._source} holds more than {MAX_PATHS} paths")
        parent = path.rpartition("/")[0]
        if parent and parent not in self._folders:
            parts = parent.split("/")
            for depth in range(1, len(parts) + 1):
                above = "/".join(parts[:depth])
                if above in self._entries and above not in self._folders:
                    raise self._refusal(above, "is a file or link and a folder at once")
                self._put_folder(above)

    def _put_folder(self, path: str) -> None:
        self._folders.add(path)
        self._entries[path] = Folder()

    def _check_name(self, path: str) -> None:
        if path == RESERVED or path.startswith(f"{RESERVED}/"):
            raise self._refusal(path, "has a name that is reserved for botdeploy itself")
        if path == "-":  # sha256sum would read its standard input
            raise self._refusal(path, "has a name that tools take for standard input")
        try:
            parts = path.encode().split(b"/")
        except UnicodeEncodeError:
            raise self._refusal(path, "has a name that is not UTF-8") from None
        if any(len(part) > _MAX_COMPONENT_BYTES for part in parts):
            raise self._refusal(path, "has a name of more than 255 bytes")
        if has_hidden_characters(path):
            raise self._refusal(
                path, "has a name with a line end, a backslash or a control character"
            )
        if not is_plain_path(path):
            raise self._refusal(path, "has a path that leaves the source")

    def _follow(self, path: str) -> None:
        """Walk a link as the kernel would; raises SourceError where it leaves the tree.

        Comparing text is not enough: ``..`` behind a link to a folder goes to that folder's
        parent, not back along the text.
        """
        here = path.split("/")[:-1]
        link = self._entries[path]
        target = link.target if isinstance(link, Symlink) else ""
        if target.startswith("/"):
            raise self._leaves(path, target)
        todo = target.split("/")[::-1]
        hops = 1
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not here:
                    raise self._leaves(path, target)
                here.pop()
                continue
            here.append(part)
            entry = self._entries.get("/".join(here))
            if isinstance(entry, Symlink):
                hops += 1
                if hops > _MAX_HOPS:
                    raise self._refusal(path, "is a link in a circle")
                here.pop()
                todo += entry.target.split("/")[::-1]

    def _leaves(self, path: str, target: str) -> SourceError:
        """Refuse a link to what is on this machine, and say how to do without."""
        out = f"is a link out of the source, to {_shown(target)}, which the hosts do not have"
        for end in (i for i, character in enumerate(path) if character == "/"):
            folder = path[:end]
            if f"{folder}/{_VENV_MARK}" in self._entries:
                return self._refusal(
                    path,
                    f"{out}: {_shown(folder)} is a virtual environment of this machine. Leave it "
                    f"out (bot.exclude: [{_shown(folder)}/]), and let bot.build make one on each "
                    f"host: python3 -m venv {_shown(folder)}",
                )
        return self._refusal(
            path,
            f"{out}. Leave it out (bot.exclude: [{_shown(path)}]), and let bot.build make on each "
            "host what the bot needs of it",
        )

    def _refusal(self, path: str, why: str) -> SourceError:
        return SourceError(f"{self._source}: {_shown(path)} {why}")


def _kept_back(source: str, paths: list[str], variables: list[str]) -> str:
    """Say which usual places of secrets were left out, and how the bot gets what it needs."""
    names = ", ".join(_shown(path) for path in paths[:_MOST_NAMED])
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    verb = "is" if len(paths) == 1 else "are"
    needed = variables[:_MOST_NAMED] or ["DISCORD_TOKEN"]
    how = (
        f'command:. {shlex.quote(f"{source}/{paths[0]}")}; printf %s "${needed[0]}"'
        if variables
        else f"env:{needed[0]}"
    )
    return (
        f"{names}{more} {verb} not released, because secrets are usually there. What the bot needs "
        f"of it ({', '.join(needed)}) goes under bot.secrets, one line each: {needed[0]}: "
        f"{_single(how)}. "
        f'To release it all the same: bot.exclude: ["!{_shown(paths[0])}"]'
    )


def _single(text: str) -> str:
    """Quote for YAML."""
    return "'{}'".format(_shown(text).replace("'", "''"))


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
