"""Staging: the release gets onto hosts, before anything that runs is touched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from botdeploy.core.events import Kind
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.host_standing import Standing
from botdeploy.engine.rollout.copy_bases import CopyBases
from botdeploy.engine.rollout.peer_copy import Likeness, checked
from botdeploy.engine.rollout.sending import Sending, is_unbuildable
from botdeploy.errors import (
    ActFailed,
    BotdeployError,
    ExitCode,
    HostError,
    UserError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from botdeploy.core.model.inventory import Host
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.rollout_recorder import RolloutRecorder
    from botdeploy.engine.rollout.sending import Sent
    from botdeploy.hosts.acts.release import Fetched, Upload
    from botdeploy.sources.build import Build


class BuildFailed(BotdeployError):
    """The release's own build failed on a host; nothing was switched."""

    exit_code = ExitCode.FAILED


class Staging:
    """Sends what a host does not have: from the build, or as a host like it has it.

    A controller that only goes on with a rollout (``promote``) has no build. A host that was away
    then gets the release from another one.
    """

    def __init__(
        self,
        members: RolloutHosts,
        locked_fleet: LockedFleet,
        recorder: RolloutRecorder,
        dependencies: Dependencies,
        build: Build | None,
        templates: Path | None,
    ) -> None:
        """Take ``templates``, the project's folder of them, to tell which hosts are alike."""
        self._hosts = members
        self._locked_fleet = locked_fleet
        self._sending = Sending(members, locked_fleet)
        self._recorder = recorder
        self._emit = members.emit
        self._clock = members.clock
        self._target = members.target
        self._build = build
        self._bases = CopyBases(members, locked_fleet, dependencies.manifests)
        self._templates = templates
        self._check_copy = dependencies.check_copy or checked

    def stage(self, hosts: Sequence[str]) -> None:
        """Put the release on hosts, all at once; those that have it are told of the rollout.

        Raises BuildFailed or UserError where the fault is the release's own.
        """
        there = [name for name in hosts if self._hosts.has_release(name)]
        self.tell_of_rollout(there)
        left = [name for name in hosts if name not in there]
        if not left:
            return
        if self._build is None:
            self._copy(left)
        else:
            self._send_build(left, self._build)

    def tell_of_rollout(self, hosts: Iterable[str]) -> None:
        """Note the rollout on hosts that have its release from an earlier one."""

        def begin(name: str) -> None:
            ring = self._hosts.ring_of(name)
            acts = self._locked_fleet.acts(name)
            self._locked_fleet.again(
                lambda: acts.rollout.begin(self._target.rollout, self._target.release, ring)
            )

        for name, result in self._locked_fleet.together(hosts, begin).items():
            if isinstance(result, HostError):
                self._hosts.lost(name, result.message)
            elif self._hosts[name].standing is Standing.UNSTAGED:
                self._hosts.stands(name, Standing.BEHIND)

    # --- from the build ---------------------------------------------------------------------

    def _send_build(self, hosts: Sequence[str], build: Build) -> None:
        bases = {name: self._bases.of(name) for name in hosts}
        manifests = self._bases.manifests(bases)

        def uploads(name: str) -> Iterator[Upload]:
            base, host = bases[name], self._host(name)
            upload = partial(self._sending.upload, name, build)
            if base is not None and base in manifests:
                yield upload(files=build.delta(host, manifests[base]), base=base.word)
            # Its build changed files, it is gone, or another host told wrongly what is in it.
            yield upload(files=build.delta(host, None))

        for name, base in bases.items():  # what can't be packed is a fault before any host has it
            build.delta(self._host(name), manifests.get(base) if base else None)
        self._take(self._sending.send(hosts, build, uploads))
        self._bases.keep(build)

    def _host(self, name: str) -> Host:
        return self._locked_fleet.fleet.host(name)

    # --- from a host that has it ------------------------------------------------------------

    def _copy(self, hosts: Sequence[str]) -> None:
        """Give hosts that were away the release as a host like them has it."""
        for source, names in self._sources(hosts).items():
            try:
                fetched = self._fetch(source)
                build = self._checked(source, fetched)
            except HostError as error:
                for name in names:
                    why = f"{self._target.release} could not be copied from {error}"
                    self._hosts.lost(name, why)
                continue
            like = [name for name in names if self._host(name) in build.trees]
            self._lose_other_kinds(name for name in names if name not in like)
            self._take(self._sending.send(like, build, self._whole(build, fetched)))

    def _whole(self, build: Build, fetched: Fetched) -> Callable[[str], Iterator[Upload]]:
        need = (fetched.size_bytes, fetched.inodes)
        upload = partial(self._sending.upload, build=build, files=fetched.files, need=need)
        return lambda name: iter((upload(name),))

    def _lose_other_kinds(self, names: Iterable[str]) -> None:
        for name in names:
            release = self._target.release
            why = f"no host of the same kind has {release}: only canary can stage it there"
            self._hosts.lost(name, why)

    def _sources(self, hosts: Sequence[str]) -> dict[str, list[str]]:
        """Find for each host one that is like it and has the release: source → hosts."""
        members = self._hosts
        rings = {name: members.own_ring(name) for name in members.within()}
        likeness = Likeness(members.inventory, rings, self._templates)
        proven_first = sorted(
            (name for name in members.within() if name not in hosts and members.has_release(name)),
            key=lambda name: members[name].standing is not Standing.PROVEN,
        )
        sources: dict[str, list[str]] = {}
        for name in hosts:
            source = likeness.source_for(name, proven_first)
            if source is None:
                self._lose_other_kinds([name])
            else:
                sources.setdefault(source, []).append(name)
        return sources

    def _fetch(self, source: str) -> Fetched:
        return self._locked_fleet.again(
            lambda: self._locked_fleet.acts(source).release.fetch(self._target.release)
        )

    def _checked(self, source: str, fetched: Fetched) -> Build:
        members = self._hosts
        ring = members.own_ring(source)
        return self._check_copy(
            members.inventory, self._target, source, ring, fetched, self._templates
        )

    def _take(self, staged: Mapping[str, Sent | HostError]) -> None:
        """Note what came of sending; a fault of the release ends the rollout before it began."""
        if any(is_unbuildable(one) for one in staged.values()):
            self._recorder.end(rollout_records.ABANDONED, "the release could not be staged")
        _refuse_unbuildable(staged)
        for name, result in staged.items():
            if isinstance(result, HostError):
                self._hosts.lost(name, result.message)
                continue
            if result.same:
                self._hosts.stands(name, Standing.SAME, f"same as {result.same}")
            else:
                self._hosts.stands(name, Standing.BEHIND)
            self._emit(
                Kind.STAGED,
                host=name,
                ring=self._hosts.ring_of(name),
                bytes_sent=result.size_bytes if result.is_new else 0,
                seconds=round(result.seconds, 3),
                **({"same_as": result.same} if result.same else {}),
                **self._values_changed(name, result),
            )

    def _values_changed(self, name: str, sent: Sent) -> dict[str, Any]:
        """Name the variables and secrets of which a host gets other values, and nothing else."""
        if not sent.changed:
            return {}
        bot = self._host(name).bot
        secrets = [one for one in sent.changed if one in bot.secrets]
        env = [one for one in sent.changed if one not in bot.secrets]
        return {"values_changed": {"env": env, "secrets": secrets}}


def _refuse_unbuildable(staged: Mapping[str, object]) -> None:
    """Tell a fault of the release from one of a host: it would be the same everywhere."""
    for name, result in staged.items():
        if isinstance(result, ActFailed) and is_unbuildable(result):
            told = f"{name}: {result.message}. Nothing was switched"
            raise BuildFailed(told) if result.code == "build" else UserError(told)
