"""Archives as a source: tar, packed or not, and zip, wheels among them; nothing is unpacked."""

from __future__ import annotations

import base64
import bz2
import csv
import hashlib
import io
import lzma
import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Protocol

from botdeploy.errors import SourceError
from botdeploy.sources.ignore import Ignore
from botdeploy.sources.tree import MAX_BYTES, MAX_PATHS, TreeBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from botdeploy.sources.tree import SourceTree

_CHUNK_BYTES = 1024 * 1024
_BLOCK_BYTES = 512
_HEADER_BYTES = 1024 * 1024  # of one long name or extended header; real ones have a few hundred
_MAX_RECORD_BYTES = 64 * 1024 * 1024
_XZ_MEMORY_BYTES = 256 * 1024 * 1024

#: A tar may be larger than its content by its headers.
_MAX_TAR_BYTES = MAX_BYTES + MAX_PATHS * 3 * _BLOCK_BYTES

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError)


def read_archive(place: Path, exclude: Sequence[str] = ()) -> SourceTree:
    """Read an archive, told by its first bytes and not by its name; raises SourceError."""
    rules = Ignore(exclude)
    builder = TreeBuilder(str(place), rules)
    try:
        with place.open("rb") as file:
            head = file.read(2 * _BLOCK_BYTES)
            file.seek(0)
            if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                return _read_zip(builder, file, place)
            tar = _plain_tar(builder, file, place, head)
    except _BROKEN as error:
        raise SourceError(f"{place} is damaged or not readable: {error}") from error
    with tar:
        read_tar(builder, tar, str(place))
    return builder.build(f"archive {place.name}")


# --- tar ----------------------------------------------------------------------------------------


def _plain_tar(builder: TreeBuilder, file: IO[bytes], place: Path, head: bytes) -> IO[bytes]:
    """Give a file of our own that holds the tar unpacked, at most as large as allowed."""
    packer = _unpacker(head)
    if packer is None and not _is_tar(head):
        raise SourceError(
            f"{place} is no archive that botdeploy reads (tar, tar.gz, tar.xz, tar.bz2, zip, wheel)"
        )
    plain = tempfile.TemporaryFile(prefix="botdeploy-")  # noqa: SIM115 - given to the caller
    size = 0
    for chunk in _unpacked(file, packer) if packer else iter(lambda: file.read(_CHUNK_BYTES), b""):
        size += len(chunk)
        if size > _MAX_TAR_BYTES:
            builder.check_room(size)
        plain.write(chunk)
    plain.flush()
    plain.seek(0)
    if not _is_tar(plain.read(_BLOCK_BYTES)):
        plain.close()
        raise SourceError(f"{place} holds no tar archive")
    plain.seek(0)
    return plain


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar" or (len(head) >= _BLOCK_BYTES and _has_old_header(head))


def _has_old_header(head: bytes) -> bool:
    """Tell whether a block is a header of the time before "ustar": its checksum is right."""
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK_BYTES], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


class _Unpacker(Protocol):
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def _unpacker(head: bytes) -> Callable[[], _Unpacker] | None:
    if head.startswith(b"\x1f\x8b"):
        return _Gunzip
    if head.startswith(b"\xfd7zXZ\x00"):
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
    if head.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    return None


class _Gunzip:
    """zlib with the face of the other two: what was not taken yet is kept for the next call."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _unpacked(file: IO[bytes], start: Callable[[], _Unpacker]) -> Iterator[bytes]:
    """Unpack in small pieces, so that a bomb is seen before it fills memory or disk."""
    unpacker = start()
    data = file.read(_CHUNK_BYTES)
    while True:
        piece = unpacker.decompress(data, _CHUNK_BYTES)
        if piece:
            yield piece
        if unpacker.eof:
            data = unpacker.unused_data or file.read(_CHUNK_BYTES)
            if not data.strip(b"\0"):  # padding of tapes
                return
            unpacker = start()
        elif piece and len(piece) == _CHUNK_BYTES:
            data = b""  # there may be more in what it has
        else:
            data = file.read(_CHUNK_BYTES)
            if not data and not piece:
                raise EOFError("it ends in the middle")


class _Member(tarfile.TarInfo):
    """A header that refuses to read a name of gigabytes into memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        kinds = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if self.type in kinds and self.size > _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]


def read_tar(builder: TreeBuilder, file: IO[bytes], source: str) -> None:
    """Add everything that a plain tar holds; its content is read from the file when needed."""
    descriptor = _OwnDescriptor(file)
    files: dict[str, tuple[bool, int, int, str]] = {}
    try:
        with tarfile.TarFile(
            fileobj=file, tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for member in tar:
                _add_member(builder, member, descriptor, files, source)
            end = descriptor.read(tar.offset, _BLOCK_BYTES)
    except _BROKEN as error:
        raise SourceError(f"{source} is damaged: {error}") from error
    # tarfile takes a damaged header for the end; only a block of zeros is one.
    if len(end) != _BLOCK_BYTES or end.strip(b"\0"):
        raise SourceError(f"{source} is damaged: it is cut off or has a broken header")


class _OwnDescriptor:
    """Reads at positions of a file that stays open as long as somebody may read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = os.fdopen(os.dup(file.fileno()), "rb")

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size > 0 and (part := os.pread(self._file.fileno(), size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def reader(self, offset: int, size: int) -> Callable[[], bytes]:
        return lambda: self.read(offset, size)

    def sha256(self, offset: int, size: int) -> str:
        digest = hashlib.sha256()
        while size > 0:
            part = os.pread(self._file.fileno(), min(size, _CHUNK_BYTES), offset)
            if not part:
                raise EOFError("it ends in the middle of a file")
            digest.update(part)
            offset += len(part)
            size -= len(part)
        return digest.hexdigest()


def _add_member(
    builder: TreeBuilder,
    member: tarfile.TarInfo,
    content: _OwnDescriptor,
    files: dict[str, tuple[bool, int, int, str]],
    source: str,
) -> None:
    path = _inside(member.name, source)
    if path is None or not builder.takes(path, is_folder=member.isdir()):
        return
    if member.isdir():
        builder.add_folder(path)
    elif member.issym():
        builder.add_link(path, member.linkname)
    elif member.islnk():
        same = files.get(_inside(member.linkname, source) or "")
        if same is None:
            raise SourceError(
                f"{source}: {path} is a hard link to {member.linkname}, which is not before it in "
                "the archive"
            )
        _add_range(builder, path, content, same)
    elif member.isreg() and not member.issparse():
        builder.check_room(member.size)
        is_executable = bool(member.mode & stat.S_IXUSR)
        sha256 = content.sha256(member.offset_data, member.size)
        files[path] = (is_executable, member.offset_data, member.size, sha256)
        _add_range(builder, path, content, files[path])
    else:
        raise SourceError(f"{source}: {path} is {_kind(member)}, which cannot be released")


def _add_range(
    builder: TreeBuilder, path: str, content: _OwnDescriptor, at: tuple[bool, int, int, str]
) -> None:
    is_executable, offset, size, sha256 = at
    builder.add_file(
        path,
        is_executable=is_executable,
        size=size,
        sha256=sha256,
        read=content.reader(offset, size),
    )


def _kind(member: tarfile.TarInfo) -> str:
    if member.isfifo():
        return "a named pipe"
    if member.isdev():
        return "a device"
    return "a sparse file" if member.issparse() else "no regular file"


def _inside(name: str, source: str) -> str | None:
    """Give an archive's name as a path of the tree; None for the top folder itself."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or ".." in parts:
        raise SourceError(f"{source}: {name!a} has a path that leaves the source")
    return "/".join(parts) or None


# --- zip ----------------------------------------------------------------------------------------


def _read_zip(builder: TreeBuilder, file: IO[bytes], place: Path) -> SourceTree:
    """Read a zip; each entry is unpacked once, counted as it comes, and kept in one file."""
    source = str(place)
    try:
        with (
            zipfile.ZipFile(file) as archive,
            tempfile.TemporaryFile(prefix="botdeploy-") as store,
        ):
            entries = archive.infolist()
            if len(entries) > MAX_PATHS:
                raise SourceError(f"{source} holds more than {MAX_PATHS} paths")
            content = _OwnDescriptor(store)
            if place.suffix == ".whl":
                check_wheel(archive, source)
            for entry in entries:
                _add_entry(builder, archive, entry, store, content, source)
            store.flush()
    except (NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{source} cannot be read: {error}") from error
    return builder.build(
        f"wheel {place.name}" if place.suffix == ".whl" else f"archive {place.name}"
    )


def _add_entry(
    builder: TreeBuilder,
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    store: IO[bytes],
    content: _OwnDescriptor,
    source: str,
) -> None:
    path = _inside(_zip_name(entry), source)
    if path is None or not builder.takes(path, is_folder=entry.is_dir()):
        return
    if entry.flag_bits & 0x1:
        raise SourceError(f"{source}: {path} is encrypted")
    mode = entry.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if entry.is_dir():
        builder.add_folder(path)
    elif kind not in {0, stat.S_IFREG, stat.S_IFLNK}:
        raise SourceError(f"{source}: {path} is no regular file and cannot be released")
    else:
        offset, size, sha256 = _unpack_entry(builder, archive, entry, store)
        if kind == stat.S_IFLNK:
            store.flush()
            target = content.read(offset, min(size, 2 * _BLOCK_BYTES * 4))
            builder.add_link(path, target.decode("utf-8", "surrogateescape"))
        else:
            _add_range(builder, path, content, (bool(mode & stat.S_IXUSR), offset, size, sha256))


def _unpack_entry(
    builder: TreeBuilder, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, store: IO[bytes]
) -> tuple[int, int, str]:
    offset = store.tell()
    digest = hashlib.sha256()
    size = 0
    with archive.open(entry) as packed:
        while chunk := packed.read(_CHUNK_BYTES):
            size += len(chunk)
            builder.check_room(size)
            digest.update(chunk)
            store.write(chunk)
    return offset, size, digest.hexdigest()


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """Give an entry's name; one without the mark for UTF-8 is UTF-8 all the same or refused."""
    if entry.orig_filename != entry.filename and "\0" in entry.orig_filename:
        return entry.orig_filename  # refused for its control character
    if entry.flag_bits & 0x800 or entry.filename.isascii():
        return entry.filename
    return entry.filename.encode("cp437").decode("utf-8", "surrogateescape")


# --- wheel --------------------------------------------------------------------------------------


def check_wheel(archive: zipfile.ZipFile, source: str) -> None:
    """Check every file of a wheel against its RECORD; raises SourceError where they differ."""
    names = {entry.filename for entry in archive.infolist() if not entry.is_dir()}
    records = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
    if len(records) != 1 or archive.getinfo(records[0]).file_size > _MAX_RECORD_BYTES:
        raise SourceError(f"{source} is not a wheel: it has no .dist-info/RECORD")
    try:
        text = archive.read(records[0]).decode()
        wanted = {row[0]: row[1] for row in csv.reader(io.StringIO(text)) if len(row) > 1}
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{source}: RECORD cannot be read: {error}") from error
    names -= {records[0], f"{records[0]}.jws", f"{records[0]}.p7s"}
    if missing := sorted(wanted.keys() - names - {records[0]}):
        raise SourceError(f"{source}: {missing[0]} is in the wheel's RECORD but not in the wheel")
    left = MAX_BYTES
    for name in sorted(names):
        if not wanted.get(name, "").startswith("sha256="):
            raise SourceError(f"{source}: {name} is not in the wheel's RECORD with its SHA-256")
        digest = hashlib.sha256()
        with archive.open(name) as packed:
            while chunk := packed.read(_CHUNK_BYTES):
                digest.update(chunk)
                left -= len(chunk)
                if left < 0:
                    raise SourceError(f"{source} holds more than {MAX_BYTES // 1024**3} GiB")
        sha256 = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if wanted[name] != f"sha256={sha256}":
            raise SourceError(f"{source}: {name} is not what the wheel's RECORD says")
