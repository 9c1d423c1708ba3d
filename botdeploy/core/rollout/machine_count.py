"""Counting machines: what can be reached, or is a majority, is a machine and not an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botdeploy.core.model.inventory import Inventory


@dataclass(frozen=True, slots=True)
class MachineCount:
    """How many machines some hosts are on, of how many."""

    some: int
    total: int
    noun: str
    """``hosts`` where each is on a machine of its own; else ``machines``."""

    @property
    def is_most(self) -> bool:
        """Whether it is more than half of them."""
        return self.some * 2 > self.total

    def __str__(self) -> str:
        """Tell it as the beginning of a sentence."""
        return f"{self.some} of {self.total} {self.noun}"


def count_machines(
    machines: Mapping[str, str], every: Collection[str], some: Collection[str]
) -> MachineCount:
    """Count the machines of ``some`` hosts among those of ``every``; ``machines``: host → machine.

    A machine counts with the first of its hosts.
    """
    total = {machines.get(name, name) for name in every}
    found = {machines.get(name, name) for name in some}
    noun = "hosts" if len(total) == len(every) else "machines"
    return MachineCount(len(found), len(total), noun)


def machines_with(inventory: Inventory, names: Collection[str]) -> MachineCount:
    """Count the machines of an inventory that have one of these hosts."""
    machines = inventory.machine_of
    return count_machines(machines, machines, names)
