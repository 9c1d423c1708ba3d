"""Succession: a bot changes its form, and an instance takes the place of one in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory

PLAIN = "-"
"""What the acts call the plain form, where an instance has its name."""


@dataclass(frozen=True, slots=True)
class Succession:
    """Whose place a host takes, with the shared data, when it is switched for the first time."""

    host: str
    machine: str
    of: str
    """The predecessor's instance; empty for the plain form."""
    others: tuple[str, ...] = ()
    """Instances that stand beside it, and stay until a person retires them."""
    numbers: str = ""
    """By which numbers the predecessor runs; empty where by none."""

    def record(self) -> dict[str, Any]:
        """Give it as machine output has it."""
        return {
            "host": self.host,
            "machine": self.machine,
            "of": self.of or None,
            "stay": list(self.others),
        }


def form_of(inventory: Inventory, name: str) -> str:
    """Say which instance succeeds on a host's machine: its first host's; "-": the plain form."""
    machine = inventory.host(name).on_machine
    first = next(one for one in inventory.hosts if one.on_machine == machine)
    return first.instance or PLAIN


def successions(inventory: Inventory, states: Mapping[str, HostState]) -> tuple[Succession, ...]:
    """Find the changes of form that a rollout of this inventory begins with."""
    return tuple(_successions(inventory, states))


def _successions(inventory: Inventory, states: Mapping[str, HostState]) -> Iterator[Succession]:
    for machine, names in inventory.machines.items():
        first = inventory.host(names[0])
        state = states.get(first.name)
        if state is None or state.current:
            continue
        stands = [
            one
            for one in state.standing
            if bool(one.instance) is not bool(first.instance)
            and one.release
            and one.environment in ("", inventory.known_as)
        ]
        if not stands:
            continue
        taken = first.instance or PLAIN
        before = min(stands, key=lambda one: (one.took != taken, one.instance))
        others = tuple(one.instance for one in stands if one is not before)
        yield Succession(first.name, machine, before.instance, others, before.numbers)


def predecessors(
    inventory: Inventory, states: Mapping[str, HostState]
) -> frozenset[tuple[str, str]]:
    """Name them, by machine and instance: nobody should retire one of them."""
    return frozenset((one.machine, one.of) for one in successions(inventory, states))
