"""The base trees: one Debian a suite that its lab hosts share, made once and never changed."""

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
"""The Debian of every lab that does not ask for another."""
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "cron"),
    *("rsync", "zstd", "gzip", "curl", "ca-certificates"),
    *("iproute2", "procps", "util-linux"),
    *("python3-minimal", "python3-venv"),
)
"""Everything a host will ever have: lab hosts have no way out to fetch more."""
MORE = {
    "bullseye": (),
    "bookworm": (),
    "bookworm+rabbitmq": ("rabbitmq-server", "systemd-journal-remote"),
    "trixie": ("sudo-rs", "rust-coreutils"),
}
"""The trees that there are, each a suite, and what hosts of each have besides: beside the usual
programs, not in their place; see `tests.lab.faults` for that. Services of these packages are off
until a test starts them."""
PRISTINE = "usr/lib/botdeploy-lab"
"""The folder in a tree with what `reset.sh` compares a host with."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def digest(suite: str = SUITE) -> str:
    """Answer the digest of the recipe: the same digest means the same base tree."""
    packages = (*PACKAGES, *MORE[suite])
    recipe = "\n".join([suite, *packages, (HERE / "base.sh").read_text(), os.uname().machine])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def base_tree(say: Callable[[str], None] = lambda _: None, suite: str = SUITE) -> Path:
    """Answer a suite's base tree, and make it first where it is missing (about half a minute).

    It is built aside and renamed, so a tree that is there is whole; of several callers at once one
    builds and the others wait. Raises `CommandError` when mmdebstrap fails, e.g. without network.
    """
    tree = CACHE / f"{suite}-{digest(suite)}"
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
        _build(aside / "tree", suite)
        (aside / "tree").rename(tree)
        aside.rmdir()
    return tree


def prune() -> list[str]:
    """Remove base trees of other recipes, and answer their names.

    Call it only while no lab runs: a running host reads from its tree.
    """
    with _lock():
        new = {f"{suite}-{digest(suite)}" for suite in MORE}
        old = [path for suite in MORE for path in CACHE.glob(f"{suite}-*") if path.name not in new]
        for path in old:
            shutil.rmtree(path)
    return [path.name for path in old]


def _build(tree: Path, suite: str) -> None:
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    servers = [each for each in MORE[suite] if each.endswith("-server")]
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join((*PACKAGES, *MORE[suite]))}",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            # mmdebstrap runs a hook as `HOOK TREE`; through sh it need not be executable.
            f'--customize-hook=sh "{HERE / "base.sh"}" "$1"',
            *(f'--customize-hook=chroot "$1" systemctl disable {each}' for each in servers),
            *keyring,
            suite.partition("+")[0],
            str(tree),
            MIRROR,
        ],
        timeout=1800,
        what="mmdebstrap",
    )
    # Only now: mmdebstrap takes its own settings out of /etc at its very end.
    run(["cp", "-a", str(tree / "etc"), str(tree / PRISTINE)])


@contextmanager
def _lock() -> Iterator[None]:
    with (CACHE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
