"""Uploads: the tar files that carry a release to a host, the same bytes for the same content."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, Self

from botdeploy.sources.tree import File, Folder, Symlink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botdeploy.sources.tree import SourceTree

#: Every released file's time. Not 0: zip (and so every wheel that a build makes) begins in 1980,
#: and a day later no time zone can put it before that.
RELEASE_TIME = 315_619_200

#: Measured on 32 MB of Python with extension modules: half of level 6's time for 2 % more bytes.
_GZIP_LEVEL = 4
_BLOCK_BYTES = 1024 * 1024
_SAMPLE_BYTES = 32 * 1024
_GZIP = 16 + zlib.MAX_WBITS


def meta_tar_gz(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Pack what becomes ``.botdeploy/`` on a host: name → content and mode."""
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
    return _packed(out.getvalue())


def delta_tar_gz(tree: SourceTree, paths: Collection[str] | None = None) -> bytes:
    """Pack the named files of a tree with all its folders and links; None packs everything.

    GNU's format, which GNU tar, busybox and bsdtar read alike. Raises SourceError when a file is
    no longer what was hashed.
    """
    with _Gzip() as out:
        _write(out, tree, paths)
        return out.finish()


def _write(out: _Gzip, tree: SourceTree, paths: Collection[str] | None) -> None:
    with _open(out) as tar:
        for path, entry in tree.items():
            match entry:
                case Folder():
                    tar.addfile(_info(path, tarfile.DIRTYPE, 0o755))
                case Symlink(target):
                    link = _info(path, tarfile.SYMTYPE, 0o777)
                    link.linkname = target
                    tar.addfile(link)
                case File() if paths is None or path in paths:
                    _add(tar, path, entry.read(), entry.mode)
                case File():
                    pass


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def tell(self) -> int: ...
    def read(self, size: int = ..., /) -> bytes: ...


class _Gzip:
    """A writer that packs as it goes, block by block on all cores; no name or time in it.

    Each block is a gzip member of its own, which every gunzip reads as one stream (RFC 1952, 2.2).
    """

    def __init__(self) -> None:
        self._workers = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="pack")
        self._packed: list[Future[bytes]] = []
        self._block = bytearray()
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, data: bytes, /) -> int:
        self._taken += len(data)
        self._block += data
        while len(self._block) >= _BLOCK_BYTES:
            self._pack(bytes(self._block[:_BLOCK_BYTES]))
            del self._block[:_BLOCK_BYTES]
        return len(data)

    def _pack(self, block: bytes) -> None:
        waiting = len(self._packed) - 2 * self._workers
        if waiting >= 0:
            self._packed[waiting].result()  # reading is faster than packing: do not pile it up
        self._packed.append(self._pool.submit(_packed, block))

    def tell(self) -> int:
        return self._taken

    def read(self, size: int = -1, /) -> bytes:
        raise io.UnsupportedOperation(f"read({size})")

    def finish(self) -> bytes:
        self._pack(bytes(self._block))
        self._block.clear()
        return b"".join(block.result() for block in self._packed)


def _packed(block: bytes) -> bytes:
    """Pack a block; one that does not get smaller (pictures, models, wheels) is only wrapped."""
    sample = block[:_SAMPLE_BYTES]
    is_packed_already = len(zlib.compress(sample, 1)) > len(sample) * 0.95
    packer = zlib.compressobj(0 if is_packed_already else _GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(block) + packer.flush()


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
