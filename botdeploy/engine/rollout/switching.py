"""Switching: the old release stops and the new one starts, under a lease."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from botdeploy.core.rollout.host_standing import next_try_id, next_try_of_all
from botdeploy.core.rollout.succession import PLAIN
from botdeploy.errors import HostError
from botdeploy.hosts.acts.switch import Go, Reverted, Stopped, Switched, Unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.watch.watch import Watch


@dataclass(slots=True)
class Switching:
    """Switches hosts over, each try under a name of its own.

    The host itself stops the old process and starts the new one; a cut connection neither stops
    nor repeats that, and asking again under the same name of the try tells how it went.
    """

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _watch: Watch

    def switch(self, hosts: Sequence[str], *, is_whole: bool = False) -> None:
        """Switch hosts over, all at once, and note what came of it.

        ``is_whole``: they change their numbers, so none starts before all are dead, on a machine
        and, as far as this controller can tell, on all.
        """
        rollout, states = self._hosts.target.rollout, self._hosts.states
        same = next_try_of_all(rollout, map(states.get, hosts)) if is_whole else ""
        for name in hosts:
            member = self._hosts[name]
            member.try_id = same or next_try_id(rollout, states.get(name))
            member.armed_at_us = int(self._hosts.clock.now().timestamp() * 1e6)
            member.is_switching, member.ordered_at = True, self._hosts.clock.monotonic()
        connections = _NewConnections(self._locked_fleet.fleet, hosts)
        groups, on = self._groups(hosts) if is_whole else {}, self._hosts.inventory.machine_of
        results: Mapping[str, Switched | Reverted | Stopped | HostError] = {}
        go = Go.AT_ONCE
        if len(groups) > 1:
            results = self._locked_fleet.together(
                hosts, lambda name: self._start(name, groups[on[name]], Go.HOLD)
            )
            go = Go.GO
        if all(isinstance(one, Stopped) for one in results.values()):
            results = self._locked_fleet.together(
                hosts, lambda name: self._switch(name, connections, groups.get(on[name], ()), go)
            )
        else:
            results = {**results, **self._called_back(results)}
        for name, result in results.items():
            self._hosts[name].is_switching = False
            match connections.error_of(name, result) or result:
                case Switched() as switched:
                    self._hosts.switched(name, switched)
                case Reverted() as reverted:
                    self._hosts.went_back(name, self._with_last_words(name, reverted))
                case HostError() as error:
                    self._hosts.lost(name, error.message)
                case Stopped():
                    self._hosts.lost(name, "it was told to start, and says that it still waits")
                case unknown:
                    assert_never(unknown)

    def _switch(
        self, name: str, connections: _NewConnections, group: Sequence[str], go: Go
    ) -> Switched | Reverted | Stopped:
        outcome = None
        try:
            outcome = self._start(name, group, go)
            return outcome
        finally:
            connections.answered(name, is_switched=isinstance(outcome, Switched))

    def _start(self, name: str, group: Sequence[str], go: Go) -> Switched | Reverted | Stopped:
        try_id = self._hosts[name].try_id
        release, ttl_s = self._hosts.release, self._hosts.policy.lease.ttl_s
        return self._locked_fleet.again(
            lambda: self._locked_fleet.acts(name).switch.start(try_id, release, ttl_s, group, go)
        )

    def _groups(self, hosts: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Name the instances on each machine that are switched together, as acts do."""
        on = self._hosts.inventory.machine_of
        found: dict[str, list[str]] = {}
        for name in hosts:
            instance = self._hosts.inventory.host(name).instance
            found.setdefault(on[name], []).append(instance or PLAIN)
        return {machine: tuple(names) for machine, names in found.items()}

    def _called_back(
        self, results: Mapping[str, Switched | Reverted | Stopped | HostError]
    ) -> Mapping[str, Reverted | HostError]:
        """Have those go back that wait to start, where others do not; and who started too soon."""
        back, others = [], []
        for name, one in results.items():
            match one:
                case Stopped():
                    back.append(name)
                case Switched():
                    back.append(name)
                    others.append(f"{name} started before all were told to")
                case Reverted():
                    others.append(one.why)
                case HostError():
                    others.append(str(one))
                case unknown:
                    assert_never(unknown)
        why = f"an instance that changes its number with this one did not stop: {'; '.join(others)}"

        def revert(name: str) -> Reverted:
            try_id = self._hosts[name].try_id
            acts = self._locked_fleet.acts(name)
            back = self._locked_fleet.again(
                lambda: acts.switch.revert(try_id, None, why, cause="lease")
            )
            if isinstance(back, Unchanged):
                return Reverted(back.release, "controller", why, "lease", 0.0, is_running=True)
            return back

        return self._locked_fleet.together(back, revert)

    def _with_last_words(self, name: str, result: Reverted) -> Reverted:
        """Add to why a release did not become ready the line that tells most of it."""
        if result.cause != "ready":
            return result
        state = self._hosts.states.get(name)
        old = state.unit.invocation if state is not None else ""
        since_us = self._hosts[name].armed_at_us
        said = self._watch.last_words(name, since_us, old, back_s=result.seconds).told
        return replace(result, why=f"{result.why}; {said}") if said else result


class _NewConnections:
    """Opens a new connection to each machine when the last of its hosts in a batch has answered.

    Over this one they are confirmed later: a release that breaks ssh does not pass.
    """

    def __init__(self, fleet: Fleet, hosts: Sequence[str]) -> None:
        """Wait for these hosts."""
        self._fleet = fleet
        self._machines = {name: fleet.host(name).on_machine for name in hosts}
        self._left = Counter(self._machines.values())
        self._switched: set[str] = set()
        self._failed: dict[str, HostError] = {}
        self._lock = threading.Lock()

    def answered(self, name: str, *, is_switched: bool) -> None:
        """Note that a host has answered, from any thread; connects where it was the last one."""
        machine = self._machines[name]
        with self._lock:
            self._left[machine] -= 1
            if is_switched:
                self._switched.add(machine)
            if self._left[machine] or machine not in self._switched:
                return
        try:
            self._fleet.fresh(name)
        except HostError as error:
            self._failed[machine] = error

    def error_of(self, name: str, result: object) -> HostError | None:
        """Say why a host that has switched could not be reached anew; None where it was."""
        error = self._failed.get(self._machines[name])
        return error.of(name) if error is not None and isinstance(result, Switched) else None
