"""Unnamed instances: an environment's bots that stand on its machines and in no inventory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.rollout.succession import predecessors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Host, Inventory

_INSTANCE = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Unnamed:
    """An instance that the inventory does not name."""

    name: str
    """What a person calls it."""
    host: str
    """A host of the inventory on the same machine."""
    instance: str
    """Its name there; empty in the plain form."""


def unnamed(inventory: Inventory, states: Mapping[str, HostState]) -> tuple[Unnamed, ...]:
    """Find what stands on the inventory's machines and is its environment's, but not named by it.

    Where the inventory has another form of the bot (plain, or named instances) than what stands,
    that is not what is meant: the next rollout changes the form. Nor is it whose place is still
    to be taken.
    """
    kept = predecessors(inventory, states)
    return tuple(
        one
        for names in inventory.machines.values()
        for one in _on_machine(inventory, names, states)
        if (inventory.host(one.host).on_machine, one.instance) not in kept
    )


def _on_machine(
    inventory: Inventory, names: Sequence[str], states: Mapping[str, HostState]
) -> Iterator[Unnamed]:
    """Give what stands on the machine of these hosts, as those of them say that answered."""
    answered = [name for name in names if name in states]
    if not answered:
        return
    hosts = [inventory.host(name) for name in names]
    named = {host.instance or "" for host in hosts}
    stands = {
        one.instance
        for name in answered
        for one in states[name].standing
        if one.environment == inventory.known_as
    }
    if not stands & named:
        return
    for instance in sorted(stands - named):
        if not instance or _INSTANCE.fullmatch(instance):  # a host may say anything
            yield Unnamed(label(hosts, instance), answered[0], instance)


def label(hosts: Sequence[Host], instance: str) -> str:
    """Name an instance of the machine of these hosts, as ``bot.instances`` would name it there.

    Where its hosts have names of their own, by the machine's address.
    """
    bases = {host.name.removesuffix(f"/{host.instance}") for host in hosts if host.instance}
    base = bases.pop() if len(bases) == 1 else ""
    if not base or any(host.name == base for host in hosts):
        base = hosts[0].on_machine
    return f"{base}/{instance}" if instance else base


def instance_called(inventory: Inventory, name: str) -> Unnamed | None:
    """Find which instance of which machine of the inventory has this name, whether it stands.

    None where no machine of the inventory can have it.
    """
    base, _, instance = name.rpartition("/")
    if not base or not _INSTANCE.fullmatch(instance):
        return None
    for names in inventory.machines.values():
        hosts = [inventory.host(one) for one in names]
        if label(hosts, instance) == name:
            return Unnamed(name, names[0], instance)
    return None
