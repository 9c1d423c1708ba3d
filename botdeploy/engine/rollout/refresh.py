"""Refresh: ask hosts again where what is known of them may not be true any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.host.host_state import Phase
from botdeploy.core.host.running import Runs
from botdeploy.core.rollout.host_standing import HOLDING, SATISFIED, Standing
from botdeploy.engine.fleet.by_machine import observe_machine
from botdeploy.errors import HostError
from botdeploy.hosts.acts.switch import Reverted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts

LOOK_S = 5.0
"""How old what a host said of itself may be when it is switched or proven."""
ASK_EVERY_S = 1.0
"""How often a host is asked again whether a bot runs that did not."""
ACT_S = 1000.0
"""Longest wait for an act that another controller began: a bot may take 15 minutes to stop."""


@dataclass(slots=True)
class Refresh:
    """Brings what the run knows of hosts up to date."""

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _busy_since: dict[str, float] = field(default_factory=dict)

    def again(self, hosts: Iterable[str]) -> None:
        """Observe hosts anew and take over what they say."""

        def look(names: tuple[str, ...]) -> Mapping[str, HostState | HostError]:
            return self._locked_fleet.again(lambda: self._observe(names))

        for name, result in self._locked_fleet.each_machine(hosts, look).items():
            if isinstance(result, HostError):
                self._hosts.lost(name, result.message)
            else:
                self._hosts.observed(name, result)

    def before_switch(self, hosts: Sequence[str]) -> bool:
        """Look at hosts that are about to be switched; False where that was done just now.

        A person may have held the rollout since; then all hosts are asked, for most decide.
        """
        old = self._not_just_seen(hosts)
        self.again(old)
        states = self._hosts.states
        if any(states[name].hold for name in old if name in states):
            self.again(self._not_just_seen(self._hosts.within(Standing.BEHIND, *SATISFIED)))
        return bool(old)

    def before_proof(self, hosts: Sequence[str]) -> bool:
        """Ask hosts that are about to be proven whether they run; True where that has changed.

        A host refuses where its bot is down, and the others would be proven without it. Between the
        first look and a proof journals are read, and late hosts waited for.
        """
        members, now = self._hosts, self._hosts.clock.monotonic()

        def said() -> list[tuple[Standing, Runs]]:
            return [(members[name].standing, members[name].view.seen.runs) for name in hosts]

        before = said()
        self.whether_they_run([name for name in hosts if now - members[name].asked > LOOK_S])
        return said() != before

    def _not_just_seen(self, hosts: Sequence[str]) -> list[str]:
        now = self._hosts.clock.monotonic()
        return [name for name in hosts if now - self._hosts[name].seen > LOOK_S]

    def until_idle(self) -> None:
        """Look whether what another controller began is done; wait for it, but not for ever."""
        busy = self._hosts.within(Standing.BUSY)
        now = self._hosts.clock.monotonic()
        self._busy_since = {name: self._busy_since.get(name, now) for name in busy}
        for name, since in self._busy_since.items():
            if now - since > ACT_S:
                why = f"an operation there does not end: {self._hosts[name].view.why}"
                self._hosts.stands(name, Standing.STUCK, why)
                self._hosts.emit(Kind.HOST_FAILED, host=name, error=why)
        self._locked_fleet.ticker.tick(0.5)
        self.again(self._hosts.within(Standing.BUSY))
        still = self._hosts.within(Standing.BUSY)
        self._busy_since = {name: self._busy_since[name] for name in still}

    def whether_they_run(self, suspects: Collection[str] = ()) -> None:
        """Ask hosts whether their bots run, where they did not or may not any more.

        ``suspects``: hosts whose journals tell of an end. One that runs is not asked.
        """
        now = self._hosts.clock.monotonic()
        members = self._hosts
        due = [
            name
            for name in members.within(*HOLDING)
            if members[name].standing is not Standing.PROVEN or members[name].view.has_passed
            if (name in suspects or members[name].view.seen.runs is not Runs.RUNNING)
            and now - members[name].asked >= ASK_EVERY_S
        ]
        if not due:
            return
        for name, result in self._locked_fleet.each_machine(due, self._observe).items():
            members[name].asked = self._hosts.clock.monotonic()
            if isinstance(result, HostError):
                continue  # whether it is there at all is asked by whoever keeps its lease
            switch = result.switch
            if switch is None or switch.phase in (Phase.REVERTING, Phase.REVERTED):
                self._take(name, result)
            else:
                members.told_of(name, result.unit)

    def _observe(self, names: tuple[str, ...]) -> Mapping[str, HostState | HostError]:
        return observe_machine(self._locked_fleet.fleet, names)

    def after_lease(self, name: str) -> None:
        """Find out what became of a host that says that its lease is over.

        A renewal and a confirmation may both be told so: the second adds nothing.
        """
        if self._hosts[name].standing in (Standing.RETURNED, Standing.LAPSED, Standing.STUCK):
            return
        try:
            state = self._locked_fleet.acts(name).state.observe()
        except HostError as unreachable:
            self._hosts.lost(name, unreachable.message)
            return
        self._take(name, state)

    def _take(self, name: str, state: HostState) -> None:
        """Take over what a host says that may have gone back by itself."""
        switch = state.switch
        if switch is None or switch.phase is not Phase.REVERTED:
            self._hosts.observed(name, state)
            return
        self._hosts.states[name] = state
        self._hosts.went_back(
            name,
            Reverted(
                old=switch.old,
                by=switch.by or "host",
                why=switch.why,
                cause=switch.cause or "lease",
                seconds=0.0,
                is_running=not state.stuck,
                unit=switch.unit,
                release=switch.release,
            ),
        )
