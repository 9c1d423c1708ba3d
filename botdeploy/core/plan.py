"""Rings to hosts: who is in which ring, and in which order they are switched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.model import Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.hoststate import HostState
    from botdeploy.core.model import Inventory


def members(
    inventory: Inventory,
    states: Mapping[str, HostState],
    away: Iterable[str] = (),
    *,
    rollout: str = "",
    release: str = "",
) -> dict[str, tuple[str, ...]]:
    """Resolve each ring's hosts; a host belongs to the first ring that has it.

    A ring that is a count or a percentage takes, in this order, the hosts that an earlier step
    of the same rollout put into it, hosts that run the release already, then the healthiest in
    inventory order: a sick host has no baseline to be compared with. In every later ring the
    sickest come first, so that the last good one is not the first to go.
    """
    out = set(away)
    taken: set[str] = set()
    rings: dict[str, tuple[str, ...]] = {}
    names = [host.name for host in inventory.hosts]
    only = inventory.policy.only
    if only is not None:
        names = [name for name in names if name in only]
    allowed = set(names)
    for number, ring in enumerate(inventory.policy.rings):
        if isinstance(ring.selector, Share):
            free = [name for name in names if name not in taken]
            ordered = sorted(
                free,
                key=lambda name: (
                    not _was_in(states.get(name), rollout, ring.name),
                    not _runs(states.get(name), release),
                    name in out,
                    not _is_healthy(states.get(name)),
                ),
            )
            found = ordered[: ring.selector.of(len(names))]
        else:
            found = [name for name in ring.hosts if name not in taken and name in allowed]
        taken.update(found)
        if number:
            found = sorted(found, key=lambda name: _is_healthy(states.get(name)))
        rings[ring.name] = tuple(found)
    return rings


def _was_in(state: HostState | None, rollout: str, ring: str) -> bool:
    record = state.rollout if state is not None else None
    return bool(rollout) and record is not None and (record.id, record.ring) == (rollout, ring)


def _runs(state: HostState | None, release: str) -> bool:
    return bool(release) and state is not None and state.running == release


def _is_healthy(state: HostState | None) -> bool:
    return state is not None and state.active_state == "active" and state.restarts == 0


def ring_of(rings: Mapping[str, Sequence[str]], host: str) -> str:
    """Name the ring that a host is in; empty when none has it."""
    return next((name for name, hosts in rings.items() if host in hosts), "")
