"""Renumbering: instances that stay, and whose index or count a release changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory


def renumbered(
    inventory: Inventory, states: Mapping[str, HostState], release: str
) -> dict[str, tuple[str, str]]:
    """Name the hosts whose numbers the release changes: host → what runs there, what is to run.

    Numbers are ``INDEX/COUNT``. While two releases run beside each other that number the
    instances in two ways, two of them may do the same share of the work.
    """
    found = {}
    for host in inventory.hosts:
        state = states.get(host.name)
        runs = state.release(state.running) if state is not None else None
        if state is None or runs is None or runs.id == release or not runs.numbers:
            continue
        staged = state.release(release)
        new = host.numbers if staged is None else staged.numbers
        if new != runs.numbers:
            found[host.name] = (runs.numbers, new)
    return found


def refuse_renumbering(inventory: Inventory, states: Mapping[str, HostState], release: str) -> None:
    """Raise UserError where a rollout would run two numberings of the instances side by side."""
    found = renumbered(inventory, states, release)
    if not found:
        return
    told = ", ".join(
        f"{name} runs as {old} and would be {new or 'none'}" for name, (old, new) in found.items()
    )
    units = " ".join(dict.fromkeys(inventory.host(name).unit for name in found))
    raise UserError(
        f"the release changes instance_index/instance_count of instances that run: {told}. While "
        "some run by the old numbers and some by the new ones, two of them may do the same work. "
        f"Nothing was changed. Stop them on their machines (systemctl stop {units}), then run the "
        "same command: it starts each with its new number"
    )
