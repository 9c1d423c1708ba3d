"""The report of a rollout: what hosts, audit logs and journals say, put together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.report.audit_log import spans_of
from botdeploy.core.report.host_report import host_report, with_journal
from botdeploy.core.report.report_model import Report, ReportedError, instant, microseconds
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.next_step import Result
from botdeploy.core.rollout.renumbering import as_one_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.report.host_report import Counted
    from botdeploy.core.report.report_model import Act, Frame, HostAnswers, HostReport, JournalRead

MOST_SAMPLE = 2000
"""Characters of a sample line; of a longer one its head and its end are shown."""
_UNSAID = frozenset({"canary", "promote"})
"""What stands for the reason where nobody gave one: the command's name."""


def rollout_report(
    inventory: Inventory,
    record: RolloutRecord,
    answers: HostAnswers,
    frame: Frame,
    *,
    is_open: bool,
    notes: Sequence[str] = (),
) -> Report:
    """Report a rollout from what the hosts said."""
    states, away, acts = answers.states, answers.away, answers.acts
    inventory = as_one_batch(inventory, states, record.release)
    rings = ring_members.members(inventory, states, away, rollout=record.id, release=record.release)
    hosts = []
    read: dict[str, Counted] = {}
    order = {host.name: place for place, host in enumerate(inventory.hosts)}
    for ring, names in rings.items():
        for name in sorted(names, key=order.__getitem__):
            state, own = states.get(name), [act for act in acts if act.host == name]
            one = host_report(name, ring, state, away.get(name, "not observed"), record, own)
            if inventory.is_shared:
                one = replace(one, machine=inventory.machine_of[name])
            if state is not None:
                one = replace(one, spans=spans_of(own, record.release, frame))
                if reading := answers.readings.get(name):
                    one, read[name] = with_journal(one, state, record, reading, frame)
            hosts.append(one)
    begun = next((act for act in acts if act.what == "begin"), None)
    message = (begun.why if begun else "") or record.why
    return Report(
        environment=inventory.environment,
        bot=inventory.bot_name,
        rollout=record.id,
        release=record.release,
        was=tuple(dict.fromkeys(host.was for host in hosts if host.was)),
        result=_result(hosts, states, record, acts, is_open=is_open),
        why=_reasons(acts),
        who=(begun.who if begun else "") or record.owner,
        message="" if message in _UNSAID else message,
        begin=frame.begin,
        end=frame.end,
        from_=frame.from_,
        to=frame.to,
        usual_from=frame.usual_from,
        step_us=frame.bucket_us,
        hosts=tuple(hosts),
        errors=_errors(read, _samples(answers.readings, frame)),
        acts=tuple(acts),
        quarantined=next(
            (
                state.quarantine[record.digest]
                for state in states.values()
                if record.digest in state.quarantine
            ),
            "",
        ),
        notes=tuple(notes),
        sources=answers.sources,
    )


def _reasons(acts: Iterable[Act]) -> tuple[str, ...]:
    """Give the reasons of a failure, each once.

    A host's own copy of a reason lacks the host's name in front.
    """
    found: list[str] = []
    for act in acts:
        is_reason = act.what in ("revert", "quarantine") or _is_failure(act)
        is_known = any(act.why in other or other in act.why for other in found)
        if act.why and is_reason and not is_known:
            found.append(act.why)
    return tuple(found)


def _is_failure(act: Act) -> bool:
    return (act.what, act.outcome) == ("end", "failed")


def _result(
    hosts: Sequence[HostReport],
    states: Mapping[str, HostState],
    record: RolloutRecord,
    acts: Sequence[Act],
    *,
    is_open: bool,
) -> Result | None:
    """Say how it ended, by what the hosts run now."""
    if any(state.stuck for state in states.values()):
        return Result.STUCK
    if is_open:
        return None
    if record.outcome == "failed" or any(_is_failure(act) for act in acts):
        return Result.FAILED
    running = [host for host in hosts if host.runs == record.release]
    if not running and any(act.what == "revert" for act in acts):
        return Result.ABANDONED
    return Result.DONE if len(running) == len(hosts) else Result.STOPPED


def _errors(read: Mapping[str, Counted], samples: Mapping[str, str]) -> tuple[ReportedError, ...]:
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
                first_at=instant(first.at_us) if first is not None else None,
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
    begin = microseconds(frame.begin)
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
