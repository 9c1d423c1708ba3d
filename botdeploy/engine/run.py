"""One run of a rollout: observe, decide, act, again and again, until there is nothing to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from botdeploy.core import plan, rollout
from botdeploy.core.events import Event, Kind
from botdeploy.core.hoststate import HostState, Phase
from botdeploy.core.judge import JudgeOptions
from botdeploy.core.rollout import Facts, HostView, Reason, Result, Standing
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.collect import HISTORY_S, HOUR_S, collect
from botdeploy.engine.fleet import Interrupted
from botdeploy.engine.outcome import Ended
from botdeploy.engine.watch import MOST_BASELINE
from botdeploy.errors import (
    ActFailed,
    BotdeployError,
    ExitCode,
    HostError,
    OutcomeUnknown,
    Unreachable,
    UserError,
)
from botdeploy.hosts.acts import Reverted, Switched, Unchanged
from botdeploy.hosts.records import LeaseLost

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from botdeploy.core.events import Listener
    from botdeploy.core.evidence import Evidence
    from botdeploy.core.model import Inventory, Ring
    from botdeploy.core.probe import Reading
    from botdeploy.core.release import Manifest
    from botdeploy.engine.clock import Clock
    from botdeploy.engine.fleet import Fleet
    from botdeploy.engine.lock import EnvironmentLock
    from botdeploy.engine.manifests import ManifestCache
    from botdeploy.engine.watch import Watch
    from botdeploy.sources.build import Build

T = TypeVar("T")

TICK_S = 0.1
"""How often the loop looks at what the journals brought."""
EVIDENCE_EVERY_S = 5.0
RETRY_S = 45.0
"""How long a repeatable act is tried again when the connection ended before its answer."""
RETURN_S = 180.0
"""Longest wait for a host that can't be reached to go back by itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """The release of a rollout, by name."""

    rollout: str
    release: str
    digest: str


@dataclass(slots=True)
class _Member:
    """One host during the run."""

    view: HostView
    run: str = ""
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


@dataclass(slots=True)
class Options:
    """What a run was asked for besides the release."""

    last_ring: str | None = None
    is_attended: bool = True
    message: str = ""
    owner: str = ""
    approved: frozenset[str] = frozenset()


_EXIT: Mapping[Result, ExitCode] = {
    Result.DONE: ExitCode.DONE,
    Result.STOPPED: ExitCode.DONE,
    Result.FAILED: ExitCode.FAILED,
    Result.INCONCLUSIVE: ExitCode.HELD,
    Result.UNREACHABLE: ExitCode.UNREACHABLE,
    Result.STUCK: ExitCode.NEEDS_PERSON,
}


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
        fleet: Fleet,
        lock: EnvironmentLock,
        watch: Watch,
        clock: Clock,
        *,
        target: Target,
        build: Build | None,
        manifests: ManifestCache,
        emit: Listener,
        options: Options,
        stop: threading.Event,
    ) -> None:
        """Take the observed states from ``lock``; ``stop`` ends the run at the next tick."""
        self.inventory = inventory
        self.policy = inventory.policy
        self.fleet = fleet
        self.lock = lock
        self.watch = watch
        self.clock = clock
        self.target = target
        self.build = build
        self.manifests = manifests
        self.options = options
        self.stop = stop
        self._emit = emit
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
        self._hold = next((state.hold for state in self.states.values() if state.hold), "")
        names = [name for hosts in self.members.values() for name in hosts]
        for name in names:
            error = lock.away.get(name)
            if error is not None or name not in self.states:
                told = error.message if error is not None else "not observed"
                self.hosts[name] = _Member(HostView(Standing.AWAY, why=told))
                self.emit(Kind.HOST_FAILED, host=name, error=told)
            else:
                self.hosts[name] = self._member_of(self.states[name])

    # --- the loop ---------------------------------------------------------------------------

    def go(self) -> Ended:
        """Run to the end of what is due in this run."""
        if self.options.is_attended:
            self.has_acted = True
            self._tell_start()
        self._resume()
        while True:
            self._pump(0.0)
            decision = rollout.decide(self.facts())
            if not isinstance(decision, rollout.Wait | rollout.End) and not self.has_acted:
                self.has_acted = True
                self._tell_start()
            match decision:
                case rollout.Stage(hosts):
                    self._stage(hosts)
                case rollout.SwitchOver(ring, hosts):
                    self._switch(self._ring(ring), hosts)
                case rollout.Confirm(_, hosts):
                    self._confirm(hosts)
                case rollout.Prove(ring, hosts, verdict):
                    self._prove(ring, hosts, verdict)
                case rollout.Revert(hosts, why, is_condemned):
                    self._revert(hosts, why, is_condemned=is_condemned)
                case rollout.Wait():
                    ended = self._wait(decision)
                    if ended is not None:
                        return ended
                case rollout.End(result, why):
                    return self._end(result, why)

    def _tell_start(self) -> None:
        self.emit(
            Kind.ROLLOUT_STARTED,
            digest=self.target.digest,
            rings=[self._ring_record(ring.name) for ring in self.policy.rings],
            message=self.options.message,
            by=self.options.owner,
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
        return Facts(
            policy=self.policy,
            members=self.members,
            hosts={
                name: replace(member.view, age_s=member.view.age_s + (now - member.since))
                if member.view.standing in (Standing.PENDING, Standing.CONFIRMED)
                else member.view
                for name, member in self.hosts.items()
            },
            now=self.clock.now(),
            verdicts=self._current_verdicts(),
            approved=self.options.approved,
            hold=self._hold,
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
                self._pump(TICK_S)
            case Reason.ACT:
                self._pump(0.5)
                self._look_again(
                    [n for n, one in self.hosts.items() if one.view.standing is Standing.BUSY]
                )
            case Reason.SOAK if self._may_wait(wait):
                self._pump(TICK_S)
            case Reason.SOAK | Reason.GATE | Reason.WINDOW | Reason.HOLD:
                return self._leave_waiting(wait)
        return None

    def _may_wait(self, wait: rollout.Wait) -> bool:
        soak = self._ring(wait.ring).soak
        return self.options.is_attended and soak <= self.policy.attended_soak

    def _leave_waiting(self, wait: rollout.Wait) -> Ended:
        until = wait.until.isoformat(timespec="seconds") if wait.until else None
        is_due = wait.reason not in (Reason.SOAK, Reason.WINDOW, Reason.VERDICT)
        if not self.options.is_attended and not is_due and not self.has_acted:
            return Ended(ExitCode.DONE, "")
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
            case _:
                next_step = f"botdeploy promote {env}"
        due = f", due {until}" if until else ""
        code = ExitCode.DONE if self.options.is_attended else ExitCode.HELD
        if not is_due:
            code = ExitCode.DONE
        if wait.reason is Reason.HOLD:
            code = ExitCode.HELD
        return Ended(code, f"{wait.why}{due}; next: {next_step}")

    def _end(self, result: Result, why: str) -> Ended:
        code = _EXIT[result]
        match result:
            case Result.FAILED:
                self._condemn_elsewhere(why)
                self._note_end("failed", why)
                back = self._where_they_are()
                return Ended(code, f"{self.target.release} failed: {why}. {back}")
            case Result.STUCK:
                self._condemn_elsewhere(why)
                self._note_end("failed", why)
                return Ended(code, f"{self.target.release} failed: {why}. {self._where_they_are()}")
            case Result.UNREACHABLE:
                return Ended(code, f"{why}. {self._where_they_are()}")
            case Result.INCONCLUSIVE:
                env = self.inventory.environment
                return Ended(
                    code,
                    f"inconclusive: {why}; nothing was promoted. Next: botdeploy approve {env} "
                    f"to go on, botdeploy rollback {env} to go back",
                )
            case _:
                behind = [
                    name
                    for name, member in self.hosts.items()
                    if member.view.standing is Standing.AWAY
                ]
                told = f"; behind: {', '.join(behind)}" if behind else ""
                return Ended(code, f"{self.target.release}: {why}{told}")

    def _where_they_are(self) -> str:
        """Tell what runs where after a failure: the state that the hosts are in now."""
        env = self.inventory.environment
        by_state: dict[str, list[str]] = {}
        for name, member in self.hosts.items():
            state = self.states.get(name)
            match member.view.standing:
                case Standing.AWAY:
                    text = "not reached"
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
        build = self.build
        if build is None:
            for name in hosts:
                self._away(name, f"{self.target.release} is not staged there; run canary again")
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
                return self.fleet.acts(name).stage(
                    self.lock.token,
                    self.target.release,
                    base_id,
                    meta,
                    (package,),
                    need_bytes=build.need_bytes,
                    need_inodes=build.need_inodes,
                    rollout=self.target.rollout,
                    ring=ring,
                )

            try:
                is_new = self._repeat(lambda: send(base[0] if base and digest else None, files))
            except ActFailed as error:
                if error.code != "no-base":
                    raise
                # Its build changed files, or it is gone: nothing can be copied from it.
                files = build.delta(None)
                is_new = self._repeat(lambda: send(None, files))
            return is_new, len(meta) + len(files), self.clock.monotonic() - begun

        staged = self._together(hosts, stage)
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
        if not self.inventory.hosts[0].bot.build:
            self.manifests.keep(self.target.digest, build.release.manifest)

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
        self.watch.catch_up((*names, *baseline), self._beat)
        ttl = max(1, int(self.policy.lease.ttl.total_seconds()))

        def switch(name: str) -> Switched | Reverted:
            member = self.hosts[name]
            outcome = self._repeat(
                lambda: self.fleet.acts(name).switch(
                    self.lock.token, member.run, self.target.release, ttl
                ),
            )
            if isinstance(outcome, Switched):
                # Over this one it is confirmed later: a release that breaks ssh does not pass.
                self.fleet.fresh(name)
            return outcome

        for name in names:
            self.hosts[name].run = self._next_run(name)
            self.hosts[name].armed_at_us = int(self.clock.now().timestamp() * 1e6)
        for name, result in self._together(names, switch).items():
            self._after_switch(ring, name, result)
        self._judge(ring)

    def _after_switch(self, ring: Ring, name: str, result: Switched | Reverted | HostError) -> None:
        member = self.hosts[name]
        now = self.clock.monotonic()
        match result:
            case Switched():
                member.view = HostView(Standing.PENDING)
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
        self.watch.catch_up((name,), self._beat)
        state = self.states.get(name)
        old = state.invocation if state is not None else ""
        said = self.watch.last_error(name, self.hosts[name].armed_at_us, old)
        return replace(result, why=f"{result.why}; it said {said}") if said else result

    def _judge(self, ring: Ring) -> None:
        """Judge the ring's hosts that run the release; without a soak, the last batch alone."""
        switched = {
            name: member.switched_at_us
            for name in self.members[ring.name]
            if (member := self.hosts[name]).view.standing in (Standing.PENDING, Standing.CONFIRMED)
            and (ring.soak or member.view.standing is Standing.PENDING)
        }
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
            self._repeat(lambda: self.fleet.acts(name).confirm(self.lock.token, run))

        now = self.clock.monotonic()
        for name, result in self._together(hosts, confirm).items():
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
            self._repeat(
                lambda: self.fleet.acts(name).prove(
                    self.lock.token, self.target.release, keep, self.target.rollout, why
                ),
            )

        self._verdicts[ring] = verdict
        for name, result in self._together(hosts, prove).items():
            if isinstance(result, HostError):
                self._away(name, result.message)
            else:
                self.hosts[name].view = HostView(Standing.PROVEN)
        self.emit(Kind.PROMOTED, ring=ring, hosts=list(hosts))

    def _revert(self, hosts: Sequence[str], why: str, *, is_condemned: bool) -> None:
        judged = self.watch.verdict()
        if is_condemned and judged is not None and judged[1].outcome is Outcome.FAIL:
            ring, verdict = judged
            self._verdicts[ring] = verdict
            self._tell_evidence(force=True)
            self.emit(
                Kind.VERDICT,
                ring=ring,
                host=verdict.host,
                outcome=verdict.outcome.value,
                reasons=list(verdict.reasons),
            )
        digest = self.target.digest if is_condemned else ""
        cause = "verdict" if is_condemned else "lease"

        def revert(name: str) -> Reverted | Unchanged:
            run = self.hosts[name].run or self._next_run(name)
            return self._insist(
                lambda: self.fleet.acts(name).revert(
                    self.lock.token, run, None, why, digest, cause
                ),
            )

        for name, result in self._together(hosts, revert).items():
            ring = plan.ring_of(self.members, name)
            match result:
                case Reverted():
                    self._went_back(name, result, ring, failed=is_condemned)
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
        self.emit(
            Kind.REVERTED,
            host=name,
            ring=ring,
            by=result.by or "host",
            seconds=result.seconds,
            to=result.old or None,
            why=result.why,
        )

    def _condemn_elsewhere(self, why: str) -> None:
        """Let every host know that the release failed, so that no later run forgets it."""
        others = [
            name
            for name, member in self.hosts.items()
            if member.view.standing in (Standing.BEHIND, Standing.UNSTAGED)
        ]

        def condemn(name: str) -> None:
            self.fleet.acts(name).condemn(self.lock.token, self.target.digest, why)

        self._together(others, condemn)

    def _note_end(self, outcome: str, why: str) -> None:
        """Write down on every host that this rollout is over."""

        def end(name: str) -> None:
            self.fleet.acts(name).end(self.lock.token, self.target.rollout, outcome, why)

        reached = [
            name for name, one in self.hosts.items() if one.view.standing is not Standing.AWAY
        ]
        self._together(reached, end)

    # --- hosts ------------------------------------------------------------------------------

    def _member_of(self, state: HostState) -> _Member:
        view = rollout.standing_of(state, self.target.release, self.target.rollout)
        member = _Member(view, since=self.clock.monotonic(), heard=self.clock.monotonic())
        switch = state.switch
        if switch is not None and switch.new == self.target.release:
            member.run = switch.run
            begun = self.clock.now() - timedelta(seconds=switch.age_s)
            member.switched_at_us = switch.armed_us or int(begun.timestamp() * 1e6)
        return member

    def _next_run(self, name: str) -> str:
        """Name the next try of this rollout on a host; a try that is over is never reused."""
        state = self.states.get(name)
        last = state.switch.run if state is not None and state.switch is not None else ""
        mine = self.target.rollout
        if last == mine:
            return f"{mine}.2"
        if last.startswith(f"{mine}."):
            return f"{mine}.{int(last.rsplit('.', 1)[1]) + 1}"
        return mine

    def _look_again(self, hosts: Sequence[str]) -> None:
        """Observe hosts anew and take over what they say."""
        results = self._together(hosts, lambda name: self.fleet.acts(name).observe())
        for name, result in results.items():
            if isinstance(result, HostError):
                self._away(name, result.message)
            else:
                self.states[name] = result
                self.hosts[name] = self._member_of(result)

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
            self.hosts[name] = self._member_of(state)

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
        for ring in self.policy.rings:
            open_ = [
                name
                for name in self.members[ring.name]
                if self.hosts[name].view.standing in (Standing.PENDING, Standing.CONFIRMED)
            ]
            if open_ and not self.options.is_attended:
                self._judge_kept(ring, open_)
                return
            if open_:
                hosts = (*open_, *self._baseline(open_))
                self.watch.follow(hosts, self._offsets)
                self.watch.catch_up(hosts, self._beat)
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
        if first is not None and self.options.is_attended:
            # The past is read while the release is staged.
            size = max(1, first.batch.of(len(self.members[first.name])))
            names = [
                name
                for name in self.members[first.name]
                if self.hosts[name].view.standing in (Standing.BEHIND, Standing.UNSTAGED)
            ][:size]
            self.watch.follow((*names, *self._baseline(names)), self._offsets)

    def _judge_kept(self, ring: Ring, hosts: Sequence[str]) -> None:
        """Judge a ring by its whole soak, whoever watched it, and renew the leases it has."""
        for name in hosts:
            member = self.hosts[name]
            if member.view.standing is Standing.PENDING:
                member.heard = float("-inf")

        def read(name: str) -> Evidence:
            return self._collect(ring, name, self.states[name], is_new=name in hosts)

        seen = self._together((*hosts, *self._baseline(hosts)), read)
        switched = {name: self.hosts[name].switched_at_us for name in hosts}
        self.watch.judge_kept(
            ring,
            switched,
            ring.soak or ring.settle,
            {name: one for name, one in seen.items() if not isinstance(one, HostError)},
            self.target.release,
        )
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

        self._together(known, keep)

    def _await_renewals(self) -> None:
        """Let the renewals of this step end before it may be over."""
        deadline = self.clock.monotonic() + RETRY_S
        while any(
            member.renewal is not None
            or (member.view.standing is Standing.PENDING and member.heard == float("-inf"))
            for member in self.hosts.values()
        ):
            self._pump(TICK_S)
            if self.clock.monotonic() > deadline:
                return

    def _together(self, hosts: Iterable[str], work: Callable[[str], T]) -> dict[str, T | HostError]:
        return self.fleet.each(hosts, work, pump=self._beat)

    def _repeat(self, act: Callable[[], T]) -> T:
        """Do a repeatable act, again over a new connection when the answer was cut off."""
        return self._again(act, self.clock.monotonic() + RETRY_S)

    def _insist(self, act: Callable[[], T]) -> T:
        """Do a repeatable act for as long as the host may take to go back by itself."""
        return self._again(act, self.clock.monotonic() + RETURN_S)

    def _again(self, act: Callable[[], T], deadline: float) -> T:
        pause = 0.2
        while True:
            try:
                return act()
            except (OutcomeUnknown, Unreachable):
                if self.clock.monotonic() + pause > deadline or self.stop.is_set():
                    raise
                self.fleet.pause(pause)
                pause = min(pause * 2, 5.0)

    def _pump(self, seconds: float) -> None:
        """Take in what came, renew what must be renewed, then wait at most ``seconds``."""
        self._beat(seconds)

    def _beat(self, seconds: float) -> None:
        if self.stop.is_set():
            raise Interrupted
        self.watch.pump()
        now = self.clock.monotonic()
        self.lock.renew(now)
        self._renew_leases(now)
        self._tell_evidence()
        if seconds:
            self.stop.wait(seconds)

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

    def emit(
        self, kind: Kind, *, host: str | None = None, ring: str | None = None, **data: object
    ) -> None:
        """Tell everybody who listens what happened."""
        self._emit(
            Event(
                kind,
                self.clock.now(),
                self.inventory.environment,
                rollout=self.target.rollout,
                release=self.target.release,
                ring=ring,
                host=host,
                data=data,
            )
        )
