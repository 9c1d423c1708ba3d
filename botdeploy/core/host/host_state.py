"""What one host says of itself: links, process, phase, releases, lock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from botdeploy.core.host.running import Runs, Seen, Unit, seen
from botdeploy.core.release.release_ids import in_order, made_of
from botdeploy.core.text.untrusted import time_of
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

SKEW = timedelta(seconds=5)
"""What a host's clock may differ from ours and still counts as right."""


class Phase(StrEnum):
    """Where the host's last switch stands."""

    PENDING = "pending"
    """Switched under lease: goes back by itself unless a controller confirms."""
    CONFIRMED = "confirmed"
    REVERTING = "reverting"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class Switch:
    """The host's last switch: which try of a rollout, from what to what, and how far it came."""

    phase: Phase
    try_id: str
    new: str
    old: str
    by: str = ""
    why: str = ""
    cause: str = ""
    """Why it went back, for programs: ready, verdict, lease, boot, person."""
    armed_us: int = 0
    """When it was armed: microseconds UTC by the host's clock; 0 when it did not say."""
    age_s: float = 0.0
    """Seconds since it was armed; after a reboot since it was confirmed, by the host's clock."""
    is_steady: bool = False
    """Whether ``age_s`` was counted by the kernel's clock, which never jumps."""
    lease_left_s: int = 0
    earlier: str = ""
    """The try of the switch that ended the other way before, where one did."""
    unit: str = ""
    """The predecessor whose place was taken by it, where it changed the bot's form."""
    release: str = ""
    """What that one has."""
    numbers: str = ""
    """By which numbers; empty where by none."""


@dataclass(frozen=True, slots=True)
class StagedRelease:
    """A complete release on a host."""

    id: str
    digest: str
    is_proven: bool = False
    proven_in: str = ""
    """The rollout whose verdict proved it."""
    proven_at: datetime | None = None
    """When that was, by the host's clock."""
    tree: str = ""
    """The digest of its tree in the machine's store; empty in the plain form."""
    numbers: str = ""
    """``INDEX/COUNT`` of the instance that it was made for, where that is a part of it."""
    recipe: str = ""
    """The digest without values, by which ID and ID+N are one release; empty: it is not known."""

    @property
    def proven_us(self) -> int:
        """When it was proven: microseconds UTC by the host's clock; 0 where it is not known."""
        return microseconds(self.proven_at)

    def proven_for_s(self, at: datetime | None) -> float:
        """Seconds from the proof to ``at``, by the host's clock; 0 where it is not known."""
        if at is None or self.proven_at is None:
            return 0.0
        return max(0.0, (at - self.proven_at).total_seconds())


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who has a host's lock, since when, and why."""

    id: str
    owner: str
    kind: str
    why: str
    since: str

    def __str__(self) -> str:
        """Tell it as one clause of a sentence."""
        why = f" ({self.why})" if self.why else ""
        return f"{self.owner or 'somebody'} since {self.since or 'now'}: {self.kind}{why}"


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """The rollout that a host last took part in."""

    id: str
    release: str
    digest: str
    ring: str = ""
    since: str = ""
    owner: str = ""
    why: str = ""
    outcome: str = ""
    """Empty while it is under way; else passed, failed or abandoned."""
    ended: str = ""
    ended_why: str = ""
    environment: str = ""
    """Whose rollout it was; empty in records of before this was written down."""
    same: str = ""
    """The release that stays in its place, for it is the same here: files, unit, environment."""

    @property
    def begun(self) -> datetime | None:
        """Give ``since`` as a time, by the host's clock."""
        return time_of(self.since)


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's go for one release at one ring."""

    release: str
    ring: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefusedError:
    """A class of errors for which a release failed, and which no proven one ever wrote."""

    fingerprint: str
    text: str = ""
    """Its first words, for people."""
    release: str = ""
    """The release that failed for it."""


@dataclass(frozen=True, slots=True)
class StandingInstance:
    """An instance of the bot that stands on a machine, whatever an inventory names."""

    instance: str
    """Its name; empty for the plain form."""
    environment: str = ""
    """Whose it is; empty where no rollout said."""
    release: str = ""
    """What its ``current`` names."""
    took: str = ""
    """Whose place it has taken (an instance; ``-``: the plain form); empty where nobody's."""
    numbers: str = ""
    """By which numbers it runs that release; empty where by none."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """Who gets its place back where a change of form is undone."""

    unit: str
    """Its unit; empty for an instance that came with the change, and goes with it."""
    release: str
    """What it runs then."""
    numbers: str = ""
    """By which numbers; empty where by none."""


@dataclass(frozen=True, slots=True)
class HostState:
    """Everything that a rollout needs to know of one host."""

    current: str = ""
    previous: str = ""
    unit: Unit = field(default_factory=Unit)
    active_since_us: int = 0
    uptime_s: int = 0
    boot_id: str = ""
    at: datetime | None = None
    """What time it was by the host's clock."""
    is_prepared: bool = False
    switch: Switch | None = None
    releases: tuple[StagedRelease, ...] = ()
    rendered: tuple[str, ...] = ()
    """The last ID+N that was staged of each ID, whatever has become of it."""
    quarantine: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[RefusedError, ...] = ()
    """What the verdicts named that put releases into the quarantine."""
    switches: tuple[tuple[int, str], ...] = ()
    """Since when it ran what, of the last day: microseconds UTC by its clock, and a release.

    In order; the first one with time 0 and the release ``-``, where there were earlier ones.
    """
    lock: LockHolder | None = None
    rollout: RolloutRecord | None = None
    approvals: tuple[Approval, ...] = ()
    hold: str = ""
    stuck: str = ""
    instance: str = ""
    """Which instance this is; empty in the plain form."""
    before: Predecessor | None = None
    """Who was here before a change of the bot's form, while that can be undone."""
    machine: str = ""
    """A name that its machine draws at each boot: addresses that tell the same lead to one machine.

    Empty where no lock was taken since the boot.
    """
    trees: tuple[str, ...] = ()
    """The digests of the trees in the machine's store: what need not be sent again."""
    standing: tuple[StandingInstance, ...] = ()
    """All instances of the bot that stand on the machine."""

    @property
    def is_switching(self) -> bool:
        """Whether a switch or a return is open: nothing there is final."""
        return self.switch is not None and self.switch.phase in (Phase.PENDING, Phase.REVERTING)

    def release(self, release_id: str) -> StagedRelease | None:
        """Look a staged release up by its id."""
        return next((one for one in self.releases if one.id == release_id), None)

    def numbers_of(self, release_id: str) -> str:
        """Give the instance's numbers in a release; empty where it has none, or is not here."""
        found = self.release(release_id)
        return found.numbers if found is not None else ""

    @property
    def newest_first(self) -> tuple[StagedRelease, ...]:
        """Its releases, in the order of their ids."""
        return tuple(sorted(self.releases, key=lambda one: in_order(one.id), reverse=True))

    def is_proven(self, release_id: str) -> bool:
        """Tell whether the release passed its verdict on this host, and was not refused since.

        The mark of a release that failed after its pass stays; its quarantine is what counts.
        """
        found = self.release(release_id)
        return found is not None and found.is_proven and found.digest not in self.quarantine

    @property
    def at_us(self) -> int:
        """What time it was by the host's clock, in microseconds UTC; 0 when it did not say."""
        return microseconds(self.at)

    def ahead(self, now: datetime) -> timedelta:
        """Tell how far the host's clock is before ``now``; 0 where it is as good as equal."""
        ahead = self.at - now if self.at is not None else timedelta(0)
        return ahead if abs(ahead) > SKEW else timedelta(0)

    def ahead_between(self, asked: datetime, answered: datetime) -> timedelta:
        """Tell the same of a host that may have taken long to answer: it says its time at the end.

        What its clock shows is no error where it lies between the two.
        """
        if self.at is not None and asked <= self.at <= answered:
            return timedelta(0)
        return self.ahead(answered)

    @property
    def running(self) -> str:
        """The release of the process that runs, which the link ``current`` does not tell."""
        return self.unit.release

    def now_runs(self, release: str, previous: str | None = None) -> HostState:
        """Give the state after an act that has made ``release`` the one that runs; "": none.

        Of its process no more is known than that it is there.
        """
        unit = Unit("active", main_pid=1, release=release) if release else Unit("inactive")
        before = self.previous if previous is None else previous
        return replace(self, unit=unit, previous=before)

    def sees(self, release: str) -> Seen:
        """Tell whether a release runs here, by the one definition of it."""
        switch = self.switch
        ran_s = switch.age_s if switch is not None and switch.new == release else 0.0
        return seen(self.unit, release, ran_s)

    @property
    def is_running(self) -> bool:
        """Tell whether the bot's process is there and its unit active."""
        return bool(self.running) and self.sees(self.running).runs is Runs.RUNNING

    @property
    def up_s(self) -> float:
        """Seconds since the unit became active, by the kernel's clock; 0 where it is not."""
        if not self.active_since_us or self.unit.active_state != "active":
            return 0.0
        return max(0.0, self.uptime_s - self.active_since_us / 1e6)

    @property
    def active_since(self) -> datetime | None:
        """When the unit became active (UTC), from the host's clock and its monotonic stamp."""
        if self.at is None or not self.active_since_us or self.unit.active_state != "active":
            return None
        return datetime.fromtimestamp(
            self.at.timestamp() - self.uptime_s + self.active_since_us / 1e6, tz=UTC
        )


@dataclass(frozen=True, slots=True)
class BotFault:
    """What is wrong with a bot that should run."""

    runs: Runs
    """RUNNING: it runs, but its unit is not enabled."""
    why: str
    release: str
    """The release that should run."""
    is_given_up: bool = False
    """It ended, and systemd had restarted it before."""


def meant(given: str, states: Mapping[str, HostState]) -> str:
    """Give the release that a person means: its whole id, or a beginning or ending of it.

    ``logs`` prints endings; ID+N may be meant without its +N where hosts have no other of ID. What
    no host has is given back as it is. Raises UserError where it could be more than one.
    """
    known = {one.id for state in states.values() for one in state.releases}
    if given in known:
        return given
    found = [one for one in known if one.startswith(given) or one.endswith(given)]
    found = sorted(found or (one for one in known if made_of(one).endswith(given)), key=in_order)
    if len(found) > 1:
        raise UserError(f"'{given}' could be {', '.join(found)}: give more of it")
    return found[0] if found else given


def bot_fault(state: HostState) -> BotFault | None:
    """Tell what is wrong with a bot that should run; None while a switch or a return is open."""
    if not state.current or state.is_switching:
        return None
    found = state.sees(state.current)
    match found.runs:
        case Runs.RUNNING if state.unit.is_enabled:
            return None
        case Runs.STARTING | Runs.UNKNOWN:
            return None
        case _:
            is_given_up = found.runs is Runs.ENDED and bool(state.unit.restarts)
            return BotFault(found.runs, found.why, state.current, is_given_up=is_given_up)


def microseconds(at: datetime | None) -> int:
    """Give a time in microseconds UTC; 0 where it is not known."""
    return 0 if at is None else int(at.timestamp() * 1e6)


def is_same_number(before: str, after: str) -> bool:
    """Tell whether an instance keeps its number; one that is to know no count keeps its index.

    Numbers are ``INDEX/COUNT``, or one of them; empty: none.
    """
    index, _, count = after.partition("/")
    return before == after or (bool(index) and not count and before.partition("/")[0] == index)
