"""A machine that a canary shares with hosts of the old release, and what all of them show."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from botdeploy.core.judge.hard_rules import SAME_TIME_US
from botdeploy.core.judge.host_tally import MINUTE_US
from botdeploy.core.judge.machine_signs import SURELY, FaultKind, MachineInstance, Strayed, Stretch
from botdeploy.core.text.phrases import duration, few

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.quick_facts import QuickFacts

BEFORE_US = 10 * MINUTE_US
"""What an instance showed in this time before the switch did not begin after it."""
HALF = 0.5
"""Share of a canary's excess, as a logarithm, from which on another instance has the same."""

_HAD = log(2.0)
"""Logarithm of a ratio from which on an instance was in trouble before the switch,"""
_HAD_SURELY = 2.5
"""and the standard errors that it must be, too."""


@dataclass(frozen=True, slots=True)
class MachineFault:
    """A fault that all instances of a machine show."""

    machine: str
    kind: FaultKind
    hosts: tuple[str, ...]
    """The canary host that shows it, then those of the old release."""
    at_us: int
    ran_us: int
    """How long after the first switch on the machine."""

    def __str__(self) -> str:
        """Say what was seen, and that the cause is not known."""
        return (
            f"{duration(self.ran_us // 1_000_000)} after the switch, all instances on"
            f" {self.machine} {self.kind.value} ({few(self.hosts)}), and no other machine does:"
            " the release may be the cause, or the machine"
        )


class SharedMachine:
    """The instances of one machine on which a canary runs beside the old release."""

    def __init__(
        self,
        name: str,
        canaries: Sequence[MachineInstance],
        beside: Sequence[MachineInstance],
        others: Sequence[Sequence[MachineInstance]],
    ) -> None:
        """``beside``: those of the old release; ``others``: those of each machine without canary.

        What another machine with a canary shows may be the release's doing there too.
        """
        self.name = name
        self.canaries = {one.name: one for one in canaries}
        self.switch_us = min(one.tally.start_us for one in canaries)
        self._before = Stretch(self.switch_us - BEFORE_US, self.switch_us - 1)
        self._beside = beside
        self._others = others

    def stopped(self, host: str, at_us: int) -> MachineFault | None:
        """Give the fault where all instances ended with a fault around this time."""
        around = self._around(at_us)
        is_so = self.canaries[host].has_stopped(around) and self._have_all(
            lambda one: one.has_stopped(around), lambda one: one.has_stopped(self._before), around
        )
        return self._fault(FaultKind.STOPS, host, at_us) if is_so else None

    def said(self, host: str, error: str, least: int = 1) -> MachineFault | None:
        """Give the fault where all say an error ``least`` times, and began around the same time."""
        its = self.canaries[host].tally.quotes.get(error)
        if its is None or its.lines < least:
            return None
        around = self._around(its.first_us)

        def has_it(one: MachineInstance) -> bool:
            said = one.tally.quotes.get(error)
            is_often = said is not None and said.lines >= least
            return is_often and said is not None and around.has(said.first_us)

        def had_it(one: MachineInstance) -> bool:
            said = one.tally.quotes.get(error)
            return said is not None and said.first_us < self.switch_us

        is_so = self._have_all(has_it, had_it, around)
        return self._fault(FaultKind.NEW, host, its.first_us) if is_so else None

    def strayed(
        self, host: str, kind: FaultKind, stretch: Stretch, size: float
    ) -> MachineFault | None:
        """Give the fault where all strayed from their usual about as far as the canary did."""
        is_so = self._have_all(
            lambda one: _is_alike(one.strayed(kind, stretch), size),
            lambda one: self._had(one, kind),
            stretch,
        )
        return self._fault(kind, host, stretch.from_us) if is_so else None

    def plainly(self, host: str, kind: FaultKind, stretch: Stretch) -> MachineFault | None:
        """Give the fault where each instance, for itself, is plainly in trouble."""
        is_so = self.canaries[host].is_plain(kind, stretch) and self._have_all(
            lambda one: one.is_plain(kind, stretch),
            lambda one: self._had(one, kind),
            stretch,
        )
        return self._fault(kind, host, stretch.from_us) if is_so else None

    def is_alone(self, host: str, kind: FaultKind, stretch: Stretch) -> bool:
        """Tell whether a canary is plainly in trouble in which the others are not."""
        canary, beside = self.canaries[host], _heard(self._beside, stretch)
        if not beside or not canary.is_plain(kind, stretch):
            return False
        size = canary.strayed(kind, stretch).size
        return all(one.strayed(kind, stretch).size < HALF * size for one in beside)

    def _have_all(
        self,
        has_it: Callable[[MachineInstance], bool],
        had_it: Callable[[MachineInstance], bool],
        stretch: Stretch,
    ) -> bool:
        """Tell whether each instance of the old release has it, and no other machine.

        One that ``had_it`` before the switch says nothing of what began after it.
        """
        asked = [one for one in _heard(self._beside, stretch) if not had_it(one)]
        if not asked or not all(map(has_it, asked)):
            return False
        elsewhere = (_heard(some, stretch) for some in self._others)
        return not any(some and all(map(has_it, some)) for some in elsewhere)

    def _had(self, one: MachineInstance, kind: FaultKind) -> bool:
        """Tell whether an instance was not as usual before the switch."""
        strayed = one.strayed(kind, self._before)
        return strayed.size >= _HAD and strayed.sure >= _HAD_SURELY

    def _around(self, at_us: int) -> Stretch:
        return Stretch(max(self.switch_us, at_us - SAME_TIME_US), at_us + SAME_TIME_US)

    def _fault(self, kind: FaultKind, host: str, at_us: int) -> MachineFault:
        hosts = (host, *(one.name for one in self._beside))
        return MachineFault(self.name, kind, hosts, at_us, max(0, at_us - self.switch_us))


def _is_alike(strayed: Strayed, size: float) -> bool:
    return strayed.size >= HALF * size and strayed.sure >= SURELY


def _heard(instances: Sequence[MachineInstance], stretch: Stretch) -> list[MachineInstance]:
    return [one for one in instances if one.is_heard(stretch)]


def shared_machines(fleet: FleetTally, facts: QuickFacts) -> Mapping[str, SharedMachine]:
    """Give the machine of each canary host beside which the old release runs."""
    canaries: dict[str, list[MachineInstance]] = {}
    beside: dict[str, list[MachineInstance]] = {}
    for into, tallies in ((canaries, fleet.canary), (beside, fleet.baseline)):
        for name, tally in tallies.items():
            into.setdefault(fleet.machine_of(name), []).append(MachineInstance(tally, facts))
    others = [some for machine, some in beside.items() if machine not in canaries]
    return {
        one.name: shared
        for machine, some in canaries.items()
        if machine in beside
        for shared in (SharedMachine(machine, some, beside[machine], others),)
        for one in some
    }
