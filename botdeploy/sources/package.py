"""Packages: the tar files that carry a release to a host, the same bytes for the same content."""

from __future__ import annotations

import io
import tarfile
import zlib
from typing import TYPE_CHECKING, Protocol

from botdeploy.sources.tree import File, Folder, Link

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botdeploy.sources.tree import Tree

#: Every released file's time. Not 0: zip (and so every wheel that a build makes) begins in 1980,
#: and a day later no time zone can put it before that.
RELEASE_TIME = 315_619_200

#: 40 MB of source text pack in a third of level 6's time and come out a tenth larger.
_GZIP_LEVEL = 4
_GZIP = 16 + zlib.MAX_WBITS


def meta_tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Pack what becomes ``.botdeploy/`` on a host: name → content and mode; not compressed."""
    out = io.BytesIO()
    with _open(out) as tar:
        folders: set[str] = set()
        for name in sorted(files):
            content, mode = files[name]
            folder = name.rpartition("/")[0]
            if folder and folder not in folders:
                folders.add(folder)
                # What holds private files only is private itself.
                tar.addfile(_info(folder, tarfile.DIRTYPE, 0o700 if mode == 0o600 else 0o755))  # noqa: PLR2004
            _add(tar, name, content, mode)
    return out.getvalue()


def delta_tar_gz(tree: Tree, paths: Collection[str] | None = None) -> bytes:
    """Pack the named files of a tree with all its folders and links; None packs everything.

    GNU's format, which GNU tar, busybox and bsdtar read alike. Raises SourceError when a file is
    no longer what was hashed.
    """
    out = _Gzip()
    with _open(out) as tar:
        for path, entry in tree.items():
            match entry:
                case Folder():
                    tar.addfile(_info(path, tarfile.DIRTYPE, 0o755))
                case Link(target):
                    link = _info(path, tarfile.SYMTYPE, 0o777)
                    link.linkname = target
                    tar.addfile(link)
                case File() if paths is None or path in paths:
                    _add(tar, path, entry.read(), entry.mode)
                case File():
                    pass
    return out.finish()


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def tell(self) -> int: ...
    def read(self, size: int = ..., /) -> bytes: ...


class _Gzip:
    """A writer that packs as it goes; no name and no time in the header."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        self._parts: list[bytes] = []
        self._taken = 0

    def write(self, data: bytes, /) -> int:
        self._taken += len(data)
        if packed := self._packer.compress(data):
            self._parts.append(packed)
        return len(data)

    def tell(self) -> int:
        return self._taken

    def read(self, size: int = -1, /) -> bytes:
        raise io.UnsupportedOperation(f"read({size})")

    def finish(self) -> bytes:
        return b"".join([*self._parts, self._packer.flush()])


def _open(out: _Sink) -> tarfile.TarFile:
    return tarfile.TarFile(
        fileobj=out,  # type: ignore[arg-type]
        mode="w",
        format=tarfile.GNU_FORMAT,
        encoding="utf-8",
        errors="strict",
    )


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = mode
    info.mtime = RELEASE_TIME
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    info = _info(name, tarfile.REGTYPE, mode)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
