"""Audit logs: which acts belong to a rollout, what a host ran when, and what time is shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botdeploy.core.report.report_model import Act, Frame, Span, instant, microseconds
from botdeploy.core.rollout.audit_names import actor
from botdeploy.core.rollout.host_standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.host.host_state import RolloutRecord

FINE_US = 5_000_000
"""Length of a bucket of a rollout that fits into an hour; of longer ones: a minute."""
COARSE_US = 60_000_000
USUAL = timedelta(hours=1)
"""How long before the rollout the journals are read, to know what was usual."""
_BEFORE = (timedelta(minutes=1), timedelta(hours=1))
_AFTER = (timedelta(seconds=20), timedelta(minutes=30))
_NOTE = "note"
"""What is written down when a command is over, perhaps long after the rollout was."""
_GATES = frozenset({"approve", "hold", "resume", "unlock"})


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
    usual_us = microseconds(begin - USUAL) // step_us * step_us
    return Frame(begin, end, from_, until, instant(usual_us), step_us)


def spans_of(acts: Sequence[Act], release: str, frame: Frame) -> tuple[Span, ...]:
    """Say what a host ran when, from its acts in order of time."""
    spans = []
    standing, since = Standing.BEHIND, frame.from_
    for act in acts:
        after = {
            ("switch", "ready"): Standing.PENDING,
            ("confirm", "done"): Standing.CONFIRMED,
            ("prove", "done"): Standing.PROVEN,
        }.get((act.what, act.outcome))
        if act.what == "revert":
            after = Standing.RETURNED
        if after is None or act.release != release:
            continue
        at = min(max(act.at, since), frame.to)
        spans.append(Span(standing, since, at))
        standing, since = after, at
    spans.append(Span(standing, since, max(since, frame.to)))
    return tuple(span for span in spans if span.end > span.begin)
