"""The search for what all instances of a machine have shown since the canary's switch."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.machine_signs import (
    MEASURED,
    SURELY,
    FaultKind,
    MachineInstance,
    Stretch,
)
from botdeploy.core.judge.new_errors import least_occasions
from botdeploy.core.judge.quick_facts import QuickFacts
from botdeploy.core.judge.shared_machine import LEAST_BESIDE, shared_machines
from botdeploy.core.lines.error_grouping import group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.judge_options import JudgeOptions
    from botdeploy.core.judge.shared_machine import MachineFault, SharedMachine

_WINDOW_US = 5 * MINUTE_US
_NOTED = log(1.3)
"""Logarithm of a ratio from which on a canary has strayed from its usual."""
_TWICE = 2
_SILENT_FOR = (1, 4, 12)
"""Windows that a silence may last before it is plain."""


class MachineSearch:
    """Finds the faults that all instances of a machine show, and keeps the first of each kind."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Look at what ``fleet`` holds."""
        self._fleet = fleet
        self._facts = QuickFacts(fleet, options)
        self.machines = shared_machines(fleet, self._facts)
        """By canary host, where the old release runs beside it."""
        self.found: dict[tuple[str, FaultKind], MachineFault] = {}
        """By machine and kind."""
        self.beside: dict[tuple[str, FaultKind], MachineFault] = {}
        """Those that only the canary's neighbours show."""
        self._is_new: dict[str, bool] = {}
        self._looked_us = fleet.watch_us
        window_us = options.soak_s * SECOND_US / 4.0 if options.soak_s else _WINDOW_US
        step = fleet.step_us
        self._window_us = max(2, round(min(_WINDOW_US, window_us)) // step) * step

    # --- ends and errors --------------------------------------------------------------------

    def is_shared_end(self, host: str) -> bool:
        """Tell whether what ended a canary, by all that is known of it, ended all instances."""
        tally = self._fleet.canary[host]
        errors = {tally.last_error, *(error for error, _ in tally.fatal_errors)}
        return any(self.is_shared(host, self.ended_us(host), error) for error in errors)

    def ended_us(self, host: str) -> int:
        """Give when a canary ended, microseconds since the epoch; its switch where none is told."""
        tally = self._fleet.canary[host]
        said = [
            tally.quotes[name].first_us for name, _ in tally.fatal_errors if name in tally.quotes
        ]
        return max(
            (one.at_us for one in tally.process_events), default=max(said, default=tally.start_us)
        )

    def is_shared(self, host: str, at_us: int, error: str | None) -> bool:
        """Tell whether all instances ended at that time, or say the same new error."""
        machine = self.machines[host]
        if self._note(machine.stopped(host, at_us)):
            return True
        return (
            error is not None and self._is_unknown(error) and self._note(machine.said(host, error))
        )

    def _is_unknown(self, error: str) -> bool:
        """Tell whether no instance said an error, or another of its class, before the switch."""
        if error not in self._is_new:
            past = {name for tally in self._fleet.parts() for name in tally.errors_before}
            classes = group({*past, error})
            self._is_new[error] = all(classes[one] != classes[error] for one in past)
        return self._is_new[error]

    def _note(self, fault: MachineFault | None) -> bool:
        if fault is not None:
            found = self.beside if fault.is_beside else self.found
            found.setdefault((fault.machine, fault.kind), fault)
        return fault is not None

    # --- counts -----------------------------------------------------------------------------

    def strayed(self, now_us: int) -> list[str]:
        """Name the canary hosts that are not as usual."""
        canary = [MachineInstance(tally, self._facts) for tally in self._fleet.canary.values()]
        return [
            one.name for one in canary if any(self._most(one, kind, now_us) for kind in MEASURED)
        ]

    def _most(
        self, canary: MachineInstance, kind: FaultKind, now_us: int
    ) -> tuple[Stretch, float] | None:
        """Give the stretch in which a canary surely strayed most, and how far; None for none."""
        step = self._fleet.step_us
        begin_us = -(-self._facts.grace_end_us(canary.tally) // step) * step
        end_us = now_us // step * step
        spans = (self._window_us, 12 * self._window_us, end_us - begin_us)
        stretches = {Stretch(max(begin_us, end_us - span), end_us) for span in spans}
        found = [(canary.strayed(kind, one), one) for one in stretches if one.from_us < end_us]
        found = [(one, at) for one, at in found if one.size >= _NOTED and one.sure >= SURELY]
        if not found:
            return None
        strayed, stretch = max(found, key=lambda one: (one[0].sure, one[1].from_us))
        return stretch, strayed.size

    def is_alike(self, host: str, now_us: int) -> bool:
        """Tell whether all instances strayed from their usual as the canary did."""
        machine = self.machines[host]
        for kind in MEASURED:
            most = self._most(machine.canaries[host], kind, now_us)
            if most is not None and self._note(machine.strayed(host, kind, *most)):
                return True
        return False

    def is_alone(self, host: str, now_us: int) -> bool:
        """Tell whether the canary is in trouble now that the others are well."""
        start_us = self._fleet.canary[host].start_us
        return any(
            stretch.from_us >= start_us and self.machines[host].is_alone(host, kind, stretch)
            for kind in MEASURED
            for stretch in self._windows(kind, now_us)
        )

    def _windows(self, kind: FaultKind, end_us: int) -> Iterator[Stretch]:
        end_us -= end_us % self._fleet.step_us
        for many in _SILENT_FOR if kind is FaultKind.SILENT else (1,):
            yield Stretch(end_us - many * self._window_us, end_us)

    # --- all of it --------------------------------------------------------------------------

    def look(self, now_us: int) -> None:
        """Look for what all instances of any machine have shown since the last look."""
        for host in self.machines:
            self._look_at(host, now_us)
        for found in (self.found, self.beside):
            for key, fault in list(found.items()):
                if self._machine(fault).is_elsewhere(fault, now_us):
                    del found[key]
        if not any(tally.unheard.is_broken for tally in self._fleet.parts()):
            half_us = self._window_us // 2
            self._looked_us = max(self._looked_us, now_us - now_us % half_us)

    def _machine(self, fault: MachineFault) -> SharedMachine:
        return next(one for one in self.machines.values() if one.name == fault.machine)

    def _look_at(self, host: str, now_us: int) -> None:
        machine = self.machines[host]
        self._look_at_one(machine, host, machine.canaries[host], now_us)
        if len(machine.beside) >= LEAST_BESIDE:
            self._look_at_one(machine, None, machine.beside[0], now_us)

    def _look_at_one(
        self, machine: SharedMachine, host: str | None, one: MachineInstance, now_us: int
    ) -> None:
        """Look whether all have what one instance shows: a canary, or with None its neighbour."""
        for at_us in one.stops():
            self._note(machine.stopped(host, at_us))
        # No grace: what the others do says that it is not the start.
        start_us = machine.switch_us if host is None else one.tally.start_us
        for error in self._news(one, start_us):
            self._note(machine.said(host, error, _TWICE))
        found = self.found if host is not None else self.beside
        due = [kind for kind in MEASURED if (machine.name, kind) not in found]
        for end_us in (*range(self._looked_us, now_us, self._window_us // 2), now_us):
            for kind in due:
                for stretch in self._windows(kind, end_us):
                    if stretch.from_us >= start_us:
                        self._note(machine.plainly(host, kind, stretch))

    def _news(self, one: MachineInstance, start_us: int) -> Iterator[str]:
        """Give an instance's errors that came too often for the past to lack them by chance."""
        known_s = 0.0 if self._fleet.is_past_cut else self._fleet.history_s
        for error, said in one.tally.quotes.items():
            watched_s = (said.last_us - start_us) / 1e6
            if said.occasions >= least_occasions(known_s, watched_s) and self._is_unknown(error):
                yield error
