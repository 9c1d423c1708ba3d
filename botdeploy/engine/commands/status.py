"""Status: what truly runs on each host, and where the last rollout stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import BotFault, Phase, bot_fault
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.decision import Reason, Wait
from botdeploy.core.rollout.rollout_records import newest, newest_under_way
from botdeploy.engine.commands.next_step import next_decision
from botdeploy.engine.fleet.ownership import own

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.decision import Decision
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


def status(
    inventory: Inventory,
    names: tuple[str, ...],
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
    now: datetime,
) -> Status:
    """Put together what the hosts ``names`` have said."""
    every, states = states, own(inventory, states)
    record = newest_under_way(states, inventory.policy)
    rings = ring_members.members(
        inventory,
        states,
        away,
        rollout=record.id if record else "",
        release=record.release if record else "",
    )
    last, rollout = newest(states), None
    if last is not None:
        decision = next_decision(inventory, states, away, record, now) if record else None
        ring = _reached(inventory, rings, states, last.release)
        rollout = RolloutStatus(
            last,
            ring,
            _state(states, last.release, decision, is_open=record is not None),
            _unproven(rings.get(ring, ()), states, last.release),
            decision,
        )
    hosts = []
    for name in names:
        state, ring = every.get(name), ring_members.ring_of(rings, name)
        if state is None:
            error = away[name].message if name in away else "not observed"
            hosts.append(HostStatus(name, ring, None, error))
        else:
            hosts.append(HostStatus(name, ring, state, fault=bot_fault(state)))
    return Status(inventory, rollout, tuple(hosts), now)


def _unproven(
    names: tuple[str, ...], states: Mapping[str, HostState], release: str
) -> tuple[str, ...]:
    return tuple(
        name
        for name in names
        if name in states
        and states[name].running == release
        and not states[name].is_proven(release)
    )


def _reached(
    inventory: Inventory,
    rings: Mapping[str, tuple[str, ...]],
    states: Mapping[str, HostState],
    release: str,
) -> str:
    reached = ""
    for ring in inventory.policy.rings:
        for name in rings[ring.name]:
            state = states.get(name)
            switch = state.switch if state is not None else None
            if state is not None and (
                state.running == release or (switch is not None and switch.new == release)
            ):
                reached = ring.name
    return reached


def _state(
    states: Mapping[str, HostState], release: str, decision: Decision | None, *, is_open: bool
) -> RolloutState:
    match decision:
        case Wait(Reason.SOAK):
            return RolloutState.SOAKING
        case Wait(reason) if reason not in (Reason.ACT, Reason.SETTLE):
            return RolloutState.WAITING
    if is_open:
        is_pending = any(
            state.switch is not None
            and state.switch.phase is Phase.PENDING
            and state.switch.new == release
            for state in states.values()
        )
        return RolloutState.PENDING if is_pending else RolloutState.UNDER_WAY
    if any(release in (state.running, state.current) for state in states.values()):
        return RolloutState.DONE
    return RolloutState.REVERTED
