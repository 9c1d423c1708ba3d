"""Whose an instance is: it belongs to the environment whose rollout it was last part of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.hoststate import HostState
    from botdeploy.core.model import Inventory


def others(inventory: Inventory, states: Mapping[str, HostState]) -> dict[str, str]:
    """Name the hosts that another environment has: host → environment.

    A host without a rollout, and one whose record is older than this rule, are anybody's.
    """
    return {
        name: state.rollout.environment
        for name, state in states.items()
        if state.rollout is not None and state.rollout.environment not in ("", inventory.known_as)
    }


def own(inventory: Inventory, states: Mapping[str, HostState]) -> dict[str, HostState]:
    """Leave out the hosts that another environment has."""
    foreign = others(inventory, states)
    return {name: state for name, state in states.items() if name not in foreign}


def refuse_others(inventory: Inventory, states: Mapping[str, HostState]) -> None:
    """Raise UserError where another environment has a host."""
    refuse(inventory, others(inventory, states))


def refuse(inventory: Inventory, theirs: Mapping[str, str]) -> None:
    """Raise UserError for hosts that another environment has: host → environment."""
    if not theirs:
        return
    told = "; ".join(f"{name} belongs to environment '{other}'" for name, other in theirs.items())
    other = next(iter(theirs.values()))
    raise UserError(
        f"{told}; this is '{inventory.known_as}'. Nothing was changed. If it is the same "
        f"environment under a new name, set rollout.id: {other} in {inventory.path}. To take it "
        f"from '{other}' for good:\n"
        f"botdeploy canary {inventory.environment} --take-over {other}"
    )
