"""Running: whether an instance's bot runs, by what its host says. The only definition of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botdeploy.core.text import untrusted
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LOOP_LIFE_S = 60.0
"""Two restarts and more of lives that are shorter than this in the mean are a loop."""
PATIENCE_S = 30.0
"""How long a systemd that does not answer is asked again before that is the answer."""
BETWEEN_S = 1800.0
"""How long a start that is due is waited for beyond the soak."""
UNREAD = "its journal is unreadable: not even systemd's own lines are in it; see: botdeploy check"
MOST_PIDS = 1000
EXTERNAL = "its last error may have an external cause"
_UP = frozenset({"active", "reloading", "refreshing"})
_DOWN = frozenset({"inactive", "failed"})


class Runs(StrEnum):
    """Whether a bot runs."""

    RUNNING = "running"
    """Its unit is active, with a living main process of the release."""
    STARTING = "starting"
    """Between two lives: it ends, or a start is due. Waited for."""
    LOOPING = "looping"
    """systemd starts it again and again."""
    ENDED = "ended"
    """It ended by itself, and nothing starts it again."""
    STOPPED = "stopped"
    """A person stopped it, or nobody can tell who."""
    OTHER = "other"
    """The process that runs is of another release."""
    UNKNOWN = "unknown"
    """systemd did not say."""


CONFIRMABLE = frozenset({Runs.RUNNING, Runs.LOOPING, Runs.STOPPED})
"""What a host keeps when it is told to: what a person stopped, too, for it shall not be started."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a host says of its bot's unit."""

    active_state: str = "unknown"
    sub_state: str = ""
    result: str = ""
    status: int = 0
    """How the last main process ended: its exit status, or the signal's number."""
    main_pid: int = 0
    release: str = ""
    """The release of the main process; empty where there is none, or nobody can tell."""
    invocation: str = ""
    restarts: int = 0
    """Restarts by systemd since the last start that was asked for."""
    restarts_before: int = 0
    """How many of them there were when the release was found ready."""
    is_start_due: bool = False
    """A job for it waits in systemd's queue."""
    ended_by: str = ""
    """Of a unit that is down: ``person``, ``itself``; empty where the journal does not tell."""
    restart: str = ""
    """When systemd starts it again: the unit's ``Restart=``."""
    pids: tuple[int, ...] = ()
    """Every process in the unit's control group."""
    is_enabled: bool = True
    """Its links are there, so that it starts at the next boot."""

    @property
    def restarts_since(self) -> int:
        """Restarts since the release was found ready; a start by hand begins at 0 again."""
        return max(0, self.restarts - self.restarts_before)

    @property
    def crashes_since(self) -> int:
        """Restarts since then that only a fault can have caused."""
        return 0 if self.restart in {"always", "on-success", ""} else self.restarts_since


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether a bot ran when its host was asked last, and what is said of one that did not."""

    runs: Runs = Runs.RUNNING
    why: str = ""
    crashes: int = 0
    """Crashes since it was ready that systemd's counter alone is proof of."""
    is_excused: bool = False
    """What ended it may have an external cause, by its last error, or be that of its machine."""


def seen(unit: Unit, release: str, ran_s: float = 0.0) -> Seen:
    """Tell whether ``release`` runs; ``ran_s``: seconds since the switch to it, 0 if not known."""
    state = f"{unit.active_state} ({unit.sub_state or '?'})"
    if unit.active_state in _UP:
        if unit.main_pid <= 0:
            return Seen(Runs.ENDED, f"its main process is gone, though systemd calls it {state}")
        if release and unit.release not in {release, ""}:
            return Seen(Runs.OTHER, f"{unit.release} runs instead of {release}")
        return _looping(unit, ran_s) or Seen(crashes=unit.crashes_since)
    if unit.active_state in _DOWN and not unit.is_start_due:
        return _down(unit, ran_s)
    if unit.active_state in {"activating", "deactivating"} | _DOWN:
        return _looping(unit, ran_s) or Seen(Runs.STARTING, f"it is starting or stopping: {state}")
    return Seen(Runs.UNKNOWN, f"systemd did not say whether it runs: {state}")


def _looping(unit: Unit, ran_s: float) -> Seen | None:
    count = unit.restarts_since
    if count < 2 or ran_s <= 0 or ran_s / count >= LOOP_LIFE_S:  # noqa: PLR2004
        return None
    return Seen(Runs.LOOPING, f"systemd restarted it {count} times within {ran_s:.0f} s")


def _down(unit: Unit, ran_s: float) -> Seen:
    state = f"the unit is {unit.active_state} ({unit.result or '?'}, status {unit.status})"
    if unit.ended_by == "itself":
        return Seen(Runs.ENDED, f"the bot ended by itself, and nothing restarts it: {state}")
    looping = _looping(unit, ran_s)
    if looping is not None and unit.active_state == "failed" and not unit.ended_by:
        return Seen(Runs.LOOPING, f"{looping.why}, and no longer does: {state}")
    if unit.ended_by == "person":
        return Seen(Runs.STOPPED, f"a person stopped the bot: {state}")
    return Seen(
        Runs.STOPPED, f"the bot is down, and the journal does not tell who stopped it: {state}"
    )


def judged(
    verdict: Verdict | None,
    hosts: Mapping[str, Seen],
    *,
    over_s: float,
    unread: Collection[str] = (),
    doubts: Mapping[str, str] | None = None,
) -> Verdict | None:
    """Give a ring's verdict, which is never better than what its hosts run.

    ``over_s``: how long the soak is over, negative before that; ``unread``: hosts whose journals
    hold not even systemd's own lines; ``doubts``: why others' pass is none, by host. What ended by
    itself fails at once, all else matters at the verdict. What a journal that is read tells of
    restarts has been weighed against the past by ``verdict``; one of a whole machine is no pass.
    """
    if verdict is not None and verdict.outcome is Outcome.FAIL:
        return verdict
    for name, one in hosts.items():
        is_unread = name in unread
        if one.is_excused:
            continue
        if one.runs is Runs.ENDED or (is_unread and one.runs is Runs.LOOPING):
            return Verdict(Outcome.FAIL, (one.why,), name)
        if is_unread and one.crashes:
            why = f"systemd restarted it after crashes, {one.crashes} times in all; {UNREAD}"
            return Verdict(Outcome.FAIL, (why,), name)
    for name, one in hosts.items():
        is_shared = one.is_excused and verdict is not None and verdict.machine is not None
        if is_shared and verdict is not None and one.runs in {Runs.LOOPING, Runs.ENDED}:
            return replace(verdict, reasons=(f"{name}: {one.why}", *verdict.reasons), host=name)
        if one.runs in {Runs.STOPPED, Runs.OTHER, Runs.LOOPING, Runs.ENDED}:
            outcome = Outcome.WAIT if over_s < 0 else Outcome.INCONCLUSIVE
            told = f"; {EXTERNAL}" if one.is_excused else ""
            return Verdict(outcome, (f"{name}: {one.why}{told}",), name)
    for name, one in hosts.items():
        if one.runs in {Runs.UNKNOWN, Runs.STARTING}:
            is_final = over_s >= (PATIENCE_S if one.runs is Runs.UNKNOWN else BETWEEN_S)
            outcome = Outcome.INCONCLUSIVE if is_final else Outcome.WAIT
            return Verdict(outcome, (f"{name}: {one.why}",), name)
    doubted = {**(doubts or {}), **dict.fromkeys(unread, UNREAD)}
    host = next((name for name in hosts if name in doubted), None)
    if host is not None and verdict is not None and verdict.outcome is Outcome.PASS:
        return Verdict(Outcome.INCONCLUSIVE, (f"{host}: {doubted[host]}",), host)
    return verdict


def unit_of(record: Mapping[str, Any]) -> Unit:
    """Read what a host's program tells of the unit; raises ValueError or TypeError."""
    pids = record.get("pids", [])
    if not isinstance(pids, list):
        raise TypeError("its processes are no list")
    return Unit(
        active_state=untrusted.told(record.get("active_state", "unknown")),
        sub_state=untrusted.told(record.get("sub_state", "")),
        result=untrusted.told(record.get("result", "")),
        status=untrusted.whole(record.get("status", 0)),
        main_pid=untrusted.whole(record.get("main_pid", 0)),
        release=untrusted.told(record.get("running", "")),
        invocation=untrusted.told(record.get("invocation", "")),
        restarts=untrusted.whole(record.get("restarts", 0)),
        restarts_before=untrusted.whole(record.get("restarts_before", 0)),
        is_start_due=record.get("start_due") is True,
        ended_by=untrusted.told(record.get("ended_by", "")),
        restart=untrusted.told(record.get("restart", "")),
        pids=tuple(untrusted.whole(one) for one in pids[:MOST_PIDS]),
        is_enabled=record.get("enabled") is not False,
    )
