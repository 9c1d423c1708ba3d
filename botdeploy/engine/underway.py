"""Which rollouts hosts know of, which of them is under way, and what a new one is called."""

from __future__ import annotations

import secrets
from datetime import UTC
from typing import TYPE_CHECKING

from botdeploy.core import rollout
from botdeploy.core.rollout import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.hoststate import HostState, RolloutRecord
    from botdeploy.engine.clock import Clock

UNDER_WAY = (Standing.PENDING, Standing.CONFIRMED)
"""Standings of a host that runs a release without having proven it."""


def records(states: Mapping[str, HostState]) -> list[RolloutRecord]:
    """List the rollouts that hosts know of, each once."""
    found: dict[str, RolloutRecord] = {}
    for state in states.values():
        if state.rollout is not None:
            found.setdefault(state.rollout.id, state.rollout)
    return list(found.values())


def is_under_way(states: Mapping[str, HostState], record: RolloutRecord) -> bool:
    """Tell whether a rollout has begun on some host and is neither over nor taken back."""
    if record.outcome:
        return False
    views = [
        rollout.standing_of(state, record.release, record.id).standing for state in states.values()
    ]
    begun = any(view in UNDER_WAY for view in views)
    partly = Standing.PROVEN in views and any(
        view in (Standing.BEHIND, Standing.UNSTAGED, Standing.RETURNED) for view in views
    )
    return begun or partly or _waits_to_begin(states, record)


def _waits_to_begin(states: Mapping[str, HostState], record: RolloutRecord) -> bool:
    """Tell whether a rollout was staged and no host was ever switched: its first ring waits."""
    theirs = [
        state
        for state in states.values()
        if state.rollout is not None and state.rollout.id == record.id
    ]
    tried = any(
        state.switch is not None and rollout.is_try_of(state.switch.run, record.id)
        for state in states.values()
    )
    return not tried and any(state.release(record.release) is not None for state in theirs)


def newest_under_way(states: Mapping[str, HostState]) -> RolloutRecord | None:
    """Find the newest rollout that is under way; a newer one replaces the older ones."""
    newest = max(records(states), key=lambda one: one.since, default=None)
    return newest if newest is not None and is_under_way(states, newest) else None


def new_rollout(clock: Clock) -> str:
    """Name a new rollout: time (UTC) and four random digits."""
    return f"{clock.now().astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
