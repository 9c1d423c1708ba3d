"""Collect a soak's evidence: each journal entry is read once, and its counts stay on its host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.counts import CountingRule
from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.evidence.process_lives import Lives, lives_of
from botdeploy.core.evidence.proven_past import attribution
from botdeploy.core.probes.probe import ProbeReading, is_of, lines_of, past_of, read
from botdeploy.core.text.untrusted import LATEST_US, told, whole
from botdeploy.engine.watch.prober import about
from botdeploy.errors import HostError
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.assembler import Assembler
    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.model.bot import Probe
    from botdeploy.hosts.acts.acts import Acts
    from botdeploy.hosts.journal_reader import JournalExcerpt

START_US = 10 * 1_000_000
"""How long after a switch was ordered the first word of it stands in the journal."""
MOST_RUNS = 200
"""Of so many runs it is remembered which release they were; a bot in a loop has many."""
KEPT_US = 3 * 24 * 3600 * 1_000_000
"""Evidence older than this before the newest is forgotten."""


def collect(
    acts: Acts,
    release: str,
    state: HostState,
    assembler: Assembler,
    *,
    since_s: int,
    bucket_us: int,
    probe: Probe | None = None,
    first: ProbeReading | None = None,
    grace_s: float = 0.0,
) -> Evidence:
    """Read a host's journal on from where the last reader ended, and keep what it told.

    Position and counts are kept in one write: a reader that dies before it has counted nothing. The
    first one begins ``since_s`` seconds back, or with the first entry that is left of them: what
    was rotated away, or too much to be read at once, is not known to be silence. ``first``: what
    the ``probe`` answered before the switch, for the first reader; that it fails within ``grace_s``
    of the switch does not count. Nothing is kept where ``acts`` are under no lock. All times are by
    the host's clock: another machine goes on from them. Raises HostError.
    """
    evidence = _kept(acts, release, bucket_us, assembler)
    kept = evidence.reader
    attributed = attribution(state, kept.get("runs", {}))
    cursor, counters = told(kept.get("cursor", "")), kept.get("probe")
    switched_us = _switched_us(state, release)
    past_us = state.at_us - since_s * 1_000_000
    lives = _lives(evidence, switched_us)
    if probe is not None and not cursor:
        evidence.open(past_us)  # its counters tell of the whole time, whatever the journal keeps
    reader = JournalReader(assembler, cursor=cursor)
    read = reader.read(acts.journal.entries(cursor or f"since:{since_s}"), now_us=state.at_us)
    end_us = max(state.at_us, reader.last_us, *(line.at_us for line in read.lines))
    _open(evidence, read, end_us, switched_us)
    rule = CountingRule(switched_us, round(grace_s * 1e6), bool(kept.get("latency")))
    for line in read.lines:
        rule.note(line)
        lives.feed(line)
        evidence.add(line, attributed.release_of(line))
    if probe is not None:
        counters, lines = _probed(acts, probe, counters, first, switched_us, past_us)
        for line in filter(rule.counts, lines):
            evidence.add(replace(line, at_us=min(line.at_us, end_us)), attributed.release_of(line))
    evidence.extend(end_us)
    evidence.trim(end_us - KEPT_US)
    evidence.reader = {
        "cursor": reader.cursor,
        "until_us": end_us,
        "assembler": assembler.save(),
        "runs": dict(list(attributed.runs.items())[-MOST_RUNS:]),
        "lives": lives.to_record(),
        "levels": any(line.states_level for line in read.lines)
        or kept.get("levels", None if cursor else False),
        **({"latency": True} if rule.has_latency else {}),
        **({"is_cut": True} if read.is_cut or kept.get("is_cut") else {}),
        **({"probe": counters} if counters else {}),
    }
    if acts.token:
        acts.rollout.keep(release, evidence.to_json().encode())
    return evidence


def _switched_us(state: HostState, release: str) -> int:
    """Give when the release was armed here, by the host's clock; 0 where that is not known."""
    switch = state.switch
    return switch.armed_us if switch is not None and switch.new == release else 0


def _lives(evidence: Evidence, switched_us: int) -> Lives:
    """Give what the last reader kept of the bot's lives since this switch, or begin anew.

    A reader that begins in the middle, after one of another version, was not told the start.
    """
    known = lives_of(evidence)
    if known is not None and known.since_us == switched_us:
        return known
    return Lives(switched_us, is_told=bool(evidence.reader.get("cursor")))


def _open(evidence: Evidence, read: JournalExcerpt, end_us: int, switched_us: int) -> None:
    """Begin to read where the last reader ended, or at the first entry that is there.

    What lies between was rotated away: a gap, and a gap is no silence. For the first reader the
    release's own time begins with its switch, which systemd writes down at once.
    """
    until_us = int(evidence.reader.get("until_us", 0))
    at_us = until_us if read.goes_on else read.first_us or end_us
    known_us = until_us or switched_us
    if known_us and at_us > known_us + (0 if until_us else START_US):
        if not until_us:
            evidence.open(switched_us)
            evidence.extend(switched_us)
        evidence.open(max(at_us, known_us + 1))
    else:
        evidence.open(at_us)


def _probed(
    acts: Acts,
    probe: Probe,
    counters: dict[str, Any] | None,
    first: ProbeReading | None,
    since_us: int,
    past_us: int,
) -> tuple[dict[str, Any] | None, list[LogLine]]:
    """Ask once; give what to go on from (``counters``), and what happened since it was asked last.

    Where nobody asked before, the counters of a process that is older than the switch tell of
    the past. Times are the host's. A host that can't be asked tells nothing.
    """
    try:
        reading = read(probe.kind, acts.probe.ask(probe))
    except HostError:
        return counters, []
    before = ProbeReading.from_record(counters) if counters else None
    text = about(probe)
    past: list[LogLine] = []
    if before is None:
        if first is not None and since_us and is_of(first, since_us):
            first = None
        if first is None and not (since_us and is_of(reading, since_us)) and not reading.failure:
            first = reading
        if first is not None:
            past = past_of(first, past_us, first.at_us, about=text)
            before, _ = lines_of(None, first)
    kept, lines = lines_of(before, reading, about=text, since_us=since_us or None)
    return kept.to_record() if kept is not None else counters, past + lines


def _kept(acts: Acts, release: str, bucket_us: int, assembler: Assembler) -> Evidence:
    """Read what the last reader kept, and let ``assembler`` go on from there."""
    kept = acts.rollout.evidence(release)
    try:
        evidence = None if kept is None else Evidence.from_json(kept)
        if evidence is not None:
            whole(evidence.reader.get("until_us", 0), most=LATEST_US)
            evidence.reader["runs"] = dict(evidence.reader.get("runs", {}))
            assembler.load(evidence.reader.get("assembler", {}))
    except (ValueError, TypeError):
        evidence = None  # damaged: what the journal still holds is read anew
    return evidence or Evidence(acts.host, bucket_us=bucket_us)
