"""Watching rings: which hosts are followed and judged, and beside which of the old release."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.evidence.proven_past import ProvenReleases, timeline
from botdeploy.core.rollout.batch import next_batch
from botdeploy.core.rollout.host_standing import SATISFIED, Standing
from botdeploy.engine.watch.watch import MOST_BASELINE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.model.policy import Ring
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.soak_evidence import SoakEvidence
    from botdeploy.engine.watch.watch import Watch


def one_of_each(
    names: Sequence[str], machines: Mapping[str, str], first: Collection[str]
) -> tuple[str, ...]:
    """Order hosts: one of each machine, then the next of each; ``first`` names machines."""
    seen: Counter[str] = Counter()
    ranks = {}
    for name in names:
        machine = machines[name]
        ranks[name] = (seen[machine], machine not in first)
        seen[machine] += 1
    return tuple(sorted(names, key=ranks.__getitem__))


@dataclass(slots=True)
class RingWatch:
    """Has one ring judged at a time, and those that have passed watched on."""

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _watch: Watch
    _soak_evidence: SoakEvidence
    _judged: tuple[str, ...] = ()
    """Hosts whose release is judged now, live."""

    def listen(self, hosts: Sequence[str]) -> None:
        """Follow hosts that are about to be switched, and wait for what was written until now.

        Without the wait an error of the past that arrives late would look new.
        """
        self._watch.following.catch_up(self._follow(hosts), self._locked_fleet.ticker.tick)
        self._watch.passed.leave(hosts)

    def _follow(self, hosts: Sequence[str]) -> tuple[str, ...]:
        """Follow hosts, and some that stay as they are, to compare them with; gives both."""
        followed = (*hosts, *self.baseline(hosts))
        self._watch.following.follow(followed, self._hosts.ahead_us)
        return followed

    def begin(self, ring: Ring) -> None:
        """Judge the ring's hosts that run the release; without a soak, the last batch alone."""
        names = self._hosts.unproven(ring)
        last = self._hosts.of_ring(ring.name, Standing.PENDING)
        if last and not ring.soak:
            names = last
        self._judged = tuple(names)
        switched = {name: self._hosts[name].switched_at_us for name in names}
        if switched:
            soak = ring.soak or ring.settle
            baseline = self.baseline(names)
            self._watch.judging.judge(ring, switched, soak, baseline, self._hosts.states)
        else:
            self._watch.judging.rest()

    def take_up(self) -> None:
        """Watch again what an earlier run left pending or confirmed.

        Where nothing is, the past of the hosts that come first is read while the release is
        staged.
        """
        self.look_after(self._hosts.passed(), {})
        for ring in self._hosts.policy.rings:
            left = self._hosts.unproven(ring)
            if left:
                self.listen(left)
                self.begin(ring)
                return
        for ring in self._hosts.policy.rings:
            due = self._hosts.of_ring(ring.name, Standing.BEHIND, Standing.UNSTAGED)
            if due:
                machines = self._hosts.inventory.machine_of
                self._follow(next_batch(ring, self._hosts.rings[ring.name], due, machines))
                return

    def leave_lapsed(self) -> None:
        """Judge without the hosts that went back by themselves: what they told does not count."""
        left = [n for n in self._judged if self._hosts[n].standing is Standing.LAPSED]
        if left:
            self._watch.judging.forget(left)
            self.begin(self._hosts.ring(self._hosts.ring_of(left[0])))

    def watch_on(self, ring: str) -> None:
        """Watch a ring that has passed just now, for as long as this run goes on."""
        members = self._hosts
        proven = members.of_ring(ring, Standing.PROVEN)
        is_more_due = members.without(*SATISFIED, Standing.AWAY) or members.policy.watch
        if not members.is_attended or not proven or not is_more_due:
            return
        now_us = int(members.clock.now().timestamp() * 1e6)
        self._watch.passed.watch_on(ring, dict.fromkeys(proven, now_us), self.baseline(proven))

    def look_after(
        self, passed: Mapping[str, Sequence[str]], known: Mapping[str, Evidence]
    ) -> None:
        """Look at what came to rings since they passed: read on from where the last reader ended.

        ``known``: what was read of other hosts just now. A run that stays follows them from there.
        """
        if not passed:
            return
        members = self._hosts
        of = {name: members.ring(ring) for ring, hosts in passed.items() for name in hosts}
        baseline = self.baseline(tuple(of))

        due = [name for name in (*of, *baseline) if name not in known]
        seen = {**known, **self._soak_evidence.read_all(of, due)}
        for ring, hosts in passed.items():
            self._watch.passed.look_after(
                ring,
                {name: members.passed_us(name) for name in hosts if name in seen},
                {name: seen[name] for name in (*hosts, *baseline) if name in seen},
                members.target.release,
                members.states,
            )
        if members.is_attended:
            self._watch.following.follow((*of, *baseline), members.ahead_us, seen)

    def baseline(self, canary: Sequence[str]) -> tuple[str, ...]:
        """Name hosts of the old release to compare with: staged or not, but running.

        One of each machine first, so that all are heard where not all can be read.
        """
        known = ProvenReleases(self._hosts.states)
        fit = [
            name
            for name in self._hosts.within(Standing.BEHIND, Standing.UNSTAGED)
            if name not in canary
            and (state := self._hosts.states.get(name)) is not None
            and state.unit.active_state == "active"
            # What it runs has passed there, or somebody put it there before botdeploy.
            and (not timeline(state) or state.running in known.on(name))
        ]
        on = self._hosts.inventory.machine_of
        return one_of_each(fit, on, first={on[name] for name in canary})[:MOST_BASELINE]
