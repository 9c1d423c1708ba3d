"""The ledger: what each host showed, before the switch and since, in small buckets."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.judge.sighting import Kind, Level, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MINUTE_US = 60_000_000
SECOND_US = 1_000_000
_LONGEST_PAUSES = 256

TROUBLE = frozenset({Kind.CRASH, Kind.RESTART, Kind.FAILED, Kind.OOM, Kind.CORE, Kind.START_LIMIT})


@dataclass(slots=True)
class Bucket:
    """What one host showed in one stretch of time."""

    lines: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """Lines by error fingerprint."""
    latencies: list[float] = field(default_factory=list)
    """Seconds."""
    dropped: int = 0
    torn: bool = False
    """Part of it was not observed."""

    @property
    def error_lines(self) -> int:
        """All errors of this stretch."""
        return sum(self.errors.values())


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to the bot's process."""

    at_us: int
    kind: Kind
    text: str
    count: int = 0


@dataclass(slots=True)
class Quote:
    """An error's first words and when it was met."""

    text: str
    traced: bool
    level: Level
    first_us: int
    last_us: int
    occasions: int
    """Times it came at least a second after the time before."""
    lines: int


class HostLedger:
    """One host's part of the evidence; lines may come a little out of order."""

    __slots__ = (
        "_pauses",
        "after",
        "before",
        "broken_us",
        "down",
        "dropped",
        "errors_before",
        "first_us",
        "forgiven_us",
        "incidents",
        "incidents_before",
        "last_us",
        "name",
        "quotes",
        "span_us",
        "start_us",
        "starts_before",
        "step_us",
        "stopping",
        "torn_us",
    )

    def __init__(self, name: str, start_us: int, step_us: int) -> None:
        """``start_us``: the switch of a canary host; of a baseline host, the first switch."""
        self.name = name
        self.start_us = start_us
        self.step_us = step_us
        self.before: dict[int, Bucket] = {}
        self.after: dict[int, Bucket] = {}
        self.errors_before: dict[str, int] = {}
        self.quotes: dict[str, Quote] = {}
        self.incidents: list[Incident] = []
        self.incidents_before: list[Incident] = []
        self.starts_before = 0
        self.first_us: int | None = None
        self.last_us: int | None = None
        self.span_us = 0
        self.broken_us: int | None = None
        self.torn_us: list[tuple[int, int]] = []
        self.stopping = False
        self.down = False
        self.forgiven_us = start_us - 1
        self.dropped = 0
        self._pauses: list[int] = []

    def add(self, seen: Sighting) -> None:
        """Count one line where it belongs."""
        if seen.at_us < self.start_us:
            self._add_before(seen)
        else:
            self._add_after(seen)

    def _add_before(self, seen: Sighting) -> None:
        at_us = seen.at_us
        if seen.kind is Kind.LINE:
            bucket = self.before.get(at_us // MINUTE_US)
            if bucket is None:
                bucket = self.before[at_us // MINUTE_US] = Bucket()
            self._count(bucket, seen)
            if seen.fingerprint:
                counts = self.errors_before
                counts[seen.fingerprint] = counts.get(seen.fingerprint, 0) + 1
            if self.last_us is not None and at_us > self.last_us:
                self._pause(at_us - self.last_us)
        elif seen.kind in TROUBLE:
            self.incidents_before.append(Incident(at_us, seen.kind, seen.text, seen.count))
        elif seen.kind is Kind.STARTED:
            self.starts_before += 1
        if self.first_us is None or at_us < self.first_us:
            self.first_us = at_us
        if self.last_us is None or at_us > self.last_us:
            self.last_us = at_us

    def _add_after(self, seen: Sighting) -> None:
        at_us = seen.at_us
        if self.broken_us is not None:
            self.mend(at_us)
        key = (at_us - self.start_us) // self.step_us
        bucket = self.after.get(key)
        if bucket is None:
            bucket = self.after[key] = Bucket()
        if seen.kind is Kind.LINE:
            self._count(bucket, seen)
            if seen.fingerprint:
                self._quote(seen)
            if self.last_us is None or at_us > self.last_us:
                self.last_us = at_us
        elif seen.kind is Kind.DROPPED:
            bucket.dropped += max(1, seen.count)
            self.dropped += max(1, seen.count)
        elif seen.kind is Kind.STOPPING:
            self.stopping = True
        elif seen.kind is Kind.STARTED:
            self.stopping = False
            self.down = False
        elif seen.kind in TROUBLE:
            if self.stopping and seen.kind is Kind.CRASH:
                return  # a stop that was asked for may end by a signal
            if seen.kind in {Kind.FAILED, Kind.START_LIMIT}:
                self.down = True
            self.incidents.append(Incident(at_us, seen.kind, seen.text, seen.count))

    @staticmethod
    def _count(bucket: Bucket, seen: Sighting) -> None:
        bucket.lines += 1
        if seen.fingerprint:
            bucket.errors[seen.fingerprint] = bucket.errors.get(seen.fingerprint, 0) + 1
        if seen.latency_s is not None:
            bucket.latencies.append(seen.latency_s)

    def _quote(self, seen: Sighting) -> None:
        quote = self.quotes.get(seen.fingerprint)
        if quote is None:
            self.quotes[seen.fingerprint] = Quote(
                seen.text, seen.traced, seen.level, seen.at_us, seen.at_us, 1, 1
            )
            return
        quote.lines += 1
        if seen.at_us - quote.last_us >= SECOND_US:
            quote.occasions += 1
        quote.last_us = max(quote.last_us, seen.at_us)

    def _pause(self, length_us: int) -> None:
        pauses = self._pauses
        if len(pauses) < _LONGEST_PAUSES:
            insort(pauses, length_us)
        elif length_us > pauses[0]:
            del pauses[0]
            insort(pauses, length_us)

    def tear(self, at_us: int) -> None:
        """Note that the stream broke: from the last line on nothing is known."""
        if self.broken_us is None:
            known_us = self.last_us if self.last_us is not None else self.start_us
            self.broken_us = max(self.start_us, min(at_us, known_us))

    def mend(self, at_us: int) -> None:
        """Note that the stream is back, with a line of ``at_us``."""
        if self.broken_us is None:
            return
        self.torn_us.append((self.broken_us, max(at_us, self.broken_us)))
        self.broken_us = None

    def unforgiven(self) -> list[Incident]:
        """Give the incidents since the switch that were not put down to the baseline's trouble."""
        return [one for one in self.incidents if one.at_us > self.forgiven_us]

    def torn_between(self, from_us: int, to_us: int) -> int:
        """Microseconds of this stretch that were not observed."""
        spans = list(self.torn_us)
        if self.broken_us is not None:
            spans.append((self.broken_us, to_us))
        return sum(max(0, min(to_us, end) - max(from_us, start)) for start, end in spans)

    @property
    def history_s(self) -> float:
        """Seconds of the old release that are known of this host."""
        if self.first_us is None:
            return 0.0
        return max(0.0, (self.start_us - max(self.first_us, 0)) / 1e6)

    @property
    def lines_before(self) -> int:
        """Lines of the bot's own before the switch."""
        return sum(bucket.lines for bucket in self.before.values())

    @property
    def longest_pause_s(self) -> float:
        """The longest pause between two lines before the switch, in seconds."""
        return self._pauses[-1] / 1e6 if self._pauses else 0.0

    def quiet_share(self, length_s: float) -> float:
        """Estimate how often the old release was quiet for ``length_s`` from a random moment on.

        The share of the history's moments that begin such a quiet stretch, with one more stretch
        added as if seen: it never says 0, and says 1 where there is no history.
        """
        whole_s = self.history_s
        if whole_s <= 0.0:
            return 1.0
        quiet_s = sum(max(0.0, pause / 1e6 - length_s) for pause in self._pauses)
        return min(1.0, (quiet_s + length_s) / (whole_s + length_s))

    def between(self, from_us: int, to_us: int) -> Iterator[Bucket]:
        """Give the buckets since the switch whose start lies in this stretch."""
        for key, bucket in self.after.items():
            if from_us <= self.start_us + key * self.step_us < to_us:
                yield bucket


class Ledger:
    """All hosts' parts, and which errors are known to be none of the release's."""

    __slots__ = ("baseline", "canary", "known", "step_us", "watch_us")

    def __init__(
        self,
        canary: Iterable[str],
        baseline: Iterable[str],
        switched_at_us: dict[str, int],
        step_us: int,
    ) -> None:
        """Open one part for each host; a canary without a switch time counts from the first."""
        self.watch_us = min(switched_at_us.values())
        self.step_us = step_us
        self.canary = {
            name: HostLedger(name, switched_at_us.get(name, self.watch_us), step_us)
            for name in canary
        }
        self.baseline = {
            name: HostLedger(name, self.watch_us, step_us)
            for name in baseline
            if name not in self.canary
        }
        self.known: set[str] = set()

    def host(self, name: str) -> HostLedger | None:
        """Look a host up; None for one that is neither canary nor baseline."""
        return self.canary.get(name) or self.baseline.get(name)

    def add(self, name: str, seen: Sighting) -> HostLedger | None:
        """Count a line; what the old release says anywhere is known from then on."""
        part = self.host(name)
        if part is None:
            return None
        part.add(seen)
        if seen.fingerprint and (name in self.baseline or seen.at_us < part.start_us):
            self.known.add(seen.fingerprint)
        return part

    @property
    def history_s(self) -> float:
        """Host-seconds of the old release before the switch."""
        return sum(part.history_s for part in self.parts())

    def parts(self) -> Iterator[HostLedger]:
        """Give every host's part, canary first."""
        yield from self.canary.values()
        yield from self.baseline.values()

    @property
    def last_switch_us(self) -> int:
        """When the last canary host got the release."""
        return max(part.start_us for part in self.canary.values())
