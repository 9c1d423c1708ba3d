"""The tally of one host: what it showed, before the switch and since, in small stretches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.evidence.counts import Counts
from botdeploy.core.judge.pauses import Pauses
from botdeploy.core.judge.unheard import Unheard
from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.systemd_record import SystemKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.lines.systemd_record import SystemRecord

MINUTE_US = 60_000_000
SECOND_US = 1_000_000
_SAME_OCCASION_US = SECOND_US
ROUND_S = 15.0
"""How long a library may try the same thing again: an error that comes later has come back."""
_STREAM = 6
"""Occasions from which on an error is more than a few tries."""
START_US = 60 * SECOND_US
"""How long after a start what a bot says may come of the start."""

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
class ProcessEvent:
    """A start, an end or a fault of the bot's process."""

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
    occasion_us: int = 0
    """When the occasion counted last began."""
    has_returned: bool = False
    """Whether it came long after the first time."""

    def again(self, at_us: int, lines: int) -> None:
        """Note that it came once more."""
        self.lines += lines
        if at_us - self.occasion_us >= _SAME_OCCASION_US:
            self.occasions += 1
            self.occasion_us = at_us
        self.last_us = max(self.last_us, at_us)
        self.has_returned = self.has_returned or at_us - self.first_us >= ROUND_S * SECOND_US

    @property
    def is_back(self) -> bool:
        """Whether it came again, other than by a few tries at the same thing."""
        return self.has_returned or self.occasions >= _STREAM


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
        self.unheard = Unheard(start_us)
        self.pauses = Pauses()
        """Before the switch."""
        self.errors_before: dict[str, int] = {}
        self.start_errors: dict[str, int] = {}
        """Errors that came in the first minute after a start before the switch: how long after."""
        self.quotes: dict[str, Quote] = {}
        self.fatal_errors: list[tuple[str, str]] = []
        """Fingerprint and text of fatal lines since the switch, of what was kept."""
        self.process_events: list[ProcessEvent] = []
        self.process_events_before: list[ProcessEvent] = []
        self.starts_before = 0
        self._start_before_us = 0
        self.first_us: int | None = None
        self.last_us: int | None = None
        """The bot's last line."""
        self.states_levels: bool | None = False
        """Whether any line said how bad it is; None where that was not kept."""
        self.last_error: str | None = None
        """Its last error since the switch."""
        self.is_stopping = False
        self.is_start_due = False
        """Its host says that a start is due; until then it is down, and not silent."""
        self.is_absorbed = False
        """Whether what was kept of its journal was taken in, instead of its lines."""
        self.down_us: int | None = None
        """Since when the unit is failed."""
        self.excused_until_us = start_us - 1

    # -- lines ----------------------------------------------------------------------------------

    def add(self, line: LogLine) -> None:
        """Count one line where it belongs."""
        if line.states_level or line.fingerprint is not None:
            self.states_levels = True
        record = line.system
        if record is None or record.kind is SystemKind.DROPPED:
            self.bucket(line.at_us).add(line)
        if line.at_us < self.start_us:
            self._add_before(line)
        else:
            self._add_after(line)

    def bucket(self, at_us: int) -> Counts:
        """Give the stretch in which an instant is counted."""
        if at_us < self.start_us:
            return self.before.setdefault(at_us // MINUTE_US, Counts())
        return self.after.setdefault(at_us // self.step_us, Counts())

    def _add_before(self, line: LogLine) -> None:
        at_us = line.at_us
        if self.first_us is None or at_us < self.first_us:
            self.first_us = at_us
        record = line.system
        if record is not None:
            self._note_start(record.kind, at_us)
            if record.kind in TROUBLE:
                self.process_events_before.append(process_event(line, record))
            return
        name = line.fingerprint
        if name is not None:
            self.errors_before[name] = self.errors_before.get(name, 0) + line.count
            since_us = at_us - self._start_before_us
            if since_us < START_US:
                self.start_errors[name] = max(since_us, self.start_errors.get(name, 0))
        if not line.is_traffic:
            return
        if self.last_us is None:
            self.last_us = at_us
        elif at_us > self.last_us:
            if not self.unheard.left_out_between(self.last_us, at_us):
                self.pauses.add(at_us - self.last_us)
            self.last_us = at_us

    def _note_start(self, kind: SystemKind, at_us: int) -> None:
        """Note a start before the switch; it begins before systemd calls it one."""
        self.starts_before += kind is SystemKind.STARTED
        is_over = at_us - self._start_before_us >= START_US
        if kind is SystemKind.STARTING or (kind is SystemKind.STARTED and is_over):
            self._start_before_us = at_us

    def _add_after(self, line: LogLine) -> None:
        if line.kind is not LineKind.PROBE:
            self.unheard.mend(line.at_us)
        if line.system is not None:
            self.note(process_event(line, line.system))
            return
        if line.fingerprint is not None:
            self._quote(line, line.fingerprint)
            self.last_error = line.fingerprint
        if line.is_traffic and (self.last_us is None or line.at_us > self.last_us):
            self.last_us = line.at_us

    def note(self, one: ProcessEvent) -> None:
        """Take in what happened to the process since the switch."""
        if one.kind is SystemKind.STOPPING:
            self.is_stopping = True
        elif one.kind in _UP:
            self.is_stopping = self.is_start_due = False
            self.down_us = None
        if one.kind not in TROUBLE or (self.is_stopping and one.kind is SystemKind.CRASHED):
            return
        if one.kind in {SystemKind.FAILED, SystemKind.START_LIMIT} and self.down_us is None:
            self.down_us = one.at_us
        self.process_events.append(one)

    def _quote(self, line: LogLine, name: str) -> None:
        said = self.quotes.get(name)
        if said is not None:
            said.again(line.at_us, line.count)
            return
        is_traced = line.kind is LineKind.TRACEBACK
        at_us = line.at_us
        self.quotes[name] = Quote(line.message, is_traced, at_us, at_us, 1, line.count, at_us)

    # -- what is known --------------------------------------------------------------------------

    def not_excused(self) -> list[ProcessEvent]:
        """Give what happened since the switch and was not put down to the baseline's trouble."""
        return [one for one in self.process_events if one.at_us > self.excused_until_us]

    @property
    def history_s(self) -> float:
        """Seconds of the old release that are known of this host."""
        if self.first_us is None:
            return 0.0
        unheard_us = self.unheard.before_us
        unheard_us += self.unheard.left_out_between(self.first_us, self.start_us)
        return max(0.0, (self.start_us - self.first_us - unheard_us) / 1e6)

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

    def between(self, from_us: int, to_us: int) -> Iterator[Counts]:
        """Give the buckets since the switch whose start lies in this stretch."""
        for key, bucket in self.after.items():
            if from_us <= key * self.step_us < to_us:
                yield bucket


def process_event(line: LogLine, record: SystemRecord) -> ProcessEvent:
    """Read a record of systemd's, which came with this line."""
    return ProcessEvent(line.at_us, record.kind, line.message, record.count, record.status)
