"""The base tree: one Debian that all lab hosts share, made once and never changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.shell import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("BOTDEPLOY_LAB_CACHE", "/var/cache/botdeploy-lab"))
MIRROR = os.environ.get("BOTDEPLOY_LAB_MIRROR", "http://deb.debian.org/debian")
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "cron"),
    *("rsync", "zstd", "gzip", "curl", "ca-certificates"),
    *("iproute2", "procps", "util-linux"),
    *("python3-minimal", "python3-venv"),
)
"""Everything a host will ever have: lab hosts have no way out to fetch more."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def digest() -> str:
    """Answer the digest of the recipe: the same digest means the same base tree."""
    recipe = "\n".join([SUITE, *PACKAGES, (HERE / "base.sh").read_text(), os.uname().machine])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def base_tree(say: Callable[[str], None] = lambda _: None) -> Path:
    """Answer the base tree's folder, and make it first where it is missing (about half a minute).

    It is built aside and renamed, so a tree that is there is whole; of several callers at once one
    builds and the others wait. Raises `CommandError` when mmdebstrap fails, e.g. without network.
    """
    tree = CACHE / f"{SUITE}-{digest()}"
    if tree.is_dir():
        return tree
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock():
        if tree.is_dir():
            return tree
        say(f"building the base tree {tree.name} (once, about half a minute)")
        for leftover in CACHE.glob("building-*"):
            shutil.rmtree(leftover)
        aside = Path(tempfile.mkdtemp(prefix="building-", dir=CACHE))
        _build(aside / "tree")
        (aside / "tree").rename(tree)
        aside.rmdir()
    return tree


def prune() -> list[str]:
    """Remove base trees of other recipes, and answer their names.

    Call it only while no lab runs: a running host reads from its tree.
    """
    with _lock():
        old = [path for path in CACHE.glob(f"{SUITE}-*") if path.name != f"{SUITE}-{digest()}"]
        for path in old:
            shutil.rmtree(path)
    return [path.name for path in old]


def _build(tree: Path) -> None:
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            # mmdebstrap runs a hook as `HOOK TREE`; through sh it need not be executable.
            f'--customize-hook=sh "{HERE / "base.sh"}" "$1"',
            *keyring,
            SUITE,
            str(tree),
            MIRROR,
        ],
        timeout=1800,
        what="mmdebstrap",
    )


@contextmanager
def _lock() -> Iterator[None]:
    with (CACHE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
