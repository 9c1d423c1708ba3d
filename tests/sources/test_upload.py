"""Packages: tar files that hosts unpack to exactly what the manifest says."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from botdeploy.errors import SourceError
from botdeploy.sources.read import read
from botdeploy.sources.upload import RELEASE_TIME, delta_tar_gz, meta_tar_gz

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a folder with all that a release can hold, long names among it."""
    folder = tmp_path / "source"
    deep = folder / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / ("f" * 200)).write_bytes(b"deep")
    (folder / "long-link").symlink_to("/".join([deep.parent.name, deep.name, "f" * 200]))
    (folder / "empty").mkdir(mode=0o700)
    (folder / "bot.py").write_bytes(b"print('hello')\n")
    (folder / "bot.py").chmod(0o640)
    (folder / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "run").chmod(0o711)
    (folder / "big.bin").write_bytes(hashlib.shake_256(b"x").digest(1_500_000) + b"text " * 300_000)
    (folder / "ünï cødé").write_bytes(b"\0\1\2" * 1000)
    return folder


def unpacked_tree(folder: Path) -> str:
    """Give what the host's program compares with the manifest."""
    return subprocess.run(
        ["sh", "-c", "find . -mindepth 1 -printf '%y %m %P %l\\n' | LC_ALL=C sort"],
        cwd=folder,
        capture_output=True,
        check=True,
    ).stdout.decode()


@pytest.mark.parametrize("program", ["tar", "busybox"])
def test_a_host_unpacks_exactly_the_manifest(source: Path, tmp_path: Path, program: str) -> None:
    """GNU tar and busybox give the modes, names, links and empty folders of the manifest."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    tree = read(str(source), os.environ)
    there = tmp_path / "there"
    there.mkdir()
    command = ["tar"] if program == "tar" else ["busybox", "tar"]
    subprocess.run(
        [*command, "-x", "-z", "-f", "-", "-C", str(there), "-p"],
        input=delta_tar_gz(tree),
        check=True,
    )
    assert unpacked_tree(there) == tree.manifest.tree
    subprocess.run(
        ["sha256sum", "-c", "--quiet", "--strict"],
        input=tree.manifest.sums.encode(),
        cwd=there,
        check=True,
    )


def test_a_delta_holds_the_named_files_and_all_folders_and_links(source: Path) -> None:
    """What the host copies from its base is not sent; folders and links always are."""
    tree = read(str(source), os.environ)
    with tarfile.open(fileobj=io.BytesIO(delta_tar_gz(tree, {"run"}))) as tar:
        members = tar.getmembers()
    assert [member.name for member in members if member.isfile()] == ["run"]
    assert [member.name for member in members if member.issym()] == ["long-link"]
    assert {member.name for member in members if member.isdir()} == {
        "empty",
        "d" * 120,
        "d" * 120 + "/" + "e" * 120,
    }


def test_equal_content_makes_equal_packages(source: Path, tmp_path: Path) -> None:
    """Times, owners and the order on disk leave no trace in a package."""
    copy = tmp_path / "copy"
    shutil.copytree(source, copy, symlinks=True, copy_function=shutil.copy)
    assert delta_tar_gz(read(str(copy), os.environ)) == delta_tar_gz(read(str(source), os.environ))
    with tarfile.open(fileobj=io.BytesIO(delta_tar_gz(read(str(source), os.environ)))) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in tar} == {
            (0, 0, "", "", RELEASE_TIME)
        }


def test_a_file_that_changed_since_it_was_hashed_is_not_packed(source: Path) -> None:
    """A package never holds content that the manifest does not name."""
    tree = read(str(source), os.environ)
    (source / "bot.py").write_bytes(b"print('other')\n")
    with pytest.raises(SourceError, match=r"bot\.py changed while it was being read"):
        delta_tar_gz(tree)


def test_a_file_that_became_a_link_is_not_packed(source: Path) -> None:
    """A link put in a file's place after the check is not followed out of the source."""
    tree = read(str(source), os.environ)
    (source / "bot.py").unlink()
    (source / "bot.py").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match=r"bot\.py cannot be read: it became a link"):
        delta_tar_gz(tree)


def test_a_meta_tar_unpacks_with_its_modes(tmp_path: Path) -> None:
    """Secrets are private from the moment that tar creates them, and so is their folder."""
    packed = meta_tar_gz(
        {
            "sums": (b"x", 0o644),
            "environment": (b"A=1\n", 0o600),
            "credentials/TOKEN": (b"t", 0o600),
            "credentials/OTHER": (b"o", 0o600),
        }
    )
    subprocess.run(["tar", "-xz", "-f", "-", "-C", str(tmp_path), "-p"], input=packed, check=True)
    assert unpacked_tree(tmp_path) == (
        "d 700 credentials \n"
        "f 600 credentials/OTHER \n"
        "f 600 credentials/TOKEN \n"
        "f 600 environment \n"
        "f 644 sums \n"
    )


def test_what_follows_a_meta_tar_is_not_eaten(tmp_path: Path) -> None:
    """The host cuts the stream by bytes, so a meta tar is whole and ends where it says."""
    meta, rest = meta_tar_gz({"digest": (b"d", 0o644)}), b"the second archive"
    done = subprocess.run(
        ["sh", "-c", f"head -c {len(meta)} | gzip -dcq | tar -x -f - -C '{tmp_path}' && cat"],
        input=meta + rest,
        capture_output=True,
        check=True,
    )
    assert done.stdout == rest
    assert (tmp_path / "digest").read_bytes() == b"d"
