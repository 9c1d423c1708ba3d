"""Rings to hosts: who is in which ring, and in which order they are switched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.model.policy import Share
from botdeploy.core.rollout.host_standing import keeps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Ring


def members(
    inventory: Inventory,
    states: Mapping[str, HostState],
    away: Iterable[str] = (),
    *,
    rollout: str = "",
    release: str = "",
) -> dict[str, tuple[str, ...]]:
    """Resolve each ring's hosts; a host belongs to the first ring that has it.

    A host stays in the ring for which the rollout was staged there, for its environment is that
    ring's. A ring that is a count or a percentage takes hosts that run the release already, then
    those that carry another release which was never proven there (it must not stay), then the
    healthiest in inventory order: a sick host has no baseline to be compared with. In every
    later ring the sickest come first, so that the last good one is not the first to go.
    """
    policy = inventory.policy
    renumbered = {name for ring in policy.rings for name in ring.renumbers}
    names = [host.name for host in inventory.hosts if host.name not in renumbered]
    if policy.only is not None:
        names = [name for name in names if name in policy.only]
    out = set(away)
    staged = _staged_for(states, rollout, policy.rings)
    taken: set[str] = set()
    rings: dict[str, tuple[str, ...]] = {}
    for number, ring in enumerate(policy.rings):
        if ring.renumbers:
            rings[ring.name] = ring.hosts
            continue
        own = [name for name in names if staged.get(name) == ring.name and name not in taken]
        free = [name for name in names if name not in taken and name not in staged]
        if isinstance(ring.selector, Share):
            ordered = sorted(
                free,
                key=lambda name: (
                    not _runs(states.get(name), release),
                    name in out,
                    not _is_unproven(states.get(name)),
                    not _is_healthy(states.get(name)),
                ),
            )
            wanted = ring.selector.of(len(names))
            found = own + ordered[: max(0, wanted - len(own))]
            if all(name in out for name in found):
                found = (
                    _instead(policy.rings[number:], names, states, staged, out, release) or found
                )
                found = found[:wanted]
        else:
            found = own + [name for name in ring.hosts if name in free]
        taken.update(found)
        if number:
            found = sorted(found, key=lambda name: _is_healthy(states.get(name)))
        rings[ring.name] = tuple(found)
    return rings


def _staged_for(
    states: Mapping[str, HostState], rollout: str, rings: Sequence[Ring]
) -> dict[str, str]:
    """Say for which ring each host was given the rollout's release."""
    known = {ring.name for ring in rings}
    return {
        name: state.rollout.ring
        for name, state in states.items()
        if rollout
        and state.rollout is not None
        and state.rollout.id == rollout
        and state.rollout.ring in known
    }


def _instead(
    rings: Sequence[Ring],
    names: Sequence[str],
    states: Mapping[str, HostState],
    staged: Mapping[str, str],
    out: set[str],
    release: str,
) -> list[str]:
    """Find hosts for a ring whose own are all away, among those that have the same environment."""
    alike = {ring.name for ring in rings if dict(ring.env) == dict(rings[0].env)}
    found = [name for name in names if name not in out and staged.get(name) in alike]
    return sorted(
        found,
        key=lambda name: (
            not _runs(states.get(name), release),
            not _is_healthy(states.get(name)),
        ),
    )


def _runs(state: HostState | None, release: str) -> bool:
    if not release or state is None:
        return False
    record = state.rollout
    is_kept = record is not None and record.release == release and keeps(state, record.id)
    return state.running == release or is_kept


def _is_unproven(state: HostState | None) -> bool:
    return state is not None and bool(state.current) and not state.is_proven(state.current)


def _is_healthy(state: HostState | None) -> bool:
    return state is not None and state.unit.active_state == "active" and state.unit.restarts == 0


def ring_of(rings: Mapping[str, Sequence[str]], host: str) -> str:
    """Name the ring that a host is in; empty when none has it."""
    return next((name for name, hosts in rings.items() if host in hosts), "")
