"""Kept evidence, counted as a host's tally: what an earlier reader of its journal has left."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from botdeploy.core.evidence.incidents import FATAL
from botdeploy.core.judge.host_tally import (
    MINUTE_US,
    ROUND_S,
    SECOND_US,
    START_US,
    TROUBLE,
    HostTally,
    ProcessEvent,
    Quote,
)
from botdeploy.core.lines.fingerprint import TRACE
from botdeploy.core.lines.systemd_record import SystemKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from botdeploy.core.evidence.evidence import Evidence

_OFTEN = 3
"""Occasions that the lines of one bucket are taken for, at most: they may have come at once."""


def absorb(
    tally: HostTally,
    evidence: Evidence,
    judged: str | None = None,
    counted: Collection[str] | None = None,
) -> None:
    """Count what was kept of a host's journal; not to be mixed with the same lines fed.

    ``judged`` names the release that began at the switch: its part of the bucket in which
    the switch lies is the watch's, however short the watch. ``counted`` names those whose
    lines are the past (None: all); of others nothing is taken in.
    """
    tally.is_absorbed = True
    if not tally.states_levels:
        kept = evidence.reader.get("levels")
        is_told = isinstance(kept, bool)
        tally.states_levels = True if evidence.classes() else kept if is_told else None
    read = evidence.coverage
    if read.opened and (tally.first_us is None or read.begin_us < tally.first_us):
        tally.first_us = read.begin_us
    _absorb_counts(tally, evidence, judged, counted)
    _absorb_pauses(tally, evidence.bucket_us)
    _absorb_starts(tally)
    _absorb_errors(tally, evidence)
    _absorb_incidents(tally, evidence, judged, counted)
    for begin, end in read.gaps():
        tally.unheard.miss_gap(begin, end)


def _absorb_counts(
    tally: HostTally, evidence: Evidence, judged: str | None, counted: Collection[str] | None
) -> None:
    start_us = tally.start_us
    releases = evidence.releases()
    for release in releases:
        is_past = counted is None or release in counted
        buckets = evidence.buckets(release)
        is_new = (
            release == judged
            if judged is not None
            else release == releases[-1] and any(one.at_us >= start_us for one in buckets)
        )
        for one in buckets:
            straddles = is_new and one.at_us < start_us < one.at_us + evidence.bucket_us
            is_after = straddles or one.at_us >= start_us
            if not is_past and not (is_new and is_after):
                continue
            at_us = max(one.at_us, start_us) if is_after else one.at_us
            tally.bucket(at_us).take(one.counts)
            if not is_after:
                for name, number in one.counts.errors.items():
                    tally.errors_before[name] = tally.errors_before.get(name, 0) + number
            if one.counts.events:
                tally.last_us = max(tally.last_us or 0, one.counts.until_us)


def _absorb_pauses(tally: HostTally, bucket_us: int) -> None:
    """Take empty minutes between two that spoke as a pause, at its longest."""
    spoke = sorted(key for key, bucket in tally.before.items() if bucket.events)
    for one, other in pairwise(spoke):
        if not tally.unheard.left_out_between(one * MINUTE_US, (other + 1) * MINUTE_US):
            tally.pauses.add((other - one + 1) * MINUTE_US if other > one + 1 else bucket_us)


def _absorb_starts(tally: HostTally) -> None:
    """Take the minute of a start and the next for what a start says, at its longest."""
    for key, bucket in tally.before.items():
        if starts := bucket.system.get(SystemKind.STARTED):
            tally.starts_before += starts
            near = (tally.before[one] for one in (key, key + 1) if one in tally.before)
            tally.start_errors |= {name: START_US for one in near for name in one.errors}


def _absorb_errors(tally: HostTally, evidence: Evidence) -> None:
    first = evidence.classes()
    for key in sorted(tally.after):
        at_us = max(tally.start_us, key * tally.step_us)
        for name, number in tally.after[key].errors.items():
            said = tally.quotes.get(name)
            apart = min(number, _OFTEN)
            if said is None:
                text = first[name].sample if name in first else name
                is_traced = name.startswith(TRACE)
                tally.quotes[name] = Quote(text, is_traced, at_us, at_us, apart, number, at_us)
            else:
                said.occasions += apart
                said.lines += number
                said.last_us = at_us
                # the last of one bucket may be just before the first of the next
                apart_us = at_us - said.first_us - evidence.bucket_us
                said.has_returned = said.has_returned or apart_us >= ROUND_S * SECOND_US
            tally.last_error = name


def _absorb_incidents(
    tally: HostTally, evidence: Evidence, judged: str | None, counted: Collection[str] | None
) -> None:
    for one in evidence.incidents():
        is_after = one.at_us >= tally.start_us
        is_judged = one.release == judged and is_after
        if counted is not None and one.release not in counted and not is_judged:
            continue
        if one.kind == FATAL:
            if is_judged:
                tally.fatal_errors.append((one.fingerprint, one.text))
            continue
        kind = SystemKind(one.kind)
        seen = ProcessEvent(one.at_us, kind, one.text, one.count, status=one.status)
        if is_after:
            tally.note(seen)
        elif kind in TROUBLE:
            tally.process_events_before.append(seen)
