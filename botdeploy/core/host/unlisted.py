"""Instances that stand on the environment's machines although its inventory names them no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Host, Inventory


@dataclass(frozen=True, slots=True)
class Unlisted:
    """One instance that no host of the inventory stands for."""

    name: str
    """What it is called in commands: as its host was where the inventory still leads to that."""
    machine: str
    instance: str | None
    """None in the plain form."""
    is_replaced: bool
    """No host of the inventory stands on the machine yet: the next canary changes the form."""


def unlisted(inventory: Inventory, states: Mapping[str, HostState]) -> tuple[Unlisted, ...]:
    """Name them in the order of the machines; those of other environments are none."""
    hosts = {host.name: host for host in inventory.hosts}
    return tuple(
        one
        for machine, names in inventory.machines.items()
        for one in _on(machine, [hosts[name] for name in names], inventory, states)
    )


def _on(
    machine: str, hosts: Sequence[Host], inventory: Inventory, states: Mapping[str, HostState]
) -> Iterator[Unlisted]:
    """Name those of one machine: each of its hosts that was reached tells the same."""
    standing = next((states[host.name].standing for host in hosts if host.name in states), ())
    named = {host.instance or "" for host in hosts}
    is_replaced = named.isdisjoint(one.instance for one in standing)
    counted = {host for names in inventory.several.values() for host in names}
    base = next((host.name.rpartition("/")[0] for host in hosts if host.name in counted), machine)
    for one in standing:
        if one.instance in named or one.environment != inventory.known_as:
            continue
        name = f"{base}/{one.instance}" if one.instance else machine
        yield Unlisted(name, machine, one.instance or None, is_replaced)
