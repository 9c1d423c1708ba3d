"""The next step: everything that may come of a decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from botdeploy.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Stage:
    """Put the release on these hosts; nothing that runs is touched."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """Stop the old release, start the new one, under lease."""

    ring: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirm:
    """Tell these hosts, over new connections, that they may keep what they run."""

    ring: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prove:
    """The ring passed: its hosts may be returned to this release from now on."""

    ring: str
    hosts: tuple[str, ...]
    verdict: Verdict


class Blame(StrEnum):
    """What a return says of the release."""

    RELEASE = "release"
    """It failed: every host puts it into quarantine."""
    HOST = "host"
    """It passed everywhere else: only the host itself will not have it again."""
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Revert:
    """Take these hosts back."""

    hosts: tuple[str, ...]
    why: str
    blame: Blame = Blame.RELEASE


class Reason(StrEnum):
    """What a rollout waits for."""

    ACT = "act"
    SETTLE = "settle"
    SOAK = "soak"
    VERDICT = "verdict"
    GATE = "gate"
    WINDOW = "window"
    HOLD = "hold"
    QUARANTINE = "quarantine"
    REQUIRES = "requires"
    """Another environment has not proven the release."""
    RENUMBERS = "renumbers"
    """It changes the numbers of instances that run: a person begins that."""
    LAPSED = "lapsed"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before ``until`` (or before something happens)."""

    reason: Reason
    why: str
    ring: str = ""
    until: datetime | None = None
    is_left: bool = False
    """Whoever attends waits no longer: the next one goes on."""


class Result(StrEnum):
    """How a rollout ended."""

    DONE = "done"
    STOPPED = "stopped"
    """It did what was asked (``--ring``) and has more rings to go."""
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNREACHABLE = "unreachable"
    STUCK = "stuck"
    ABANDONED = "abandoned"
    """It runs nowhere, and hosts refuse it unattended."""


@dataclass(frozen=True, slots=True)
class End:
    """The rollout is over, for this run or for good."""

    result: Result
    why: str
    ring: str = ""
    blame: Blame = Blame.RELEASE
    """Of a failure: HOST where every ring has passed, and one that came later failed."""
    reason: Reason | None = None
    """REQUIRES where hosts of the environment that is required are what can't be reached."""


Action = Stage | SwitchOver | Confirm | Prove | Revert
Decision = Action | Wait | End
