"""One run of a rollout: observe, decide, act, again and again, until there is nothing to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.core import plan, rollout, underway
from botdeploy.core.events import Kind
from botdeploy.core.hoststate import HostState, Phase
from botdeploy.core.judge import JudgeOptions
from botdeploy.core.model import LeaseUntil
from botdeploy.core.rollout import HOLDING, Blame, Facts, HostView, Reason, Result, Standing
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.collect import HISTORY_S, HOUR_S, collect
from botdeploy.engine.copying import Likeness
from botdeploy.engine.hands import RETRY_S
from botdeploy.engine.naming import next_run
from botdeploy.engine.outcome import Ended
from botdeploy.engine.watch import MOST_BASELINE
from botdeploy.errors import (
    ActFailed,
    BotdeployError,
    ExitCode,
    HostError,
    UserError,
)
from botdeploy.hosts.acts import Reverted, Switched, Unchanged
from botdeploy.hosts.records import LeaseLost, LockLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from botdeploy.core.evidence import Evidence
    from botdeploy.core.model import Inventory, Policy, Ring
    from botdeploy.core.probe import Reading
    from botdeploy.core.release import Manifest
    from botdeploy.engine.lock import EnvironmentLock
    from botdeploy.engine.target import Target
    from botdeploy.engine.tools import Tools
    from botdeploy.engine.watch import Watch
    from botdeploy.hosts.acts import Fetched
    from botdeploy.sources.build import Build

TICK_S = 0.1
"""How often the loop looks at what the journals brought."""
EVIDENCE_EVERY_S = 5.0
LOOK_S = 5.0
"""How old what a host said of itself may be when it is switched."""
RETURN_S = 180.0
"""Longest wait for a host that can't be reached to go back by itself."""
ACT_S = 1000.0
"""Longest wait for an act that another controller began: a bot may take 15 minutes to stop."""


@dataclass(slots=True)
class _Member:
    """One host during the run."""

    view: HostView
    run: str = ""
    is_back: bool = False
    """Whether this run saw it go back: what it runs is known, also where it is out of reach."""
    armed_at_us: int = 0
    """When this run asked it to switch, by this clock."""
    switched_at_us: int = 0
    downtime_s: float = 0.0
    since: float = 0.0
    """Monotonic second from which ``view.age_s`` counts on."""
    heard: float = 0.0
    """Monotonic second at which its lease was last renewed."""
    renewal: Future[None] | None = None
    """A renewal that is on its way."""
    seen: float = 0.0
    """Monotonic second at which it was last observed."""
    has_held: bool = False
    """It ran the release when it was last heard of."""


@dataclass(slots=True)
class Options:
    """What a run was asked for besides the release."""

    last_ring: str | None = None
    is_attended: bool = True
    message: str = ""
    templates: Path | None = None
    """The project's folder of templates, to tell which hosts are alike."""


def view_of(
    name: str, states: Mapping[str, HostState], away: Mapping[str, str], target: Target
) -> HostView:
    """Say where one host of the inventory stands; ``away`` tells why some can't be asked."""
    if name in away or name not in states:
        return HostView(Standing.AWAY, why=away.get(name, "not observed"))
    return rollout.standing_of(states[name], target.release, target.rollout)


def facts_of(
    policy: Policy,
    members: Mapping[str, Sequence[str]],
    hosts: Mapping[str, HostView],
    states: Mapping[str, HostState],
    target: Target,
    now: datetime,
) -> Facts:
    """Give the decision what the hosts say, without any verdict yet."""
    record = next((one for one in underway.records(states) if one.id == target.rollout), None)
    has_failed = record is not None and record.outcome == underway.FAILED
    return Facts(
        policy=policy,
        members=members,
        hosts={
            name: _no_older(view, states.get(name), target, now) for name, view in hosts.items()
        },
        now=now,
        approved=underway.approved(states, target.release),
        accepted=underway.accepted(states, target.release),
        hold=underway.hold(states),
        condemned=(record.ended_why or "it failed before") if record and has_failed else "",
        refused={
            name: why
            for name, state in states.items()
            if (why := state.quarantine.get(target.digest)) is not None
        },
    )


def _no_older(view: HostView, state: HostState | None, target: Target, now: datetime) -> HostView:
    """Let no soak end early because a host's clock jumped ahead: ours must agree.

    After a reboot only: until then the kernel's clock has counted.
    What the host's clock was ahead when the release was staged counts as its usual error.
    """
    switch = state.switch if state is not None else None
    if state is None or switch is None or switch.new != target.release or switch.is_steady:
        return view
    if not switch.armed_us:
        return view
    ahead_s = 0.0
    begun, record = underway.begun_at(target.rollout), state.rollout
    if begun is not None and record is not None and record.id == target.rollout:
        ahead_s = max(0.0, (_instant(record.since, begun) - begun).total_seconds())
    limit_s = now.timestamp() - switch.armed_us / 1e6 + ahead_s
    return view if limit_s < 0 else replace(view, age_s=min(view.age_s, limit_s))


def _instant(text: str, default: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return default


_EXIT: Mapping[Result, ExitCode] = {
    Result.DONE: ExitCode.DONE,
    Result.STOPPED: ExitCode.DONE,
    Result.FAILED: ExitCode.FAILED,
    Result.INCONCLUSIVE: ExitCode.HELD,
    Result.UNREACHABLE: ExitCode.UNREACHABLE,
    Result.STUCK: ExitCode.NEEDS_PERSON,
    Result.ABANDONED: ExitCode.HELD,
}


_UNBUILDABLE = ("build", "unit", "shared")
"""Faults of staging that are the release's own: they would be the same on every host."""


class BuildFailed(BotdeployError):
    """The release's own build failed on a host; nothing was switched."""

    exit_code = ExitCode.FAILED


def _refuse_unbuildable(staged: Mapping[str, object]) -> None:
    """Tell a fault of the release from one of a host: it would be the same everywhere."""
    for name, result in staged.items():
        if not isinstance(result, ActFailed):
            continue
        if result.code == "build":
            raise BuildFailed(f"{name}: {result.message}. Nothing was switched")
        if result.code in ("unit", "shared"):
            raise UserError(f"{name}: {result.message}. Nothing was switched")


class Run:
    """Takes one release as far through the rings as this run may.

    All its state is a copy of what the hosts said; a run that dies loses nothing that another
    one would need.
    """

    def __init__(
        self,
        inventory: Inventory,
        tools: Tools,
        lock: EnvironmentLock,
        watch: Watch,
        *,
        target: Target,
        build: Build | None,
        options: Options,
    ) -> None:
        """Take the observed states from ``lock``; the tools' ``stop`` ends the run."""
        self.inventory = inventory
        self.policy = inventory.policy
        self.fleet = tools.fleet
        self.lock = lock
        self.watch = watch
        self.clock = tools.clock
        self.target = target
        self.build = build
        self.manifests = tools.manifests
        self.owner = tools.owner
        self.options = options
        self.hands = tools.hands(lock)
        self.emit = tools.teller(
            inventory.environment, rollout=target.rollout, release=target.release
        )
        for work in (
            lambda _now: self.watch.pump(),
            self._renew_leases,
            lambda _now: self._tell_evidence(),
        ):
            self.hands.pulse.add(work)
        self.states: dict[str, HostState] = dict(lock.states)
        self.members = plan.members(
            inventory, self.states, lock.away, rollout=target.rollout, release=target.release
        )
        self.hosts: dict[str, _Member] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._told_evidence = 0.0
        self.has_acted = False
        """Whether anything was begun: a run that only looked says nothing."""
        self._offsets: dict[str, int] = {}
        self._condemned: set[str] = set()
        """Hosts that know that the release failed."""
        self._busy_since = self.clock.monotonic()
        away = {name: error.message for name, error in lock.away.items()}
        for name in (one for hosts in self.members.values() for one in hosts):
            self.hosts[name] = self._member_of(name, away)

    # --- the loop ---------------------------------------------------------------------------

    def go(self) -> Ended:
        """Run to the end of what is due in this run."""
        if self.options.is_attended:
            self._begin()
        self._resume()
        while True:
            self.hands.pulse.beat()
            decision = rollout.decide(self.facts())
            if not isinstance(decision, rollout.Wait | rollout.End):
                self._begin()
            match decision:
                case rollout.Stage(hosts):
                    self._stage(hosts)
                case rollout.SwitchOver(ring, hosts):
                    if not self._look_before(hosts):
                        self._switch(self._ring(ring), hosts)
                case rollout.Confirm(_, hosts):
                    self._confirm(hosts)
                case rollout.Prove(ring, hosts, verdict):
                    self._prove(ring, hosts, verdict)
                case rollout.Revert(hosts, why, blame):
                    self._revert(hosts, why, blame)
                case rollout.Wait():
                    ended = self._wait(decision)
                    if ended is not None:
                        return ended
                case rollout.End(result, why, _, blame):
                    return self._end(result, why, blame)

    def _begin(self) -> None:
        """Tell that a step is taken; a run that only looks says nothing."""
        if self.has_acted:
            return
        self.has_acted = True
        self._tell_of_rollout(
            [
                name
                for name, member in self.hosts.items()
                if member.view.standing in HOLDING and not self._knows_rollout(name)
            ]
        )
        for name, member in self.hosts.items():
            if member.view.standing is Standing.AWAY:
                self.emit(Kind.HOST_FAILED, host=name, error=member.view.why)
        self.emit(
            Kind.ROLLOUT_STARTED,
            digest=self.target.digest,
            rings=[self._ring_record(ring.name) for ring in self.policy.rings],
            message=self.options.message,
            by=self.owner,
        )

    def _ring_record(self, ring: str) -> dict[str, object]:
        """Say who is in a ring, and how far this rollout came with it before this run."""
        standings = {self.hosts[name].view.standing for name in self.members[ring]}
        under_way = (Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN)
        return {
            "name": ring,
            "hosts": list(self.members[ring]),
            "begun": not standings.isdisjoint(under_way),
            "passed": Standing.PROVEN in standings,
        }

    def facts(self) -> Facts:
        """Give the decision all that is known now."""
        now = self.clock.monotonic()
        seen = {
            name: replace(member.view, age_s=member.view.age_s + (now - member.since))
            if member.view.standing in (Standing.PENDING, Standing.CONFIRMED)
            else member.view
            for name, member in self.hosts.items()
        }
        return replace(
            facts_of(self.policy, self.members, seen, self.states, self.target, self.clock.now()),
            verdicts=self._current_verdicts(),
            is_attended=self.options.is_attended,
            last_ring=self.options.last_ring,
        )

    def _current_verdicts(self) -> Mapping[str, Verdict]:
        judged = self.watch.verdict()
        if judged is None:
            return self._verdicts
        ring, verdict = judged
        earlier = self._verdicts.get(ring)
        if earlier is not None and earlier.outcome is Outcome.FAIL:
            return self._verdicts
        return {**self._verdicts, ring: self._by_hard_rules(ring, verdict)}

    def _by_hard_rules(self, ring: str, verdict: Verdict) -> Verdict:
        """Judge a ring without a soak by the hard rules alone."""
        if self._ring(ring).soak or verdict.outcome in (Outcome.FAIL, Outcome.PASS):
            return verdict
        return Verdict(Outcome.PASS, ("every host was ready and stayed healthy", *verdict.reasons))

    def _wait(self, wait: rollout.Wait) -> Ended | None:
        """Wait inside the run where it may; else end it and say what is due when."""
        match wait.reason:
            case Reason.VERDICT if not self.options.is_attended:
                return self._leave_waiting(wait)
            case Reason.SETTLE | Reason.VERDICT:
                self.hands.pulse.beat(TICK_S)
            case Reason.ACT:
                self._await_acts()
            case Reason.SOAK if self._may_wait(wait):
                self.hands.pulse.beat(TICK_S)
            case _:
                return self._leave_waiting(wait)
        return None

    def _await_acts(self) -> None:
        """Wait for what another controller began, but not for ever."""
        busy = [n for n, one in self.hosts.items() if one.view.standing is Standing.BUSY]
        if self.clock.monotonic() - self._busy_since > ACT_S:
            for name in busy:
                why = f"an act does not end there: {self.hosts[name].view.why}"
                self.hosts[name].view = HostView(Standing.STUCK, why=why)
                self.emit(Kind.HOST_FAILED, host=name, error=why)
            return
        self.hands.pulse.beat(0.5)
        self._look_again(busy)

    def _may_wait(self, wait: rollout.Wait) -> bool:
        soak = self._ring(wait.ring).soak
        return self.options.is_attended and soak <= self.policy.attended_soak

    def _leave_waiting(self, wait: rollout.Wait) -> Ended:
        self._renew_before_leaving()
        until = wait.until.isoformat(timespec="seconds") if wait.until else None
        is_idle = wait.reason in (Reason.SOAK, Reason.WINDOW, Reason.VERDICT)
        if is_idle and not self.has_acted:
            return Ended(ExitCode.DONE, self._short_lease())
        if self.options.is_attended and wait.reason is Reason.SOAK:
            self._hand_over(self._ring(wait.ring))
        reason = wait.reason.value
        self.emit(Kind.WAITING, ring=wait.ring or None, until=until, why=wait.why, reason=reason)
        env = self.inventory.environment
        match wait.reason:
            case Reason.GATE:
                next_step = f"botdeploy approve {env}"
            case Reason.HOLD:
                next_step = f"botdeploy resume {env}"
            case Reason.QUARANTINE:
                next_step = f"botdeploy canary {env} --force --release {self.target.release}"
            case _:
                next_step = f"botdeploy promote {env}"
        due = f", due {until}" if until else ""
        needs_person = wait.reason in (Reason.HOLD, Reason.QUARANTINE) or (
            wait.reason is Reason.GATE and not self.options.is_attended
        )
        code = ExitCode.HELD if needs_person else ExitCode.DONE
        told = [f"{wait.why}{due}; next: {next_step}", self._short_lease()]
        return Ended(code, "; ".join(one for one in told if one))

    def _renew_before_leaving(self) -> None:
        """Give what stays pending a whole term more: who comes next may need all of it."""
        for member in self.hosts.values():
            if member.view.standing is Standing.PENDING and member.renewal is None:
                member.heard = float("-inf")
        self._await_renewals()

    def _short_lease(self) -> str:
        """Say that a lease came close to its end before this step: promote comes too seldom."""
        lease = self.policy.lease
        if self.options.is_attended or lease.until is not LeaseUntil.VERDICT:
            return ""
        ttl = lease.ttl.total_seconds()
        left = [
            state.switch.lease_left_s
            for state in self.lock.states.values()
            if state.switch is not None
            and state.switch.phase is Phase.PENDING
            and state.switch.new == self.target.release
        ]
        if not left or min(left) >= ttl / 4:
            return ""
        return (
            f"the lease ({ttl:.0f} s) had {min(left)} s left when this step came: let promote "
            "come more often, or make the lease longer"
        )

    def _end(self, result: Result, why: str, blame: Blame) -> Ended:
        code = _EXIT[result]
        match result:
            case Result.FAILED | Result.STUCK if self._is_known():
                return Ended(ExitCode.DONE, "")
            case Result.FAILED | Result.STUCK if blame is Blame.HOST:
                return Ended(code, f"{why}; {self.target.release} had passed every ring before")
            case Result.FAILED | Result.STUCK:
                self._condemn(why)
                if self._may_hold() and result is Result.FAILED:
                    code = ExitCode.UNREACHABLE
                release = self.target.release
                return Ended(code, f"{release} failed: {why}. {self._where_they_are()}")
            case Result.ABANDONED:
                self._note_end("abandoned", why)
                env = self.inventory.environment
                return Ended(
                    code,
                    f"the rollout of {self.target.release} is over: {why}. "
                    f"{self._where_they_are()}. Next: botdeploy canary {env}",
                )
            case Result.UNREACHABLE:
                where = self._where_they_are()
                return Ended(code, f"{why}. {where}. The same command goes on from there")
            case Result.INCONCLUSIVE:
                self._renew_before_leaving()
                env = self.inventory.environment
                return Ended(
                    code,
                    f"inconclusive: {why}; nothing was promoted. Next: botdeploy approve {env} "
                    f"to go on, botdeploy rollback {env} to go back",
                )
            case Result.STOPPED:
                self._note_end("abandoned", why)
                return Ended(code, f"{self.target.release}: {why}")
            case Result.DONE:
                return self._done(why)

    def _done(self, why: str) -> Ended:
        """Write down that every ring passed; hosts that are away are behind, and told so."""
        has_ended = self._record_outcome() == underway.PASSED
        if not has_ended and self.policy.only is None:
            self._note_end("passed", why)
        elif not has_ended:
            self._note_end("abandoned", "it was limited to some hosts, as asked")
        if has_ended and not self.has_acted:
            return Ended(ExitCode.DONE, "")
        behind = [name for name, one in self.hosts.items() if one.view.standing is Standing.AWAY]
        told = f"; behind: {', '.join(behind)}" if behind else ""
        return Ended(ExitCode.DONE, f"{self.target.release}: {why}{told}")

    @property
    def is_over(self) -> bool:
        """Tell whether every host has the release proven, and that is written down."""
        standings = {member.view.standing for member in self.hosts.values()}
        return standings == {Standing.PROVEN} and self._record_outcome() != ""

    def _record_outcome(self) -> str:
        record = underway.records(self.states)
        return next((one.outcome for one in record if one.id == self.target.rollout), "")

    def _is_known(self) -> bool:
        """Tell whether a failure was told and written down by an earlier run."""
        return not self.has_acted and self._record_outcome() != ""

    def _may_hold(self) -> list[str]:
        """Name the hosts that can't be reached and may still run the release.

        A run that did not begin the rollout can't know of any host of a ring that has begun.
        """
        begun = [
            number
            for number, ring in enumerate(self.policy.rings)
            if any(self.hosts[name].has_held for name in self.members[ring.name])
        ]
        reached = self.policy.rings[: max(begun, default=-1) + 1]
        unknown = () if self.options.is_attended else reached
        return [
            name
            for ring in self.policy.rings
            for name in self.members[ring.name]
            if self.hosts[name].view.standing is Standing.AWAY
            and (self.hosts[name].has_held or ring in unknown)
        ]

    def _where_they_are(self) -> str:
        """Tell what runs where after a failure: the state that the hosts are in now."""
        env = self.inventory.environment
        by_state: dict[str, list[str]] = {}
        for name, member in self.hosts.items():
            state = self.states.get(name)
            match member.view.standing:
                case Standing.AWAY if not member.is_back:
                    ran = (state.running or "nothing") if state is not None else ""
                    text = f"ran {ran} when last reached" if ran else "not reached"
                case Standing.STUCK:
                    text = f"needs a person (botdeploy logs {env} --limit {name})"
                case Standing.PROVEN | Standing.CONFIRMED | Standing.PENDING:
                    text = f"runs {self.target.release}"
                case _:
                    runs = state.running if state is not None else ""
                    text = f"runs {runs}" if runs else "runs nothing"
            by_state.setdefault(text, []).append(name)
        return "; ".join(f"{', '.join(hosts)}: {text}" for text, hosts in by_state.items())

    # --- acts -------------------------------------------------------------------------------

    def _stage(self, hosts: Sequence[str]) -> None:
        """Send the release to hosts that do not have it, all at once."""
        there = [name for name in hosts if self._has_release(name)]
        self._tell_of_rollout(there)
        hosts = [name for name in hosts if name not in there]
        build = self.build
        if not hosts:
            return
        if build is None:
            self._copy(hosts)
            return
        bases = {name: self._base(name) for name in hosts}
        manifests = self._manifests({base for base in bases.values() if base}, bases)
        packed: dict[str, bytes] = {}
        for digest in {bases[name][1] if bases[name] else "" for name in hosts}:  # type: ignore[index]
            packed[digest] = build.delta(manifests.get(digest))

        def stage(name: str) -> tuple[bool, int, float]:
            begun = self.clock.monotonic()
            base = bases[name]
            digest = base[1] if base and base[1] in manifests else ""
            ring = plan.ring_of(self.members, name)
            meta = build.meta(self.fleet.host(name), self._ring(ring))
            files = packed[digest] if digest in packed else build.delta(None)

            def send(base_id: str | None, package: bytes) -> bool:
                need = (build.need_bytes, build.need_inodes)
                return self._send(name, base_id, meta, package, need)

            try:
                is_new = self.hands.again(lambda: send(base[0] if base and digest else None, files))
            except ActFailed as error:
                if error.code != "no-base":
                    raise
                # Its build changed files, or it is gone: nothing can be copied from it.
                files = build.delta(None)
                is_new = self.hands.again(lambda: send(None, files))
            return is_new, len(meta) + len(files), self.clock.monotonic() - begun

        self._after_staging(self.hands.together(hosts, stage))
        if not self.inventory.hosts[0].bot.build:
            self.manifests.keep(self.target.digest, build.release.manifest)

    def _send(
        self, name: str, base: str | None, meta: bytes, files: bytes, need: tuple[int, int]
    ) -> bool:
        return self.fleet.acts(name).stage(
            self.lock.token,
            self.target.release,
            base,
            meta,
            (files,),
            need_bytes=need[0],
            need_inodes=need[1],
            rollout=self.target.rollout,
            ring=plan.ring_of(self.members, name),
        )

    def _after_staging(self, staged: Mapping[str, tuple[bool, int, float] | HostError]) -> None:
        if any(isinstance(one, ActFailed) and one.code in _UNBUILDABLE for one in staged.values()):
            self._note_end("abandoned", "the release could not be staged")
        _refuse_unbuildable(staged)
        for name, result in staged.items():
            if isinstance(result, HostError):
                self._away(name, result.message)
                continue
            is_new, sent, seconds = result
            self.hosts[name].view = HostView(Standing.BEHIND)
            self.emit(
                Kind.STAGED,
                host=name,
                ring=plan.ring_of(self.members, name),
                bytes_sent=sent if is_new else 0,
                seconds=round(seconds, 3),
            )

    def _copy(self, hosts: Sequence[str]) -> None:
        """Give hosts that were away the release as a host like them has it."""
        rings = {
            name: self._ring(ring) for ring, members in self.members.items() for name in members
        }
        likeness = Likeness(self.inventory, rings, self.options.templates)
        proven_first = sorted(
            (name for name in self.hosts if name not in hosts and self._has_release(name)),
            key=lambda name: self.hosts[name].view.standing is not Standing.PROVEN,
        )
        sources: dict[str, list[str]] = {}
        for name in hosts:
            source = likeness.source_for(name, proven_first)
            if source is None:
                told = f"{self.target.release} is not staged there, and no host like it has it"
                self._away(name, f"{told}; next: botdeploy canary {self.inventory.environment}")
            else:
                sources.setdefault(source, []).append(name)
        for source, names in sources.items():
            try:
                fetched = self.hands.again(
                    lambda name=source: self.fleet.acts(name).fetch(  # type: ignore[misc]
                        self.lock.token, self.target.release
                    )
                )
            except HostError as error:
                for name in names:
                    why = f"{self.target.release} could not be copied from {error}"
                    self._away(name, why)
                continue
            self._after_staging(self.hands.together(names, self._copier(fetched)))

    def _copier(self, fetched: Fetched) -> Callable[[str], tuple[bool, int, float]]:
        need = (fetched.size_bytes, fetched.inodes)

        def copy(name: str) -> tuple[bool, int, float]:
            begun = self.clock.monotonic()
            is_new = self.hands.again(
                lambda: self._send(name, None, fetched.meta, fetched.files, need)
            )
            sent = len(fetched.meta) + len(fetched.files)
            return is_new, sent, self.clock.monotonic() - begun

        return copy

    def _has_release(self, name: str) -> bool:
        state = self.states.get(name)
        return state is not None and state.release(self.target.release) is not None

    def _knows_rollout(self, name: str) -> bool:
        state = self.states.get(name)
        record = state.rollout if state is not None else None
        return record is not None and record.id == self.target.rollout

    def _tell_of_rollout(self, hosts: Sequence[str]) -> None:
        """Note the rollout on hosts that have its release from an earlier one."""

        def begin(name: str) -> None:
            ring = plan.ring_of(self.members, name)
            acts = self.fleet.acts(name)
            self.hands.again(
                lambda: acts.begin(self.lock.token, self.target.rollout, self.target.release, ring)
            )

        for name, result in self.hands.together(hosts, begin).items():
            if isinstance(result, HostError):
                self._away(name, result.message)
            elif self.hosts[name].view.standing is Standing.UNSTAGED:
                self.hosts[name].view = HostView(Standing.BEHIND)

    def _base(self, name: str) -> tuple[str, str] | None:
        """Name the release (id, digest) to copy unchanged files from on a host."""
        state = self.states.get(name)
        if state is None:
            return None
        for release in (state.current, state.previous):
            found = state.release(release)
            if found is not None and found.digest:
                return found.id, found.digest
        return None

    def _manifests(
        self, bases: Iterable[tuple[str, str]], of: Mapping[str, tuple[str, str] | None]
    ) -> dict[str, Manifest]:
        """Find what each base consists of: from the cache, else from one host that has it."""
        found: dict[str, Manifest] = {}
        for base in bases:
            release, digest = base
            manifest = self.manifests.get(digest)
            if manifest is None:
                host = next(name for name, one in of.items() if one == base)
                try:
                    manifest = self.fleet.acts(host).manifest(release)
                except HostError:
                    continue
                self.manifests.keep(digest, manifest)
            found[digest] = manifest
        return found

    def _switch(self, ring: Ring, hosts: Sequence[str]) -> None:
        names = tuple(hosts)
        baseline = self._baseline(names)
        self.watch.follow((*names, *baseline), self._offsets)
        self.watch.catch_up((*names, *baseline), self.hands.pulse.beat)
        ttl = max(1, int(self.policy.lease.ttl.total_seconds()))

        def switch(name: str) -> Switched | Reverted:
            member = self.hosts[name]
            outcome = self.hands.again(
                lambda: self.fleet.acts(name).switch(
                    self.lock.token, member.run, self.target.release, ttl
                ),
            )
            if isinstance(outcome, Switched):
                # Over this one it is confirmed later: a release that breaks ssh does not pass.
                self.fleet.fresh(name)
            return outcome

        for name in names:
            self.hosts[name].run = next_run(self.target.rollout, self.states.get(name))
            self.hosts[name].armed_at_us = int(self.clock.now().timestamp() * 1e6)
        for name, result in self.hands.together(names, switch).items():
            self._after_switch(ring, name, result)
        self._judge(ring)

    def _after_switch(self, ring: Ring, name: str, result: Switched | Reverted | HostError) -> None:
        member = self.hosts[name]
        now = self.clock.monotonic()
        match result:
            case Switched():
                member.view = HostView(Standing.PENDING)
                member.has_held = True
                member.since = member.heard = now
                member.switched_at_us = self._ours(name, result.at_us)
                member.downtime_s = result.downtime_s
                self._runs(name, self.target.release, result.old)
                self.emit(Kind.SWITCHED, host=name, ring=ring.name, downtime_s=result.downtime_s)
            case Reverted():
                self._went_back(name, self._with_last_words(name, result), ring.name)
            case HostError():
                self._away(name, result.message)

    def _with_last_words(self, name: str, result: Reverted) -> Reverted:
        """Add to why a release did not become ready the error that it said last."""
        if result.cause != "ready":
            return result
        self.watch.catch_up((name,), self.hands.pulse.beat)
        state = self.states.get(name)
        old = state.invocation if state is not None else ""
        said = self.watch.last_error(name, self.hosts[name].armed_at_us, old)
        return replace(result, why=f"{result.why}; it said {said}") if said else result

    def _judge(self, ring: Ring) -> None:
        """Judge the ring's hosts that run the release; without a soak, the last batch alone."""
        names = self._unproven(ring)
        last = [n for n in names if self.hosts[n].view.standing is Standing.PENDING]
        if last and not ring.soak:
            names = last
        switched = {name: self.hosts[name].switched_at_us for name in names}
        soak = ring.soak or ring.settle
        if switched:
            self.watch.judge(ring, switched, soak, self._baseline(tuple(switched)))

    def _baseline(self, canary: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            name
            for name, member in self.hosts.items()
            if name not in canary
            and member.view.standing in (Standing.BEHIND, Standing.UNSTAGED)
            and (state := self.states.get(name)) is not None
            and state.active_state == "active"
        )[:MOST_BASELINE]

    def _confirm(self, hosts: Sequence[str]) -> None:
        def confirm(name: str) -> None:
            run = self.hosts[name].run
            self.hands.again(lambda: self.fleet.acts(name).confirm(self.lock.token, run))

        now = self.clock.monotonic()
        for name, result in self.hands.together(hosts, confirm).items():
            member = self.hosts[name]
            if isinstance(result, HostError):
                self._lost(name, result)
            else:
                age = member.view.age_s + now - member.since
                member.view = HostView(Standing.CONFIRMED, age)
                member.since = now

    def _prove(self, ring: str, hosts: Sequence[str], verdict: Verdict) -> None:
        self._tell_evidence(force=True)
        self.emit(
            Kind.VERDICT,
            ring=ring,
            outcome=verdict.outcome.value,
            reasons=list(verdict.reasons),
            not_excluded=list(self.watch.cannot_exclude()),
        )

        why = "; ".join(verdict.reasons)

        def prove(name: str) -> None:
            keep = self.fleet.host(name).bot.keep
            self.hands.again(
                lambda: self.fleet.acts(name).prove(
                    self.lock.token, self.target.release, keep, self.target.rollout, why
                ),
            )

        self._verdicts[ring] = verdict
        for name, result in self.hands.together(hosts, prove).items():
            if isinstance(result, HostError):
                self._away(name, result.message)
            else:
                self.hosts[name].view = HostView(Standing.PROVEN)
        self.emit(Kind.PROMOTED, ring=ring, hosts=list(hosts))

    def _revert(self, hosts: Sequence[str], why: str, blame: Blame) -> None:
        has_failed = blame is not Blame.NOBODY
        failed = self._failed_verdict()
        if has_failed and failed is not None:
            ring, verdict = failed
            self._verdicts[ring] = verdict
            self._tell_evidence(force=True)
            self.emit(
                Kind.VERDICT,
                ring=ring,
                host=verdict.host,
                outcome=verdict.outcome.value,
                reasons=list(verdict.reasons),
            )
        digest = self.target.digest if has_failed else ""
        cause = "verdict" if has_failed else "lease"

        def revert(name: str) -> Reverted | Unchanged:
            run = self.hosts[name].run or next_run(self.target.rollout, self.states.get(name))
            return self.hands.again(
                lambda: self.fleet.acts(name).revert(
                    self.lock.token, run, None, why, digest, cause
                ),
                RETURN_S,
            )

        def act(name: str) -> Reverted | Unchanged | None:
            if name in hosts:
                return revert(name)
            self._condemn_one(name, why)
            return None

        # All hosts know at once that it failed: whoever goes on from here takes the rest back.
        others = self._others(hosts) if blame is Blame.RELEASE else ()
        results = self.hands.together((*hosts, *others), act)
        self._condemned.update(others)
        for name in others:
            del results[name]
        for name, result in results.items():
            ring = plan.ring_of(self.members, name)
            match result:
                case Reverted():
                    self._went_back(name, result, ring, failed=has_failed)
                case Unchanged():
                    self.hosts[name].view = HostView(Standing.RETURNED, why=why)
                case HostError():
                    self.hosts[name].view = HostView(
                        Standing.STUCK, why=f"it could not be taken back: {result.message}"
                    )
                    self.emit(Kind.HOST_FAILED, host=name, ring=ring, error=result.message)

    def _went_back(self, name: str, result: Reverted, ring: str, *, failed: bool = True) -> None:
        state = self.states.get(name)
        if state is not None:
            self.states[name] = replace(
                state, current=result.old, running=result.old if result.is_running else ""
            )
        if result.old and not result.is_running:
            view = HostView(
                Standing.STUCK,
                why=f"{result.why}; and {result.old} did not become ready after the return",
            )
        elif failed and result.cause not in rollout.OWN_DOING:
            view = HostView(Standing.RETURNED, why=result.why)
        else:
            view = HostView(Standing.AWAY, why=f"it went back by itself: {result.why}")
        self.hosts[name].view = view
        self.hosts[name].is_back = True
        self.emit(
            Kind.REVERTED,
            host=name,
            ring=ring,
            by=result.by or "host",
            seconds=result.seconds,
            to=result.old or None,
            why=result.why,
        )

    def _failed_verdict(self) -> tuple[str, Verdict] | None:
        found = self._current_verdicts().items()
        return next((one for one in found if one[1].outcome is Outcome.FAIL), None)

    def _others(self, hosts: Sequence[str]) -> tuple[str, ...]:
        """Name the hosts that can be told something besides ``hosts``."""
        return tuple(
            name
            for name, one in self.hosts.items()
            if name not in hosts
            and name not in self._condemned
            and one.view.standing not in (Standing.AWAY, Standing.BUSY)
        )

    def _condemn(self, why: str) -> None:
        """Let every host know that the release failed, so that no later run forgets it."""
        others = self._others(())
        self.hands.together(others, lambda name: self._condemn_one(name, why))
        self._condemned.update(others)

    def _condemn_one(self, name: str, why: str) -> None:
        acts = self.fleet.acts(name)
        if self.hosts[name].view.standing not in (Standing.RETURNED, Standing.STUCK):
            acts.condemn(self.lock.token, self.target.digest, why)
        acts.end(self.lock.token, self.target.rollout, "failed", why)

    def _note_end(self, outcome: str, why: str) -> None:
        """Write down on every host that this rollout is over."""

        def end(name: str) -> None:
            self.fleet.acts(name).end(self.lock.token, self.target.rollout, outcome, why)

        reached = [
            name for name, one in self.hosts.items() if one.view.standing is not Standing.AWAY
        ]
        self.hands.together(reached, end)

    # --- hosts ------------------------------------------------------------------------------

    def _member_of(self, name: str, away: Mapping[str, str]) -> _Member:
        view = view_of(name, self.states, away, self.target)
        now = self.clock.monotonic()
        member = _Member(view, since=now, heard=now, seen=now)
        member.has_held = view.standing in HOLDING
        state = self.states.get(name)
        switch = state.switch if state is not None else None
        if switch is not None and switch.new == self.target.release:
            member.run = switch.run
            begun = self.clock.now() - timedelta(seconds=switch.age_s)
            member.switched_at_us = switch.armed_us or int(begun.timestamp() * 1e6)
        return member

    def _look_before(self, hosts: Sequence[str]) -> bool:
        """Look at hosts again before they are switched; False where that was done just now.

        A person may have held the rollout since; then all hosts are asked, for most decide.
        """
        now = self.clock.monotonic()
        old = [name for name in hosts if now - self.hosts[name].seen > LOOK_S]
        self._look_again(old)
        if any(self.states[name].hold for name in old if name in self.states):
            idle = (Standing.BEHIND, Standing.PROVEN)
            others = [name for name, one in self.hosts.items() if one.view.standing in idle]
            self._look_again([name for name in others if now - self.hosts[name].seen > LOOK_S])
        return bool(old)

    def _look_again(self, hosts: Sequence[str]) -> None:
        """Observe hosts anew and take over what they say."""

        def look(name: str) -> HostState:
            return self.hands.again(lambda: self.fleet.acts(name).observe())

        for name, result in self.hands.together(hosts, look).items():
            if isinstance(result, HostError):
                self._away(name, result.message)
            else:
                self.states[name] = result
                self.hosts[name] = self._member_of(name, {})

    def _lost(self, name: str, error: HostError) -> None:
        """Find out what became of a host whose lease could not be renewed or confirmed."""
        if not isinstance(error, LeaseLost):
            self._away(name, error.message)
            return
        try:
            state = self.fleet.acts(name).observe()
        except HostError as unreachable:
            self._away(name, unreachable.message)
            return
        self.states[name] = state
        switch = state.switch
        if switch is not None and switch.phase is Phase.REVERTED:
            self._went_back(
                name,
                Reverted(
                    new=switch.new,
                    old=switch.old,
                    by=switch.by or "host",
                    why=switch.why,
                    cause=switch.cause or "lease",
                    seconds=0.0,
                    is_running=not state.stuck,
                ),
                plan.ring_of(self.members, name),
            )
        else:
            self.hosts[name] = self._member_of(name, {})

    def _away(self, name: str, why: str) -> None:
        self.hosts[name].view = HostView(Standing.AWAY, why=why)
        self.emit(
            Kind.HOST_FAILED, host=name, ring=plan.ring_of(self.members, name) or None, error=why
        )

    def _runs(self, name: str, release: str, old: str) -> None:
        state = self.states.get(name)
        if state is not None:
            self.states[name] = replace(state, current=release, running=release, previous=old)

    def _ours(self, name: str, at_us: int) -> int:
        if not at_us:
            return int(self.clock.now().timestamp() * 1e6)
        return at_us - self._offsets.get(name, 0)

    # --- waiting, beating, telling --------------------------------------------------------------

    def _resume(self) -> None:
        """Take up what an earlier run left: pending and confirmed hosts are watched again."""
        now = self.clock.now()
        for name, state in self.states.items():
            try:
                there = datetime.fromisoformat(state.at)
            except ValueError:
                continue
            ahead = there - now
            if abs(ahead) > timedelta(seconds=5):
                self._offsets[name] = int(ahead.total_seconds() * 1e6)
        if not self.options.is_attended:
            self._judge_kept()
            return
        for ring in self.policy.rings:
            open_ = self._unproven(ring)
            if open_:
                hosts = (*open_, *self._baseline(open_))
                self.watch.follow(hosts, self._offsets)
                self.watch.catch_up(hosts, self.hands.pulse.beat)
                self._judge(ring)
                return
        first = next(
            (
                ring
                for ring in self.policy.rings
                if any(
                    self.hosts[name].view.standing in (Standing.BEHIND, Standing.UNSTAGED)
                    for name in self.members[ring.name]
                )
            ),
            None,
        )
        if first is not None:
            # The past is read while the release is staged.
            size = max(1, first.batch.of(len(self.members[first.name])))
            names = [
                name
                for name in self.members[first.name]
                if self.hosts[name].view.standing in (Standing.BEHIND, Standing.UNSTAGED)
            ][:size]
            self.watch.follow((*names, *self._baseline(names)), self._offsets)

    def _unproven(self, ring: Ring) -> list[str]:
        under_way = (Standing.PENDING, Standing.CONFIRMED)
        return [n for n in self.members[ring.name] if self.hosts[n].view.standing in under_way]

    def _judge_kept(self) -> None:
        """Judge every ring that is open by its whole soak, whoever watched it.

        Renews the leases that they have. What has failed needs no more evidence.
        """
        rings = [(ring, self._unproven(ring)) for ring in self.policy.rings]
        judged = [name for _, hosts in rings for name in hosts]
        if not judged or self.facts().condemned:
            return
        for name in judged:
            if self.hosts[name].view.standing is Standing.PENDING:
                self.hosts[name].heard = float("-inf")
        baseline = self._baseline(judged)
        first = min((ring for ring, hosts in rings if hosts), key=lambda ring: ring.soak)
        of = {name: ring for ring, hosts in rings for name in hosts}

        def read(name: str) -> Evidence:
            ring = of.get(name, first)
            return self._collect(ring, name, self.states[name], is_new=name in of)

        seen = self.hands.together((*judged, *baseline), read)
        for ring, hosts in rings:
            if not hosts:
                continue
            self.watch.judge_kept(
                ring,
                {name: self.hosts[name].switched_at_us for name in hosts},
                ring.soak or ring.settle,
                {
                    name: one
                    for name in (*hosts, *baseline)
                    if not isinstance(one := seen[name], HostError)
                },
                self.target.release,
            )
            self._verdicts |= self._current_verdicts()
        self._await_renewals()

    def _collect(
        self, ring: Ring, name: str, state: HostState, *, is_new: bool, first: Reading | None = None
    ) -> Evidence:
        """Read what a host has told since it was read last, and keep it there."""
        switched = self.hosts[name].switched_at_us if is_new else 0
        age_s = int(self.clock.now().timestamp() - switched / 1e6) if switched else 0
        # A short soak is judged as a person would, second by second.
        is_short = ring.soak < timedelta(minutes=10)
        return collect(
            self.fleet.acts(name),
            self.lock.token,
            self.target.release,
            state,
            self.watch.assembler(),
            since_s=(HOUR_S if is_short else HISTORY_S) + max(0, age_s),
            bucket_us=(5 if is_short else 60) * 1_000_000,
            probe=self.fleet.host(name).bot.probe,
            first=first,
            grace_s=JudgeOptions.from_policy(self.policy.judge, ring.soak).grace_s,
        )

    def _hand_over(self, ring: Ring) -> None:
        """Keep on the hosts what only this run knows: what the probe said before the switch."""
        known = {
            name: first
            for name in self.members[ring.name]
            if self.hosts[name].view.standing in (Standing.PENDING, Standing.CONFIRMED)
            and (first := self.watch.first_reading(name)) is not None
        }

        def keep(name: str) -> Evidence:
            state = self.fleet.acts(name).observe()
            return self._collect(ring, name, state, is_new=True, first=known[name])

        self.hands.together(known, keep)

    def _await_renewals(self) -> None:
        """Let the renewals of this step end before it may be over."""
        deadline = self.clock.monotonic() + RETRY_S
        while any(
            member.renewal is not None
            or (member.view.standing is Standing.PENDING and member.heard == float("-inf"))
            for member in self.hosts.values()
        ):
            self.hands.pulse.beat(TICK_S)
            if self.clock.monotonic() > deadline:
                return

    def _renew_leases(self, now: float) -> None:
        ttl = max(1, int(self.policy.lease.ttl.total_seconds()))
        for name, member in self.hosts.items():
            if member.renewal is not None:
                if member.renewal.done():
                    self._renewed(name, member, now, ttl)
            elif member.view.standing is Standing.PENDING and now - member.heard >= ttl / 3:
                member.renewal = self.fleet.submit(
                    lambda name=name, run=member.run: (  # type: ignore[misc]
                        self.fleet.acts(name).extend(self.lock.token, run, ttl)
                    )
                )

    def _renewed(self, name: str, member: _Member, now: float, ttl: int) -> None:
        renewal, member.renewal = member.renewal, None
        assert renewal is not None  # noqa: S101 (the caller looked)
        if member.view.standing is not Standing.PENDING:
            return
        try:
            renewal.result()
        except LeaseLost as error:
            self._lost(name, error)
        except LockLost as lost:
            meaning = self.lock.meaning_of(lost)
            if not isinstance(meaning, HostError):
                raise
            self._lost(name, LeaseLost(name, "extend", meaning.message, code="lost"))
        except HostError as error:
            if now - member.heard > ttl:
                self._away(name, f"{error.message}; it goes back by itself within {ttl} s")
        else:
            member.heard = now

    def _tell_evidence(self, *, force: bool = False) -> None:
        now = self.clock.monotonic()
        is_time = self.options.is_attended and now - self._told_evidence >= EVIDENCE_EVERY_S
        if not force and not is_time:
            return
        self._told_evidence = now
        for name, member in self.hosts.items():
            if member.view.standing in (Standing.PENDING, Standing.CONFIRMED):
                ring = plan.ring_of(self.members, name)
                self.emit(Kind.EVIDENCE, host=name, ring=ring, **self.watch.evidence(name))

    def _ring(self, name: str) -> Ring:
        return next(ring for ring in self.policy.rings if ring.name == name)
