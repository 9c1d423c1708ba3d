"""The hosts of a rollout: what is known of each, and how that changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.evidence.proven_past import NOBODY, timeline
from botdeploy.core.host.running import Runs, seen
from botdeploy.core.rollout import ring_members, rollout_records
from botdeploy.core.rollout.facts import facts_of
from botdeploy.core.rollout.host_standing import (
    HOLDING,
    OWN_DOING,
    HostStanding,
    Standing,
    lapsed,
    later,
    standing_in,
)
from botdeploy.engine.event_emitter import told_unseen
from botdeploy.engine.rollout.ring_hosts import RingHosts, RolloutHost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.host.running import Unit
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.facts import Facts
    from botdeploy.core.rollout.target import Target
    from botdeploy.engine.event_emitter import EventEmitter
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.hosts.acts.switch import Reverted, Switched


class RolloutHosts(RingHosts):
    """Every host of the rings, in their order.

    All of it is a copy of what the hosts said; a run that dies loses nothing that another one
    would need. Whoever acts on a host notes here what came of it, so that the next decision is
    made of it, and what people want to know of it is told.
    """

    def __init__(
        self,
        inventory: Inventory,
        target: Target,
        lock: EnvironmentLock,
        clock: Clock,
        emit: EventEmitter,
        *,
        is_attended: bool = False,
    ) -> None:
        """Begin with what the hosts said when they were locked, and why some could not be.

        A person who attends has bots started again that ended by themselves.
        """
        self.is_attended = is_attended
        self.inventory = inventory
        self.policy = inventory.policy
        self.target = target
        states = lock.states
        away = {name: error.message for name, error in lock.away.items()}
        self.states = dict(states)
        self.rings = ring_members.members(
            inventory, self.states, away, rollout=target.rollout, release=target.release
        )
        self.clock = clock
        self.emit = emit
        self._heard = lock.heard
        self.ahead_us: dict[str, int] = {}
        """How far the clocks of some hosts are before ours, since they were asked."""
        self._compare_clocks(states)
        self._hosts = {
            name: self._seen(name, away, self._heard_at(name))
            for hosts in self.rings.values()
            for name in hosts
        }

    def facts(self) -> Facts:
        """Give the decision what is known of the hosts now, without any verdict."""
        now = self.clock.monotonic()
        seen = {
            name: later(one.view, now - one.since) if one.standing in HOLDING else one.view
            for name, one in self._hosts.items()
        }
        return facts_of(
            self.policy,
            self.rings,
            seen,
            self.states,
            self.target,
            self.clock.now(),
            self.inventory.machine_of,
        )

    def answered_late(
        self, late: Collection[str], states: Mapping[str, HostState], away: Mapping[str, str]
    ) -> None:
        """Take in hosts that the run did not wait for: only now is it known who is in which ring.

        ``away`` tells why some of them did not answer at all.
        """
        came = states.keys() & set(late)
        self.states |= {name: states[name] for name in came}
        self._compare_clocks(came)
        self.rings = ring_members.members(
            self.inventory,
            self.states,
            {*self.within(Standing.AWAY)} - {*late} | away.keys(),
            rollout=self.target.rollout,
            release=self.target.release,
        )
        known = {name: one for name, one in self._hosts.items() if name not in late}
        self._hosts = {
            name: known[name] if name in known else self._seen(name, away, self._heard_at(name))
            for hosts in self.rings.values()
            for name in hosts
        }

    def observed(self, name: str, state: HostState) -> None:
        """Take over what a host says of itself now."""
        self.states[name] = state
        self._hosts[name] = self._seen(name, {}, self.clock.monotonic())

    def lost(self, name: str, why: str) -> None:
        """Note that a host can't be worked on, and tell it."""
        self.stands(name, Standing.AWAY, why)
        self.emit(Kind.HOST_FAILED, host=name, ring=self.ring_of(name) or None, error=why)

    def stands(self, name: str, standing: Standing, why: str = "") -> None:
        """Note where a host stands now."""
        self._hosts[name].view = HostStanding(
            standing, why=why, has_passed=standing is Standing.PROVEN
        )
        self._hosts[name].since = self.clock.monotonic()

    def switched(self, name: str, result: Switched) -> None:
        """Note that a host runs the release, under lease, and tell it."""
        member = self._hosts[name]
        member.view = HostStanding(Standing.PENDING)  # it was seen ready just now
        member.pids, member.is_enabled = (), True
        member.has_held = True
        member.since = self.clock.monotonic()
        member.switched_at_us = self._by_our_clock(name, result.at_us)
        state = self.states.get(name)
        if state is not None:
            new = self.target.release
            at_us = result.at_us or int(self.clock.now().timestamp() * 1e6)
            known = (*timeline(state), (at_us, new))
            runs = state.now_runs(new, result.old)
            self.states[name] = replace(runs, current=new, switches=known)
        ring = self.ring_of(name)
        downtime_s = result.downtime_s
        unseen = told_unseen(result)
        self.emit(Kind.SWITCHED, host=name, ring=ring, downtime_s=downtime_s, **unseen)

    def confirmed(self, name: str, at: float) -> None:
        """Note that a host keeps the release; ``at`` is the monotonic second of that."""
        member = self._hosts[name]
        view = later(member.view, at - member.since)
        member.view = replace(view, standing=Standing.CONFIRMED)
        member.since = at

    def told_of(self, name: str, unit: Unit) -> None:
        """Take over what a host says of its unit now, where it has the release."""
        member = self._hosts[name]
        if member.standing not in HOLDING:
            return
        ran_s = member.view.age_s + self.clock.monotonic() - member.since
        is_known = member.switched_at_us > 0
        found = seen(unit, self.target.release, ran_s if is_known else 0.0)
        member.view = replace(member.view, seen=found)
        member.pids, member.is_enabled = unit.pids, unit.is_enabled
        member.asked = self.clock.monotonic()

    def excuse(self, names: Collection[str]) -> None:
        """Note whose end may have an external cause; of the others it is their own."""
        for name, member in self._hosts.items():
            is_excused = name in names
            if member.view.seen.is_excused != is_excused and member.standing in HOLDING:
                found = replace(member.view.seen, is_excused=is_excused)
                member.view = replace(member.view, seen=found)

    def went_back(self, name: str, result: Reverted, *, has_failed: bool = True) -> None:
        """Note that a host left the release, and tell it; not every return is a failure."""
        state = self.states.get(name)
        if state is not None:
            gone_us = int((self.clock.now().timestamp() - result.seconds) * 1e6)
            known = (
                *timeline(state),
                (gone_us + self.ahead_us.get(name, 0), result.old or NOBODY),
            )
            runs = state.now_runs(result.old if result.is_running else "")
            self.states[name] = replace(runs, current=result.old, switches=known)
        if result.now and not result.is_running:
            of = f" of {result.unit}" if result.unit else ""
            why = f"{result.why}; and {result.now}{of} did not become ready after the revert"
            self.stands(name, Standing.STUCK, why)
        elif has_failed and result.cause not in OWN_DOING:
            self.stands(name, Standing.RETURNED, result.why)
        else:
            member = self._hosts[name]
            member.view = lapsed(member.try_id, self.target.rollout, result.why)
            member.seen = float("-inf")  # the next try has a name that the host must tell first
        member = self._hosts[name]
        member.is_back = True
        self.emit(
            Kind.REVERTED,
            host=name,
            ring=self.ring_of(name),
            by=result.by or "host",
            seconds=result.seconds,
            to=result.now or None,
            why=result.why,
            is_tried_again=member.standing is Standing.LAPSED,
            **told_unseen(result),
            **({"unit": result.unit} if result.unit else {}),
        )

    def _compare_clocks(self, names: Iterable[str]) -> None:
        """Take over what the clocks were when these hosts answered: what they said has aged."""
        unit = timedelta(microseconds=1)
        self.ahead_us |= {name: self._heard[name].ahead // unit for name in names}

    def _heard_at(self, name: str) -> float:
        """Give when a host said what its lock's state tells; now where it said nothing."""
        heard = self._heard.get(name)
        return heard.at if heard is not None else self.clock.monotonic()

    def _seen(self, name: str, away: Mapping[str, str], at: float) -> RolloutHost:
        """Make what is known of a host of what it said at the monotonic second ``at``."""
        target = self.target
        view = standing_in(name, self.states, away, target.release, target.digest, target.rollout)
        if self.is_attended and view.standing is Standing.PROVEN:
            view = self._to_start_again(name, view)
        member = RolloutHost(view, since=at, seen=at, has_held=view.standing in HOLDING)
        state = self.states.get(name)
        switch = state.switch if state is not None else None
        if state is not None:
            member.pids, member.asked = state.unit.pids, at
            member.is_enabled = state.unit.is_enabled
        if switch is not None and switch.new == self.target.release:
            member.try_id = switch.try_id
            aged_s = self.clock.monotonic() - at
            begun = self.clock.now() - timedelta(seconds=switch.age_s + aged_s)
            member.switched_at_us = int(begun.timestamp() * 1e6)
            if switch.armed_us:
                member.switched_at_us = self._by_our_clock(name, switch.armed_us)
        return member

    def _to_start_again(self, name: str, view: HostStanding) -> HostStanding:
        """Have a bot started that passed in a rollout which is over, and ended by itself since.

        In a rollout that is under way its end is a failure of the release.
        """
        record = self.states[name].rollout
        is_here = record is not None and record.id == self.target.rollout
        is_under_way = is_here and record is not None and record.outcome != rollout_records.PASSED
        if view.seen.runs is not Runs.ENDED or is_under_way:
            return view
        return HostStanding(Standing.BEHIND if is_here else Standing.UNSTAGED, why=view.seen.why)

    def by_host_clock(self, name: str, at_us: int) -> int:
        """Give an instant by a host's own clock, as what is kept there; ``at_us`` is by ours."""
        return at_us + self.ahead_us.get(name, 0)

    def _by_our_clock(self, name: str, at_us: int) -> int:
        if not at_us:
            return int(self.clock.now().timestamp() * 1e6)
        return at_us - self.ahead_us.get(name, 0)
