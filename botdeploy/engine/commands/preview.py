"""A preview: what comes next in a rollout, for commands that change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.decision import decide
from botdeploy.core.rollout.facts import facts_of
from botdeploy.core.rollout.host_standing import standing_in
from botdeploy.core.rollout.renumbering import as_one_batch
from botdeploy.core.rollout.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.next_step import Decision
    from botdeploy.core.rollout.requirement import Unmet
    from botdeploy.errors import HostError


def next_decision(
    inventory: Inventory,
    states: Mapping[str, HostState],
    unreached: Mapping[str, HostError],
    record: RolloutRecord,
    now: datetime,
    unmet: Unmet | None = None,
) -> Decision:
    """Give what ``promote`` would decide first, before it reads a journal; changes nothing.

    ``unmet``: what the environment lacks that ``rollout.requires`` names, where it was asked.
    """
    away = {name: str(error) for name, error in unreached.items()}
    target = Target.of(record)
    inventory = as_one_batch(inventory, states, target.release)
    rings = ring_members.members(
        inventory, states, away, rollout=target.rollout, release=target.release
    )
    hosts = {
        name: standing_in(name, states, away, target.release, target.digest, target.rollout)
        for ring in rings.values()
        for name in ring
    }
    facts = facts_of(inventory.policy, rings, hosts, states, target, now, inventory.machine_of)
    return decide(replace(facts, is_attended=False, unmet=unmet))
