"""The past that a verdict compares with: what releases wrote that passed on that very instance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.evidence.attribution import Attribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.line import LogLine

HISTORY_S = 24 * 3600
"""How far back the past is read, at most."""
RECENT_S = 3600
"""How far back it is read where a short soak, or a forecast, needs no more."""
BEFORE = ""
"""Stands for the release of what was written before the first switch that is known."""
NOBODY = "-"
"""Stands for the release of what nobody can tell the release of."""
_SECOND_US = 1_000_000


def timeline(state: HostState) -> list[tuple[int, str]]:
    """List since when a host runs what: microseconds UTC by its clock, and a release.

    As the host wrote it down, and completed by its last switch and its process where it could not
    (an older botdeploy, a full disk). Where it did not tell of earlier switches, what ran then is
    ``NOBODY``'s; an empty name is a bot that was stopped.
    """
    known = list(state.switches)
    switch = state.switch
    if switch is not None and switch.armed_us:
        since_us = switch.armed_us - _SECOND_US
        is_told = any(release == switch.new and at_us >= since_us for at_us, release in known)
        if not known:
            known.append((0, NOBODY))
        if not is_told:
            known.append((switch.armed_us, switch.new))
    known.sort()
    since = state.active_since
    if known and since is not None and state.running and known[-1][1] != state.running:
        known.append((max(int(since.timestamp() * 1e6), known[-1][0] + 1), state.running))
    return known


def attribution(
    state: HostState, runs: Mapping[str, str] | None = None, *, ahead_us: int = 0
) -> Attribution:
    """Tell which release wrote a line of a host, also by the ``runs`` that are known already.

    ``ahead_us``: how far the host's clock is ahead of the one that lines' times are by.
    """
    known = dict(runs or {})
    if state.unit.invocation and state.running:
        known[state.unit.invocation] = state.running
    switches = timeline(state)
    # One that has never seen a switch runs what somebody else put there.
    first = BEFORE if switches or not state.current else NOBODY
    if not switches and state.is_proven(state.running):
        first = state.running
    ours = [(at_us - ahead_us if at_us else 0, release) for at_us, release in switches]
    return Attribution(known, ours, first=first)


class ProvenReleases:
    """What the hosts have proven, for who asks of many of them: all are looked at once."""

    def __init__(self, states: Mapping[str, HostState]) -> None:
        self._states = states
        self._refused = Counter(digest for one in states.values() for digest in one.quarantine)
        self._passed = Counter(digest for one in states.values() for digest in _passed(one))

    def on(self, host: str) -> frozenset[str]:
        """Name the releases whose lines on a host are its past: proven there, and not refused.

        Nor on more of the other hosts than it is proven on: one of them may have been away when it
        failed, or when it passed in the end.
        """
        state = self._states.get(host)
        if state is None:
            return frozenset()
        mine, refused, passed = _passed(state), self._refused, self._passed
        return frozenset(
            one.id
            for one in state.releases
            if one.is_proven and one.digest in mine and refused[one.digest] <= passed[one.digest]
        )


def proven(states: Mapping[str, HostState], host: str) -> frozenset[str]:
    """Name the releases whose lines on one host are its past."""
    return ProvenReleases(states).on(host)


def _passed(state: HostState) -> set[str]:
    """Give the digests of what is proven on a host and not refused there."""
    return {one.digest for one in state.releases if state.is_proven(one.id)}


def counted(wrote: Iterable[str], is_proven: AbstractSet[str]) -> frozenset[str]:
    """Choose whose lines are the past, of the releases that wrote any.

    Those that are proven; where none is, what was written before the first known switch; else
    nobody's: then there is no past.
    """
    found = set(wrote)
    return frozenset(found & is_proven or found & {BEFORE})


def counted_in(
    evidence: Evidence, states: Mapping[str, HostState], host: str, until_us: int | None = None
) -> frozenset[str]:
    """Choose whose lines are a host's past, of what was kept of it before an instant."""
    wrote = (one for one in evidence.releases() if evidence.totals(one, to_us=until_us).lines)
    return counted(wrote, proven(states, host))


@dataclass(frozen=True, slots=True)
class Past:
    """What a host's past is, of all that is known of it."""

    lines: Sequence[LogLine]
    """What counts, in the order in which it came."""
    left_out: Sequence[tuple[int, int]]
    """Times of which nothing counts (microseconds, as the lines' times): no silence either."""


def past_of(
    lines: Iterable[LogLine],
    attributed: Attribution,
    is_proven: AbstractSet[str],
    begin_us: int,
    oldest_us: int,
) -> Past:
    """Choose of a host's lines, in the order of its journal, what is its past before an instant.

    ``begin_us`` is the switch that is judged, ``oldest_us`` how far back lines were read. Lines'
    times and the attribution's switches are by one clock.
    """
    of: list[tuple[str, LogLine]] = []
    for line in lines:
        release = attributed.release_of(line)
        if line.at_us < begin_us:
            of.append((NOBODY if release is None else release, line))
    wrote = {release for release, line in of if line.system is None}
    chosen = counted(wrote, is_proven)
    kept = [line for release, line in of if release in chosen]
    return Past(kept, left_out(attributed.spans(oldest_us, begin_us), chosen))


def left_out(
    spans: Iterable[tuple[int, int, str | None]], chosen: AbstractSet[str]
) -> list[tuple[int, int]]:
    """Give the times in which others ran than those that count."""
    out: list[tuple[int, int]] = []
    for begin_us, end_us, release in spans:
        if (NOBODY if release is None else release) in chosen or begin_us >= end_us:
            continue
        if out and out[-1][1] >= begin_us:
            out[-1] = (out[-1][0], end_us)
        else:
            out.append((begin_us, end_us))
    return out
