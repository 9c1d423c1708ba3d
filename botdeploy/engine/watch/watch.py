"""The watch: follows the journals of a ring and its baseline, and asks the judge."""

from __future__ import annotations

import queue
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.process_lives import Lives, lives_of
from botdeploy.core.evidence.proven_past import (
    HISTORY_S,
    attribution,
    counted,
    left_out,
    past_of,
    proven,
)
from botdeploy.core.host.host_state import HostState
from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.judge.after_pass import AfterPass
from botdeploy.core.lines.last_words import last_words
from botdeploy.core.lines.line import LineKind
from botdeploy.core.probes.probe import is_failure
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.watch.liveness import Liveness
from botdeploy.engine.watch.prober import Prober
from botdeploy.errors import HostError
from botdeploy.hosts.follower import Delivery, Follower
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import timedelta

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.evidence.proven_past import Past
    from botdeploy.core.lines.assembler import Assembler
    from botdeploy.core.lines.last_words import LastWords
    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.model.policy import Ring
    from botdeploy.core.probes.probe import ProbeReading
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet

MOST_LINES = 30_000
"""Lines kept a host, for a judge that begins later; older ones are forgotten."""
MOST_BASELINE = 8
"""Hosts of the old release that are read for comparison; more add little."""
MOST_BYTES = 16_000_000
"""Of the past of all hosts that are followed together, as the hosts send it: read in a second."""
ONE_BYTES = 8_000_000
"""Of one host's: an hour of four lines a second."""
LEAST_BYTES = 1_000_000
"""And of one host's in any case."""
CATCH_UP_S = 10.0
"""Longest wait for the past to arrive before a switch; without it old errors look new."""
LATE_US = 3_000_000
"""A line that comes later than this was held up: journald and a trace's end take less."""
TOLD_WITHIN_US = 3_000_000
"""So long after a switch its start stands in every journal that is kept."""
SLACK_S = 5
"""So much more is read than the clocks say, which may be a little apart."""


@dataclass(slots=True)
class _Stream:
    """One host's journal as it came."""

    follower: Follower
    offset_us: int = 0
    """How far the host's clock is ahead of ours."""
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    switched_at_us: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    count: int = 0
    lives: Lives = field(default_factory=Lives)
    heard: float = 0.0
    """Monotonic second at which its last line came."""
    missed: list[tuple[int, int]] = field(default_factory=list)
    """Times in which nobody listened (microseconds by our clock)."""
    known: set[str] = field(default_factory=set)
    """Errors that the old release said here."""
    past: list[LogLine] = field(default_factory=list)
    """What counts as the past of what is judged now, or was last."""
    past_until_us: int = 0
    waiting: list[Delivery] = field(default_factory=list)
    """What came while nobody could tell which release had said it."""
    tells_latency: bool = False
    """Whether the journal has latencies: a probe's would be another kind, and are left out."""

    def begin(self, at_us: int) -> None:
        """Count what came since the switch anew."""
        self.count = 0
        self.errors.clear()
        if self.switched_at_us != at_us:
            self.switched_at_us = at_us
            self.lives = Lives(at_us)
            for line in self.lines:
                if line.kind is not LineKind.PROBE:
                    self.lives.feed(line)

    def in_order(self) -> list[LogLine]:
        """Give what came: the journal's lines in order, then the probe's."""
        journal = [line for line in self.lines if line.kind is not LineKind.PROBE]
        return journal + [line for line in self.lines if line.kind is LineKind.PROBE]

    def counted(self) -> list[LogLine]:
        """Give the past, and what came since."""
        return [*self.past, *(line for line in self.lines if line.at_us >= self.past_until_us)]

    @property
    def has_unread(self) -> bool:
        """Whether older lines than these were not read, or are forgotten."""
        return self.follower.cut_us is not None or len(self.lines) == self.lines.maxlen


class Watch:
    """Journals in, verdicts out; used from one thread, fed by the followers' threads."""

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        make_assembler: Callable[[], Assembler],
        judge_options: Mapping[str, object],
        on_line: Callable[[str, LogLine], None] = lambda _host, _line: None,
    ) -> None:
        """``judge_options`` is the policy's ``judge``; ``on_line`` sees every line once."""
        self._fleet = fleet
        self._clock = clock
        self._make_assembler = make_assembler
        self._options = judge_options
        self._on_line = on_line
        self._queue: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._streams: dict[str, _Stream] = {}
        self._judge: Judge | None = None
        self._ring = ""
        self._hard: Verdict | None = None
        self._kept: dict[str, Evidence] = {}
        self._kept_lives: dict[str, Lives] = {}
        self._read_until_us = 0
        """Up to when the kept evidence was read: what came later nobody has heard; 0 live."""
        self._after: dict[str, AfterPass] = {}
        """Rings that have passed, and are watched on."""
        self._looked_until_us: dict[str, int] = {}
        """Of those that are watched by what was kept: up to when it was read."""
        self._release = ""
        self._counted: dict[str, frozenset[str]] = {}
        """Whose kept lines are a host's past."""
        self._liveness = Liveness(fleet, clock)
        self._prober = Prober(fleet, clock)
        self._canary: tuple[str, ...] = ()
        self._grace_us = 0

    # --- followers --------------------------------------------------------------------------

    def follow(
        self,
        hosts: Sequence[str],
        offsets_us: Mapping[str, int],
        read: Mapping[str, Evidence] | None = None,
    ) -> None:
        """Begin to read these hosts' journals, a day back and on; cheap to repeat.

        Of the past no more than can be read before a switch: the newest, within bounds of bytes
        and seconds. ``read``: what was read of some already; theirs go on from
        there.
        """
        new = [name for name in hosts if name not in self._streams]
        share = min(ONE_BYTES, max(LEAST_BYTES, MOST_BYTES // max(1, len(new))))
        for name in new:
            follower = Follower(
                name,
                lambda name=name: self._fleet.acts(name),  # type: ignore[misc]
                self._queue.put,
                position=_end_of((read or {}).get(name)) or f"since:{HISTORY_S}",
                maker=self._make_assembler(),
                ahead_us=offsets_us.get(name, 0),
                most_bytes=share,
            )
            self._streams[name] = _Stream(follower, offsets_us.get(name, 0))
            follower.start()
            self._prober.add(name, offsets_us.get(name, 0))

    def catch_up(self, hosts: Sequence[str], pump: Callable[[float], None]) -> None:
        """Wait until what these hosts wrote before now has arrived."""
        deadline = self._clock.monotonic() + CATCH_UP_S
        while self._clock.monotonic() < deadline:
            self.pump()
            has_read = all(self._streams[name].follower.has_caught_up for name in hosts)
            if has_read and self._prober.has_tried(hosts):
                self.pump()
                return
            pump(0.02)

    def drop(self, hosts: Sequence[str]) -> None:
        """Stop reading these hosts."""
        for name in hosts:
            self._prober.drop(name)
            stream = self._streams.pop(name, None)
            if stream is not None:
                stream.follower.stop()

    def close(self) -> None:
        """Stop reading everything."""
        self.drop(tuple(self._streams))

    def assembler(self) -> Assembler:
        """Make what turns journal entries into lines, by the inventory's rules."""
        return self._make_assembler()

    def first_reading(self, host: str) -> ProbeReading | None:
        """Give the first good answer of a host's probe to this watch."""
        return self._prober.first(host)

    # --- judging ----------------------------------------------------------------------------

    def judge(
        self,
        ring: Ring,
        switched_at_us: Mapping[str, int],
        soak: timedelta,
        baseline: Sequence[str],
        states: Mapping[str, HostState],
    ) -> None:
        """Begin to judge these hosts.

        Their past is what came before their switch, as ``core.past`` chooses it by what the hosts
        say of themselves (``states``); so is the baseline's.
        """
        canary = [name for name in switched_at_us if name in self._streams]
        self._ring = ring.name
        self._hard = None
        self._judge = None
        self._read_until_us = 0
        if not canary:
            return
        options = JudgeOptions.from_policy(self._options, soak)
        self._canary = tuple(canary)
        self._grace_us = round(options.grace_s * 1e6)
        compared = [name for name in baseline if name in self._streams and name not in canary]
        first = min(switched_at_us.values())
        pasts: dict[str, Past] = {}
        later: list[tuple[int, str, LogLine]] = []
        for name in (*canary, *compared):
            stream = self._streams[name]
            begin = switched_at_us.get(name, first)
            if name in switched_at_us:
                stream.begin(begin)
            later += [(line.at_us, name, line) for line in stream.lines if line.at_us >= begin]
            oldest = min((line.at_us for line in stream.lines), default=begin)
            state = states.get(name, HostState())
            attributed = attribution(state, ahead_us=stream.offset_us)
            since = max(oldest, attributed.since_us(begin))
            probed = self._prober.before(name, switched_at_us.get(name, 0), since)
            later += [(line.at_us, name, line) for line in probed if line.at_us >= begin]
            said = [*stream.in_order(), *(line for line in probed if line.at_us < begin)]
            past = past_of(said, attributed, proven(states, name), begin, oldest)
            pasts[name] = past
            stream.past, stream.past_until_us = list(past.lines), begin
            stream.known = {one.fingerprint for one in past.lines if one.fingerprint is not None}
        self._judge = Judge(
            options,
            canary=canary,
            baseline=compared,
            switched_at_us={name: switched_at_us[name] for name in canary},
            history={name: past.lines for name, past in pasts.items()},
            left_out={name: past.left_out for name, past in pasts.items()},
            has_unread=any(self._streams[name].has_unread for name in pasts),
            refused=[one for state in states.values() for one in state.refused],
        )
        for name in canary:
            if not self._streams[name].follower.has_caught_up:
                self._judge.gap(name, switched_at_us[name])  # unread is not quiet
        for name in (*canary, *compared):
            for from_us, to_us in self._streams[name].missed:
                self._judge.unheard(name, from_us, to_us)
        for _at, name, line in sorted(later, key=lambda item: item[:2]):
            self._feed(name, line)

    def judge_kept(
        self,
        ring: Ring,
        switched_at_us: Mapping[str, int],
        soak: timedelta,
        evidence: Mapping[str, Evidence],
        release: str,
        states: Mapping[str, HostState],
    ) -> None:
        """Judge by what was kept on the hosts; a host without evidence could not be read.

        The past is chosen as in ``judge``.
        """
        self._ring = ring.name
        self._hard = None
        self._kept = dict(evidence)
        for name in switched_at_us:
            if name in evidence and (lives := lives_of(evidence[name])) is not None:
                self._kept_lives[name] = lives
        self._release = release
        first = min(switched_at_us.values())
        left: dict[str, Sequence[tuple[int, int]]] = {}
        for name, one in evidence.items():
            begin = switched_at_us.get(name, first)
            until = begin if name in switched_at_us else None
            wrote = (who for who in one.releases() if one.totals(who, to_us=until).lines)
            self._counted[name] = counted(wrote, proven(states, name))
            spans = attribution(states.get(name, HostState())).spans(one.coverage.begin_us, begin)
            left[name] = left_out(spans, self._counted[name])
        self._judge = Judge(
            JudgeOptions.from_policy(self._options, soak),
            canary=list(switched_at_us),
            baseline=[name for name in evidence if name not in switched_at_us],
            switched_at_us=dict(switched_at_us),
            left_out=left,
            has_unread=any(one.reader.get("is_cut") for one in evidence.values()),
            refused=[one for state in states.values() for one in state.refused],
        )
        for name in switched_at_us:
            if name not in evidence:
                self._judge.gap(name, switched_at_us[name])
        for name, one in evidence.items():
            self._judge.absorb(name, one, release, self._counted[name])
        ends = {name: end for name, one in evidence.items() if (end := one.coverage.end_us)}
        self._read_until_us = max(ends.values(), default=0)
        for name, end_us in ends.items():
            self._judge.unheard(name, end_us, self._read_until_us)

    def rest(self) -> None:
        """Judge nothing until it is begun anew."""
        self._ring = ""
        self._hard = self._judge = None
        self._canary = ()

    def forget(self, hosts: Sequence[str]) -> None:
        """Forget what these hosts said since their switch: it is over, and was not judged."""
        for name in hosts:
            stream = self._streams.get(name)
            if stream is None or not stream.switched_at_us:
                continue
            stream.waiting.clear()
            before = (line for line in stream.lines if line.at_us < stream.switched_at_us)
            stream.lines = deque(before, stream.lines.maxlen)
            stream.switched_at_us = 0

    def missed(self, since: float, now: float) -> None:
        """Note that nobody listened between these monotonic seconds: that is no silence.

        Their lines may still come.
        """
        to_us = self._now_us()
        from_us = to_us - round((now - since) * 1e6)
        for name, stream in self._streams.items():
            stream.missed.append((from_us, to_us))
            for judge in (self._judge, *self._after.values()):
                if judge is not None:
                    judge.unheard(name, from_us, to_us)

    def pump(self, in_doubt: Collection[str] = ()) -> bool:
        """Take in what followers and probes brought; tells whether anything came.

        What hosts ``in_doubt`` said waits: it may be another release's by now.
        """
        came = self._take_deliveries(in_doubt)
        return self._take_answers(in_doubt) or came

    def _take_answers(self, in_doubt: Collection[str]) -> bool:
        came = False
        for host, lines in self._prober.poll(self._canary):
            stream = self._streams[host]
            if host in in_doubt:
                stream.waiting.append(Delivery(host, tuple(lines)))
                continue
            for line in lines:
                if line.latency_ms is not None and stream.tells_latency:
                    continue
                came = True
                self._take(host, line)
        return came

    def _take_deliveries(self, in_doubt: Collection[str]) -> bool:
        came = False
        deliveries = []
        for name, stream in self._streams.items():
            if stream.waiting and name not in in_doubt:
                deliveries += stream.waiting
                stream.waiting = []
        with suppress(queue.Empty):
            while True:
                deliveries.append(self._queue.get_nowait())
        for delivery in deliveries:
            came = True
            found = self._streams.get(delivery.host)
            if found is None:
                continue
            stream = found
            if delivery.host in in_doubt:
                stream.waiting.append(delivery)
                continue
            if delivery.gap:
                self._torn(delivery.host)
            if delivery.lines:
                stream.heard = self._clock.monotonic()
                self._lagging(delivery.host, max(line.at_us for line in delivery.lines))
            for line in delivery.lines:
                stream.lives.feed(line)
                stream.tells_latency = stream.tells_latency or line.latency_ms is not None
                self._take(delivery.host, line)
        return came

    def _feed(self, host: str, line: LogLine) -> None:
        stream = self._streams[host]
        if stream.switched_at_us and line.at_us >= stream.switched_at_us:
            if is_failure(line) and line.at_us < stream.switched_at_us + self._grace_us:
                return  # a bot may take a moment to answer after its start
            stream.count += line.kind is not LineKind.PROBE
            if line.fingerprint is not None:
                stream.errors[line.fingerprint] += line.count
        if self._judge is None:
            return
        verdict = self._judge.feed(host, line)
        if verdict is not None and verdict.outcome is Outcome.FAIL and self._hard is None:
            self._hard = verdict

    def _take(self, host: str, line: LogLine) -> None:
        """Take in a line that came just now."""
        self._streams[host].lines.append(line)
        self._on_line(host, line)
        self._feed(host, line)
        for after in self._after.values():
            after.feed(host, line)

    def _lagging(self, host: str, last_us: int) -> None:
        """Take what a host wrote after a line that comes late for what is still on its way.

        A stream that was cut off brings what was written meanwhile piece by piece.
        """
        now_us = self._now_us()
        if not self._streams[host].follower.has_caught_up or now_us - last_us < LATE_US:
            return
        for judge in (self._judge, *self._after.values()):
            if judge is not None:
                judge.unheard(host, last_us, now_us)

    def _torn(self, host: str) -> None:
        for judge in (self._judge, *self._after.values()):
            if judge is not None:
                judge.gap(host, self._now_us())

    # --- after a pass -----------------------------------------------------------------------

    def watch_on(self, ring: str, passed_at_us: Mapping[str, int], baseline: Sequence[str]) -> None:
        """Go on to watch a ring that has passed, by the journals that are followed anyway."""
        hosts = {name: at_us for name, at_us in passed_at_us.items() if name in self._streams}
        if not hosts:
            return
        compared = [name for name in baseline if name in self._streams and name not in hosts]
        after = AfterPass(list(hosts), compared, hosts)
        lines = [
            (line.at_us, name, line)
            for name in (*hosts, *compared)
            for line in self._streams[name].counted()
        ]
        for _at, name, line in sorted(lines, key=lambda item: item[:2]):
            after.feed(name, line)
        self._after[ring] = after

    def look_after(
        self,
        ring: str,
        passed_at_us: Mapping[str, int],
        evidence: Mapping[str, Evidence],
        release: str,
        states: Mapping[str, HostState],
    ) -> None:
        """Look at what was kept of a ring's hosts since they passed, beside hosts of the old one.

        All times are the hosts' own.
        """
        if not passed_at_us:
            return
        baseline = [name for name in evidence if name not in passed_at_us]
        after = AfterPass(list(passed_at_us), baseline, dict(passed_at_us))
        until_us = max(one.coverage.end_us for one in evidence.values())
        for name, one in evidence.items():
            until = passed_at_us.get(name)
            wrote = (who for who in one.releases() if one.totals(who, to_us=until).lines)
            after.absorb(name, one, release, counted(wrote, proven(states, name)) | {release})
            after.unheard(name, one.coverage.end_us, until_us)
        self._after[ring] = after
        self._looked_until_us[ring] = until_us

    def leave(self, hosts: Sequence[str]) -> None:
        """Note that these hosts get the new release now: they compare with nothing any more."""
        for after in self._after.values():
            for name in hosts:
                after.leave(name, self._now_us())

    def revoked(self, between_lives: Collection[str] = ()) -> dict[str, Verdict]:
        """Give the rings whose pass does not hold, and why; as ``verdict`` takes it."""
        found = {}
        for ring, after in self._after.items():
            for name in between_lives:
                after.between_lives(name)
            is_followed = any(name in self._streams for name in after.hosts)
            now_us = self._now_us() if is_followed else self._looked_until_us[ring]
            verdict = after.failure(now_us)
            if verdict is not None:
                found[ring] = verdict
        return found

    def verdict(
        self, stopped: Collection[str] = (), between_lives: Collection[str] = ()
    ) -> tuple[str, Verdict] | None:
        """Give the ring that is judged and its verdict now; None when nothing is judged.

        What some hosts don't say is no silence: those whose bot a person has ``stopped``, and those
        where it is ``between_lives``.
        """
        if not self._ring:
            return None
        if self._judge is not None:
            quiet = [(name, self._streams[name].heard) for name in self._judged()]
            for name in self._liveness.unheard(quiet):
                self._torn(name)
        if self._judge is None:
            unread = Verdict(Outcome.INCONCLUSIVE, ("no journal of the ring could be read",))
            return self._ring, unread
        for name in stopped:
            self._judge.stopped(name)
        for name in between_lives:
            self._judge.between_lives(name)
        now_us = self._read_until_us or self._now_us()
        return self._ring, self._hard or self._judge.verdict(now_us)

    def fallen(self) -> frozenset[str]:
        """Name the hosts of which systemd's last word is that the bot ended."""
        passed = (name for after in self._after.values() for name in after.hosts)
        names = {*self._judged(), *(name for name in passed if name in self._streams)}
        return frozenset(name for name in names if self._streams[name].lives.is_down)

    def unread(self) -> frozenset[str]:
        """Name the hosts whose journals hold nothing since the switch, not even systemd's word."""
        known_us = self._now_us() - TOLD_WITHIN_US
        return frozenset(
            name
            for name, one in self._lives().items()
            if not one.is_told and one.since_us <= known_us
        )

    def excused(self) -> frozenset[str]:
        """Name the hosts whose bots may have ended by the world's doing."""
        return self._judge.worlds_doing() if self._judge is not None else frozenset()

    def silenced(self, pids: Mapping[str, Collection[int]]) -> dict[str, str]:
        """Say of which hosts the writing process is gone; ``pids``: the units' processes now."""
        found = {
            name: one.silenced(pids.get(name, ()), self._now_us())
            for name, one in self._lives().items()
        }
        return {name: told for name, told in found.items() if told}

    def uptime(self) -> dict[str, float | None]:
        """Give the share of its soak in which each host's bot ran; None where nobody knows."""
        return {name: one.uptime(self._now_us()) for name, one in self._lives().items()}

    def _lives(self) -> Mapping[str, Lives]:
        """Give what is known of the bots' processes on the hosts that run the judged release."""
        return self._kept_lives or {name: self._streams[name].lives for name in self._judged()}

    def _judged(self) -> list[str]:
        """List the hosts that run the judged release and are followed."""
        return [name for name, stream in self._streams.items() if stream.switched_at_us]

    def last_words(
        self,
        host: str,
        since_us: int,
        old_invocation: str = "",
        *,
        back_s: float = 0.0,
        must_end: bool = False,
    ) -> LastWords:
        """Give the telling line of the first life that began on a host since an instant.

        The journal is read once more for it: journald tells followers late, and a traceback's last
        entry waits there for more. ``back_s``: since how many seconds another life goes on there,
        which may have much to say. See ``core.lastwords``.
        """
        stream = self._streams.get(host)
        try:
            known = self._read_since(host, since_us, stream.offset_us if stream else 0, back_s)
        except HostError:
            known = list(stream.lines) if stream is not None else []
        return last_words(known, since_us, old_invocation, must_end=must_end)

    def is_news(self, line: LogLine) -> bool:
        """Tell whether an error is the release's own: not of the past, and not of the world."""
        return self._judge is not None and self._judge.is_news(line)

    def _read_since(
        self, host: str, since_us: int, offset_us: int, back_s: float = 0.0
    ) -> list[LogLine]:
        """Read what was said since an instant; nothing where that is too much to be read."""
        seconds = max(0, (self._now_us() - since_us) // 1_000_000) + SLACK_S
        until = int(back_s) - 1
        position = f"since:{seconds}:{until}" if until > 0 else f"since:{seconds}"
        entries = self._fleet.acts(host).journal.entries(position)
        reader = JournalReader(self._make_assembler(), ahead_us=offset_us)
        return [] if entries.is_cut else list(reader.read(entries).lines)

    def cannot_exclude(self) -> tuple[str, ...]:
        """Give what a pass does not vouch for."""
        if self._judge is None:
            return ()
        unasked = (f"what its probe would have told of {one}" for one in self._prober.troubles())
        return (*self._judge.cannot_exclude(), *unasked)

    def evidence(self, host: str) -> dict[str, Any]:
        """Summarise what a host wrote since its switch, for the ``evidence`` event."""
        stream = self._streams.get(host)
        if stream is None and host in self._kept:
            uptime = self.uptime().get(host)
            counted_here = self._counted.get(host, frozenset())
            told = _told_by(self._kept[host], self._release, counted_here)
            return {**told, "uptime": _share(uptime)}
        if stream is None:
            empty = {"lines": 0, "errors": 0, "restarts": 0, "new_fingerprints": []}
            return {**empty, "uptime": None}
        return {
            "lines": stream.count,
            "errors": sum(stream.errors.values()),
            "restarts": stream.lives.restarts,
            "new_fingerprints": sorted(set(stream.errors) - stream.known)[:20],
            "uptime": _share(stream.lives.uptime(self._now_us())),
        }

    def _now_us(self) -> int:
        return int(self._clock.now().timestamp() * 1e6)


def _share(uptime: float | None) -> float | None:
    return None if uptime is None else round(uptime, 4)


def _end_of(evidence: Evidence | None) -> str:
    """Give where to read on from, as kept with what was read; empty where nothing was."""
    return str(evidence.reader.get("cursor", "")) if evidence is not None else ""


def _told_by(evidence: Evidence, release: str, past: frozenset[str]) -> dict[str, Any]:
    """Summarise kept evidence of a release on a host, whose past are those releases."""
    counts = evidence.totals(release)
    before = {name for one in past - {release} for name in evidence.totals(one).errors}
    return {
        "lines": counts.lines,
        "errors": sum(counts.errors.values()),
        "restarts": counts.restarts,
        "new_fingerprints": sorted(set(counts.errors) - before)[:20],
    }
