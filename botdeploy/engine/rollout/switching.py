"""Switching: the old release stops and the new one starts, under a lease."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdeploy.core.rollout.host_standing import next_try_id
from botdeploy.errors import HostError
from botdeploy.hosts.acts.switch import Reverted, Switched

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def switch(self, hosts: Sequence[str]) -> None:
        """Switch hosts over, all at once, and note what came of it."""
        for name in hosts:
            member = self._hosts[name]
            member.try_id = next_try_id(self._hosts.target.rollout, self._hosts.states.get(name))
            member.armed_at_us = int(self._hosts.clock.now().timestamp() * 1e6)
            member.switching_since = self._hosts.clock.monotonic()
        results = self._locked_fleet.together(hosts, self._switch)
        for name, result in results.items():
            self._hosts[name].switching_since = None
            match result:
                case Switched():
                    self._hosts.switched(name, result)
                case Reverted():
                    self._hosts.went_back(name, self._with_last_words(name, result))
                case HostError():
                    self._hosts.lost(name, result.message)

    def _switch(self, name: str) -> Switched | Reverted:
        try_id = self._hosts[name].try_id
        release, ttl_s = self._hosts.release, self._hosts.policy.lease.ttl_s
        outcome = self._locked_fleet.again(
            lambda: self._locked_fleet.acts(name).switch.start(try_id, release, ttl_s)
        )
        if isinstance(outcome, Switched):
            # Over this one it is confirmed later: a release that breaks ssh does not pass.
            self._locked_fleet.fleet.fresh(name)
        return outcome

    def _with_last_words(self, name: str, result: Reverted) -> Reverted:
        """Add to why a release did not become ready the line that tells most of it."""
        if result.cause != "ready":
            return result
        state = self._hosts.states.get(name)
        old = state.unit.invocation if state is not None else ""
        since_us = self._hosts[name].armed_at_us
        said = self._watch.last_words(name, since_us, old, back_s=result.seconds).told
        return replace(result, why=f"{result.why}; {said}") if said else result
