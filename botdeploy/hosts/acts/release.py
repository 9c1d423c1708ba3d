"""Releases on a host: sent there, fetched from there, read."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.release.manifest import Manifest, parse_manifest
from botdeploy.core.rollout.requirement import Contents
from botdeploy.core.text.untrusted import told, whole
from botdeploy.errors import ActFailed
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import parsing

if TYPE_CHECKING:
    from botdeploy.hosts.acts.records import Record

STAGE_S = 1900.0
"""Longest time for an upload and the release's own build."""
MOST_BYTES = 1 << 31
"""Bytes of a release, packed, that are taken from a host."""
MOST_MANIFEST = 64 * 1024 * 1024
"""Bytes of a manifest: half a million files."""


TREE_STANDS = "="
"""The base of an upload whose tree stands on the machine."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A release as it is sent to one host."""

    release: str
    base: str | None
    """Where the files are that are not sent: a release there, `tree_base`, or TREE_STANDS."""
    meta: bytes
    """The packed tar of what becomes ``.botdeploy/``; of TREE_STANDS without the tree's own."""
    files: bytes
    """The packed tar of files; nothing for TREE_STANDS."""
    need_bytes: int
    need_inodes: int
    tree: str = ""
    """The digest of its tree; an instance needs it, the plain form has none."""


def tree_base(digest: str) -> str:
    """Name a tree in the machine's store as the base of an upload."""
    return f"tree:{digest}"


@dataclass(frozen=True, slots=True)
class Staged:
    """What came of sending a release to one host."""

    is_new: bool
    """False where the host had it already."""
    same: str = ""
    """What goes on running in its place, for it is the same there but for the id."""
    changed: tuple[str, ...] = ()
    """Where what runs there is the same but for values: the names of what has others."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A release as one host has it, to be staged on another."""

    meta: bytes
    """The packed tar of what becomes ``.botdeploy/``; it holds the release's secrets."""
    files: bytes
    """The packed tar of all files."""
    size_bytes: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What a release on a host says of itself."""

    unit: str
    environment: str
    """With stars for secrets."""
    source: str = ""
    """Where its files came from, in words; empty where it does not say."""


class ReleaseActs(Subject):
    """Sends releases to a host, and reads those that it has."""

    def stage(self, upload: Upload, rollout: str, ring: str) -> Staged:
        """Send a release. Repeatable.

        Raises ActFailed with the code ``no-tree`` where TREE_STANDS does not hold, and ``no-base``
        where the base lacks files or was changed by its build.
        """
        reply = self._locked(
            "stage",
            upload.release,
            upload.base or "-",
            len(upload.meta),
            upload.need_bytes,
            upload.need_inodes,
            rollout,
            ring,
            *([upload.tree] if upload.tree else []),
            stdin=(upload.meta, upload.files),
            timeout_s=STAGE_S,
        )
        return Staged(
            not any(record.get("already") for record in reply.records),
            next((told(one["same"]) for one in reply.records if one.get("same")), ""),
            tuple(
                next(
                    (told(one["changed"]) for one in reply.records if "changed" in one), ""
                ).split()
            ),
        )

    def fetch(self, release: str) -> Fetched:
        """Read a release as it was sent here, to be staged on another host."""
        parts: list[list[bytes]] = [[], []]
        about: Record = {}
        part = size = 0
        try:
            with self._caller.open("fetch", self._token, release) as call:
                for item in call.items():
                    if isinstance(item, dict):
                        about = item.get("fetch", about)
                        part = 1 if "part" in item else part
                    elif about:  # before it comes what a login shell prints
                        parts[part].append(base64.b64decode(item, validate=True))
                        size = _within(size + len(item))
            meta, files = (b"".join(one) for one in parts)
            return Fetched(meta, files, whole(about["size_bytes"]), whole(about["inodes"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ActFailed(self._host, "fetch", f"{release} came damaged: {error}") from error

    def manifest(self, release: str) -> Manifest:
        """Read what a staged release consists of."""
        packed = self._caller.call("manifest", release).get("manifest")
        try:
            return parse_manifest(_unzipped(base64.b64decode(str(packed), validate=True)).decode())
        except (ValueError, zlib.error) as error:
            raise ActFailed(self._host, "manifest", f"{release} is damaged: {error}") from error

    def contents(self) -> Contents:
        """Read what each release on the host is made of."""
        reply = self._caller.look("contents")
        with parsing(self._host, "contents", ActFailed):
            known = reply.get("contents")
            if not isinstance(known, dict):
                raise TypeError("it does not say what its releases are made of")
            return Contents(
                {told(release): told(content) for release, content in known.items()},
                told(reply.get("platform") or ""),
            )

    def show(self, release: str) -> Shown:
        """Read what a release says of itself: unit, environment and source. No secrets."""
        reply = self._caller.call("about", release)
        about = reply.get("about")
        source = about.get("source") if isinstance(about, dict) else None
        return Shown(_decoded(reply.get("unit")), _decoded(reply.get("shown")), told(source or ""))


def _within(size: int) -> int:
    if size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 30} GiB")
    return size


def _unzipped(packed: bytes) -> bytes:
    """Unpack gzip within bounds; raises ValueError or zlib.error."""
    unpacker = zlib.decompressobj(wbits=31)
    content = unpacker.decompress(packed, MOST_MANIFEST)
    if not unpacker.eof:
        raise ValueError("it is cut off, or too large")
    return content


def _decoded(text: object) -> str:
    try:
        return base64.b64decode(str(text or "")).decode("utf-8", "replace")
    except ValueError:
        return ""
