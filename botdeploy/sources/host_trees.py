"""The trees of a release: hosts whose bots agree in source, ref and exclude share one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdeploy.core.release.tree_digest import tree_digest, tree_held, tree_holders
from botdeploy.core.text.phrases import few
from botdeploy.errors import SourceError, UserError
from botdeploy.sources.read import read
from botdeploy.sources.tree import SourceTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from botdeploy.core.model.bot import Bot
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.release.manifest import Manifest


@dataclass(frozen=True, slots=True)
class TreeSource:
    """What a tree is read from."""

    source: str
    ref: str | None
    exclude: tuple[str, ...]

    @classmethod
    def of(cls, bot: Bot) -> Self:
        """Take it of a host's bot."""
        return cls(bot.source, bot.ref, bot.exclude)


@dataclass(frozen=True, slots=True)
class HostKind:
    """Hosts that get the same tree."""

    source: str
    """Where its files came from, in words."""
    commit: str | None
    digest: str
    hosts: tuple[str, ...]


class HostTrees:
    """Which tree each host of an inventory gets."""

    def __init__(self, hosts: tuple[Host, ...], trees: Mapping[str, SourceTree]) -> None:
        """Take the trees by host; hosts without one get nothing."""
        self._trees = trees
        self._hosts = tuple(host for host in hosts if host.name in trees)
        self._digests: dict[str, str] = {}
        known: dict[tuple[int, tuple[str, ...], tuple[str, ...]], str] = {}
        for host in self._hosts:
            tree, bot = trees[host.name], host.bot
            key = (id(tree), bot.shared, bot.build)
            if key not in known:
                known[key] = tree_digest(tree.manifest, bot.shared, bot.build)
            self._digests[host.name] = known[key]
        self.files = self._files()
        """What a release's digest takes of the files.

        That is the manifest where all hosts have the same files, else who has which tree.
        """

    @classmethod
    def same(cls, inventory: Inventory, tree: SourceTree) -> HostTrees:
        """Give every host the same tree."""
        return cls(inventory.hosts, {host.name: tree for host in inventory.hosts})

    def __contains__(self, host: Host) -> bool:
        """Tell whether a host gets a tree."""
        return host.name in self._trees

    def of(self, host: Host) -> SourceTree:
        """Give the tree of a host; raises KeyError where it gets none."""
        return self._trees[host.name]

    def digest_of(self, host: Host) -> str:
        """Give the digest of a host's tree: of files, shared paths and build."""
        return self._digests[host.name]

    @property
    def distinct(self) -> tuple[SourceTree, ...]:
        """Give each tree once, in the order of hosts."""
        return tuple({id(tree): tree for tree in map(self.of, self._hosts)}.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before this is released, one sentence each."""
        return tuple(dict.fromkeys(note for tree in self.distinct for note in tree.notes))

    @property
    def kinds(self) -> tuple[HostKind, ...]:
        """Group the hosts by their trees, in order."""
        by_digest: dict[str, list[Host]] = {}
        for host in self._hosts:
            by_digest.setdefault(self.digest_of(host), []).append(host)
        return tuple(
            HostKind(
                self.of(hosts[0]).describe,
                self.of(hosts[0]).commit,
                digest,
                tuple(host.name for host in hosts),
            )
            for digest, hosts in by_digest.items()
        )

    @property
    def describe(self) -> str:
        """Say where the files came from, in words."""
        return " and ".join(dict.fromkeys(tree.describe for tree in self.distinct))

    def _files(self) -> Manifest | dict[str, list[str]]:
        distinct = {tree.manifest.text: tree.manifest for tree in self.distinct}
        if len(distinct) == 1:
            return next(iter(distinct.values()))
        return tree_holders(self._hosts, self._digests)


def read_trees(
    inventory: Inventory,
    environ: Mapping[str, str],
    *,
    source: str | None = None,
    ref: str | None = None,
) -> HostTrees:
    """Read the trees of all hosts, each once; ``source`` and ``ref`` stand for every host's own.

    Raises UserError where ``source`` would stand for several, and SourceError, which names the
    hosts where they differ.
    """
    wanted = {host.name: TreeSource.of(host.bot) for host in inventory.hosts}
    if source is not None:
        _refuse_several(wanted)
        wanted = {name: replace(one, source=source) for name, one in wanted.items()}
    if ref is not None:
        wanted = {name: replace(one, ref=ref) for name, one in wanted.items()}
    trees = {one: _read(one, wanted, environ) for one in dict.fromkeys(wanted.values())}
    return HostTrees(inventory.hosts, {name: trees[one] for name, one in wanted.items()})


def hosts_alike(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Name for each host all that agree with it in source, ref and exclude; () where all do."""
    kinds: dict[TreeSource, list[str]] = {}
    for host in inventory.hosts:
        kinds.setdefault(TreeSource.of(host.bot), []).append(host.name)
    alike = {name: tuple(names) for names in kinds.values() for name in names}
    return alike if len(kinds) > 1 else dict.fromkeys(alike, ())


def _refuse_several(wanted: Mapping[str, TreeSource]) -> None:
    sources: dict[str, list[str]] = {}
    for name, one in wanted.items():
        sources.setdefault(one.source, []).append(name)
    if len(sources) > 1:
        told = ", ".join(f"{source} ({few(names, 3)})" for source, names in sources.items())
        raise UserError(
            f"--source names one source, but the hosts have several: {told}. Nothing was changed. "
            "Change bot.source in the inventory instead"
        )


def _read(
    one: TreeSource, wanted: Mapping[str, TreeSource], environ: Mapping[str, str]
) -> SourceTree:
    names = [name for name, other in wanted.items() if other == one]
    try:
        return read(one.source, environ, ref=one.ref, exclude=one.exclude)
    except SourceError as error:
        if len(names) == len(wanted):
            raise
        raise SourceError(f"{few(names, 3)}: {error}") from error


def trees_like(
    source: Host, inventory: Inventory, manifest: Manifest, holders: Mapping[str, list[str]]
) -> HostTrees | None:
    """Give the tree that ``source``, a host, told of to the hosts of its kind.

    ``holders`` says which host has which tree of the release; empty where all have the same. None
    where that tree is not the one that ``source`` has by it. A host that is new since then is of
    the kind that it would be read from.
    """
    tree = SourceTree({}, "", manifest=manifest)
    if not holders:
        return HostTrees.same(inventory, tree)
    own = tree_held(source, holders)
    if own != tree_digest(manifest, source.bot.shared, source.bot.build):
        return None
    kind = TreeSource.of(source.bot)
    like = {
        host.name: tree
        for host in inventory.hosts
        if (tree_held(host, holders) or (own if TreeSource.of(host.bot) == kind else None)) == own
    }
    return HostTrees(inventory.hosts, like)
