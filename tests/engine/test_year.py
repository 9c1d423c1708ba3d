"""A simulated year: releases good and bad, hosts and controllers that die, clocks that jump.

The real engine and the real decision work on hosts in memory, which do what the acts do. Whatever
happens in which order, the promises hold at every single change of a host, and every rollout ends.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from botdeploy.core.model.lease import Lease, LeaseUntil
from botdeploy.core.model.policy import Gate, OnFail, Policy, Ring, Share
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.machine_count import machines_with
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import BotdeployError, ExitCode
from botdeploy.inventory.allowed_hours import parse_window
from tests.effort import examples
from tests.engine.fakefleet import ControllerDied, FakeBuild, FakeWatch, Stage

if TYPE_CHECKING:
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.outcome import Ended
    from tests.engine.fakehost import FakeHost

pytestmark = pytest.mark.simulation

NAMES = ("h1", "h2", "h3", "h4", "h5", "h6")
GROUPS = {"internal": ("h1",), "beta": ("h2", "h3")}
MACHINES: tuple[dict[str, tuple[str, ...]], ...] = (
    {},
    {"m1": ("h1", "h2", "h3"), "m2": ("h4", "h5"), "m3": ("h6",)},
    {"m1": NAMES},
)
"""Every host on a machine of its own, instances on three machines, or all on one."""
KINDS = ("good", "good", "good", "bad", "doubtful", "unready", "deaf", "bad on one")
DAY_S = 86400.0
YEARS = int(os.environ.get("BOTDEPLOY_YEARS", "60"))
"""How many years are simulated; each has up to 40 happenings."""
PHASES = [one for one in Phase if one is not Phase.shrink or "BOTDEPLOY_QUICK" not in os.environ]


def since_reinstalled(host: FakeHost) -> list[tuple[str, ...]]:
    """Give what a host did before its last act, but not on an earlier system."""
    did = host.did[:-1]
    acts = [one[0] for one in did]
    if "reinstall" in acts:
        did = did[len(acts) - acts[::-1].index("reinstall") :]
    return did


class ImpatientWatch(FakeWatch):
    """Lets the decision alone see to it that a soak is waited for."""

    is_patient = False


class Year(RuleBasedStateMachine):
    """Six hosts in four rings, and everything that may happen to them."""

    rollouts = 0

    def __init__(self) -> None:
        """Begin with nothing; ``begin`` draws the policy."""
        super().__init__()
        self.last_build: FakeBuild | None = None
        self.is_unattended = False
        self.is_forced = False
        self.forced: set[str] = set()
        self.passed: set[tuple[str, str]] = set()
        self.failed: set[str] = set()
        self.switched: dict[str, tuple[float, int, timedelta]] = {}
        self.names: set[str] = set()

    @initialize(
        on_fail=st.sampled_from(OnFail),
        most_away=st.integers(0, 2),
        until=st.sampled_from(LeaseUntil),
        soaks=st.tuples(*[st.sampled_from([0, 60, 3600, 2 * 86400])] * 3),
        gate=st.sampled_from([None, "internal", "beta", "fleet"]),
        window=st.sampled_from([None, None, "beta", "fleet"]),
        batch=st.integers(1, 2),
        machines=st.sampled_from(MACHINES),
    )
    def begin(
        self,
        on_fail: OnFail,
        most_away: int,
        until: LeaseUntil,
        soaks: tuple[int, int, int],
        gate: str | None,
        window: str | None,
        batch: int,
        machines: dict[str, tuple[str, ...]],
    ) -> None:
        """Draw the policy, and deploy for the first time."""
        selectors: dict[str, str | Share] = {
            "internal": "internal",
            "beta": "beta",
            "canary": Share(count=1),
            "fleet": "all",
        }
        # Under a lease of minutes cron must come all the time: no years of that.
        longest = [min(soak, 3600) if until is LeaseUntil.VERDICT else soak for soak in soaks]
        rings = tuple(
            Ring(
                name,
                selector,
                soak=timedelta(seconds=soak),
                settle=timedelta(seconds=10),
                batch=Share(count=batch),
                gate=Gate.APPROVE if name == gate else Gate.NONE,
                window=parse_window("Mo-Fr 09:00-17:00 Europe/Berlin") if name == window else None,
            )
            for (name, selector), soak in zip(selectors.items(), (*longest, 0), strict=True)
        )
        ttl = timedelta(minutes=15) if until is LeaseUntil.VERDICT else timedelta(seconds=90)
        policy = Policy(
            rings,
            lease=Lease(ttl, until),
            max_unreachable=Share(count=most_away),
            on_fail=on_fail,
        )
        self.stage = Stage(len(NAMES), policy, groups=GROUPS, machines=machines, tick_s=5.0)
        for host in self.stage.hosts.values():
            host.on_change = self._changed
        self.policy = self.stage.inventory.policy

    # --- what may happen --------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), fuse=st.none() | st.integers(0, 120))
    def release(self, kind: str, fuse: int | None) -> None:
        """Release something new; the machine that does so may die on the way."""
        host = "h5" if kind == "bad on one" else "*"
        self.last_build = self.stage.build("bad" if host == "h5" else kind, host)
        self._canary(self.last_build, fuse)

    @precondition(lambda self: self.last_build is not None)
    @rule(fuse=st.none() | st.integers(0, 120), is_forced=st.booleans())
    def release_again(self, fuse: int | None, is_forced: bool) -> None:  # noqa: FBT001
        """Type the same command again."""
        assert self.last_build is not None
        self._canary(self.last_build, fuse, is_forced=is_forced)

    @rule(fuse=st.none() | st.none() | st.integers(0, 80))
    def tick(self, fuse: int | None) -> None:
        """Let cron take a step."""
        self._promote(fuse)

    @rule(minutes=st.integers(1, 12))
    def ticks(self, minutes: int) -> None:
        """Let cron take a step every five minutes, with nobody in between."""
        for _ in range(minutes):
            self.stage.clock.advance(300)
            self._promote(None)

    @rule(seconds=st.sampled_from([20.0, 120.0, 3600.0, DAY_S]))
    def time_goes_by(self, seconds: float) -> None:
        """Let nothing happen for a while, not even cron."""
        self.stage.clock.advance(seconds)

    @rule(name=st.sampled_from(NAMES), seconds=st.sampled_from([0.0, 0.3, 2.0, 15.0, 100.0]))
    def host_dies(self, name: str, seconds: float) -> None:
        """Cut a host's power, now or in the middle of what comes next."""
        self.stage.clock.at(seconds, self.stage.hosts[name].die)
        self.stage.clock.advance(0)

    @rule(name=st.sampled_from(NAMES), seconds=st.sampled_from([0.0, 15.0, 1000.0]))
    def host_boots(self, name: str, seconds: float) -> None:
        """Switch a host on."""
        self.stage.clock.at(seconds, self.stage.hosts[name].boot)
        self.stage.clock.advance(0)

    @rule(name=st.sampled_from(NAMES), is_cut=st.booleans())
    def network(self, name: str, is_cut: bool) -> None:  # noqa: FBT001
        """Cut a host's network, or mend it."""
        self.stage.hosts[name].is_cut = is_cut

    @rule(name=st.sampled_from(NAMES))
    def host_is_reinstalled(self, name: str) -> None:
        """Let a host come back with nothing on it."""
        self.stage.hosts[name].reinstall()

    @rule(name=st.sampled_from(NAMES), hours=st.sampled_from([-5, 1, 30, 24 * 400]))
    def host_clock_jumps(self, name: str, hours: int) -> None:
        """Let a host's wall clock jump."""
        self.stage.hosts[name].jump += timedelta(hours=hours)

    @rule(hours=st.sampled_from([-30, -1, 1, 30]))
    def controller_clock_jumps(self, hours: int) -> None:
        """Let the next controller's wall clock be another one's."""
        self.stage.clock.jump = timedelta(hours=hours)

    @rule(act=st.sampled_from(["hold", "resume", "resume"]))
    def person_holds_or_resumes(self, act: str) -> None:
        """Hold the environment by hand, or let it go on."""
        self._gate(act)

    @rule()
    def person_approves(self) -> None:
        """Approve by hand whatever waits."""
        self._approve()

    @rule(keep=st.booleans(), fuse=st.none() | st.integers(0, 60))
    def person_rolls_back(self, keep: bool, fuse: int | None) -> None:  # noqa: FBT001
        """Take everything back by hand."""
        self._controller(fuse)
        with suppress(BotdeployError, ControllerDied):
            rollback(self.stage.inventory, NAMES, self._tools(), keep=keep)

    @rule()
    def lock_is_taken_away(self) -> None:
        """Give up the lock by hand."""
        for host in self.stage.hosts.values():
            if host.is_reachable():
                host.unlock()

    # --- what must hold at every change -----------------------------------------------------

    def _changed(self, host: FakeHost, change: tuple[str, ...]) -> None:
        match change:
            case ("switch", run, release):
                self._may_switch(host, run, release)
                self.switched[host.name] = (
                    self.stage.clock.mono,
                    host.boots,
                    min(host.jump, self.stage.clock.jump),
                )
            case ("prove", _, rollout):
                self._may_prove(host)
                self.passed.add((rollout, host.rollout["ring"]))
            case ("end", rollout, "failed"):
                self.failed.add(rollout)
            case ("begin", rollout, *_):
                self.names.add(rollout)

    def _may_switch(self, host: FakeHost, run: str, release: str) -> None:
        rollout = run.partition(".")[0]
        fleet = self.stage.fleet
        before = since_reinstalled(host)
        assert ("switch", run, release) not in before, "a run was repeated"
        moves = [one for one in before if one[0] in ("switch", "back", "revert")]
        if moves and moves[-1][0] == "switch":
            assert moves[-1][2] != release, "it runs that release already"
        away = machines_with(self.stage.inventory, fleet.unreached_before)
        assert away.some <= self.policy.max_unreachable.at_most(away.total), "too many were away"
        self._may_go_down_with_its_neighbours(host)
        digest = host.releases[release].digest
        if self.is_unattended:
            assert digest not in host.quarantine, "a quarantined release, and nobody looked on"
            assert not self.hold_is_on(), "it was held"
        ring = host.rollout["ring"]
        assert host.rollout["id"] == rollout, "the host was not told of this rollout"
        for earlier in self.policy.rings:
            if earlier.name == ring:
                break
            assert self._has_passed(earlier.name, rollout, release), (
                f"{host.name} of {ring} got {release} before {earlier.name} had passed"
            )

    def _may_go_down_with_its_neighbours(self, host: FakeHost) -> None:
        """Let two of a machine be switched within one settling only where the ring is one batch."""
        ring = next(one for one in self.policy.rings if one.name == host.rollout["ring"])
        of_ring = [
            one
            for one in self.stage.hosts.values()
            if (one.rollout.get("id"), one.rollout.get("ring")) == (host.rollout["id"], ring.name)
        ]
        now = self.stage.clock.mono
        unsettled = [
            one.name
            for one in host.neighbours
            if one in of_ring
            and one.pending is not None
            and now - one.pending.mono < ring.settle.total_seconds()
        ]
        assert not unsettled or ring.batch.of(len(of_ring)) == len(of_ring), (
            f"{host.name} went down together with {unsettled}"
        )

    def _has_passed(self, ring: str, rollout: str, release: str) -> bool:
        if (rollout, ring) in self.passed:
            return True
        members = [
            host
            for host in self.stage.hosts.values()
            if host.rollout.get("id") == rollout and host.rollout.get("ring") == ring
        ]
        proven = [
            host
            for host in self.stage.hosts.values()
            if host.current == release and host.releases[release].order
        ]
        # Proven by an earlier rollout; or a healthy host stands in for a ring that is away.
        return bool(proven) or all(
            host.name in self.stage.fleet.unreached_before for host in members
        )

    def _may_prove(self, host: FakeHost) -> None:
        begun, boots, jump = self.switched[host.name]
        ring = next(one for one in self.policy.rings if one.name == host.rollout["ring"])
        # After a reboot the clocks of the wall are all there is; two that jumped are believed.
        is_misled = host.boots != boots and host.jump > jump and self.stage.clock.jump > jump
        ran_s = self.stage.clock.mono - begun
        assert is_misled or ran_s >= ring.soak.total_seconds() - 1, "its soak was not over"
        kind = self.stage.world.kind(host.current, host.name)
        assert kind in ("good", "doubtful", "deaf"), f"a release that is {kind} was proven"

    def hold_is_on(self) -> bool:
        """Tell whether the hosts that can be asked say that it is held."""
        states = {
            name: host.state()
            for name, host in self.stage.hosts.items()
            if host.is_reachable() and name not in self.stage.fleet.unreached_before
        }
        return bool(rollout_records.hold(states))

    @invariant()
    def previous_is_never_current(self) -> None:
        """No link leads back to where it starts."""
        if hasattr(self, "stage"):
            for host in self.stage.hosts.values():
                assert not host.current or host.current in host.releases

    # --- what people and cron do ------------------------------------------------------------

    def _controller(self, fuse: int | None) -> None:
        self.stage.controller()
        self.stage.fleet.fuse = fuse

    def _tools(self) -> Dependencies:
        return replace(self.stage.dependencies(), make_watch=ImpatientWatch)  # type: ignore[arg-type]

    def _canary(self, build: FakeBuild, fuse: int | None, *, is_forced: bool = False) -> None:
        self._controller(fuse)
        if is_forced:
            self.forced.add(build.release.digest)
        with suppress(BotdeployError, ControllerDied):
            canary(
                self.stage.inventory,
                build,  # type: ignore[arg-type]
                self._tools(),
                Options(),
                is_forced=is_forced,
            )

    def _promote(self, fuse: int | None) -> Ended | None:
        before = {name for name, host in self.stage.hosts.items() if host.is_reachable()}
        known = set(self.failed)
        self._controller(fuse)
        self.is_unattended = True
        try:
            ended = promote(self.stage.inventory, self._tools(), Options())
        except (BotdeployError, ControllerDied):
            return None
        finally:
            self.is_unattended = False
        reached = [
            host
            for name, host in self.stage.hosts.items()
            if name in before and host.is_reachable() and name not in self.stage.fleet.unreached
        ]
        if self.policy.on_fail is OnFail.FLEET and ended.code is not ExitCode.NEEDS_PERSON:
            self._nothing_failed_runs(reached, known)
        return ended

    def _nothing_failed_runs(self, hosts: list[FakeHost], known: set[str]) -> None:
        """See that a failed release is nowhere unattended after the next tick."""
        for host in hosts:
            last = host.rollout
            if last.get("id") in known and last.get("outcome") == "failed":
                staged = host.releases.get(host.current)
                assert staged is None or staged.digest != last["digest"], (
                    f"{host.name} still runs {host.current}, which failed"
                )

    def _gate(self, act: str) -> None:
        for host in self.stage.hosts.values():
            if host.is_reachable():
                host.gate(act, "ann", "", "", "")

    def _approve(self) -> None:
        states = {n: h.state() for n, h in self.stage.hosts.items() if h.is_reachable()}
        record = rollout_records.newest(states)
        if record is None:
            return
        for name in states:
            for ring in self.policy.rings:
                self.stage.hosts[name].gate("approve", "ann", "", record.release, ring.name)

    # --- every rollout ends -----------------------------------------------------------------

    def teardown(self) -> None:
        """With all hosts up and no more releases, cron brings everything to an end."""
        if not hasattr(self, "stage"):
            return
        Year.rollouts += len(self.names)
        self.stage.clock.jump = timedelta(0)
        self.stage.clock.advance(1000)  # what was to happen has happened
        for host in self.stage.hosts.values():
            host.is_cut = False
            host.jump = timedelta(0)
            host.boot()
        self._gate("resume")
        self.stage.clock.advance(100)  # locks of the dead lapse
        step_s = 600 if self.policy.lease.until is LeaseUntil.VERDICT else 6 * 3600 + 300
        ended = None
        for _ in range(600):
            self._approve()
            ended = self._promote(None)
            if self._is_over():
                break
            if ended is not None and (
                "in quarantine" in ended.summary or "reverted by itself 4 times" in ended.summary
            ):
                # What a person forced, and died over, no cron goes on with, nor with a release
                # that lapses each time: a person ends it.
                self.person_rolls_back(keep=False, fuse=None)
                if not self._is_over() and self.last_build is not None:
                    self._canary(self.last_build, None, is_forced=True)
            self.stage.clock.advance(step_s)
        else:
            raise AssertionError(f"it goes on for ever: {ended}")
        assert all(host.pending is None for host in self.stage.hosts.values())
        self.stage.clock.advance(step_s)
        last = self._promote(None)
        assert last is not None
        assert (last.code, last.summary) == (ExitCode.DONE, ""), "nothing was due"

    def _is_over(self) -> bool:
        states = {name: host.state() for name, host in self.stage.hosts.items()}
        is_open = rollout_records.newest_under_way(states, self.policy) is not None
        return not is_open and not rollout_records.leftovers(states, self.policy)


def test_a_year_of_rollouts() -> None:
    """Whatever dies when, no ring overtakes another, what failed goes back, every rollout ends."""
    Year.rollouts = 0
    run_state_machine_as_test(
        Year,
        settings=settings(
            max_examples=examples(YEARS),
            stateful_step_count=40,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Year.rollouts > examples(YEARS) / 10
