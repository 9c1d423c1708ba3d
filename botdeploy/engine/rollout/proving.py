"""Proving: what is made known of a verdict, to the hosts of a ring that passed and to people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.evidence.process_lives import in_words
from botdeploy.core.host.host_state import RefusedError
from botdeploy.core.rollout.host_standing import UNPROVEN, Standing
from botdeploy.core.verdict import Outcome
from botdeploy.errors import HostError
from botdeploy.hosts.acts.faults import NotRunning

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botdeploy.core.verdict import Verdict
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.ring_watch import RingWatch
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.verdicts import Verdicts
    from botdeploy.engine.watch.watch import Watch

EVIDENCE_EVERY_S = 5.0
"""How often a person who watches is told what the journals brought."""


class Proving:
    """Has hosts write down that a ring passed, and tells every verdict with its evidence."""

    def __init__(
        self,
        members: RolloutHosts,
        locked_fleet: LockedFleet,
        watch: Watch,
        ring_watch: RingWatch,
        verdicts: Verdicts,
    ) -> None:
        """Tell a person who attends what the journals bring, with each tick."""
        self._hosts = members
        self._locked_fleet = locked_fleet
        self._watch = watch
        self._ring_watch = ring_watch
        self._verdicts = verdicts
        self._emit = members.emit
        self._told_at = 0.0
        self.refused: tuple[RefusedError, ...] = ()
        """What the verdict that failed has named: kept with the quarantine."""
        locked_fleet.ticker.add(self._tell_in_time)

    def prove(self, ring: str, hosts: Sequence[str], verdict: Verdict) -> None:
        """Let a ring's hosts know that they may come back to this release, and tell that it passed.

        A host whose bot does not run now refuses: then the ring has not passed.
        """
        self._tell_evidence()
        uptime = self._uptime(hosts)
        if uptime is not None:
            verdict = replace(verdict, reasons=(*verdict.reasons, in_words(uptime)))
        target, why = self._hosts.target, "; ".join(verdict.reasons)

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
                self._hosts.told_of(name, result.unit)
            elif isinstance(result, HostError):
                self._hosts.lost(name, result.message)
            elif not refused:
                self._hosts.stands(name, Standing.PROVEN)
        if refused:
            return
        self._verdicts.known[ring] = verdict
        self._emit(
            Kind.VERDICT,
            ring=ring,
            outcome=verdict.outcome.value,
            reasons=list(verdict.reasons),
            not_excluded=list(self._watch.judging.cannot_exclude()),
            uptime=uptime,
        )
        self._emit(Kind.PROMOTED, ring=ring, hosts=list(hosts))
        self._ring_watch.watch_on(ring)

    def tell_doubt(self, ring: str) -> None:
        """Tell a ring's verdict that is inconclusive, with the evidence."""
        verdict = self._verdicts.verdicts().get(ring)
        if verdict is None or verdict.outcome is not Outcome.INCONCLUSIVE:
            return
        self._tell_no_pass(ring, verdict)

    def tell_failure(self) -> None:
        """Keep the verdict that failed, where one did, and tell it with the evidence."""
        found = [*self._verdicts.revoked().items(), *self._verdicts.verdicts().items()]
        failed = next((one for one in found if one[1].outcome is Outcome.FAIL), None)
        if failed is None:
            return
        ring, verdict = failed
        self._verdicts.known[ring] = verdict
        self.refused = tuple(
            RefusedError(name, text, self._hosts.release) for name, text in verdict.errors
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
            uptime=self._uptime(self._hosts.rings[ring]),
        )

    def _uptime(self, hosts: Iterable[str]) -> float | None:
        """Give the lowest share of the soak in which a bot of these hosts ran; None: not known."""
        told = self._watch.processes.uptime()
        known = [share for name in hosts if (share := told.get(name)) is not None]
        return round(min(known), 4) if known else None

    def _tell_in_time(self, now: float) -> None:
        if self._hosts.is_attended and now - self._told_at >= EVIDENCE_EVERY_S:
            self._tell_evidence()

    def _tell_evidence(self) -> None:
        self._told_at = self._hosts.clock.monotonic()
        for name in self._hosts.within(*UNPROVEN):
            ring = self._hosts.ring_of(name)
            self._emit(Kind.EVIDENCE, host=name, ring=ring, **self._watch.judging.evidence(name))
