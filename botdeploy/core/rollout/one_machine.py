"""One machine under several addresses: what hosts say of it counts, where an inventory differs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory


def twins(inventory: Inventory, machines: Mapping[str, str]) -> dict[str, str]:
    """Find hosts that are one instance of one machine: the later one → the first one.

    ``machines``: the name by which each host's machine calls itself; empty where it does not.
    """
    first: dict[tuple[str, str], str] = {}
    found = {}
    for host in inventory.hosts:
        machine = machines.get(host.name, "")
        if machine:
            other = first.setdefault((machine, host.instance or ""), host.name)
            if other != host.name:
                found[host.name] = other
    return found


def twin_fault(inventory: Inventory, name: str, other: str) -> str:
    """Say that two hosts are one instance of one machine."""
    instance = inventory.host(name).instance
    what = f", and both are its instance '{instance}'" if instance else ""
    return f"{other} and {name} lead to one machine{what}: it would be deployed to twice"


def mend_twins(inventory: Inventory) -> str:
    """Say what to do about two hosts that are one instance of one machine."""
    return (
        f"Take one of them out of {inventory.path}, or give each a bot.instance of its own where "
        "several copies of the bot are to run there. A copy of a virtual machine that was started "
        "with the memory of the first has its name: restart that one"
    )


def told_machines(states: Mapping[str, HostState]) -> dict[str, str]:
    """Give the name by which each host's machine calls itself; empty where it does not."""
    return {name: state.machine for name, state in states.items()}


def as_told(inventory: Inventory, states: Mapping[str, HostState]) -> Inventory:
    """Give the inventory with each machine counted once, whatever addresses lead to it.

    Raises UserError where two hosts are one instance of one machine.
    """
    machines = told_machines(states)
    found = twins(inventory, machines)
    if found:
        faults = "; ".join(twin_fault(inventory, name, other) for name, other in found.items())
        raise UserError(f"{faults}. Nothing was changed. {mend_twins(inventory)}")
    of: dict[str, str] = {}
    for host in inventory.hosts:
        if machines.get(host.name):
            of.setdefault(machines[host.name], host.on_machine)
    known = {
        host.name: of.get(machines.get(host.name, ""), host.on_machine) for host in inventory.hosts
    }
    if known == inventory.machine_of:
        return inventory
    hosts = tuple(replace(host, machine=known[host.name]) for host in inventory.hosts)
    return replace(inventory, hosts=hosts)
