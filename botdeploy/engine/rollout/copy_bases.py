"""What a host has already of a release: the files that it copies instead of being sent them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.release.release_ids import made_of
from botdeploy.errors import HostError
from botdeploy.hosts.acts.release import tree_base
from botdeploy.sources.host_trees import hosts_alike

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.inventory import Host
    from botdeploy.core.release.manifest import Manifest
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.manifest_cache import ManifestCache
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.sources.build import Build


@dataclass(frozen=True, slots=True)
class CopyBase:
    """A release that a host has, to copy unchanged files from."""

    release: str
    digest: str
    alike: tuple[str, ...]
    """The hosts of one kind, which are taken to have the same in it; () where all are alike."""
    tree: str = ""
    """The tree of another instance of the machine, where that is the base."""

    @property
    def word(self) -> str:
        """What an upload calls it."""
        return tree_base(self.tree) if self.tree else self.release


class CopyBases:
    """Finds the base of each host, and what it consists of."""

    def __init__(
        self, members: RolloutHosts, locked_fleet: LockedFleet, manifests: ManifestCache
    ) -> None:
        """``manifests`` remembers what releases consist of."""
        self._hosts = members
        self._locked_fleet = locked_fleet
        self._manifests = manifests
        self._alike = hosts_alike(members.inventory)

    def of(self, name: str) -> CopyBase | None:
        """Give the release that a host has to copy from; None where it has none.

        One of the same id, where only values are others, has all files.
        """
        state = self._hosts.states.get(name)
        if state is None:
            return None
        made = made_of(self._hosts.target.release)
        alike = [one.id for one in state.newest_first if made_of(one.id) == made]
        for release in (*alike, state.current, state.previous):
            found = state.release(release)
            if found is not None and found.digest:
                return CopyBase(found.id, found.digest, self._alike[name])
        return self._of_neighbours(name)

    def _of_neighbours(self, name: str) -> CopyBase | None:
        """Find a tree of its machine for an instance that is new there."""
        machine = self._host(name).on_machine
        for one in self._hosts.inventory.hosts:
            state = self._hosts.states.get(one.name)
            if state is None or one.on_machine != machine or self._host(name).instance is None:
                continue
            found = state.release(state.current)
            if found is not None and found.digest and found.tree:
                return CopyBase(found.id, found.digest, self._alike[one.name], found.tree)
        return None

    def manifests(self, bases: Mapping[str, CopyBase | None]) -> dict[CopyBase, Manifest]:
        """Find what each base consists of: from the cache, else from one host that has it.

        What one host of a kind has is taken for all of it. Where one has another tree, because
        the kinds were others then, it tells that files are missing, and gets all of them.
        """
        found: dict[CopyBase, Manifest] = {}
        for base in dict.fromkeys(bases.values()):
            if base is None:
                continue
            manifest = self._manifests.get(base.digest, base.alike)
            if manifest is None:
                host = self._who_has(base, bases)
                try:
                    manifest = self._locked_fleet.acts(host).release.manifest(base.release)
                except HostError:
                    continue
                self._manifests.keep(base.digest, manifest, base.alike)
            found[base] = manifest
        return found

    def _who_has(self, base: CopyBase, bases: Mapping[str, CopyBase | None]) -> str:
        names = [name for name, one in bases.items() if one == base]
        if not base.tree:
            return names[0]
        machine = self._host(names[0]).on_machine
        return next(
            name
            for name, state in self._hosts.states.items()
            if self._host(name).on_machine == machine and state.release(base.release) is not None
        )

    def keep(self, build: Build) -> None:
        """Remember what hosts have now, but what a build on them may have changed."""
        for names in dict.fromkeys(self._alike.values()):
            hosts = [one for one in self._hosts.inventory.hosts if self._alike[one.name] == names]
            if not any(host.bot.build for host in hosts):
                self._manifests.keep(self._hosts.target.digest, build.manifest(hosts[0]), names)

    def _host(self, name: str) -> Host:
        return self._locked_fleet.fleet.host(name)
