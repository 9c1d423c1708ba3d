"""The loop: ask what is to be done next, have it done, and ask again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from botdeploy.core.events import Kind
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineRules
from botdeploy.core.rollout.decision import decide
from botdeploy.core.rollout.host_standing import HOLDING, Standing
from botdeploy.core.rollout.next_step import (
    Blame,
    Confirm,
    End,
    Prove,
    Reason,
    Result,
    Revert,
    Stage,
    SwitchOver,
    Wait,
)
from botdeploy.core.rollout.renumbering import changed_numbers
from botdeploy.core.rollout.succession import successions
from botdeploy.core.rollout.unnamed import unnamed
from botdeploy.engine.fleet.ticker import TICK_S
from botdeploy.engine.rollout.ending import RunEnd
from botdeploy.engine.rollout.lease_renewal import Leases
from botdeploy.engine.rollout.proving import Proving
from botdeploy.engine.rollout.refresh import Refresh
from botdeploy.engine.rollout.required_proof import RequiredProof
from botdeploy.engine.rollout.reverting import Reverting
from botdeploy.engine.rollout.ring_watch import RingWatch
from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
from botdeploy.engine.rollout.rollout_recorder import RolloutRecorder
from botdeploy.engine.rollout.soak_evidence import SoakEvidence
from botdeploy.engine.rollout.staging import Staging
from botdeploy.engine.rollout.switching import Switching
from botdeploy.engine.rollout.verdicts import Verdicts
from botdeploy.engine.watch.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.facts import Facts
    from botdeploy.core.rollout.target import Target
    from botdeploy.core.verdict import Verdict
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.engine.outcome import Ended
    from botdeploy.engine.rollout.options import Options
    from botdeploy.sources.build import Build


VERDICT_DUE_S = 5.0
"""How long after a soak's end a verdict is late, and what it lacks is told."""


class RolloutLoop:
    """Takes one release as far through the rings as this run may.

    ``decide`` says what is next; each of its answers is carried out by a part of its
    own. Nothing is remembered here but whether anything was begun.
    """

    def __init__(
        self,
        inventory: Inventory,
        dependencies: Dependencies,
        lock: EnvironmentLock,
        target: Target,
        build: Build | None,
        options: Options,
    ) -> None:
        """Take the observed states from ``lock``; ``stop`` of the dependencies ends it."""
        self._inventory = inventory
        emit = dependencies.emitter(
            inventory.environment, rollout=target.rollout, release=target.release
        )
        members = RolloutHosts(
            inventory, target, lock, dependencies.clock, emit, is_attended=options.is_attended
        )
        locked = dependencies.locked_fleet(lock)
        rules = LineRules.from_policy(inventory.policy.judge)
        watch = (dependencies.make_watch or Watch)(
            dependencies.fleet,
            dependencies.clock,
            lambda: Assembler(rules, dependencies.mask),
            inventory.policy.judge,
            inventory.machine_of,
        )
        soak_evidence = SoakEvidence(members, locked, watch)
        recorder = RolloutRecorder(members, locked)
        self.members = members
        self._refresh = Refresh(members, locked)
        self._leases = Leases(members, locked, self._refresh)
        locked.ticker.on_miss(watch.following.missed)
        locked.ticker.add(lambda _now: watch.following.pump(self._leases.in_doubt()))
        self._ring_watch = RingWatch(members, locked, watch, soak_evidence)
        self._verdicts = Verdicts(members, watch, self._ring_watch, soak_evidence)
        self._proving = Proving(members, locked, watch, self._ring_watch, self._verdicts)
        self._staging = Staging(members, locked, recorder, dependencies, build, options.templates)
        self._required_proof = RequiredProof(members, locked, dependencies, options.is_forced)
        self._switching = Switching(members, locked, watch)
        self._reverting = Reverting(members, locked, self._proving, recorder)
        self._ending = RunEnd(members, self._leases, soak_evidence, recorder)
        self._lock = lock
        self._ticker = locked.ticker
        self._watch = watch
        self._emit = emit
        self._options = options
        self._owner = dependencies.owner
        self._missing_since: dict[str, float] = {}
        """Since when a ring's soak is over without a verdict."""
        self._missing_told: set[str] = set()
        self._has_acted = False
        """Whether anything was begun: a run that only looked says nothing."""

    def __enter__(self) -> Self:
        """Take the rollout on in a block; what is followed is left at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Follow nothing any more."""
        self._watch.following.close()

    def go(self) -> Ended:
        """Run to the end of what is due in this run."""
        self._take_up()
        self._await_late()
        while True:
            self._ticker.tick()
            self._refresh.whether_they_run(self._watch.processes.fallen())
            decision = decide(self._facts())
            if not isinstance(decision, Wait | End):
                self._begin()
            match decision:
                case Stage(hosts):
                    self._staging.stage(hosts)
                case SwitchOver(ring, hosts):
                    self._switch_over(ring, hosts)
                case Confirm(_, hosts):
                    self._leases.confirm(hosts)
                case Prove(ring, hosts, verdict):
                    self._prove(ring, hosts, verdict)
                case Revert(hosts, why, blame):
                    self._reverting.revert(hosts, why, blame)
                case Wait() if self._may_wait(decision):
                    self._wait(decision)
                case Wait():
                    return self._ending.wait(decision, has_acted=self._has_acted)
                case End():
                    if decision.result is Result.INCONCLUSIVE:
                        self._proving.tell_doubt(decision.ring)
                    return self._ending.end(decision, has_acted=self._has_acted)
                case _:
                    assert_never(decision)

    def _facts(self) -> Facts:
        """Give the decision all that is known now."""
        verdicts = self._verdicts.verdicts()  # first: they tell whose end is excused, too
        return replace(
            self.members.facts(),
            verdicts=verdicts,
            revoked=self._verdicts.revoked(),
            unmet=self._required_proof.unmet,
            is_attended=self._options.is_attended,
            last_ring=self._options.last_ring,
        )

    def _take_up(self) -> None:
        """Take up what an earlier run left: watch it again, or judge what came since."""
        if self._options.is_attended:
            self._begin()
            self._ring_watch.take_up()
        elif not self.members.facts().condemned:  # what has failed needs no more evidence
            self._leases.ask_for_all()
            self._verdicts.judge_kept()
            self._leases.await_all()

    def _await_late(self) -> None:
        """Wait for hosts that do not answer yet; meanwhile leases are renewed, and what fails goes.

        All else is decided when it is known where each host stands: a canary that hangs is not to
        be stood in for.
        """
        late = tuple(self._lock.late)
        came: list[str] = []
        while self._lock.late:
            decision = decide(self._facts())
            if isinstance(decision, Revert) and decision.blame is not Blame.NOBODY:
                self._begin()
                self._reverting.revert(decision.hosts, decision.why, decision.blame)
            came += self._lock.admit_late()
            self._ticker.tick(TICK_S)
        if not late:
            return
        away = {name: self._lock.away[name].message for name in late if name not in came}
        self.members.answered_late(late, self._lock.states, away)
        if self._has_acted:
            self._tell_away(away)
        if came:
            self._take_up()

    def _switch_over(self, ring: str, hosts: Sequence[str]) -> None:
        """Switch and judge, unless something was not known or was old: then decide anew."""
        if self._required_proof.holds_back(ring) or self._refresh.before_switch(hosts):
            return
        self._ring_watch.listen(hosts)
        self._switching.switch(hosts, is_whole=bool(self.members.ring(ring).renumbers))
        self._ring_watch.begin(self.members.ring(ring))

    def _prove(self, ring: str, hosts: Sequence[str], verdict: Verdict) -> None:
        """Have the hosts write down that their ring passed, unless one has changed meanwhile."""
        if not self._refresh.before_proof(hosts):
            self._proving.prove(ring, hosts, verdict)

    # --- waiting ----------------------------------------------------------------------------

    def _may_wait(self, wait: Wait) -> bool:
        """Tell whether this run waits itself, or leaves that to the next one."""
        match wait.reason:
            case Reason.ACT | Reason.SETTLE:
                return True
            case Reason.VERDICT:
                return self._options.is_attended and not wait.is_left
            case Reason.SOAK:
                soak = self.members.ring(wait.ring).soak
                return self._options.is_attended and soak <= self.members.policy.attended_soak
            case Reason.WATCH:
                policy = self.members.policy
                return self._options.is_attended and policy.watch <= policy.attended_soak
            case _:
                return False

    def _wait(self, wait: Wait) -> None:
        if wait.reason is Reason.ACT:
            self._refresh.until_idle()
        else:
            self._tell_of_missing_proof(wait)
            self._ticker.tick(TICK_S)

    def _tell_of_missing_proof(self, wait: Wait) -> None:
        """Tell, once a ring, what a verdict lacks that does not come at the soak's end."""
        if wait.reason is not Reason.VERDICT or wait.ring in self._missing_told:
            return
        now = self.members.clock.monotonic()
        if now - self._missing_since.setdefault(wait.ring, now) < VERDICT_DUE_S:
            return
        self._missing_told.add(wait.ring)
        until = wait.until.isoformat(timespec="seconds") if wait.until else None
        reason = wait.reason.value
        self._emit(Kind.WAITING, ring=wait.ring, until=until, why=wait.why, reason=reason)

    # --- the beginning ----------------------------------------------------------------------

    def _begin(self) -> None:
        """Tell, once, that a step is taken; hosts that run the release learn of the rollout."""
        if self._has_acted:
            return
        self._has_acted = True
        members = self.members
        self._staging.tell_of_rollout(
            [name for name in members.within(*HOLDING) if not members.knows_rollout(name)]
        )
        self._tell_away(
            name for name in members.within(Standing.AWAY) if name not in self._lock.late
        )
        self._emit(
            Kind.ROLLOUT_STARTED,
            digest=members.target.digest,
            rings=[self._ring_record(ring.name) for ring in members.policy.rings],
            message=self._options.message,
            by=self._owner,
            machines={name: list(on) for name, on in self._inventory.machines.items()},
            left_out=dict(self._inventory.left_out),
            not_in_inventory=self._unnamed(),
            renumbers=changed_numbers(members.policy),
            changes_of_form=[
                one.record() for one in successions(self._inventory, self.members.states)
            ],
        )

    def _unnamed(self) -> list[str]:
        """Name what stands on the machines and not in the inventory, for a person who attends."""
        if not self._options.is_attended:
            return []
        return [one.name for one in unnamed(self._inventory, self.members.states)]

    def _tell_away(self, hosts: Iterable[str]) -> None:
        for name in hosts:
            self._emit(Kind.HOST_FAILED, host=name, error=self.members[name].view.why)

    def _ring_record(self, ring: str) -> dict[str, object]:
        """Say who is in a ring, and how far this rollout came with it before this run."""
        return {
            "name": ring,
            "hosts": list(self.members.rings[ring]),
            "begun": self.members.facts().has_begun(ring),
            "passed": self.members.facts().has_passed(ring),
        }
