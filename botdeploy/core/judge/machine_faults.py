"""Faults that all instances of a machine share: they fail no release, and none passes with them.

A canary may be their cause (it can fill its neighbours' disk), or the machine may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.machine_search import MachineSearch
from botdeploy.core.judge.machine_signs import FaultKind
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.hard_rules import HardRules
    from botdeploy.core.judge.judge_options import JudgeOptions

HOLD_US = 10 * SECOND_US
"""How long a fail waits for the other instances of its machine: what hits all does so at once."""


class _AtLine(NamedTuple):
    """A fail at a line that waits for what the other instances say."""

    failed: Verdict
    host: str
    at_us: int
    error: str | None


class MachineFaults:
    """Holds or excuses a fail, and bars a pass, where all instances of a machine show a fault."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions, hard: HardRules) -> None:
        """Look at what ``fleet`` holds; ``hard`` is told which ends are those of a machine."""
        self._fleet = fleet
        self._options = options
        self._hard = hard
        self._search = MachineSearch(fleet, options)
        self._at_line: list[_AtLine] = []
        self._counted_us: dict[str, int] = {}
        """Since when the counts of a host condemn it."""
        self._waiting: set[str] = set()
        """Canary hosts whose fail waits."""

    def at_line(self, failed: Verdict, at_us: int, error: str | None) -> Verdict:
        """Give a fail that a line shows; WAIT while other instances may turn out to share it."""
        if failed.host is None or failed.host not in self._search.machines:
            return failed
        self._at_line.append(_AtLine(failed, failed.host, at_us, error))
        return self._wait(failed, failed.host)

    def held(self, now_us: int) -> Verdict | None:
        """Give the first fail at a line that no other instance shares; WAIT while one may be."""
        self._waiting.clear()
        waiting: Verdict | None = None
        for one in list(self._at_line):
            if self._search.is_shared(one.host, one.at_us, one.error):
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
            if ruled.host not in self._search.machines or self._hard.is_excused(ruled.host):
                return ruled
            if not self._search.is_shared_end(ruled.host):
                is_new = now_us - self._search.ended_us(ruled.host) < HOLD_US
                return self._wait(ruled, ruled.host) if is_new else ruled
            self._hard.excuse(ruled.host, ruled.reasons[0])
            ruled = self._hard.standing(now_us)
        return ruled

    def weighed(self, failed: Verdict, now_us: int) -> Verdict:
        """Give a fail by what was counted; WAIT where all instances of the machine share it."""
        if not self._search.machines:
            return failed
        strayed = [failed.host] if failed.host is not None else self._search.strayed(now_us)
        if not strayed or any(name not in self._search.machines for name in strayed):
            return failed
        for name in strayed:
            machine = self._search.machines[name].name
            if any(fault.machine == machine for fault in self._search.found.values()):
                if self._search.is_alone(name, now_us):
                    return failed
            elif not self._search.is_alike(name, now_us):
                since_us = self._counted_us.setdefault(name, now_us)
                is_late = self._is_late(name) or now_us - since_us >= HOLD_US
                return failed if is_late else self._wait(failed, name)
        return self._wait(failed, strayed[0])

    def ends(self) -> frozenset[str]:
        """Name the canary hosts whose end is the machine's, or may turn out to be."""
        ends = [
            one
            for one in self._search.found.values()
            if one.kind in {FaultKind.STOPS, FaultKind.NEW}
        ]
        held = {one.host for one in self._at_line}
        return frozenset({*(one.hosts[0] for one in ends), *held, *self._waiting})

    def _is_late(self, host: str) -> bool:
        """Tell whether all have had the time to say it: what is kept, or counted by the minute."""
        tally = self._fleet.canary[host]
        return tally.is_absorbed or tally.step_us >= MINUTE_US

    def _wait(self, failed: Verdict, host: str) -> Verdict:
        self._waiting.add(host)
        machine = self._search.machines[host].name
        why = f"the other instances on {machine} may have the same problem"
        return Verdict(Outcome.WAIT, (*failed.reasons, why), host, machine=machine)

    def barred(self, now_us: int) -> Verdict | None:
        """WAIT, and INCONCLUSIVE once the soak is over, for what a whole machine has shown."""
        self._search.look(now_us)
        shown = {**self._search.beside, **self._search.found}
        if not shown:
            return None
        ran_s = (now_us - self._fleet.last_switch_us) / 1e6
        outcome = Outcome.WAIT if ran_s < self._options.soak_s else Outcome.INCONCLUSIVE
        found = sorted(shown.values(), key=lambda one: one.at_us)
        return Verdict(outcome, tuple(map(str, found)), machine=found[0].machine)
