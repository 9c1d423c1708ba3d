"""What comes next in a rollout that is under way, for whoever only looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.rollout import decision as decisions
from botdeploy.core.rollout import ring_members
from botdeploy.engine.rollout.facts import facts_of, view_of
from botdeploy.engine.rollout.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.decision import Decision
    from botdeploy.errors import HostError


def next_decision(
    inventory: Inventory,
    states: Mapping[str, HostState],
    unreached: Mapping[str, HostError],
    record: RolloutRecord,
    now: datetime,
) -> Decision:
    """Give what ``promote`` would decide first, before it reads a journal; changes nothing."""
    away = {name: str(error) for name, error in unreached.items()}
    target = Target.of(record)
    rings = ring_members.members(
        inventory, states, away, rollout=target.rollout, release=target.release
    )
    hosts = {name: view_of(name, states, away, target) for ring in rings.values() for name in ring}
    facts = facts_of(inventory.policy, rings, hosts, states, target, now)
    return decisions.decide(replace(facts, is_attended=False))
