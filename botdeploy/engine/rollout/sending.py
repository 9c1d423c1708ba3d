"""Sending: what a host lacks of a release goes there, its files once a machine."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from botdeploy.errors import ActFailed, HostError, Unreachable
from botdeploy.hosts.acts.release import TREE_STANDS, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from botdeploy.core.model.inventory import Host
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.sources.build import Build

_UNBUILDABLE = ("build", "unit", "shared")
"""Faults of staging that are the release's own: they would be the same on every host."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How a release came onto one host."""

    is_new: bool
    """False where the host had it already."""
    size_bytes: int
    seconds: float
    same: str = ""
    """What goes on running in its place, for it is the same there but for the id."""
    changed: tuple[str, ...] = ()
    """Variables and secrets that have other values than in what runs there, the same otherwise."""


def is_unbuildable(result: object) -> bool:
    """Tell whether what came of staging is a fault of the release itself."""
    return isinstance(result, ActFailed) and result.code in _UNBUILDABLE


@dataclass(slots=True)
class Sending:
    """Sends releases to hosts; those of one machine use what stands there already."""

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet

    def upload(
        self,
        name: str,
        build: Build,
        files: bytes,
        base: str | None = None,
        need: tuple[int, int] | None = None,
    ) -> Upload:
        """Put together what one host is sent; ``need``: bytes and inodes, if not the build's."""
        host = self._host(name)
        return Upload(
            self._hosts.target.release,
            base,
            build.meta(host, self._hosts.own_ring(name)),
            files,
            *(need or build.need(host)),
            tree="" if host.instance is None else build.tree_digest(host),
        )

    def send(
        self, hosts: Sequence[str], build: Build, uploads: Callable[[str], Iterator[Upload]]
    ) -> dict[str, Sent | HostError]:
        """Send a release to hosts, its files once a machine: machines at once, each one's in turn.

        ``uploads`` gives what a host is sent, one after the other where the first does not fit.
        """
        stands = self._trees(hosts)
        broken: dict[str, HostError] = {}

        def stage(name: str) -> Sent:
            host, begun = self._host(name), self._hosts.clock.monotonic()
            machine = host.on_machine
            if machine in broken:
                raise broken[machine].of(name)
            try:
                ways = chain(self._standing(name, build, stands[machine]), uploads(name))
                sent = self._send_first(name, ways, begun)
            except HostError as error:
                if isinstance(error, Unreachable) or is_unbuildable(error):
                    broken[machine] = error  # it would be the same for its other instances
                raise
            if host.instance is not None:
                stands[machine].add(build.tree_digest(host))
            return sent

        return self._locked_fleet.in_turn(hosts, stage)

    def _trees(self, hosts: Sequence[str]) -> dict[str, set[str]]:
        """Give the trees in the store of each machine of these hosts, as its hosts told them."""
        found: dict[str, set[str]] = {self._host(name).on_machine: set() for name in hosts}
        for name, state in self._hosts.states.items():
            found.setdefault(self._host(name).on_machine, set()).update(state.trees)
        return found

    def _standing(self, name: str, build: Build, trees: Collection[str]) -> Iterator[Upload]:
        """Give what a host is sent whose tree stands on its machine."""
        host = self._host(name)
        if host.instance is None or build.tree_digest(host) not in trees:
            return
        meta = build.instance_meta(host, self._hosts.own_ring(name))
        tree = build.tree_digest(host)
        yield Upload(self._hosts.target.release, TREE_STANDS, meta, b"", 0, 0, tree)

    def _host(self, name: str) -> Host:
        return self._locked_fleet.fleet.host(name)

    def _send_first(self, name: str, uploads: Iterable[Upload], begun: float) -> Sent:
        """Send the first upload that fits what the host has; ``begun`` is a monotonic second."""
        rollout, ring = self._hosts.target.rollout, self._hosts.ring_of(name)
        misfit: ActFailed | None = None
        size_bytes = 0
        for upload in uploads:
            size_bytes += len(upload.meta) + len(upload.files)
            try:
                staged = self._locked_fleet.again(
                    lambda upload=upload: (  # type: ignore[misc]
                        self._locked_fleet.acts(name).release.stage(upload, rollout, ring)
                    )
                )
            except ActFailed as error:
                is_damaged = error.code == "corrupt" and upload.base is not None
                if error.code not in ("no-base", "no-tree") and not is_damaged:
                    raise
                misfit = error
            else:
                seconds = self._hosts.clock.monotonic() - begun
                return Sent(staged.is_new, size_bytes, seconds, staged.same, staged.changed)
        assert misfit is not None  # noqa: S101 (there is one upload at least)
        raise misfit
