"""Verdicts: what a ring's journals say of the release."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.core.host.running import Runs
from botdeploy.core.lines.quote import quote
from botdeploy.core.rollout.facts import judged_ring
from botdeploy.core.rollout.host_standing import HOLDING, UNPROVEN
from botdeploy.core.text.phrases import count, listing
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.engine.rollout.ring_watch import RingWatch
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.soak_evidence import SoakEvidence
    from botdeploy.engine.watch.watch import Watch


@dataclass(slots=True)
class Verdicts:
    """Knows each ring's verdict.

    Live, a ring is judged by the journals that are followed, from the switch on. A run that only
    looks in (``promote``) judges it by what was kept on the hosts and came since.
    """

    _hosts: RolloutHosts
    _watch: Watch
    _ring_watch: RingWatch
    _soak_evidence: SoakEvidence
    known: dict[str, Verdict] = field(default_factory=dict)
    """Verdicts that were given, by ring; that of the ring judged now is the watch's."""
    _asked: set[str] = field(default_factory=set)
    """Rings whose failure was asked for its last words."""

    def verdicts(self) -> Mapping[str, Verdict]:
        """Give what is known now of each ring; a failure is never taken back."""
        self._ring_watch.leave_lapsed()
        found = dict(self.known)
        judged = self._watch.judging.verdict(start_due=self._that(Runs.STARTING))
        if judged is not None:
            ring, verdict = judged
            earlier = found.get(ring)
            if earlier is None or earlier.outcome is not Outcome.FAIL:
                found[ring] = self._by_hard_rules(ring, verdict)
        return self._with_last_words(self._with_what_runs(found))

    def revoked(self) -> Mapping[str, Verdict]:
        """Give the rings that had passed, and fail by what came since."""
        return self._watch.passed.revoked(self._that(Runs.STARTING))

    def judge_kept(self) -> None:
        """Judge every ring that is open by its whole soak, whoever watched it.

        And what came to rings that have passed, since they did.
        """
        members = self._hosts
        rings = [
            (ring, hosts) for ring in members.policy.rings if (hosts := members.unproven(ring))
        ]
        passed = members.passed()
        if not rings:
            self._ring_watch.look_after(passed, {})
            return
        of = {name: ring for ring, hosts in rings for name in hosts}
        baseline = self._ring_watch.baseline(tuple(of))
        seen = self._soak_evidence.read_all(of, (*of, *baseline))
        for ring, hosts in rings:
            self._watch.judging.judge_kept(
                ring,
                {name: members.by_host_clock(name, members[name].switched_at_us) for name in hosts},
                ring.soak or ring.settle,
                {name: seen[name] for name in (*hosts, *baseline) if name in seen},
                members.target.release,
                members.states,
            )
            judged = self._watch.judging.verdict(
                self._that(Runs.STOPPED), self._that(Runs.STARTING)
            )
            earlier = self.known.get(ring.name)
            has_failed = earlier is not None and earlier.outcome is Outcome.FAIL
            if judged is not None and not has_failed:
                self.known[judged[0]] = self._by_hard_rules(*judged)
        self._ring_watch.look_after(passed, seen)

    def _with_last_words(self, verdicts: Mapping[str, Verdict]) -> Mapping[str, Verdict]:
        """Add to a failure that names no error what the bot, or systemd of it, said at its end."""
        for ring, verdict in verdicts.items():
            host = verdict.host
            is_asked = ring in self._asked or host is None or verdict.errors
            if verdict.outcome is not Outcome.FAIL or is_asked or host is None:
                continue
            self._asked.add(ring)
            since_us = self._hosts[host].switched_at_us
            words = self._watch.last_words(host, since_us, must_end=True)
            if not words.told:
                continue
            error, errors = words.error, verdict.errors
            if error is not None and error.fingerprint and self._watch.judging.is_news(error):
                errors = ((error.fingerprint, quote(error.message).strip("“”")),)
            reasons = (*verdict.reasons, words.told)
            self.known[ring] = replace(verdict, reasons=reasons, errors=errors)
        return {**verdicts, **{one: self.known[one] for one in self._asked if one in self.known}}

    def _with_what_runs(self, verdicts: Mapping[str, Verdict]) -> Mapping[str, Verdict]:
        members = self._hosts
        members.excuse(self._watch.judging.excused() | self._watch.passed.excused())
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

    def _that(self, runs: Runs) -> list[str]:
        """Name the hosts whose bot was so when they were asked last."""
        members = self._hosts
        return [name for name in members.within(*HOLDING) if members[name].view.seen.runs is runs]

    def _by_hard_rules(self, ring: str, verdict: Verdict) -> Verdict:
        """Judge a ring without a soak by the hard rules alone."""
        if self._hosts.ring(ring).soak or verdict.outcome is Outcome.FAIL or verdict.machine:
            return verdict
        # The judge saw the last batch alone; the ring passes by what all its hosts showed.
        hosts = self._hosts.of_ring(ring, *UNPROVEN)
        told = f"every host was ready and stayed healthy: {self._seen(hosts)}"
        more = verdict.reasons[1:] if verdict.outcome is Outcome.PASS else ()
        return Verdict(Outcome.PASS, (told, *more))

    def _seen(self, hosts: Sequence[str]) -> str:
        """Sum up what some hosts wrote since their switch."""
        seen = [self._watch.judging.evidence(name) for name in hosts]
        lines, errors = sum(one["lines"] for one in seen), sum(one["errors"] for one in seen)
        where = f" on {listing(list(hosts))}" if hosts else ""
        return f"{count(lines, 'line')}{where}, {count(errors, 'error')} among them"
