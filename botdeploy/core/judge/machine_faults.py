"""Faults that all instances of a machine share: they fail no release, and none passes with them.

A canary may be their cause (it can fill its neighbours' disk), or the machine may be.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.machine_signs import MEASURED, SURELY, FaultKind, MachineInstance, Stretch
from botdeploy.core.judge.new_errors import least_occasions
from botdeploy.core.judge.quick_facts import QuickFacts
from botdeploy.core.judge.shared_machine import shared_machines
from botdeploy.core.lines.error_grouping import group
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.hard_rules import HardRules
    from botdeploy.core.judge.judge_options import JudgeOptions
    from botdeploy.core.judge.shared_machine import MachineFault

HOLD_US = 10 * SECOND_US
"""How long a fail waits for the other instances of its machine: what hits all does so at once."""
_WINDOW_US = 5 * MINUTE_US
_NOTED = log(1.3)
"""Logarithm of a ratio from which on a canary has strayed from its usual."""
_TWICE = 2
_SILENT_FOR = (1, 4, 12)
"""Windows that a silence may last before it is plain."""


class _AtLine(NamedTuple):
    """A fail at a line that waits for what the other instances say."""

    failed: Verdict
    host: str
    at_us: int
    error: str | None


class MachineFaults:
    """Knows what all instances of a machine have shown since the canary's switch."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions, hard: HardRules) -> None:
        """Look at what ``fleet`` holds; ``hard`` is told which ends are those of a machine."""
        self._fleet = fleet
        self._options = options
        self._hard = hard
        self._facts = QuickFacts(fleet, options)
        self._machines = shared_machines(fleet, self._facts)
        self._found: dict[tuple[str, FaultKind], MachineFault] = {}
        self._at_line: list[_AtLine] = []
        self._counted_us: dict[str, int] = {}
        """Since when the counts of a host condemn it."""
        self._waiting: set[str] = set()
        """Canary hosts whose fail waits."""
        self._is_new: dict[str, bool] = {}
        self._looked_us = fleet.watch_us
        window_us = options.soak_s * SECOND_US / 4.0 if options.soak_s else _WINDOW_US
        step = fleet.step_us
        self._window_us = max(2, round(min(_WINDOW_US, window_us)) // step) * step

    # --- fails ------------------------------------------------------------------------------

    def at_line(self, failed: Verdict, at_us: int, error: str | None) -> Verdict:
        """Give a fail that a line shows; WAIT while other instances may turn out to share it."""
        if failed.host is None or failed.host not in self._machines:
            return failed
        self._at_line.append(_AtLine(failed, failed.host, at_us, error))
        return self._wait(failed, failed.host)

    def held(self, now_us: int) -> Verdict | None:
        """Give the first fail at a line that no other instance shares; WAIT while one may be."""
        self._waiting.clear()
        waiting: Verdict | None = None
        for one in list(self._at_line):
            if self._is_shared(one.host, one.at_us, one.error):
                self._at_line.remove(one)
                self._hard.excuse(one.host, one.failed.reasons[0])
            elif now_us - one.at_us >= HOLD_US:
                self._at_line.clear()
                return one.failed
            else:
                waiting = self._wait(one.failed, one.host)
        return waiting

    def standing(self, now_us: int) -> Verdict | None:
        """Answer as the hard rules do, without what all instances of a machine share."""
        ruled = self._hard.standing(now_us)
        for _ in self._fleet.canary:
            if ruled is None or ruled.outcome is not Outcome.FAIL or ruled.host is None:
                return ruled
            # What was excused and fails all the same goes on after the others are well.
            if ruled.host not in self._machines or self._hard.is_excused(ruled.host):
                return ruled
            if not self._is_shared_end(ruled.host):
                is_new = now_us - self._ended_us(ruled.host) < HOLD_US
                return self._wait(ruled, ruled.host) if is_new else ruled
            self._hard.excuse(ruled.host, ruled.reasons[0])
            ruled = self._hard.standing(now_us)
        return ruled

    def weighed(self, failed: Verdict, now_us: int) -> Verdict:
        """Give a fail by what was counted; WAIT where all instances of the machine share it."""
        if not self._machines:
            return failed
        strayed = [failed.host] if failed.host is not None else self._strayed(now_us)
        if not strayed or any(name not in self._machines for name in strayed):
            return failed
        for name in strayed:
            machine = self._machines[name].name
            if any(fault.machine == machine for fault in self._found.values()):
                if self._is_alone(name, now_us):
                    return failed
            elif not self._is_alike(name, now_us):
                since_us = self._counted_us.setdefault(name, now_us)
                is_late = self._is_late(name) or now_us - since_us >= HOLD_US
                return failed if is_late else self._wait(failed, name)
        return self._wait(failed, strayed[0])

    def ends(self) -> frozenset[str]:
        """Name the canary hosts whose end is the machine's, or may turn out to be."""
        ends = [one for one in self._found.values() if one.kind in {FaultKind.STOPS, FaultKind.NEW}]
        held = {one.host for one in self._at_line}
        return frozenset({*(one.hosts[0] for one in ends), *held, *self._waiting})

    def _is_late(self, host: str) -> bool:
        """Tell whether all have had the time to say it: what is kept, or counted by the minute."""
        tally = self._fleet.canary[host]
        return tally.is_absorbed or tally.step_us >= MINUTE_US

    def _wait(self, failed: Verdict, host: str) -> Verdict:
        self._waiting.add(host)
        machine = self._machines[host].name
        why = f"the other instances on {machine} may have the same problem"
        return Verdict(Outcome.WAIT, (*failed.reasons, why), host, machine=machine)

    def _is_shared_end(self, host: str) -> bool:
        """Tell whether what ended a canary, by all that is known of it, ended all instances."""
        tally = self._fleet.canary[host]
        errors = {tally.last_error, *(error for error, _ in tally.fatal_errors)}
        return any(self._is_shared(host, self._ended_us(host), error) for error in errors)

    def _ended_us(self, host: str) -> int:
        tally = self._fleet.canary[host]
        said = [
            tally.quotes[name].first_us for name, _ in tally.fatal_errors if name in tally.quotes
        ]
        return max(
            (one.at_us for one in tally.process_events), default=max(said, default=tally.start_us)
        )

    def _is_shared(self, host: str, at_us: int, error: str | None) -> bool:
        """Tell whether all instances ended at that time, or say the same new error."""
        machine = self._machines[host]
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
            self._found.setdefault((fault.machine, fault.kind), fault)
        return fault is not None

    # --- counts -----------------------------------------------------------------------------

    def _strayed(self, now_us: int) -> list[str]:
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

    def _is_alike(self, host: str, now_us: int) -> bool:
        """Tell whether all instances strayed from their usual as the canary did."""
        machine = self._machines[host]
        for kind in MEASURED:
            most = self._most(machine.canaries[host], kind, now_us)
            if most is not None and self._note(machine.strayed(host, kind, *most)):
                return True
        return False

    def _is_alone(self, host: str, now_us: int) -> bool:
        """Tell whether the canary is in trouble now that the others are well."""
        start_us = self._fleet.canary[host].start_us
        return any(
            stretch.from_us >= start_us and self._machines[host].is_alone(host, kind, stretch)
            for kind in MEASURED
            for stretch in self._windows(kind, now_us)
        )

    def _windows(self, kind: FaultKind, end_us: int) -> Iterator[Stretch]:
        end_us -= end_us % self._fleet.step_us
        for many in _SILENT_FOR if kind is FaultKind.SILENT else (1,):
            yield Stretch(end_us - many * self._window_us, end_us)

    # --- passes -----------------------------------------------------------------------------

    def barred(self, now_us: int) -> Verdict | None:
        """WAIT, and INCONCLUSIVE once the soak is over, for what a whole machine has shown."""
        for host in self._machines:
            self._look(host, now_us)
        if not any(tally.unheard.is_broken for tally in self._fleet.parts()):
            half_us = self._window_us // 2
            self._looked_us = max(self._looked_us, now_us - now_us % half_us)
        if not self._found:
            return None
        ran_s = (now_us - self._fleet.last_switch_us) / 1e6
        outcome = Outcome.WAIT if ran_s < self._options.soak_s else Outcome.INCONCLUSIVE
        found = sorted(self._found.values(), key=lambda one: one.at_us)
        return Verdict(outcome, tuple(map(str, found)), machine=found[0].machine)

    def _look(self, host: str, now_us: int) -> None:
        """Look for what all instances of a host's machine have shown since the last look."""
        machine = self._machines[host]
        canary = machine.canaries[host]
        for at_us in canary.stops():
            self._note(machine.stopped(host, at_us))
        for error in self._news(canary):
            self._note(machine.said(host, error, _TWICE))
        due = [kind for kind in MEASURED if (machine.name, kind) not in self._found]
        # No grace: what the others do says that it is not the start.
        start_us = canary.tally.start_us
        for end_us in (*range(self._looked_us, now_us, self._window_us // 2), now_us):
            for kind in due:
                for stretch in self._windows(kind, end_us):
                    if stretch.from_us >= start_us:
                        self._note(machine.plainly(host, kind, stretch))

    def _news(self, canary: MachineInstance) -> Iterator[str]:
        """Give a canary's errors that came so often that the past would not lack them by chance."""
        known_s = 0.0 if self._fleet.is_past_cut else self._fleet.history_s
        for error, said in canary.tally.quotes.items():
            watched_s = (said.last_us - canary.tally.start_us) / 1e6
            if said.occasions >= least_occasions(known_s, watched_s) and self._is_unknown(error):
                yield error
