"""By machine: hosts that one program may act on are asked together, each gets its own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from botdeploy.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.fleet import Fleet

T = TypeVar("T")


def by_machine(fleet: Fleet, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Group the instances of each machine, in order: the first one's name → all of them.

    A plain host is a group of its own, for its acts name no instance.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        host = fleet.host(name)
        key = (host.on_machine, "") if host.instance is not None else (host.on_machine, name)
        groups.setdefault(key, []).append(name)
    return {group[0]: tuple(group) for group in groups.values()}


def each_machine(
    fleet: Fleet,
    names: Iterable[str],
    work: Callable[[tuple[str, ...]], Mapping[str, T | HostError]],
    *,
    pump: Callable[[float], None] | None = None,
    patience_s: float | None = None,
) -> dict[str, T | HostError]:
    """Do ``work`` once for the hosts of each machine, as ``Fleet.each`` does it once a host.

    What it gives is by host; an error that it raises is that of all of them.
    """
    order = list(names)
    groups = by_machine(fleet, order)
    results = fleet.each(groups, lambda one: work(groups[one]), pump=pump, patience_s=patience_s)
    found: dict[str, T | HostError] = {}
    for first, result in results.items():
        for name in groups[first]:
            found[name] = _of(name, result if isinstance(result, HostError) else result[name])
    return {name: found[name] for name in order}


def observe_machine(fleet: Fleet, names: tuple[str, ...]) -> dict[str, HostState | HostError]:
    """Observe some hosts of one machine by one program; raises HostError."""
    acts = fleet.acts(names[0])
    if len(names) == 1:
        return {names[0]: acts.state.observe()}
    instances = instances_of(fleet, names)
    states = acts.state.observe_all(list(instances.values()))
    return {name: _of(name, states[instance]) for name, instance in instances.items()}


def instances_of(fleet: Fleet, names: Iterable[str]) -> dict[str, str]:
    """Give the instance that each host is; "" in the plain form."""
    return {name: fleet.host(name).instance or "" for name in names}


def _of(name: str, result: T | HostError) -> T | HostError:
    return result.of(name) if isinstance(result, HostError) else result
