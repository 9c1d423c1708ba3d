"""Judging: what a ring's journals say of the release, and what is made known of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.evidence.process_lives import in_words
from botdeploy.core.evidence.proven_past import proven, timeline
from botdeploy.core.host.host_state import RefusedError
from botdeploy.core.host.running import Runs
from botdeploy.core.lines.quote import quote
from botdeploy.core.rollout.facts import judged_ring
from botdeploy.core.rollout.standing import HOLDING, UNPROVEN, Standing
from botdeploy.core.text.phrases import count, listing
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.watch.watch import MOST_BASELINE
from botdeploy.errors import HostError
from botdeploy.hosts.acts.faults import NotRunning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.policy import Ring
    from botdeploy.engine.event_emitter import EventEmitter
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.soak_evidence import SoakEvidence
    from botdeploy.engine.watch.watch import Watch

EVIDENCE_EVERY_S = 5.0
"""How often a person who watches is told what the journals brought."""


class Verdicts:
    """Has one ring judged at a time, beside hosts of the old release, and keeps its verdicts.

    Live, a ring is judged by the journals that are followed, from the switch on. A run that only
    looks in (``promote``) judges it by what was kept on the hosts and came since.
    """

    def __init__(
        self,
        members: RolloutHosts,
        locked_fleet: LockedFleet,
        watch: Watch,
        soak_evidence: SoakEvidence,
        emit: EventEmitter,
        clock: Clock,
        *,
        in_doubt: Callable[[], frozenset[str]],
        is_attended: bool,
    ) -> None:
        """Take journals in with every beat; a person who attends is told what they bring.

        ``in_doubt`` names hosts whose lease may be over: what they say waits.
        """
        self._rollout_hosts = members
        self._locked_fleet = locked_fleet
        self._watch = watch
        self._soak_evidence = soak_evidence
        self._emit = emit
        self._clock = clock
        self._is_attended = is_attended
        self._known: dict[str, Verdict] = {}
        """Verdicts that were given, by ring; that of the ring judged now is the watch's."""
        self._told_at = 0.0
        self._asked: set[str] = set()
        """Rings whose failure was asked for its last words."""
        self.refused: tuple[RefusedError, ...] = ()
        """What the verdict that failed has named: kept with the quarantine."""
        self._judged: tuple[str, ...] = ()
        """Hosts whose release is judged now, live."""
        locked_fleet.ticker.on_miss(watch.following.missed)
        locked_fleet.ticker.add(lambda _now: watch.following.pump(in_doubt()))
        locked_fleet.ticker.add(self._tell_in_time)

    # --- the verdict ------------------------------------------------------------------------

    def verdicts(self) -> Mapping[str, Verdict]:
        """Give what is known now of each ring; a failure is never taken back."""
        self._leave_lapsed()
        found = dict(self._known)
        judged = self._watch.judging.verdict(between_lives=self._that(Runs.STARTING))
        if judged is not None:
            ring, verdict = judged
            earlier = found.get(ring)
            if earlier is None or earlier.outcome is not Outcome.FAIL:
                found[ring] = self._by_hard_rules(ring, verdict)
        return self._with_last_words(self._with_what_runs(found))

    def _with_last_words(self, verdicts: Mapping[str, Verdict]) -> Mapping[str, Verdict]:
        """Add to a failure that names no error what the bot, or systemd of it, said at its end."""
        for ring, verdict in verdicts.items():
            host = verdict.host
            is_asked = ring in self._asked or host is None or verdict.errors
            if verdict.outcome is not Outcome.FAIL or is_asked or host is None:
                continue
            self._asked.add(ring)
            since_us = self._rollout_hosts[host].switched_at_us
            words = self._watch.last_words(host, since_us, must_end=True)
            if not words.told:
                continue
            error, errors = words.error, verdict.errors
            if error is not None and error.fingerprint and self._watch.judging.is_news(error):
                errors = ((error.fingerprint, quote(error.message).strip("“”")),)
            reasons = (*verdict.reasons, words.told)
            self._known[ring] = replace(verdict, reasons=reasons, errors=errors)
        return {**verdicts, **{one: self._known[one] for one in self._asked if one in self._known}}

    def _that(self, runs: Runs) -> list[str]:
        """Name the hosts whose bot was so when they were asked last."""
        members = self._rollout_hosts
        return [name for name in members.within(*HOLDING) if members[name].view.seen.runs is runs]

    def _with_what_runs(self, verdicts: Mapping[str, Verdict]) -> Mapping[str, Verdict]:
        members = self._rollout_hosts
        members.excuse(self._watch.judging.excused())
        views = {name: members[name].view for name in members.within()}
        unread = self._watch.processes.unread()
        doubts = self._watch.processes.silenced({name: members[name].pids for name in views})
        found = {
            ring.name: judged_ring(
                ring, members.rings[ring.name], views, verdicts.get(ring.name), unread, doubts
            )
            for ring in members.policy.rings
        }
        return {ring: verdict for ring, verdict in found.items() if verdict is not None}

    def _by_hard_rules(self, ring: str, verdict: Verdict) -> Verdict:
        """Judge a ring without a soak by the hard rules alone."""
        if self._rollout_hosts.ring(ring).soak or verdict.outcome is Outcome.FAIL:
            return verdict
        # The judge saw the last batch alone; the ring passes by what all its hosts showed.
        hosts = self._rollout_hosts.of_ring(ring, *UNPROVEN)
        told = f"every host was ready and stayed healthy: {self._seen(hosts)}"
        more = verdict.reasons[1:] if verdict.outcome is Outcome.PASS else ()
        return Verdict(Outcome.PASS, (told, *more))

    def _seen(self, hosts: Sequence[str]) -> str:
        """Sum up what some hosts wrote since their switch."""
        seen = [self._watch.judging.evidence(name) for name in hosts]
        lines, errors = sum(one["lines"] for one in seen), sum(one["errors"] for one in seen)
        where = f" on {listing(list(hosts))}" if hosts else ""
        return f"{count(lines, 'line')}{where}, {count(errors, 'error')} among them"

    def pronounce_doubt(self, ring: str) -> None:
        """Tell a ring's verdict that is inconclusive, with the evidence."""
        verdict = self.verdicts().get(ring)
        if verdict is None or verdict.outcome is not Outcome.INCONCLUSIVE:
            return
        self._tell_no_pass(ring, verdict)

    def revoked(self) -> Mapping[str, Verdict]:
        """Give the rings that had passed, and fail by what came since."""
        return self._watch.passed.revoked(self._that(Runs.STARTING))

    def pronounce_failure(self) -> None:
        """Keep the verdict that failed, where one did, and tell it with the evidence."""
        found = [*self.revoked().items(), *self.verdicts().items()]
        failed = next((one for one in found if one[1].outcome is Outcome.FAIL), None)
        if failed is None:
            return
        ring, verdict = failed
        self._known[ring] = verdict
        self.refused = tuple(
            RefusedError(name, text, self._rollout_hosts.target.release)
            for name, text in verdict.errors
        )
        self._tell_no_pass(ring, verdict)

    def _tell_no_pass(self, ring: str, verdict: Verdict) -> None:
        """Tell a verdict that is no pass, with the evidence."""
        self._tell_evidence()
        self._emit(
            Kind.VERDICT,
            ring=ring,
            host=verdict.host,
            outcome=verdict.outcome.value,
            reasons=list(verdict.reasons),
            not_excluded=[],
            uptime=self._uptime(self._rollout_hosts.rings[ring]),
        )

    def _uptime(self, hosts: Iterable[str]) -> float | None:
        """Give the lowest share of the soak in which a bot of these hosts ran; None: not known."""
        told = self._watch.processes.uptime()
        known = [share for name in hosts if (share := told.get(name)) is not None]
        return round(min(known), 4) if known else None

    def prove(self, ring: str, hosts: Sequence[str], verdict: Verdict) -> None:
        """Let a ring's hosts know that they may come back to this release, and tell that it passed.

        A host whose bot does not run now refuses: then the ring has not passed.
        """
        self._tell_evidence()
        uptime = self._uptime(hosts)
        if uptime is not None:
            verdict = replace(verdict, reasons=(*verdict.reasons, in_words(uptime)))
        target, why = self._rollout_hosts.target, "; ".join(verdict.reasons)

        def prove(name: str) -> None:
            keep = self._locked_fleet.fleet.host(name).bot.keep
            self._locked_fleet.again(
                lambda: self._locked_fleet.acts(name).rollout.prove(
                    target.release, keep, target.rollout, why
                ),
            )

        results = self._locked_fleet.together(hosts, prove)
        refused = {name: one for name, one in results.items() if isinstance(one, NotRunning)}
        for name, result in results.items():
            if isinstance(result, NotRunning):
                self._rollout_hosts.told_of(name, result.unit)
            elif isinstance(result, HostError):
                self._rollout_hosts.lost(name, result.message)
            elif not refused:
                self._rollout_hosts.stands(name, Standing.PROVEN)
        if refused:
            return
        self._known[ring] = verdict
        self._emit(
            Kind.VERDICT,
            ring=ring,
            outcome=verdict.outcome.value,
            reasons=list(verdict.reasons),
            not_excluded=list(self._watch.judging.cannot_exclude()),
            uptime=uptime,
        )
        self._emit(Kind.PROMOTED, ring=ring, hosts=list(hosts))
        self._watch_on(ring)

    def _watch_on(self, ring: str) -> None:
        """Watch a ring that has passed just now, for as long as this run goes on."""
        members = self._rollout_hosts
        proven = members.of_ring(ring, Standing.PROVEN)
        if not self._is_attended or not proven or not (self._is_more_due() or members.policy.watch):
            return
        now_us = int(self._clock.now().timestamp() * 1e6)
        self._watch.passed.watch_on(ring, dict.fromkeys(proven, now_us), self._baseline(proven))

    def _is_more_due(self) -> bool:
        return bool(self._rollout_hosts.without(Standing.PROVEN, Standing.AWAY))

    # --- live -------------------------------------------------------------------------------

    def listen(self, hosts: Sequence[str]) -> None:
        """Follow hosts that are about to be switched, and wait for what was written until now.

        Without the wait an error of the past that arrives late would look new.
        """
        self._watch.following.catch_up(self._follow(hosts), self._locked_fleet.ticker.tick)
        self._watch.passed.leave(hosts)

    def _follow(self, hosts: Sequence[str]) -> tuple[str, ...]:
        """Follow hosts, and some that stay as they are, to compare them with; gives both."""
        followed = (*hosts, *self._baseline(hosts))
        self._watch.following.follow(followed, self._rollout_hosts.ahead_us)
        return followed

    def _leave_lapsed(self) -> None:
        """Judge without the hosts that went back by themselves: what they told does not count."""
        left = [n for n in self._judged if self._rollout_hosts[n].standing is Standing.LAPSED]
        if left:
            self._watch.following.forget(left)
            self.begin(self._rollout_hosts.ring(self._rollout_hosts.ring_of(left[0])))

    def begin(self, ring: Ring) -> None:
        """Judge the ring's hosts that run the release; without a soak, the last batch alone."""
        names = self._rollout_hosts.unproven(ring)
        last = self._rollout_hosts.of_ring(ring.name, Standing.PENDING)
        if last and not ring.soak:
            names = last
        self._judged = tuple(names)
        switched = {name: self._rollout_hosts[name].switched_at_us for name in names}
        if switched:
            soak = ring.soak or ring.settle
            baseline = self._baseline(names)
            self._watch.judging.judge(ring, switched, soak, baseline, self._rollout_hosts.states)
        else:
            self._watch.judging.rest()

    def take_up(self) -> None:
        """Watch again what an earlier run left pending or confirmed.

        Where nothing is, the past of the hosts that come first is read while the release is
        staged.
        """
        self._look_after(self._rollout_hosts.passed(), {})
        for ring in self._rollout_hosts.policy.rings:
            left = self._rollout_hosts.unproven(ring)
            if left:
                self.listen(left)
                self.begin(ring)
                return
        for ring in self._rollout_hosts.policy.rings:
            due = self._rollout_hosts.of_ring(ring.name, Standing.BEHIND, Standing.UNSTAGED)
            if due:
                size = max(1, ring.batch.of(len(self._rollout_hosts.rings[ring.name])))
                self._follow(due[:size])
                return

    def _baseline(self, canary: Sequence[str]) -> tuple[str, ...]:
        """Name hosts of the old release to compare with: staged or not, but running."""
        return tuple(
            name
            for name in self._rollout_hosts.within(Standing.BEHIND, Standing.UNSTAGED)
            if name not in canary
            and (state := self._rollout_hosts.states.get(name)) is not None
            and state.active_state == "active"
            and self._is_fit(name, state)
        )[:MOST_BASELINE]

    def _is_fit(self, name: str, state: HostState) -> bool:
        """Tell whether a host may stand for the old release: what it runs has passed there.

        Or it is what somebody put there before botdeploy.
        """
        is_first = not timeline(state)
        return is_first or state.running in proven(self._rollout_hosts.states, name)

    # --- kept -------------------------------------------------------------------------------

    def judge_kept(self) -> None:
        """Judge every ring that is open by its whole soak, whoever watched it.

        And what came to rings that have passed, since they did.
        """
        members = self._rollout_hosts
        rings = [
            (ring, hosts) for ring in members.policy.rings if (hosts := members.unproven(ring))
        ]
        passed = members.passed()
        if not rings:
            self._look_after(passed, {})
            return
        of = {name: ring for ring, hosts in rings for name in hosts}
        baseline = self._baseline(tuple(of))
        first = min((ring for ring, _ in rings), key=lambda ring: ring.soak)

        def read(name: str) -> Evidence:
            state = members.states[name]
            return self._soak_evidence.read(of.get(name, first), name, state, is_new=name in of)

        seen = self._locked_fleet.together((*of, *baseline), read)
        for ring, hosts in rings:
            self._watch.judging.judge_kept(
                ring,
                {name: members.by_host_clock(name, members[name].switched_at_us) for name in hosts},
                ring.soak or ring.settle,
                {
                    name: one
                    for name in (*hosts, *baseline)
                    if not isinstance(one := seen[name], HostError)
                },
                members.target.release,
                members.states,
            )
            judged = self._watch.judging.verdict(
                self._that(Runs.STOPPED), self._that(Runs.STARTING)
            )
            earlier = self._known.get(ring.name)
            has_failed = earlier is not None and earlier.outcome is Outcome.FAIL
            if judged is not None and not has_failed:
                self._known[judged[0]] = self._by_hard_rules(*judged)
        known = {name: one for name, one in seen.items() if not isinstance(one, HostError)}
        self._look_after(passed, known)

    def _look_after(
        self, passed: Mapping[str, Sequence[str]], known: Mapping[str, Evidence]
    ) -> None:
        """Look at what came to rings since they passed: read on from where the last reader ended.

        ``known``: what was read of other hosts just now. A run that stays follows them from there.
        """
        if not passed:
            return
        members = self._rollout_hosts
        of = {name: members.ring(ring) for ring, hosts in passed.items() for name in hosts}
        first = next(iter(of.values()))
        baseline = self._baseline(tuple(of))

        def read(name: str) -> Evidence:
            state = members.states[name]
            return self._soak_evidence.read(of.get(name, first), name, state, is_new=name in of)

        due = [name for name in (*of, *baseline) if name not in known]
        seen = {
            **known,
            **{
                name: one
                for name, one in self._locked_fleet.together(due, read).items()
                if not isinstance(one, HostError)
            },
        }
        for ring, hosts in passed.items():
            self._watch.passed.look_after(
                ring,
                {name: members.passed_us(name) for name in hosts if name in seen},
                {name: seen[name] for name in (*hosts, *baseline) if name in seen},
                members.target.release,
                members.states,
            )
        if self._is_attended:
            self._watch.following.follow((*of, *baseline), members.ahead_us, seen)

    # --- telling ----------------------------------------------------------------------------

    def _tell_in_time(self, now: float) -> None:
        if self._is_attended and now - self._told_at >= EVIDENCE_EVERY_S:
            self._tell_evidence()

    def _tell_evidence(self) -> None:
        self._told_at = self._clock.monotonic()
        for name in self._rollout_hosts.within(*UNPROVEN):
            ring = self._rollout_hosts.ring_of(name)
            self._emit(Kind.EVIDENCE, host=name, ring=ring, **self._watch.judging.evidence(name))
