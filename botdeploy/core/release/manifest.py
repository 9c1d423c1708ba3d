"""A release: its digest, and the manifest that says what every file of it must be."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import Readiness, SecretsBy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: What a digest begins with, so that it can never be mistaken for another hash of the same bytes.
_DOMAIN = b"botdeploy release 1\n"

_MAX_PATH = 3800  # characters; the kernel takes 4,096 bytes with the host's folders before it

_SUM = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<path>[^\n]+)")
_NODE = re.compile(r"(?P<kind>[fdl]) (?P<mode>[0-7]{3}) (?P<rest>[^\n]+)")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file of a release must be: its hash and its permission bits."""

    sha256: str
    mode: int


@dataclass(frozen=True, slots=True)
class Manifest:
    r"""Every path of a release, in the two forms that a host checks with its own tools.

    ``sums`` is the input of ``sha256sum -c``, sorted bytewise by path. ``tree`` is what
    ``find . -mindepth 1 -printf '%y %m %P %l\n' | LC_ALL=C sort`` prints on the unpacked tree.
    """

    sums: str
    tree: str
    file_count: int
    size_bytes: int | None = None
    """Sum of the files' sizes; None where only a host's manifest is known, which has no sizes."""

    @classmethod
    def of(
        cls,
        files: Mapping[str, FileState],
        folders: Iterable[str] = (),
        links: Mapping[str, str] | None = None,
        size_bytes: int | None = None,
    ) -> Manifest:
        """Write the manifest of these paths; ``links`` maps each link to its target."""
        # Python orders strings by code point, which is the order of their UTF-8 bytes.
        sums = "".join(f"{files[path].sha256}  {path}\n" for path in sorted(files))
        nodes = [f"f {state.mode:o} {path} " for path, state in files.items()]
        nodes += [f"d 755 {path} " for path in folders]
        nodes += [f"l 777 {path} {target}" for path, target in (links or {}).items()]
        tree = "".join(f"{node}\n" for node in sorted(nodes))
        return cls(sums, tree, len(files), size_bytes)

    @property
    def text(self) -> str:
        """The wire form: sums, an empty line, tree."""
        return f"{self.sums}\n{self.tree}"

    def files(self) -> dict[str, FileState]:
        """Give path → state of every file."""
        modes = {
            node[6:-1]: int(node[2:5], 8) for node in self.tree.split("\n") if node.startswith("f ")
        }
        return {
            row[66:]: FileState(row[:64], modes[row[66:]]) for row in self.sums.split("\n") if row
        }


def parse_manifest(text: str) -> Manifest:
    """Read a manifest in its wire form; raises ValueError on text that is damaged or hostile."""
    sums, gap, tree = text.partition("\n\n")
    if gap:
        sums += "\n"
    elif text.startswith("\n"):
        sums, tree = "", text[1:]
    else:
        raise ValueError("no empty line between sums and tree")
    if (sums and not sums.endswith("\n")) or (tree and not tree.endswith("\n")):
        raise ValueError("the last line is cut off")
    summed: set[str] = set()
    for number, row in enumerate(_rows(sums), 1):
        match = _SUM.fullmatch(row)
        if match is None:
            raise ValueError(f"sums line {number} is not a SHA-256 sum with a path")
        path = match["path"]
        if not is_plain_path(path) or path in summed:
            raise ValueError(f"sums line {number} names a path that no release can hold")
        summed.add(path)
    listed: set[str] = set()
    for number, row in enumerate(_rows(tree), 1):
        match = _NODE.fullmatch(row)
        if match is None:
            raise ValueError(f"tree line {number} is not type, mode and path")
        if match["kind"] != "l":
            path, rest = match["rest"][:-1], match["rest"][-1:]
            if rest != " " or not is_plain_path(path):
                raise ValueError(f"tree line {number} names a path that no release can hold")
            if match["kind"] == "f":
                if path in listed:
                    raise ValueError(f"tree line {number} names a file twice")
                listed.add(path)
    if summed != listed:
        raise ValueError("sums and tree name different files")
    return Manifest(sums, tree, len(summed))


def _rows(block: str) -> list[str]:
    return block.split("\n")[:-1]


def is_plain_path(path: str) -> bool:
    """Tell whether a path is relative, stays below its root, and every tool reads it alike.

    Control characters, line ends and backslashes are what ``find``, ``sha256sum`` and ``tar``
    escape each in its own way, and what no one can see in a log.
    """
    if not path or len(path) > _MAX_PATH or _HIDDEN.search(path):
        return False
    return not any(part in {"", ".", ".."} for part in path.split("/"))


def has_hidden_characters(text: str) -> bool:
    """Tell whether a text holds a control character, line end, backslash or half a surrogate."""
    return _HIDDEN.search(text) is not None


def delta(manifest: Manifest, base: Manifest | None) -> frozenset[str]:
    """Name the files that must be sent to a host that has ``base``.

    The host copies from its base every file whose path and hash are equal, with the mode that it
    has there, so a file is sent when hash or mode differ. Folders and links always go along and
    are not named here.
    """
    files = manifest.files()
    if base is None:
        return frozenset(files)
    there = base.files()
    return frozenset(path for path, state in files.items() if there.get(path) != state)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a host gets besides the files, with the release's id and secret values left out."""

    command: str
    unit: str
    """The rendered unit file, for a placeholder id."""
    environment: str
    """The rendered environment file, for a placeholder id, with references for secrets."""
    build: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    ready: Readiness = field(default_factory=Readiness)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Name to reference, never to the value."""
    secrets_by: SecretsBy = SecretsBy.ENVIRONMENT

    def value(self) -> dict[str, object]:
        """Give the recipe as plain data; what has no order is sorted."""
        return {
            "command": self.command,
            "unit": self.unit,
            "environment": self.environment,
            "build": list(self.build),
            "shared": sorted(self.shared),
            "ready": [self.ready.kind, self.ready.value, self.ready.timeout.total_seconds()],
            "secrets": sorted(self.secrets.items()),
            "secrets_by": self.secrets_by,
        }


def digest(
    files: Manifest | Mapping[str, Iterable[str]],
    recipes: Iterable[Recipe],
    ring_env: Mapping[str, Mapping[str, str]] | None = None,
    secrets_mark: str = "",
) -> str:
    """Hash everything that makes a release what it is: 64 hexadecimal digits.

    ``files`` is the manifest that all hosts have, else the digest of each tree → the hosts that
    have it: a host that changes from one kind to another makes another release. ``recipes`` are
    those of all hosts of the environment; only the distinct ones count, so where all hosts have
    the same files one more leaves the digest as it is. ``ring_env`` maps a ring's name to its
    environment; rings without one do not count. ``secrets_mark`` changes with the secrets' values
    and must not tell them: everybody on a host may read a digest.
    """
    body: dict[str, object] = {
        **_files(files),
        "recipes": sorted({_canonical(recipe.value()) for recipe in recipes}),
        "rings": {name: dict(env) for name, env in (ring_env or {}).items() if env},
    }
    if secrets_mark:
        body["secrets"] = secrets_mark
    return hashlib.sha256(_DOMAIN + _canonical(body).encode()).hexdigest()


def _files(files: Manifest | Mapping[str, Iterable[str]]) -> dict[str, object]:
    if isinstance(files, Manifest):
        return {"sums": files.sums, "tree": files.tree}
    return {"trees": {tree: sorted(hosts) for tree, hosts in files.items()}}


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable build of the bot, as the controller knows it before any host has it."""

    id: str
    digest: str
    """Of all that hosts get of it, values included."""
    source: str = ""
    """Where the files came from, in words: a folder, a git commit, an archive."""
    recipe: str = ""
    """The digest without values: equal where only values of variables and secrets differ."""
