"""The ledger: what each host showed, before the switch and since, in small buckets."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from botdeploy.core.evidence.counts import Counts
from botdeploy.core.lines.error_grouping import group
from botdeploy.core.lines.external_errors import is_of_world
from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.systemd_record import SystemKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.lines.line import LogLine

MINUTE_US = 60_000_000
SECOND_US = 1_000_000
ENOUGH_S = 3600.0
"""Seconds of the old release from which on an error that it never said is new."""
WITNESSES = 2
"""Hosts of the old release that it takes to say that the world is well."""
TROUBLE_RATIO = 3.0
"""Times its usual that a host meets errors of the world, from which on it is in trouble itself."""
_LONGEST_PAUSES = 256
_SAME_SPELL_US = SECOND_US

TROUBLE = frozenset(
    {
        SystemKind.CRASHED,
        SystemKind.RESTART,
        SystemKind.FAILED,
        SystemKind.SPAWN_FAILED,
        SystemKind.OOM,
        SystemKind.COREDUMP,
        SystemKind.START_LIMIT,
    }
)
"""Records that tell of a bot in trouble; a watchdog or a timeout ends in one of them."""
_UP = frozenset({SystemKind.STARTING, SystemKind.STARTED, SystemKind.RESTART})


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to the bot's process."""

    at_us: int
    kind: SystemKind
    text: str
    count: int = 0
    """systemd's restarts since the last full stop."""
    status: int | None = None
    """Of a restart: 0 where the process before it ended without fault."""

    @property
    def is_faultless(self) -> bool:
        """Whether it is a restart after an end without fault: no crash."""
        return self.kind is SystemKind.RESTART and self.status == 0


@dataclass(slots=True)
class Quote:
    """An error's first words, and when and how often it came since the switch."""

    text: str
    is_traced: bool
    first_us: int
    last_us: int
    occasions: int = 1
    """Times it came a second or more after the one counted before: a stream has one a second."""
    lines: int = 1
    spell_us: int = 0
    """When the occasion counted last began."""


class HostTally:
    """One host's part of the evidence; lines may come a little out of order."""

    def __init__(self, name: str, start_us: int, step_us: int) -> None:
        """``start_us``: the switch of a canary host; of a baseline host, the first switch."""
        self.name = name
        self.start_us = start_us
        self.step_us = step_us
        self.before: dict[int, Counts] = {}
        """By minute since the epoch."""
        self.after: dict[int, Counts] = {}
        """By steps since the epoch."""
        self.errors_before: dict[str, int] = {}
        self.quotes: dict[str, Quote] = {}
        self.happenings: list[Happening] = []
        self.happenings_before: list[Happening] = []
        self.starts_before = 0
        self.first_us: int | None = None
        self.last_us: int | None = None
        """The bot's last line."""
        self.states_levels: bool | None = False
        """Whether any line said how bad it is; None where that was not kept."""
        self.last_error: str | None = None
        """Its last error since the switch."""
        self.unread_before_us = 0
        self.is_stopping = False
        self.is_between_lives = False
        """Its host says that a start is due; until then it is down, and not silent."""
        self.is_absorbed = False
        """Whether what was kept of its journal was taken in, instead of its lines."""
        self.down_us: int | None = None
        """Since when the unit is failed."""
        self.forgiven_us = start_us - 1
        self._broken_us: int | None = None
        self._torn: list[tuple[int, int]] = []
        self._left_out: list[tuple[int, int]] = []
        self._pauses: list[int] = []

    def leave_out(self, spans: Iterable[tuple[int, int]]) -> None:
        """Take times before the switch as unknown: others ran then than the past is made of.

        Before the lines of the past are added, microseconds, in order.
        """
        self._left_out += [(begin, min(end, self.start_us)) for begin, end in spans]
        self._torn += self._left_out

    # -- lines ----------------------------------------------------------------------------------

    def add(self, line: LogLine) -> None:
        """Count one line where it belongs."""
        if line.states_level or line.fingerprint is not None:
            self.states_levels = True
        if line.at_us < self.start_us:
            self._add_before(line)
        else:
            self._add_after(line)

    def _add_before(self, line: LogLine) -> None:
        at_us = line.at_us
        if self.first_us is None or at_us < self.first_us:
            self.first_us = at_us
        record = line.system
        if record is not None:
            if record.kind in TROUBLE:
                self.happenings_before.append(_happening(line))
            elif record.kind is SystemKind.STARTED:
                self.starts_before += 1
            elif record.kind is SystemKind.DROPPED:
                _bucket(self.before, at_us // MINUTE_US).add(line)
            return
        bucket = _bucket(self.before, at_us // MINUTE_US)
        name = line.fingerprint
        if name is not None:
            self.errors_before[name] = self.errors_before.get(name, 0) + line.count
        bucket.add(line)
        if not line.is_traffic:
            return
        if self.last_us is None:
            self.last_us = at_us
        elif at_us > self.last_us:
            if not self._left_between(self.last_us, at_us):
                self._pause(at_us - self.last_us)
            self.last_us = at_us

    def _left_between(self, from_us: int, to_us: int) -> int:
        """Give how much of this stretch was left out."""
        return sum(max(0, min(to_us, end) - max(from_us, begin)) for begin, end in self._left_out)

    def _add_after(self, line: LogLine) -> None:
        at_us = line.at_us
        if self._broken_us is not None and line.kind is not LineKind.PROBE:
            self._mend(at_us)
        record = line.system
        if record is None:
            self._bucket_after(at_us).add(line)
            if line.fingerprint is not None:
                self._quote(line, line.fingerprint)
                self.last_error = line.fingerprint
            if line.is_traffic and (self.last_us is None or at_us > self.last_us):
                self.last_us = at_us
            return
        if record.kind is SystemKind.DROPPED:
            self._bucket_after(at_us).add(line)
        else:
            self._note(_happening(line))

    def _bucket_after(self, at_us: int) -> Counts:
        return _bucket(self.after, at_us // self.step_us)

    def _note(self, one: Happening) -> None:
        if one.kind is SystemKind.STOPPING:
            self.is_stopping = True
        elif one.kind in _UP:
            self.is_stopping = self.is_between_lives = False
            self.down_us = None
        if one.kind not in TROUBLE or (self.is_stopping and one.kind is SystemKind.CRASHED):
            return
        if one.kind in {SystemKind.FAILED, SystemKind.START_LIMIT} and self.down_us is None:
            self.down_us = one.at_us
        self.happenings.append(one)

    def _quote(self, line: LogLine, name: str) -> None:
        said = self.quotes.get(name)
        if said is None:
            is_traced = line.kind is LineKind.TRACEBACK
            self.quotes[name] = Quote(
                line.message, is_traced, line.at_us, line.at_us, 1, line.count, line.at_us
            )
            return
        said.lines += line.count
        if line.at_us - said.spell_us >= _SAME_SPELL_US:
            said.occasions += 1
            said.spell_us = line.at_us
        said.last_us = max(said.last_us, line.at_us)

    def _pause(self, length_us: int) -> None:
        pauses = self._pauses
        if len(pauses) < _LONGEST_PAUSES:
            insort(pauses, length_us)
        elif length_us > pauses[0]:
            del pauses[0]
            insort(pauses, length_us)

    # -- evidence -------------------------------------------------------------------------------

    def absorb(
        self,
        evidence: Evidence,
        judged: str | None = None,
        counted: Collection[str] | None = None,
    ) -> None:
        """Count what was kept of a host's journal; not to be mixed with the same lines fed.

        ``judged`` names the release that began at the switch: its part of the bucket in which
        the switch lies is the watch's, however short the watch. ``counted`` names those whose
        lines are the past (None: all); of others nothing is taken in.
        """
        self.is_absorbed = True
        if not self.states_levels:
            kept = evidence.reader.get("levels")
            is_told = isinstance(kept, bool)
            self.states_levels = True if evidence.classes() else kept if is_told else None
        spans = evidence.coverage.spans()
        if spans and (self.first_us is None or spans[0][0] < self.first_us):
            self.first_us = spans[0][0]
        releases = evidence.releases()
        for release in releases:
            is_past = counted is None or release in counted
            buckets = evidence.buckets(release)
            is_new = (
                release == judged
                if judged is not None
                else release == releases[-1] and any(one.at_us >= self.start_us for one in buckets)
            )
            for one in buckets:
                straddles = one.at_us < self.start_us < one.at_us + evidence.bucket_us
                if not is_past and not (is_new and (straddles or one.at_us >= self.start_us)):
                    continue
                if one.at_us >= self.start_us or (straddles and is_new):
                    self._bucket_after(max(one.at_us, self.start_us)).take(one.counts)
                else:
                    _bucket(self.before, one.at_us // MINUTE_US).take(one.counts)
                    for name, number in one.counts.errors.items():
                        self.errors_before[name] = self.errors_before.get(name, 0) + number
                    self.starts_before += one.counts.system.get(SystemKind.STARTED, 0)
                if one.counts.lines or one.counts.probed:
                    self.last_us = max(self.last_us or 0, one.counts.until_us)
        self._absorb_pauses(evidence.bucket_us)
        self._absorb_errors(evidence)
        self._absorb_happenings(evidence, judged, counted)
        for begin, end in evidence.coverage.gaps():
            if end > self.start_us:
                self._torn.append((max(begin, self.start_us), end))
            self.unread_before_us += max(0, min(end, self.start_us) - begin)

    def _absorb_pauses(self, bucket_us: int) -> None:
        """Take empty minutes between two that spoke as a pause, at its longest."""
        spoke = sorted(key for key, bucket in self.before.items() if bucket.events)
        for one, other in pairwise(spoke):
            if not self._left_between(one * MINUTE_US, (other + 1) * MINUTE_US):
                self._pause((other - one + 1) * MINUTE_US if other > one + 1 else bucket_us)

    def _absorb_errors(self, evidence: Evidence) -> None:
        first = evidence.classes()
        for key in sorted(self.after):
            at_us = max(self.start_us, key * self.step_us)
            for name, number in self.after[key].errors.items():
                said = self.quotes.get(name)
                if said is None:
                    seen = first.get(name)
                    text = seen.sample if seen else name
                    traced = name.startswith("Traceback!")
                    self.quotes[name] = Quote(text, traced, at_us, at_us, 1, number)
                else:
                    said.lines += number
                    said.occasions += 1
                    said.last_us = at_us
                self.last_error = name

    def _absorb_happenings(
        self, evidence: Evidence, judged: str | None, counted: Collection[str] | None
    ) -> None:
        for one in evidence.incidents():
            is_judged = one.release == judged and one.at_us >= self.start_us
            if counted is not None and one.release not in counted and not is_judged:
                continue
            try:
                kind = SystemKind(one.kind)
            except ValueError:
                continue  # a fatal line: the judge asks for those by themselves
            seen = Happening(one.at_us, kind, one.text, one.count, status=one.status)
            if one.at_us >= self.start_us:
                self._note(seen)
            elif kind in TROUBLE:
                self.happenings_before.append(seen)

    # -- what was not seen ----------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """Whether its stream is broken now."""
        return self._broken_us is not None

    def tear(self, at_us: int) -> None:
        """Note that the stream broke: from the last line on nothing is known."""
        if self._broken_us is None:
            known_us = self.last_us if self.last_us is not None else self.start_us
            self._broken_us = max(self.start_us, min(at_us, known_us))

    def miss(self, from_us: int, to_us: int) -> None:
        """Note that nobody listened for a while: that is no silence."""
        if to_us > from_us:
            self._torn.append((from_us, to_us))

    def _mend(self, at_us: int) -> None:
        if self._broken_us is not None:
            self._torn.append((self._broken_us, max(at_us, self._broken_us)))
            self._broken_us = None

    def torn_between(self, from_us: int, to_us: int) -> int:
        """Microseconds of this stretch that were not observed."""
        spans = list(self._torn)
        if self._broken_us is not None:
            spans.append((self._broken_us, to_us))
        torn_us, known_us = 0, from_us
        for start, end in sorted(spans):
            begin = max(known_us, start)
            if begin < min(to_us, end):
                torn_us += min(to_us, end) - begin
                known_us = min(to_us, end)
        return torn_us

    # -- what is known --------------------------------------------------------------------------

    def unforgiven(self) -> list[Happening]:
        """Give what happened since the switch and was not put down to the baseline's trouble."""
        return [one for one in self.happenings if one.at_us > self.forgiven_us]

    @property
    def history_s(self) -> float:
        """Seconds of the old release that are known of this host."""
        if self.first_us is None:
            return 0.0
        left_us = self._left_between(self.first_us, self.start_us)
        return max(0.0, (self.start_us - self.first_us - self.unread_before_us - left_us) / 1e6)

    @property
    def lines_before(self) -> int:
        """Lines of the bot's own before the switch."""
        return sum(bucket.events for bucket in self.before.values())

    @property
    def is_known_before(self) -> bool:
        """Whether anything was said before the switch, be it by a probe alone."""
        return bool(self.errors_before) or self.lines_before > 0

    @property
    def lines_after(self) -> int:
        """Lines of the bot's own since the switch."""
        return sum(bucket.events for bucket in self.after.values())

    @property
    def dropped(self) -> int:
        """Lines since the switch that journald left out."""
        return sum(bucket.dropped for bucket in self.after.values())

    @property
    def longest_pause_s(self) -> float:
        """The longest pause between two lines before the switch, in seconds."""
        return self._pauses[-1] / 1e6 if self._pauses else 0.0

    def quiet_spells(self, length_s: float, span_s: float) -> float:
        """Estimate how many times in ``span_s`` the old release was quiet for ``length_s`` or more.

        With one time more, as if seen in that span: it never says 0, and 1 where there is no past.
        """
        return (self._pauses_of(length_s) + 1) * span_s / (self.history_s + span_s)

    def _pauses_of(self, length_s: float) -> int:
        return len(self._pauses) - bisect_left(self._pauses, round(length_s * SECOND_US))

    def between(self, from_us: int, to_us: int) -> Iterator[Counts]:
        """Give the buckets since the switch whose start lies in this stretch."""
        for key, bucket in self.after.items():
            if from_us <= key * self.step_us < to_us:
                yield bucket


def _bucket(buckets: dict[int, Counts], key: int) -> Counts:
    found = buckets.get(key)
    if found is None:
        found = buckets[key] = Counts()
    return found


def _happening(line: LogLine) -> Happening:
    record = line.system
    if record is None:  # pragma: no cover - callers ask for systemd's lines only
        return Happening(line.at_us, SystemKind.OTHER, line.message)
    return Happening(line.at_us, record.kind, line.message, record.count, record.status)


class FleetTally:
    """All hosts' parts, and which errors are known to be none of the release's."""

    def __init__(
        self,
        canary: Iterable[str],
        baseline: Iterable[str],
        switched_at_us: Mapping[str, int],
        step_us: int,
    ) -> None:
        """Open one part for each host; a canary without a switch time counts from the first."""
        self.watch_us = min(switched_at_us.values())
        self.step_us = step_us
        self.canary = {
            name: HostTally(name, switched_at_us.get(name, self.watch_us), step_us)
            for name in canary
        }
        self.baseline = {
            name: HostTally(name, self.watch_us, step_us)
            for name in baseline
            if name not in self.canary
        }
        self._parts = {**self.baseline, **self.canary}
        self._known: set[str] = set()
        self._fatal: set[str] = set()
        """Those of the known that were fatal."""
        self._unknown: dict[str, int] = {}
        """Errors that were in no known class when so many were known."""
        self._of_world: dict[str, bool] = {}
        self.has_unread = False
        """Whether there is more of the past than was read."""

    def host(self, name: str) -> HostTally | None:
        """Look a host up; None for one that is neither canary nor baseline."""
        return self._parts.get(name)

    def add(self, name: str, line: LogLine) -> HostTally | None:
        """Count a line; what the old release says anywhere is known from then on."""
        tally = self._parts.get(name)
        if tally is None:
            return None
        tally.add(line)
        error = line.fingerprint
        if error is not None and error not in self._of_world:
            self._of_world[error] = is_of_world(error, line.message)
        if error is not None and (line.at_us < tally.start_us or name in self.baseline):
            self._known.add(error)
            if line.is_fatal:
                self._fatal.add(error)
        return tally

    def learn(self, errors: Iterable[str]) -> None:
        """Take errors as known: the old release says them."""
        self._known.update(errors)

    def absorb(
        self,
        name: str,
        evidence: Evidence,
        judged: str | None = None,
        counted: Collection[str] | None = None,
    ) -> None:
        """Count what was kept of a host's journal; see ``HostLedger.absorb``."""
        tally = self._parts.get(name)
        if tally is None:
            return
        tally.absorb(evidence, judged, counted)
        for error, first in evidence.classes().items():
            self._of_world.setdefault(error, is_of_world(error, first.sample))
        self._fatal.update(
            error
            for error, first in evidence.classes().items()
            if first.is_fatal and (error in tally.errors_before or name in self.baseline)
        )
        self.learn(tally.errors_before)
        if name in self.baseline:
            self.learn(tally.quotes)

    def is_known_fatal(self, error: str) -> bool:
        """Tell whether the old release said this, or another of its class, as a fatal error."""
        if error in self._fatal:
            return True
        classes = group({*self._fatal, error})
        return any(classes[other] == classes[error] for other in self._fatal)

    def is_known(self, error: str) -> bool:
        """Tell whether the old release said this, or another error of its class."""
        if error in self._known:
            return True
        if self._unknown.get(error) == len(self._known):
            return False
        classes = group({*self._known, error})
        mine = classes[error]
        if any(classes[other] == mine for other in self._known):
            self._known.add(error)
            return True
        self._unknown[error] = len(self._known)
        return False

    def is_of_world(self, error: str) -> bool:
        """Tell whether an error says that the world failed the bot (``core.world``)."""
        return self._of_world.get(error, False)

    @property
    def has_witnesses(self) -> bool:
        """Whether there are hosts enough of the old release to say that the world is well."""
        return len(self.baseline) >= WITNESSES

    def is_excused(self, error: str) -> bool:
        """Tell whether an error may be the world's doing, because nobody shows that it is not.

        Two hosts of the old release, and more than half of them, have to be spared of such errors.
        """
        if not self.is_of_world(error):
            return False
        spared = sum(self._is_spared(tally) for tally in self.baseline.values())
        return spared < WITNESSES or 2 * spared <= len(self.baseline)

    def _is_spared(self, tally: HostTally) -> bool:
        """Tell whether a host is heard, and meets no more errors of the world than it ever did."""
        if tally.is_broken or not tally.lines_after:
            return False
        met = self.of_world_in(tally.after.values())
        span_s = (max(tally.after) + 1) * self.step_us / SECOND_US - tally.start_us / SECOND_US
        return met <= TROUBLE_RATIO * self.of_world_each_s(tally) * span_s

    def of_world_in(self, buckets: Iterable[Counts]) -> int:
        """Count the errors of the world in some stretches."""
        return sum(
            number
            for bucket in buckets
            for error, number in bucket.errors.items()
            if self.is_of_world(error)
        )

    def of_world_each_s(self, tally: HostTally) -> float:
        """Tell how many errors of the world a host met in a second before the switch."""
        known_s = tally.history_s
        met = sum(n for error, n in tally.errors_before.items() if self.is_of_world(error))
        return met / known_s if known_s > 0.0 else 0.0

    @property
    def is_past_cut(self) -> bool:
        """Whether so little of a longer past was read that what it lacks may well be in the rest.

        An error that is unknown is then no news.
        """
        return self.has_unread and self.history_s < ENOUGH_S

    @property
    def known(self) -> frozenset[str]:
        """Fingerprints that the old release said."""
        return frozenset(self._known)

    @property
    def history_s(self) -> float:
        """Host-seconds of the old release before the switch."""
        return sum(tally.history_s for tally in self._parts.values())

    def parts(self) -> Iterator[HostTally]:
        """Give every host's part, canary first."""
        yield from self.canary.values()
        yield from self.baseline.values()

    @property
    def last_switch_us(self) -> int:
        """When the last canary host got the release."""
        return max(tally.start_us for tally in self.canary.values())
