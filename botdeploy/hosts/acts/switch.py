"""The switch of a host to a release: begun, confirmed, extended, reverted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from botdeploy.core.text.untrusted import LATEST_US, real, told, whole
from botdeploy.errors import ActFailed, OutcomeUnknown
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import parsing, read_unit
from botdeploy.hosts.acts.records import one_line
from botdeploy.hosts.acts.rollout import refused_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.host.host_state import RefusedError
    from botdeploy.core.host.running import Unit
    from botdeploy.hosts.acts.records import Record, Reply

NOTHING = "none"
"""What a host is told to go back to where it is to stop, whatever has passed there."""
SWITCH_S = 930.0
"""Longest time for a stop (which a unit may take 15 minutes for) and a start."""


class Go(Enum):
    """When instances that change their numbers together start, once all are dead on a machine."""

    AT_ONCE = ""
    HOLD = "hold"
    """When a controller says so: other machines have such instances, too."""
    GO = "go"
    """Now, for they are dead there."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """All that change their numbers on the machine are dead, and wait for the word to start."""


@dataclass(frozen=True, slots=True)
class Switched:
    """The host runs the new release and it showed that it is ready."""

    old: str
    downtime_s: float
    """From the order to stop until ready."""
    at_us: int
    """When the old process was told to stop: microseconds UTC, by the host's clock."""
    unseen: str = ""
    """Why it counts as ready although its sign was not seen; else empty."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """The host went back."""

    old: str
    by: str
    why: str
    cause: str
    seconds: float
    is_running: bool
    """False when the release it went back to did not become ready: a person is needed."""
    unseen: str = ""
    """Why that release counts as ready although its sign was not seen; else empty."""
    unit: str = ""
    """The predecessor that has its place again, where a change of the bot's form was undone."""
    release: str = ""
    """What that one runs."""

    @property
    def now(self) -> str:
        """The release that is to run now, here or in the predecessor; empty for none."""
        return self.old or self.release


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A revert found that the host runs its target already."""

    release: str


class SwitchActs(Subject):
    """Switches a host, under lease, and takes it back."""

    def start(
        self,
        try_id: str,
        release: str,
        ttl_s: int,
        group: Sequence[str] = (),
        go: Go = Go.AT_ONCE,
    ) -> Switched | Reverted | Stopped:
        """Stop the old release and start the new one, under lease. Repeatable by ``try_id``.

        ``group`` names the instances of the machine that change their numbers together, this one
        too ("-": the plain form): none starts before all are dead. Stopped is an answer to HOLD.
        """
        words = (" ".join(group), go.value) if group else ()
        reply = self._locked("switch", try_id, release, ttl_s, *words, timeout_s=SWITCH_S)
        if reply.get("stopped") is True:
            return Stopped()
        return self._outcome("switch", reply)

    def confirm(self, try_id: str) -> Unit:
        """Let the host keep what it runs, unless that ended; gives what is known of the unit.

        Raises LeaseLost when it went back already, NotRunning where the bot does not run and
        no person stopped it.
        """
        return self._unit("confirm", self._locked("confirm", try_id))

    def extend(self, try_id: str, ttl_s: int) -> Unit:
        """Renew the lease; raises LeaseLost when it went back already."""
        return self._unit("extend", self._locked("extend", try_id, ttl_s))

    def revert(
        self,
        try_id: str,
        target: str | None,
        why: str,
        digest: str = "",
        cause: str = "",
        refused: Sequence[RefusedError] = (),
    ) -> Reverted | Unchanged:
        """Take the host back; ``target`` None means what its last switch recorded, "" nothing.

        ``digest`` is put into quarantine, with the errors that it was ``refused`` for.
        """
        reply = self._locked(
            "revert",
            try_id,
            "-" if target is None else target or NOTHING,
            one_line(why),
            digest or "-",
            cause or "person",
            *refused_words(refused),
            timeout_s=SWITCH_S,
        )
        unchanged = reply.get("unchanged")
        if isinstance(unchanged, dict):
            return Unchanged(told(unchanged.get("release", "")))
        outcome = self._outcome("revert", reply)
        if isinstance(outcome, Switched):
            raise ActFailed(self._host, "revert", "the host said that it switched")
        return outcome

    def _outcome(self, act: str, reply: Reply) -> Switched | Reverted:
        with parsing(self._host, act):
            switched, reverted = reply.get("switched"), reply.get("reverted")
            if isinstance(switched, dict):
                return _switched(switched)
            if isinstance(reverted, dict):
                return _reverted(reverted)
        raise OutcomeUnknown(self._host, f"{act}: the host did not say how it went")

    def _unit(self, act: str, reply: Reply) -> Unit:
        return read_unit(self._host, act, next((one for one in reply.records if "unit" in one), {}))


def _texts(record: Record, *names: str) -> dict[str, str]:
    return {name: told(record.get(name, "")) for name in names}


def _switched(record: Record) -> Switched:
    return Switched(
        **_texts(record, "old", "unseen"),
        downtime_s=real(record.get("downtime_s", 0)),
        at_us=whole(record.get("at_us", 0), most=LATEST_US),
    )


def _reverted(record: Record) -> Reverted:
    return Reverted(
        **_texts(record, "old", "by", "why", "cause", "unseen", "unit", "release"),
        seconds=real(record.get("seconds", 0)),
        is_running=bool(record.get("runs", True)),
    )
