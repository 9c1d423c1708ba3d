"""What a new rollout is called."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from botdeploy.core.rollout import rollout_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.clock import Clock


def new_rollout(clock: Clock, states: Mapping[str, HostState]) -> str:
    """Name a new rollout: time (UTC), after every one that hosts know of, and random digits."""
    known = [state.rollout.id for state in states.values() if state.rollout is not None]
    return f"{rollout_records.next_stamp(clock.now(), known)}-{secrets.token_hex(2)}"
