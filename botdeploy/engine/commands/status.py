"""Status: what truly runs on each host, and where the last rollout stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import BotFault, bot_fault
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.host_standing import HOLDING, UNPROVEN, Standing, has_run, standing_of
from botdeploy.core.rollout.next_step import Reason, Wait
from botdeploy.core.rollout.renumbering import as_one_batch
from botdeploy.core.rollout.rollout_records import newest, newest_under_way
from botdeploy.core.rollout.succession import Succession, successions
from botdeploy.core.rollout.unnamed import Unnamed, unnamed
from botdeploy.engine.commands.preview import next_decision
from botdeploy.engine.fleet.ownership import own
from botdeploy.engine.fleet.release_sources import release_sources
from botdeploy.sources.host_trees import hosts_alike

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.next_step import Decision
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.errors import HostError


class RolloutState(StrEnum):
    """How far the last rollout has come."""

    PENDING = "pending"
    UNDER_WAY = "under way"
    SOAKING = "soaking"
    WAITING = "waiting"
    DONE = "done"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """Where the last rollout stands."""

    record: RolloutRecord
    ring: str
    """The last ring of which a host runs the release, or ran it and went back."""
    state: RolloutState
    unproven: tuple[str, ...]
    """Hosts of that ring which run the release and have no verdict yet."""
    decision: Decision | None
    """What comes next; None where the rollout is over."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What one host says of itself."""

    name: str
    ring: str
    state: HostState | None
    """None where it could not be asked."""
    error: str = ""
    """Why it could not be asked."""
    fault: BotFault | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What truly runs."""

    inventory: Inventory
    rollout: RolloutStatus | None
    hosts: tuple[HostStatus, ...]
    at: datetime
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the last rollout's files came from → hosts; empty where all have the same."""
    unnamed: tuple[Unnamed, ...] = ()
    """What stands on the machines and is the environment's, but not in its inventory."""
    successions: tuple[Succession, ...] = ()
    """Changes of the bot's form that the next rollout begins with."""


def sources_told(fleet: Fleet, states: Mapping[str, HostState]) -> Mapping[str, tuple[str, ...]]:
    """Ask where the last rollout's files came from, where hosts are to have different ones."""
    last = newest(own(fleet.inventory, states))
    if last is None or not any(hosts_alike(fleet.inventory).values()):
        return {}
    return release_sources(fleet, states, last.release)


def status(
    inventory: Inventory,
    names: tuple[str, ...],
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
    now: datetime,
    sources: Mapping[str, tuple[str, ...]] | None = None,
) -> Status:
    """Put together what the hosts ``names`` have said, and the rollout by what all have said.

    ``sources`` as ``sources_told`` gives.
    """
    every, states = states, own(inventory, states)
    record = newest_under_way(states, inventory.policy)
    if record is not None:
        inventory = as_one_batch(inventory, states, record.release)
    rings = ring_members.members(
        inventory,
        states,
        away,
        rollout=record.id if record else "",
        release=record.release if record else "",
    )
    last = newest(states)
    rollout = None
    if last is not None:
        decision = next_decision(inventory, states, away, record, now) if record else None
        rollout = _rollout(last, rings, states, decision, is_open=record is not None)
    hosts = []
    for name in names:
        state, ring = every.get(name), ring_members.ring_of(rings, name)
        if state is None:
            error = away[name].message if name in away else "not observed"
            hosts.append(HostStatus(name, ring, None, error))
        else:
            hosts.append(HostStatus(name, ring, state, fault=bot_fault(state)))
    on = inventory.machine_of
    shown = {on[name] for name in names}
    left = tuple(one for one in unnamed(inventory, states) if on[one.host] in shown)
    changes = tuple(one for one in successions(inventory, states) if on[one.host] in shown)
    return Status(inventory, rollout, tuple(hosts), now, sources or {}, left, changes)


def _rollout(
    record: RolloutRecord,
    rings: Mapping[str, tuple[str, ...]],
    states: Mapping[str, HostState],
    decision: Decision | None,
    *,
    is_open: bool,
) -> RolloutStatus:
    reached = [
        ring
        for ring, names in rings.items()
        if any(name in states and has_run(states[name], record.release) for name in names)
    ]
    ring = reached[-1] if reached else ""
    views = {
        name: standing_of(state, record.release, record.digest, record.id).standing
        for name, state in states.items()
    }
    unproven = tuple(name for name in rings.get(ring, ()) if views.get(name) in UNPROVEN)
    state = _state(set(views.values()), decision, is_open=is_open)
    return RolloutStatus(record, ring, state, unproven, decision)


def _state(views: set[Standing], decision: Decision | None, *, is_open: bool) -> RolloutState:
    match decision:
        case Wait(Reason.SOAK):
            return RolloutState.SOAKING
        case Wait(reason) if reason not in (Reason.ACT, Reason.SETTLE):
            return RolloutState.WAITING
    if is_open:
        return RolloutState.PENDING if Standing.PENDING in views else RolloutState.UNDER_WAY
    return RolloutState.REVERTED if views.isdisjoint(HOLDING) else RolloutState.DONE
