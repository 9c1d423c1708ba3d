"""Retire: an instance goes from its machine; its data stays unless a person wants it deleted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdeploy.core.model.address import parse_jump
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.rollout.unnamed import Unnamed, instance_called, unnamed
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, Hint, NoneReached, Todo, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.errors import HostError


@dataclass(frozen=True, slots=True)
class Retirement:
    """What a person asked for."""

    name: str
    """The host, as ``status`` lists it."""
    who: str
    deletes_data: bool = False


def at_machine(inventory: Inventory, place: str, name: str) -> Inventory:
    """Give an inventory that leads to one machine, ``[USER@]HOST[:PORT]``, by the keys of this one.

    Raises UserError where the place can't be read.
    """
    jump = parse_jump(place)
    first = inventory.hosts[0]
    address = replace(
        first.address,
        host=name,
        hostname=jump.hostname,
        user=jump.user or first.address.user,
        port=jump.port or first.address.port,
        # The place that a person named is meant, whatever ssh's arguments make of the first host.
        options=tuple(one for one in first.address.options if one[0] != "hostname"),
        local=False,
    )
    host = Host(name, address, first.bot, machine=jump.hostname)
    return replace(inventory, hosts=(host,))


def retire(inventory: Inventory, fleet: Fleet, asked: Retirement) -> Ended:
    """Retire an instance of a machine that the inventory leads to; repeatable.

    Raises UserError where it is another environment's or nothing of this name can be there, and
    LockedError while a rollout has it.
    """
    states, away = observe(fleet, [host.name for host in inventory.hosts])
    if not states:
        raise NoneReached(away)
    found = _found(inventory, states, asked.name)
    if found is None and away:
        told = "; ".join(str(error) for error in away.values())
        return Ended(ExitCode.UNREACHABLE, f"{asked.name} was not found where hosts answer: {told}")
    if found is None:
        raise _unknown(inventory, asked.name, [one.name for one in unnamed(inventory, states)])
    return _retire(inventory, fleet, found, states, away, asked)


def retire_there(inventory: Inventory, fleet: Fleet, asked: Retirement) -> Ended:
    """Retire an instance of the one machine of an inventory that was made by ``at_machine``."""
    (host,) = inventory.hosts
    states, away = observe(fleet, [host.name])
    if not states:
        raise NoneReached(away)
    stands = [one.instance for one in states[host.name].standing]
    instance = asked.name.rpartition("/")[2]
    if instance not in stands and "" in stands:
        instance = ""
    if instance not in stands:
        raise _unknown(inventory, asked.name, [one or inventory.bot_name for one in stands])
    found = Unnamed(asked.name, host.name, instance)
    return _retire(inventory, fleet, found, states, away, asked)


def _found(inventory: Inventory, states: Mapping[str, HostState], name: str) -> Unnamed | None:
    for host in inventory.hosts:
        if host.name == name:
            return Unnamed(name, name, host.instance or "")
    for one in unnamed(inventory, states):
        if one.name == name:
            return one
    return instance_called(inventory, name)


def _retire(
    inventory: Inventory,
    fleet: Fleet,
    found: Unnamed,
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
    asked: Retirement,
) -> Ended:
    if found.host in away:
        raise away[found.host]
    owners = {one.instance: one.environment for one in states[found.host].standing}
    owner = owners.get(found.instance, "")
    if owner not in ("", inventory.known_as):
        raise UserError(
            f"{asked.name} belongs to environment '{owner}'; this is '{inventory.known_as}'. "
            "Nothing was changed"
        )
    acts = fleet.acts_of(found.host, found.instance or None, asked.name)
    done = acts.setup.retire(asked.who, delete_data=asked.deletes_data)
    ran = f"{done.release} no longer runs there" if done.release else "nothing ran there"
    data = f"its data is kept in {done.data}" if done.data else "it has no data there"
    told = f"{asked.name} is retired: {ran}; its unit and releases are removed; {data}"
    return Ended(ExitCode.DONE, told)


def _unknown(inventory: Inventory, name: str, known: Iterable[str]) -> UserError:
    listed = ", ".join(known) or "nothing else"
    return UserError(
        f"no machine of {inventory.environment} has a bot that is called {name}; not in the "
        f"inventory: {listed}. Nothing was changed. Where the inventory no longer leads to its "
        "machine, give --machine USER@HOST",
        hint=Hint(Todo.STATUS),
    )
