"""Evidence of a soak: each journal entry is read once, whoever reads, and kept on its host."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botdeploy.core.attribution import Attribution
from botdeploy.core.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.hoststate import HostState
    from botdeploy.core.logline import Assembler
    from botdeploy.hosts.acts import Acts

HOUR_S = 3600
HISTORY_S = 24 * HOUR_S
"""How much of the time before the switch is read as what was usual."""
KEPT_US = 3 * 24 * 3600 * 1_000_000
"""Evidence older than this before the newest is forgotten."""


def collect(
    acts: Acts,
    token: str,
    release: str,
    state: HostState,
    assembler: Assembler,
    *,
    since_s: int,
    bucket_us: int,
) -> Evidence:
    """Read a host's journal on from where the last reader ended, and keep what it told.

    The position is kept together with the counts, in one write: a reader that dies before it has
    counted nothing. The first reader begins ``since_s`` seconds back. Raises HostError.
    """
    evidence = _kept(acts, release, bucket_us)
    reader = evidence.reader
    assembler.load(reader.get("assembler", {}))
    attribution = _attribution(state, reader.get("runs", {}), release)
    cursor = str(reader.get("cursor", ""))
    end_us = _host_time_us(state)
    evidence.open(int(reader["until_us"]) if cursor else end_us - since_s * 1_000_000)
    is_first = bool(cursor)
    for row in acts.entries(cursor or f"since:{since_s}"):
        entry: dict[str, Any] = json.loads(row)
        at_us = int(entry.get("__REALTIME_TIMESTAMP", end_us))
        if is_first:
            is_first = False
            if entry.get("__CURSOR") == cursor:
                continue
            # The journal was rotated away in between: a gap, and a gap is no silence.
            evidence.open(max(at_us, int(reader["until_us"]) + 1))
        for line in assembler.feed(entry):
            evidence.add(line, attribution.release_of(line))
        cursor = str(entry.get("__CURSOR", cursor))
        end_us = max(end_us, at_us)
    for line in assembler.flush(end_us):
        evidence.add(line, attribution.release_of(line))
    evidence.extend(end_us)
    evidence.trim(end_us - KEPT_US)
    evidence.reader = {
        "cursor": cursor,
        "until_us": end_us,
        "assembler": assembler.save(),
        "runs": dict(attribution.runs),
    }
    acts.keep(token, release, evidence.to_json().encode())
    return evidence


def _kept(acts: Acts, release: str, bucket_us: int) -> Evidence:
    kept = acts.evidence(release)
    if kept is not None:
        try:
            return Evidence.from_json(kept)
        except (ValueError, KeyError, TypeError):
            pass  # damaged: what the journal still holds is read anew
    return Evidence(acts.host, bucket_us=bucket_us)


def _attribution(state: HostState, runs: Mapping[str, str], release: str) -> Attribution:
    switch = state.switch
    switches = []
    first = state.running or None
    if switch is not None and switch.new == release:
        first = switch.old or None
        if switch.armed_us:
            switches.append((switch.armed_us, release))
    known = dict(runs)
    if state.invocation and state.running:
        known[state.invocation] = state.running
    return Attribution(known, switches, first=first)


def _host_time_us(state: HostState) -> int:
    return int(datetime.fromisoformat(state.at).timestamp() * 1e6)
