"""Whose an instance is: it belongs to the environment whose rollout it was last part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.errors import Hint, Todo, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory

OWNER = "environment"
"""The item of a check that says whose the bot on a host is."""


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
        f"{told}; this is '{inventory.known_as}'. Nothing was changed. "
        f"{same_environment(inventory, other)}",
        hint=Hint(Todo.TAKE_OVER, name=other),
    )


def same_environment(inventory: Inventory, other: str) -> str:
    """Say how to keep the hosts of an environment that was only renamed."""
    return (
        f"If it is the same environment under a new name, set rollout.id: {other} in "
        f"{inventory.path}"
    )


def owner_item(inventory: Inventory, found: Mapping[str, Any]) -> dict[str, Any]:
    """Judge a check's item that says which environment a host belongs to."""
    other = str(found["message"])
    if other == inventory.known_as:
        return {**found, "message": f"this host belongs to '{other}'"}
    message = f"this host belongs to environment '{other}'; this is '{inventory.known_as}'"
    mend = same_environment(inventory, other)
    return {**found, "ok": False, "message": message, "mend": mend, "owner": other}
