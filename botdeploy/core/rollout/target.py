"""The target: which release, under the name of which rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import meant
from botdeploy.core.release.release_ids import in_order, made_of, next_number, numbered
from botdeploy.core.rollout import ring_members, rollout_records
from botdeploy.core.rollout.host_standing import HOLDING, Standing, keeps, standing_of
from botdeploy.errors import BotdeployError, ExitCode, Hint, Todo, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.release.manifest import Release


class Quarantined(BotdeployError):
    """The release failed before; nothing was touched."""

    exit_code = ExitCode.HELD


@dataclass(frozen=True, slots=True)
class Target:
    """The release of a rollout, by name."""

    rollout: str
    release: str
    digest: str

    @classmethod
    def of(cls, record: RolloutRecord) -> Target:
        """Take what a host wrote down of a rollout."""
        return cls(record.id, record.release, record.digest)


def named(
    inventory: Inventory,
    states: Mapping[str, HostState],
    built: Release | None,
    release: str | None,
    new_rollout: str,
    *,
    is_forced: bool,
) -> Target:
    """Name the rollout of a staged release where one is given, else of a build.

    One that is under way with the same release goes on.
    """
    target = _to_go_on(inventory, states, is_forced=is_forced)
    if release is not None:
        release = meant(release, states)
        digest = _digest(states, release)
        if target is not None and target.release == release:
            return target
        return Target(new_rollout, release, digest)
    if built is None:
        raise UserError("nothing to release: name a source or a release")
    if target is not None and target.digest == built.digest:
        return target
    return _of_build(inventory, states, built, new_rollout)


def _of_build(
    inventory: Inventory, states: Mapping[str, HostState], built: Release, new_rollout: str
) -> Target:
    """Name a build as hosts know it: the id that runs, else the newest that is staged.

    Where they know the release with other values only, its id gets the next number.
    """
    digest = built.digest
    ids = sorted(
        {one.id for state in states.values() for one in state.releases if one.digest == digest},
        key=in_order,
    )
    running = next(
        (
            state.running
            for state in states.values()
            if (found := state.release(state.running)) is not None and found.digest == digest
        ),
        None,
    )
    release = running or (ids[-1] if ids else _numbered(states, built))
    if running is not None and _is_everywhere(inventory, states, running):
        last = next(
            (one for one in rollout_records.records(states) if one.release == running), None
        )
        return Target(last.id if last else new_rollout, running, digest)
    return Target(new_rollout, release, digest)


def _numbered(states: Mapping[str, HostState], built: Release) -> str:
    """Name a build that no host has: ID+N where they have it with other values, else its own id.

    A rollout needs most machines and stages on all that it reaches first, so one of those that
    answer knows the last N.
    """
    made = [made_of(one) for one in _of_recipe(states, built.recipe)]
    if not made:
        return built.id
    release = max(made)
    return numbered(release, next_number(release, _known(states)))


def _of_recipe(states: Mapping[str, HostState], recipe: str) -> set[str]:
    return {
        one.id
        for state in states.values()
        for one in state.releases
        if recipe and one.recipe == recipe
    }


def _known(states: Mapping[str, HostState]) -> set[str]:
    """Give all ids of releases that hosts name, also of those that are gone."""
    return {
        name
        for state in states.values()
        for name in (
            *(one.id for one in state.releases),
            *state.rendered,
            *(name for _, name in state.switches),
            state.rollout.release if state.rollout is not None else "",
        )
    }


def _to_go_on(
    inventory: Inventory, states: Mapping[str, HostState], *, is_forced: bool
) -> Target | None:
    """Give the rollout that is under way, where a person's ``canary`` goes on with it.

    One that failed is not forced on, and where a host was tried as often as it may be, the
    person who comes begins anew.
    """
    record = rollout_records.newest_under_way(states, inventory.policy)
    if record is None or (is_forced and record.outcome == rollout_records.FAILED):
        return None
    if record.environment not in ("", inventory.known_as):
        return None  # it was taken over: theirs does not go on
    views = (
        standing_of(state, record.release, record.digest, record.id) for state in states.values()
    )
    if any(view.has_given_up for view in views):
        return None
    return Target.of(record)


def _is_everywhere(inventory: Inventory, states: Mapping[str, HostState], release: str) -> bool:
    return all(
        (state := states.get(host.name)) is not None
        and ((state.running == release and state.is_proven(release)) or _keeps(state, release))
        for host in inventory.hosts
    )


def _keeps(state: HostState, release: str) -> bool:
    record = state.rollout
    return record is not None and record.release == release and keeps(state, record.id)


def _digest(states: Mapping[str, HostState], release: str) -> str:
    """Give the digest of a release that hosts have already."""
    found = [one for state in states.values() if (one := state.release(release)) is not None]
    if not found:
        raise UserError(
            f"--release {release}: no host has it. Nothing was changed",
            hint=Hint(Todo.RELEASES),
        )
    digests = {one.digest for one in found}
    if len(digests) > 1:
        has = ", ".join(name for name, state in states.items() if state.release(release))
        raise UserError(
            f"--release {release}: the hosts that have it ({has}) have different contents under "
            "this id, so one was changed. Nothing was changed",
            hint=Hint(Todo.CANARY),
        )
    return found[0].digest


def refuse_quarantined(
    inventory: Inventory, states: Mapping[str, HostState], target: Target
) -> None:
    """Raise Quarantined where a host has seen this release fail."""
    for name, state in states.items():
        why = state.quarantine.get(target.digest)
        if why is None:
            continue
        rings = ring_members.members(
            inventory, states, rollout=target.rollout, release=target.release
        )
        views = [
            standing_of(states[host], target.release, target.digest, target.rollout).standing
            for hosts in rings.values()
            for host in hosts
            if host in states
        ]
        record = rollout_records.known(states, target.rollout)
        is_over = record is not None and record.outcome == rollout_records.FAILED
        has_failed = Standing.RETURNED in views or is_over
        if has_failed and any(view in HOLDING for view in views):
            return  # a failing rollout was cut off half-way: go on taking it back
        is_there = any(one.release(target.release) is not None for one in states.values())
        raise Quarantined(
            f"{target.release} is in quarantine: it failed before on {name} ({why}). Nothing was "
            "changed. Fix the bot and release again",
            hint=Hint(Todo.FORCE, name=target.release if is_there else ""),
        )
