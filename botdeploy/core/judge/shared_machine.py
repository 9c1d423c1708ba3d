"""A machine that a canary shares with hosts of the old release, and what all of them show."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.judge.hard_rules import SAME_TIME_US
from botdeploy.core.judge.host_tally import MINUTE_US
from botdeploy.core.judge.machine_signs import (
    MEASURED,
    SURELY,
    FaultKind,
    MachineInstance,
    Strayed,
    Stretch,
)
from botdeploy.core.text.phrases import duration, few

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.quick_facts import QuickFacts

    _HasIt = Callable[[MachineInstance, Stretch], bool]

BEFORE_US = 10 * MINUTE_US
"""What an instance showed in this time before the switch did not begin after it."""
HALF = 0.5
"""Share of a canary's excess, as a logarithm, from which on another instance has the same."""

LEAST_BESIDE = 2
"""So many instances of the old release must show what the canary does not: one alone may err."""

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
    """The canary host that shows it, where it does, then those of the old release."""
    at_us: int
    ran_us: int
    """How long after the first switch on the machine."""
    is_beside: bool = False
    """The canary does not show it."""

    def __str__(self) -> str:
        """Say what was seen, and that the cause is not known."""
        return (
            f"{duration(self.ran_us // 1_000_000)} after the switch, all"
            f"{' other' if self.is_beside else ''} instances on"
            f" {self.machine} {self.kind.value} ({few(self.hosts)}), and no other machine does:"
            " the release may be the cause, or the machine"
        )


class _Sign(NamedTuple):
    """What is looked for: on a canary, too, where ``host`` names one."""

    kind: FaultKind
    host: str | None
    at_us: int
    stretch: Stretch


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
        self.beside = beside
        self._others = others
        self._signs: dict[MachineFault, tuple[_HasIt, Stretch]] = {}

    def stopped(self, host: str | None, at_us: int) -> MachineFault | None:
        """Give the fault where all instances ended with a fault around this time.

        Here as below without ``host``, no canary: where all instances of the old release did.
        """
        return self._shown(
            _Sign(FaultKind.STOPS, host, at_us, self._around(at_us)),
            lambda one, stretch: one.has_stopped(stretch),
            lambda one: one.has_stopped(self._before),
        )

    def said(self, host: str | None, error: str, least: int = 1) -> MachineFault | None:
        """Give the fault where all say an error ``least`` times, and began around the same time."""
        one = self.beside[0] if host is None else self.canaries[host]
        its = one.tally.quotes.get(error)
        if its is None or its.lines < least:
            return None

        def has_it(one: MachineInstance, stretch: Stretch) -> bool:
            said = one.tally.quotes.get(error)
            is_often = said is not None and said.lines >= least
            return is_often and said is not None and stretch.has(said.first_us)

        def had_it(one: MachineInstance) -> bool:
            said = one.tally.quotes.get(error)
            return said is not None and said.first_us < self.switch_us

        around = self._around(its.first_us)
        return self._shown(_Sign(FaultKind.NEW, host, its.first_us, around), has_it, had_it)

    def strayed(
        self, host: str, kind: FaultKind, stretch: Stretch, size: float
    ) -> MachineFault | None:
        """Give the fault where all strayed from their usual about as far as the canary did."""
        return self._shown(
            _Sign(kind, host, stretch.from_us, stretch),
            lambda one, at: one.name == host or _is_alike(one.strayed(kind, at), size),
            lambda one: self._had(one, kind),
        )

    def plainly(self, host: str | None, kind: FaultKind, stretch: Stretch) -> MachineFault | None:
        """Give the fault where each instance, for itself, is plainly in trouble."""
        return self._shown(
            _Sign(kind, host, stretch.from_us, stretch),
            lambda one, at: one.is_plain(kind, at),
            lambda one: self._had(one, kind),
        )

    def is_elsewhere(self, fault: MachineFault, now_us: int) -> bool:
        """Tell whether another machine shows a fault by now that this one showed first."""
        has_it, stretch = self._signs[fault]
        length = stretch.to_us - stretch.from_us
        first, last = stretch.from_us, stretch.from_us + 1
        if fault.kind in MEASURED:
            first = max(self.switch_us, first - SAME_TIME_US)
            last = min(now_us - length, stretch.from_us + SAME_TIME_US) + 1
        begins = range(first, last, max(1, length // 2))
        return any(self._is_there(has_it, Stretch(one, one + length)) for one in begins)

    def _shown(
        self, sign: _Sign, has_it: _HasIt, had_it: Callable[[MachineInstance], bool]
    ) -> MachineFault | None:
        """Give the fault where each instance has it, and no other machine.

        One that ``had_it`` before the switch says nothing of what began after it.
        """
        stretch = sign.stretch
        if sign.host is not None and not has_it(self.canaries[sign.host], stretch):
            return None
        asked = [one for one in _heard(self.beside, stretch) if not had_it(one)]
        least = 1 if sign.host is not None else LEAST_BESIDE
        if len(asked) < least or not all(has_it(one, stretch) for one in asked):
            return None
        if self._is_there(has_it, stretch):
            return None
        fault = self._fault(sign)
        self._signs[fault] = has_it, stretch
        return fault

    def _is_there(self, has_it: _HasIt, stretch: Stretch) -> bool:
        elsewhere = (_heard(some, stretch) for some in self._others)
        return any(some and all(has_it(one, stretch) for one in some) for some in elsewhere)

    def is_alone(self, host: str, kind: FaultKind, stretch: Stretch) -> bool:
        """Tell whether a canary is plainly in trouble in which the others are not."""
        canary, beside = self.canaries[host], _heard(self.beside, stretch)
        if not beside or not canary.is_plain(kind, stretch):
            return False
        size = canary.strayed(kind, stretch).size
        return all(one.strayed(kind, stretch).size < HALF * size for one in beside)

    def _had(self, one: MachineInstance, kind: FaultKind) -> bool:
        """Tell whether an instance was not as usual before the switch."""
        strayed = one.strayed(kind, self._before)
        return strayed.size >= _HAD and strayed.sure >= _HAD_SURELY

    def _around(self, at_us: int) -> Stretch:
        return Stretch(max(self.switch_us, at_us - SAME_TIME_US), at_us + SAME_TIME_US)

    def _fault(self, sign: _Sign) -> MachineFault:
        canary = () if sign.host is None else (sign.host,)
        hosts = (*canary, *(one.name for one in self.beside))
        ran_us = max(0, sign.at_us - self.switch_us)
        return MachineFault(self.name, sign.kind, hosts, sign.at_us, ran_us, sign.host is None)


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
