"""An account of a rollout: what the hosts' audit logs and journals tell of it, put in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.attribution import Attribution
from botdeploy.core.evidence.counts import summed
from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.evidence.proven_past import attribution, left_out, proven
from botdeploy.core.evidence.proven_past import counted as past_counted
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.audit_names import actor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.evidence.evidence import Bucket
    from botdeploy.core.evidence.incidents import FirstSeen
    from botdeploy.core.host_state import HostState, RolloutRecord
    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.model.inventory import Inventory

FINE_US = 5_000_000
"""Length of a bucket of a rollout that fits into an hour; of longer ones: a minute."""
COARSE_US = 60_000_000
_BEFORE = (timedelta(minutes=1), timedelta(hours=1))
USUAL = timedelta(hours=1)
"""How long before the rollout the journals are read, to know what was usual."""
MOST_SAMPLE = 2000
"""Characters of a sample line; of a longer one its head and its end are shown."""
_AFTER = (timedelta(seconds=20), timedelta(minutes=30))
_NOTE = "note"
"""What is written down when a command is over, perhaps long after the rollout was."""
_GATES = frozenset({"approve", "hold", "resume", "unlock"})
_TROUBLE = frozenset(
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
_UNSAID = frozenset({"canary", "promote"})
"""What stands for the reason where nobody gave one: the command's name."""
_QUIET_US = 60_000_000
"""A journal that is silent for so long at its start is taken to begin with its first line."""
_LONGEST_START = timedelta(minutes=15)


class ReportStanding(StrEnum):
    """What a host ran during a piece of time."""

    OLD = "old"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROVEN = "proven"
    BACK = "back"


NEW = frozenset({ReportStanding.PENDING, ReportStanding.CONFIRMED, ReportStanding.PROVEN})
"""While it runs the release of the rollout."""


class ReportOutcome(StrEnum):
    """How the rollout stands."""

    UNDER_WAY = "under way"
    PASSED = "passed"
    PARTLY = "partly done"
    FAILED = "failed, taken back"
    ROLLED_BACK = "taken back"
    BROKEN = "failed, needs a person"


@dataclass(frozen=True, slots=True)
class Act:
    """One entry of a host's audit log."""

    at: datetime
    host: str
    what: str
    release: str = ""
    outcome: str = ""
    who: str = ""
    why: str = ""
    rollout: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of time in which a host's standing did not change."""

    standing: ReportStanding
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """What was counted in a piece of time of which ``minutes`` were read."""

    counts: Counts
    minutes: float

    @property
    def errors_a_minute(self) -> float | None:
        """Errors a minute; None where nothing was read."""
        return self.counts.error_lines / self.minutes if self.minutes > 0 else None


@dataclass(frozen=True, slots=True)
class Tick:
    """Errors in one step of the chart of a host."""

    at_us: int
    errors: int
    is_new: bool
    """Written by the release of the rollout."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A crash, an OOM kill or the like, as systemd said it."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class HostAccount:
    """One host's part."""

    name: str
    ring: str
    runs: str
    was: str
    """The release before; empty where there was none."""
    state: str
    """In a few words, for the table."""
    is_bad: bool
    acts: tuple[Act, ...] = ()
    spans: tuple[Span, ...] = ()
    switched_at: datetime | None = None
    before: Period | None = None
    after: Period | None = None
    ticks: tuple[Tick, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedError:
    """One kind of error that the release wrote."""

    name: str
    sample: str
    is_new: bool
    """Seen on no host before the switch, in what was read."""
    is_fatal: bool
    first_at: datetime | None
    hosts: tuple[str, ...]
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report tells."""

    environment: str
    bot: str
    rollout: str
    release: str
    was: tuple[str, ...]
    ending: ReportOutcome
    why: tuple[str, ...]
    """Reasons of a failure, each once, in the words of the verdict."""
    who: str
    message: str
    begin: datetime
    end: datetime
    """Of the last act, or now while it is under way."""
    from_: datetime
    to: datetime
    """What the charts show."""
    usual_from: datetime
    """Since when what is usual was read."""
    step_us: int
    hosts: tuple[HostAccount, ...]
    errors: tuple[ReportedError, ...]
    acts: tuple[Act, ...]
    quarantined: str = ""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class JournalRead:
    """What was read of one host's journal, shifted to the controller's clock."""

    lines: list[LogLine] = field(default_factory=list)
    kept: Evidence | None = None
    notes: list[str] = field(default_factory=list)
    ahead_us: int = 0
    """How far the host's clock is ahead of the controller's."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The rollout's own time, and the time around it that is shown and read."""

    begin: datetime
    end: datetime
    from_: datetime
    to: datetime
    usual_from: datetime
    bucket_us: int
    """Length of the buckets that evidence is counted in; ``usual_from`` is the start of one."""


# --- audit logs ---------------------------------------------------------------------------------


def read_acts(host: str, entries: Iterable[Mapping[str, Any]], ahead: timedelta) -> list[Act]:
    """Read a host's audit entries; ``ahead`` is how far its clock is before ours."""
    acts = []
    for entry in entries:
        try:
            at = datetime.fromisoformat(str(entry["at"]))
            act = str(entry["act"])
        except (KeyError, ValueError):
            continue
        if at.tzinfo is None:
            continue
        rest = {
            name: str(entry.get(name) or "") for name in ("release", "outcome", "why", "rollout")
        }
        acts.append(Act(at - ahead, host, act, who=actor(entry), **rest))
    return acts


def shifted(reading: JournalRead, ahead: timedelta) -> JournalRead:
    """Move what a host with another clock said to the controller's time; kept evidence is left."""
    if not ahead:
        return reading
    shift_us = ahead // timedelta(microseconds=1)
    lines = [replace(line, at_us=line.at_us - shift_us) for line in reading.lines]
    return replace(reading, lines=lines, kept=None, ahead_us=shift_us)


def acts_of(record: RolloutRecord, acts: Iterable[Act]) -> list[Act]:
    """Keep what belongs to a rollout: its own acts, and what people did about it meanwhile."""
    ordered = sorted(acts, key=lambda act: act.at)
    own = [act for act in ordered if act.rollout == record.id]
    if not own:
        return []
    begin, end = own[0].at, own[-1].at
    return [
        act
        for act in ordered
        if act.rollout == record.id
        or (act.what == "approve" and act.release == record.release)
        or (act.what in _GATES and begin <= act.at <= end)
    ]


def frame_of(record: RolloutRecord, acts: Sequence[Act], now: datetime, *, is_open: bool) -> Frame:
    """Say which time the report is about."""
    own = [act.at for act in acts if act.rollout == record.id and act.what != _NOTE]
    begin = min(own, default=record.begun or now)
    end = max(begin, now if is_open else max(own, default=now))
    length = end - begin
    before = min(max(length, _BEFORE[0]), _BEFORE[1])
    after = min(max(length / 8, _AFTER[0]), _AFTER[1])
    from_ = begin - before
    until = max(end, min(now, end + after))
    step_us = FINE_US if until - from_ <= timedelta(hours=1) else COARSE_US
    usual_us = _us(begin - USUAL) // step_us * step_us
    return Frame(begin, end, from_, until, _at(usual_us), step_us)


# --- one host -----------------------------------------------------------------------------------


def evidence_of(
    host: str,
    record: RolloutRecord,
    acts: Sequence[Act],
    reading: JournalRead,
    was: str,
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
    for act in acts:
        if act.what == "switch" and act.release == record.release:
            switches.append((_start_before(starts, act.at), record.release))
        elif act.what == "revert" and act.release == record.release:
            switches.append((_start_before(starts, act.at), was or "-"))
    attributed = known or Attribution({}, switches, first=was or "-")
    evidence = Evidence(host, bucket_us=frame.bucket_us)
    evidence.open(_reaches_back_to(reading, frame))
    for line in reading.lines:
        evidence.add(line, attributed.release_of(line))
    evidence.extend(_us(frame.to))
    if reading.kept is not None and reading.kept.bucket_us == evidence.bucket_us:
        evidence = evidence.merge(reading.kept)
    return evidence


def _reaches_back_to(reading: JournalRead, frame: Frame) -> int:
    """Say from when on the journal is known: not before its first line, were it rotated away."""
    usual_us = _us(frame.usual_from)
    first_us = reading.lines[0].at_us if reading.lines else _us(frame.to)
    return usual_us if first_us <= usual_us + _QUIET_US else first_us


def _start_before(starts: Sequence[int], at: datetime) -> int:
    """Find when the process began whose readiness (or return) was noted at this instant."""
    noted = _us(at)
    earliest = noted - int(_LONGEST_START.total_seconds() * 1e6)
    return max((one for one in starts if earliest <= one <= noted), default=noted)


def spans_of(acts: Sequence[Act], release: str, frame: Frame) -> tuple[Span, ...]:
    """Say what a host ran when, from its acts in order of time."""
    spans = []
    standing, since = ReportStanding.OLD, frame.from_
    for act in acts:
        after = {
            ("switch", "ready"): ReportStanding.PENDING,
            ("confirm", "done"): ReportStanding.CONFIRMED,
            ("prove", "done"): ReportStanding.PROVEN,
        }.get((act.what, act.outcome))
        if act.what == "revert":
            after = ReportStanding.BACK
        if after is None or act.release != release:
            continue
        at = min(max(act.at, since), frame.to)
        spans.append(Span(standing, since, at))
        standing, since = after, at
    spans.append(Span(standing, since, max(since, frame.to)))
    return tuple(span for span in spans if span.end > span.begin)


def host_account(
    name: str,
    ring: str,
    state: HostState | None,
    error: str,
    record: RolloutRecord,
    acts: Sequence[Act],
    reading: JournalRead | None,
    frame: Frame,
) -> tuple[HostAccount, Counted | None]:
    """Put together one host's part, and what it was counted from."""
    was = release_before(state, record)
    spans = spans_of(acts, record.release, frame) if state is not None else ()
    switched = next(
        (act.at for act in acts if act.what == "switch" and act.release == record.release), None
    )
    words, is_bad = _state_of(state, error, record, acts)
    account = HostAccount(
        name=name,
        ring=ring,
        runs=(state.running or "nothing") if state is not None else "unknown",
        was=was,
        state=words,
        is_bad=is_bad,
        acts=tuple(acts),
        spans=spans,
        switched_at=switched,
    )
    if reading is None:
        return account, None
    known = attribution(state, ahead_us=reading.ahead_us) if state and state.switches else None
    evidence = evidence_of(name, record, acts, reading, was, frame, known)
    past = None
    if state is not None and known is not None:
        past = past_counted(evidence.releases(), proven({name: state}, name)) - {record.release}
    counted = Counted.of(evidence, record.release, frame, past)
    began = next((span.end for span in spans if span.standing is ReportStanding.OLD), frame.to)
    upto = _us(began) if switched is not None else _us(frame.to)
    usual = _us(frame.usual_from)
    others = left_out(known.spans(usual, upto), past) if known and past is not None else ()
    read = evidence.coverage
    before_us = read.within(usual, upto)
    before_us -= sum(read.within(*other) for other in others)
    ours = [span for span in spans if span.standing in NEW]
    troubles = tuple(
        Trouble(_at(one.at_us), one.text)
        for one in evidence.incidents(since_us=_us(frame.from_))
        if one.kind in _TROUBLE and one.at_us <= _us(frame.to)
    )
    return (
        replace(
            account,
            before=Period(
                summed(one.counts for one in counted.old if one.at_us < upto),
                before_us / 6e7 if was else 0.0,
            ),
            after=Period(
                summed(one.counts for one in counted.new),
                sum(read.within(_us(span.begin), _us(span.end)) for span in ours) / 6e7,
            )
            if switched is not None
            else None,
            ticks=counted.ticks(_us(frame.from_) - frame.bucket_us, _us(frame.to)),
            troubles=troubles,
            notes=tuple(reading.notes),
        ),
        counted,
    )


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
            tuple(evidence.buckets(release, _us(frame.begin) - frame.bucket_us)),
            tuple(
                bucket
                for name in evidence.releases()
                if name != release and (past is None or name in past)
                for bucket in evidence.buckets(name, _us(frame.usual_from))
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


def _state_of(
    state: HostState | None, error: str, record: RolloutRecord, acts: Sequence[Act]
) -> tuple[str, bool]:
    if state is None:
        return f"cannot be reached: {error}", True
    if state.stuck:
        return state.stuck, True
    if not state.is_running:
        return f"the bot is {state.active_state}", True
    reverted = [act for act in acts if act.what == "revert" and act.release == record.release]
    if state.running == record.release:
        if record.digest in state.quarantine:
            return "runs it, and it is in quarantine", True
        return ("proven" if state.is_proven(record.release) else "runs it, not proven yet"), False
    if reverted:
        return "taken back", True
    if state.release(record.release) is not None:
        return "has it, did not switch", False
    return "did not get it", False


# --- all together -------------------------------------------------------------------------------


def account(
    inventory: Inventory,
    record: RolloutRecord,
    states: Mapping[str, HostState],
    away: Mapping[str, str],
    acts: Sequence[Act],
    readings: Mapping[str, JournalRead],
    frame: Frame,
    *,
    is_open: bool,
    notes: Sequence[str] = (),
) -> Report:
    """Tell a rollout from what the hosts said; ``acts`` are those of ``acts_of``."""
    rings = ring_members.members(inventory, states, away, rollout=record.id, release=record.release)
    hosts = []
    read: dict[str, Counted] = {}
    order = {host.name: place for place, host in enumerate(inventory.hosts)}
    for name in [name for ring in rings.values() for name in sorted(ring, key=order.__getitem__)]:
        one, counted = host_account(
            name,
            ring_members.ring_of(rings, name),
            states.get(name),
            away.get(name, "not observed"),
            record,
            [act for act in acts if act.host == name],
            readings.get(name),
            frame,
        )
        hosts.append(one)
        if counted is not None:
            read[name] = counted
    samples = _samples(readings, frame)
    begun = next((act for act in acts if act.what == "begin"), None)
    message = (begun.why if begun else "") or record.why
    reasons = [
        act.why
        for act in acts
        if act.why
        and (act.what in ("revert", "quarantine") or (act.what, act.outcome) == ("end", "failed"))
    ]
    quarantined = next(
        (
            state.quarantine[record.digest]
            for state in states.values()
            if record.digest in state.quarantine
        ),
        "",
    )
    return Report(
        environment=inventory.environment,
        bot=inventory.bot_name,
        rollout=record.id,
        release=record.release,
        was=tuple(dict.fromkeys(host.was for host in hosts if host.was)),
        ending=_ending(hosts, states, record, acts, is_open=is_open),
        why=_each_once(reasons),
        who=(begun.who if begun else "") or record.owner,
        message="" if message in _UNSAID else message,
        begin=frame.begin,
        end=frame.end,
        from_=frame.from_,
        to=frame.to,
        usual_from=frame.usual_from,
        step_us=frame.bucket_us,
        hosts=tuple(hosts),
        errors=_error_classes(read, samples),
        acts=tuple(acts),
        quarantined=quarantined,
        notes=tuple(notes),
    )


def _each_once(reasons: Iterable[str]) -> tuple[str, ...]:
    """Drop what is told twice: a host's own copy of a reason lacks the host's name in front."""
    found: list[str] = []
    for reason in dict.fromkeys(reasons):
        if not any(reason in other or other in reason for other in found):
            found.append(reason)
    return tuple(found)


def _ending(
    hosts: Sequence[HostAccount],
    states: Mapping[str, HostState],
    record: RolloutRecord,
    acts: Sequence[Act],
    *,
    is_open: bool,
) -> ReportOutcome:
    if any(state.stuck for state in states.values()):
        return ReportOutcome.BROKEN
    if is_open:
        return ReportOutcome.UNDER_WAY
    has_failed = record.outcome == "failed" or any(
        (act.what, act.outcome) == ("end", "failed") for act in acts
    )
    if has_failed:
        return ReportOutcome.FAILED
    on_it = [host for host in hosts if host.runs == record.release]
    if not on_it and any(act.what == "revert" for act in acts):
        return ReportOutcome.ROLLED_BACK
    is_everywhere = len(on_it) == len(hosts)
    return ReportOutcome.PASSED if is_everywhere else ReportOutcome.PARTLY


def _error_classes(
    read: Mapping[str, Counted], samples: Mapping[str, str]
) -> tuple[ReportedError, ...]:
    """Compare what the release wrote with what was written before: new kinds first."""
    after: Counter[str] = Counter()
    before: Counter[str] = Counter()
    where: dict[str, list[str]] = {}
    for name, counted in read.items():
        for bucket in counted.old:
            before.update(bucket.counts.errors)
        errors: Counter[str] = Counter()
        for bucket in counted.new:
            errors.update(bucket.counts.errors)
        after.update(errors)
        for kind in errors:
            where.setdefault(kind, []).append(name)
    found = []
    for kind, count in after.items():
        firsts = [
            seen for name in where[kind] if (seen := read[name].classes.get(kind)) is not None
        ]
        first = min(firsts, default=None)
        found.append(
            ReportedError(
                name=kind,
                sample=samples.get(kind) or (first.sample if first is not None else kind),
                is_new=kind not in before,
                is_fatal=any(seen.is_fatal for seen in firsts),
                first_at=_at(first.at_us) if first is not None else None,
                hosts=tuple(where[kind]),
                after=count,
                before=before[kind],
            )
        )
    found.sort(key=lambda one: (not one.is_new, not one.is_fatal, -one.after, one.name))
    return tuple(found)


def _samples(readings: Mapping[str, JournalRead], frame: Frame) -> dict[str, str]:
    """Find a whole line of each kind of error: evidence keeps but the head of one."""
    found: dict[str, str] = {}
    begin = _us(frame.begin)
    for reading in readings.values():
        for line in reading.lines:
            if line.fingerprint is not None and line.at_us >= begin:
                found.setdefault(line.fingerprint, line.message)
    return {kind: _cut(text) for kind, text in found.items()}


def _cut(text: str) -> str:
    if len(text) <= MOST_SAMPLE:
        return text
    half = MOST_SAMPLE // 2
    return f"{text[:half]}\n…\n{text[-half:]}"


def _us(at: datetime) -> int:
    return int(at.timestamp() * 1e6)


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC)
