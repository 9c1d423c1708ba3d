"""One host's part of a report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.core.evidence.attribution import Attribution
from botdeploy.core.evidence.counts import summed
from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.evidence.proven_past import attribution, left_out, proven
from botdeploy.core.evidence.proven_past import counted as past_counted
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.report.report_model import (
    Act,
    Frame,
    HostReport,
    JournalRead,
    Period,
    Tick,
    microseconds,
)
from botdeploy.core.rollout.host_standing import HOLDING, Standing, keeps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.evidence.evidence import Bucket
    from botdeploy.core.evidence.incidents import FirstSeen, Incident
    from botdeploy.core.host.host_state import HostState, RolloutRecord

_INCIDENTS = frozenset(
    kind.value
    for kind in (
        SystemKind.CRASHED,
        SystemKind.OOM,
        SystemKind.WATCHDOG,
        SystemKind.START_FAILED,
        SystemKind.SPAWN_FAILED,
        SystemKind.FAILED,
    )
)
_QUIET_US = 60_000_000
"""A journal that is silent for so long at its start is taken to begin with its first line."""
_LONGEST_START = timedelta(minutes=15)


def host_report(
    name: str,
    ring: str,
    state: HostState | None,
    error: str,
    record: RolloutRecord,
    acts: Sequence[Act],
) -> HostReport:
    """Put together what one host says of itself, without its journal."""
    standing, why = _standing(state, error, record, acts)
    return HostReport(
        name=name,
        ring=ring,
        runs=state.running if state is not None else "",
        was=release_before(state, record),
        standing=standing,
        why=why,
        is_refused=state is not None and record.digest in state.quarantine,
        acts=tuple(acts),
        switched_at=next(
            (act.at for act in acts if act.what == "switch" and act.release == record.release), None
        ),
    )


def with_journal(
    host: HostReport,
    state: HostState,
    record: RolloutRecord,
    reading: JournalRead,
    frame: Frame,
) -> tuple[HostReport, Counted]:
    """Add what a host's journal tells, and give what it was counted from."""
    known = attribution(state, ahead_us=reading.ahead_us) if state.switches else None
    evidence = evidence_of(host, record, reading, frame, known)
    past = None
    if known is not None:
        proven_here = proven({host.name: state}, host.name)
        past = past_counted(evidence.releases(), proven_here) - {record.release}
    counted = Counted.of(evidence, record.release, frame, past)
    after = None
    if host.switched_at is not None:
        ran_us = sum(
            evidence.coverage.within(microseconds(span.begin), microseconds(span.end))
            for span in host.spans
            if span.standing in HOLDING
        )
        after = Period(summed(one.counts for one in counted.new), ran_us / 6e7)
    found = replace(
        host,
        before=_before(host, evidence, counted, frame, known, past),
        after=after,
        ticks=counted.ticks(microseconds(frame.from_) - frame.bucket_us, microseconds(frame.to)),
        incidents=_incidents(evidence, frame),
        notes=tuple(reading.notes),
    )
    return found, counted


def _before(
    host: HostReport,
    evidence: Evidence,
    counted: Counted,
    frame: Frame,
    known: Attribution | None,
    past: frozenset[str] | None,
) -> Period:
    """Sum up what was usual before the switch, without what other releases wrote."""
    began = next((span.end for span in host.spans if span.standing is Standing.BEHIND), frame.to)
    upto = microseconds(began) if host.switched_at is not None else microseconds(frame.to)
    usual = microseconds(frame.usual_from)
    others = left_out(known.spans(usual, upto), past) if known and past is not None else ()
    before_us = evidence.coverage.within(usual, upto)
    before_us -= sum(evidence.coverage.within(*other) for other in others)
    counts = summed(one.counts for one in counted.old if one.at_us < upto)
    return Period(counts, before_us / 6e7 if host.was else 0.0)


def _incidents(evidence: Evidence, frame: Frame) -> tuple[Incident, ...]:
    return tuple(
        one
        for one in evidence.incidents(since_us=microseconds(frame.from_))
        if one.kind in _INCIDENTS and one.at_us <= microseconds(frame.to)
    )


def evidence_of(
    host: HostReport,
    record: RolloutRecord,
    reading: JournalRead,
    frame: Frame,
    known: Attribution | None = None,
) -> Evidence:
    """Count a host's lines by release; which wrote a line is told by its process run.

    By what the host says that it ran (``known``), else by what the audit log tells of this
    rollout. What was kept on the host during the soak is taken too where the journal no longer
    has it.
    """
    first: dict[str, int] = {}
    for line in reading.lines:
        if line.system is not None and line.system.is_new_process:
            first.setdefault(line.invocation or str(line.at_us), line.at_us)
    starts = sorted(first.values())
    switches = []
    for act in host.acts:
        if act.what == "switch" and act.release == record.release:
            switches.append((_start_before(starts, act.at), record.release))
        elif act.what == "revert" and act.release == record.release:
            switches.append((_start_before(starts, act.at), host.was or "-"))
    attributed = known or Attribution({}, switches, first=host.was or "-")
    evidence = Evidence(host.name, bucket_us=frame.bucket_us)
    evidence.open(_reaches_back_to(reading, frame))
    for line in reading.lines:
        evidence.add(line, attributed.release_of(line))
    evidence.extend(microseconds(frame.to))
    if reading.kept is not None and reading.kept.bucket_us == evidence.bucket_us:
        evidence = evidence.merge(reading.kept)
    return evidence


def _reaches_back_to(reading: JournalRead, frame: Frame) -> int:
    """Say from when on the journal is known: not before its first line, were it rotated away."""
    usual_us = microseconds(frame.usual_from)
    first_us = reading.lines[0].at_us if reading.lines else microseconds(frame.to)
    return usual_us if first_us <= usual_us + _QUIET_US else first_us


def _start_before(starts: Sequence[int], at: datetime) -> int:
    """Find when the process began whose readiness (or return) was noted at this instant."""
    noted = microseconds(at)
    earliest = noted - int(_LONGEST_START.total_seconds() * 1e6)
    return max((one for one in starts if earliest <= one <= noted), default=noted)


@dataclass(frozen=True, slots=True)
class Counted:
    """A host's buckets, once: of the release, and of what was usual before it."""

    new: tuple[Bucket, ...]
    old: tuple[Bucket, ...]
    classes: Mapping[str, FirstSeen]

    @classmethod
    def of(
        cls, evidence: Evidence, release: str, frame: Frame, past: frozenset[str] | None = None
    ) -> Counted:
        """Take them out of the evidence; ``past`` are those that count as usual (None: all)."""
        return cls(
            tuple(evidence.buckets(release, microseconds(frame.begin) - frame.bucket_us)),
            tuple(
                bucket
                for name in evidence.releases()
                if name != release and (past is None or name in past)
                for bucket in evidence.buckets(name, microseconds(frame.usual_from))
            ),
            evidence.classes(),
        )

    def ticks(self, from_us: int, to_us: int) -> tuple[Tick, ...]:
        """List what a chart shows of errors."""
        found = [
            Tick(bucket.at_us, bucket.counts.error_lines, is_new)
            for buckets, is_new in ((self.old, False), (self.new, True))
            for bucket in buckets
            if from_us <= bucket.at_us < to_us and bucket.counts.error_lines
        ]
        return tuple(sorted(found, key=lambda tick: (tick.at_us, tick.is_new)))


def release_before(state: HostState | None, record: RolloutRecord) -> str:
    """Name the release that the host ran before the rollout; empty where nobody knows."""
    if state is None:
        return ""
    if state.switch is not None and state.switch.new == record.release:
        return state.switch.old
    if state.running and state.running != record.release:
        return state.running
    return state.previous


def _standing(
    state: HostState | None, error: str, record: RolloutRecord, acts: Sequence[Act]
) -> tuple[Standing, str]:
    """Say where a host stands with the release now, also long after the rollout, and what is wrong.

    A rollback by a person ends the switch that ``standing_of`` goes by; the audit log tells of it.
    """
    if state is None:
        return Standing.AWAY, error
    if state.stuck:
        return Standing.STUCK, state.stuck
    why = "" if state.is_running else f"the bot is {state.unit.active_state}"
    if state.running == record.release:
        is_proven = state.is_proven(record.release)
        return (Standing.PROVEN if is_proven else Standing.CONFIRMED), why
    if keeps(state, record.id):
        return Standing.SAME, why
    if any(act.what == "revert" and act.release == record.release for act in acts):
        return Standing.RETURNED, why
    is_staged = state.release(record.release) is not None
    return (Standing.BEHIND if is_staged else Standing.UNSTAGED), why
