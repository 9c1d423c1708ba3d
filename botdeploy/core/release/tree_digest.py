"""The tree of a release: its digest, what stands beside its files, and which host has which."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from botdeploy.core.text.untrusted import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.model.inventory import Host
    from botdeploy.core.release.manifest import Manifest

_DOMAIN = "botdeploy tree 1\n"

TREE_FILES = ("sums", "tree", "shared", "build")
"""The files of ``.botdeploy/`` that belong to a tree, in the order of its digest."""


def shared_text(shared: Iterable[str]) -> str:
    """Write the list of shared paths: a tree's mount points. Their order means nothing."""
    return "".join(f"{path}\n" for path in sorted(shared))


def build_text(build: Sequence[str]) -> str:
    """Write the script that builds a tree on a host; empty where nothing is built."""
    return "\n".join(["set -eu", *build]) + "\n" if build else ""


def tree_digest(manifest: Manifest, shared: Iterable[str] = (), build: Sequence[str] = ()) -> str:
    r"""Hash what makes a tree what it is: 64 hexadecimal digits.

    A host can make it with its own tools, from the four files as they stand; one that is not there
    counts as empty: ``{ echo 'botdeploy tree 1'; sha256sum sums tree shared build; } | sha256sum``.
    """
    texts = (manifest.sums, manifest.tree, shared_text(shared), build_text(build))
    rows = (
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in zip(TREE_FILES, texts, strict=True)
    )
    return hashlib.sha256((_DOMAIN + "".join(rows)).encode()).hexdigest()


def content_digest(manifest: Manifest, build: Sequence[str] = ()) -> str:
    """Hash what two environments have in common that release the same: 64 hexadecimal digits.

    A tree without its mount points: its files, and what builds it. A host makes it of each release
    that it has (``hosts/shell/read.sh: act_contents``).
    """
    texts = (manifest.sums, manifest.tree, build_text(build))
    rows = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}\n" for text in texts)
    return hashlib.sha256(rows.encode()).hexdigest()


def tree_holders(hosts: Sequence[Host], digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Say who has which tree: its digest → names, both sorted; ``digests`` is by host.

    ``w1/*`` stands for the instances of a machine that all have the same one, so that one more of
    them changes nothing.
    """
    on_machine: dict[str, set[str]] = {}
    for host in hosts:
        on_machine.setdefault(_instances(host), set()).add(digests[host.name])
    found: dict[str, set[str]] = {}
    for host in hosts:
        every = _instances(host)
        name = every if len(on_machine[every]) == 1 else host.name
        found.setdefault(digests[host.name], set()).add(name)
    return {digest: sorted(found[digest]) for digest in sorted(found)}


def tree_held(host: Host, holders: Mapping[str, Iterable[str]]) -> str | None:
    """Give the digest of the tree that a host has by ``tree_holders``; None where it says none."""
    names = {host.name, _instances(host)}
    return next((digest for digest, has in holders.items() if not names.isdisjoint(has)), None)


def holders_of(value: object) -> dict[str, list[str]]:
    """Read what a host says of ``tree_holders``; raises ValueError for anything else."""
    if not isinstance(value, dict) or not all(isinstance(one, list) for one in value.values()):
        raise ValueError("it does not say which host has which tree")
    return {told(digest): [told(name) for name in names] for digest, names in value.items()}


def _instances(host: Host) -> str:
    """Name all instances that stand for one entry of the inventory; else the host itself."""
    machine = host.name.removesuffix(f"/{host.instance}") if host.instance else host.name
    return host.name if machine == host.name else f"{machine}/*"
