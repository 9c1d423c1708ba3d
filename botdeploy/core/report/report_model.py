"""What a report tells of a rollout: of the whole, of each host and of each kind of error."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdeploy.core.rollout.host_standing import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.evidence.incidents import Incident
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.rollout.next_step import Result


@dataclass(frozen=True, slots=True)
class Act:
    """One entry of a host's audit log."""

    at: datetime
    host: str
    what: str
    release: str = ""
    outcome: str = ""
    who: str = ""
    why: str = ""
    rollout: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of time in which a host's standing did not change.

    BEHIND: it ran the release before; RETURNED: it does so again.
    """

    standing: Standing
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """What was counted in a piece of time of which ``minutes`` were read."""

    counts: Counts
    minutes: float

    @property
    def errors_a_minute(self) -> float | None:
        """Errors a minute; None where nothing was read."""
        return self.counts.error_lines / self.minutes if self.minutes > 0 else None


@dataclass(frozen=True, slots=True)
class Tick:
    """Errors in one step of the chart of a host."""

    at_us: int
    errors: int
    is_new: bool
    """Written by the release of the rollout."""


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host's part."""

    name: str
    ring: str
    runs: str
    """The release that runs; empty where none does, or the host was not reached."""
    was: str
    """The release before; empty where there was none."""
    standing: Standing
    """Where it stands with the release now."""
    why: str = ""
    """What is wrong: why it was not reached, or why its bot does not run."""
    is_refused: bool = False
    """It has the release in quarantine."""
    acts: tuple[Act, ...] = ()
    spans: tuple[Span, ...] = ()
    switched_at: datetime | None = None
    before: Period | None = None
    after: Period | None = None
    ticks: tuple[Tick, ...] = ()
    incidents: tuple[Incident, ...] = ()
    """Crashes, OOM kills and the like, as systemd said them."""
    notes: tuple[str, ...] = ()
    machine: str = ""
    """Its machine; empty where no machine has several hosts."""

    @property
    def is_reached(self) -> bool:
        """Tell whether it could be asked."""
        return self.standing is not Standing.AWAY

    @property
    def is_bad(self) -> bool:
        """Tell whether a person should look at it."""
        if self.standing in (Standing.AWAY, Standing.STUCK, Standing.RETURNED) or self.why:
            return True
        return self.is_refused and self.standing is Standing.CONFIRMED


@dataclass(frozen=True, slots=True)
class ReportedError:
    """One kind of error that the release wrote."""

    name: str
    sample: str
    is_new: bool
    """Seen on no host before the switch, in what was read."""
    is_fatal: bool
    first_at: datetime | None
    hosts: tuple[str, ...]
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report tells."""

    environment: str
    bot: str
    rollout: str
    release: str
    was: tuple[str, ...]
    result: Result | None
    """How it ended; None while it is under way."""
    why: tuple[str, ...]
    """Reasons of a failure, each once, in the words of the verdict."""
    who: str
    message: str
    begin: datetime
    end: datetime
    """Of the last act, or now while it is under way."""
    from_: datetime
    to: datetime
    """What the charts show."""
    usual_from: datetime
    """Since when what is usual was read."""
    step_us: int
    hosts: tuple[HostReport, ...]
    errors: tuple[ReportedError, ...]
    acts: tuple[Act, ...]
    quarantined: str = ""
    notes: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where its files came from, in words → the hosts that have them."""


@dataclass(slots=True)
class JournalRead:
    """What was read of one host's journal, shifted to the controller's clock."""

    lines: list[LogLine] = field(default_factory=list)
    kept: Evidence | None = None
    notes: list[str] = field(default_factory=list)
    ahead_us: int = 0
    """How far the host's clock is ahead of the controller's."""


@dataclass(frozen=True, slots=True)
class HostAnswers:
    """What the hosts said: what a report is put together from."""

    states: Mapping[str, HostState]
    away: Mapping[str, str]
    """Why the others were not reached."""
    acts: Sequence[Act]
    """Those of ``acts_of``."""
    readings: Mapping[str, JournalRead]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the files came from, in words → the hosts that have them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The rollout's own time, and the time around it that is shown and read."""

    begin: datetime
    end: datetime
    from_: datetime
    to: datetime
    usual_from: datetime
    bucket_us: int
    """Length of the buckets that evidence is counted in; ``usual_from`` is the start of one."""


def microseconds(at: datetime) -> int:
    """Give an instant as journals count it: microseconds since 1970, UTC."""
    return int(at.timestamp() * 1e6)


def instant(at_us: int) -> datetime:
    """Give the instant of a journal's microseconds."""
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC)
