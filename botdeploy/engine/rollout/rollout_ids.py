"""What a new rollout is called, and each try of it on a host."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.standing import next_try

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.clock import Clock


def new_rollout(clock: Clock, states: Mapping[str, HostState]) -> str:
    """Name a new rollout: time (UTC), after every one that hosts know of, and random digits."""
    known = [state.rollout.id for state in states.values() if state.rollout is not None]
    return f"{rollout_records.next_stamp(clock.now(), known)}-{secrets.token_hex(2)}"


def next_try_id(rollout: str, state: HostState | None) -> str:
    """Name the next try of a rollout on a host; a try that is over is never reused."""
    switch = state.switch if state is not None else None
    return next_try(rollout, (switch.try_id, switch.earlier) if switch is not None else ())
