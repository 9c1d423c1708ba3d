"""The next step of a rollout: a pure decision over what the hosts say. Read this file first.

A rollout takes one release through the rings. Nothing is remembered between two decisions: the
same facts give the same step to a cron job, a laptop or a CI runner, and a step that was done
shows in the next facts, so it is never repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from botdeploy.core.hoststate import HostState, Phase
from botdeploy.core.model import Gate, LeaseUntil, OnFail
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.core.window import next_opening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.model import Policy, Ring

OWN_DOING = frozenset({"lease", "boot", "person"})
"""Causes of a revert that are no verdict: nobody confirmed it in time, or a person took it back."""


class Standing(StrEnum):
    """Where one host stands with the release of the rollout."""

    UNSTAGED = "unstaged"
    BEHIND = "behind"
    """Staged, but it runs another release (or none)."""
    BUSY = "busy"
    """An act is under way there."""
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROVEN = "proven"
    RETURNED = "returned"
    """It failed here and went back."""
    STUCK = "stuck"
    """It went back, and what it went back to does not run."""
    AWAY = "away"
    """It cannot be worked on."""


@dataclass(frozen=True, slots=True)
class HostView:
    """One host as the decision sees it."""

    standing: Standing
    age_s: float = 0.0
    """Seconds since it was switched (pending) or confirmed; 0 in other standings."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may look at."""

    policy: Policy
    members: Mapping[str, Sequence[str]]
    """Hosts of each ring by the ring's name, in the order in which they are switched."""
    hosts: Mapping[str, HostView]
    now: datetime
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    """Rings whose gate a person opened for this release."""
    hold: str = ""
    """Who holds the environment and why; empty when nobody does."""
    is_attended: bool = True
    """A controller stays: it waits for soaks up to ``attended_soak`` and renews leases."""
    last_ring: str | None = None
    """Stop after this ring."""


# --- what may come of a decision -------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Revert:
    """Take these hosts back; ``is_condemned`` puts the release into quarantine."""

    hosts: tuple[str, ...]
    why: str
    is_condemned: bool = True


class Reason(StrEnum):
    """What a rollout waits for."""

    ACT = "act"
    SETTLE = "settle"
    SOAK = "soak"
    VERDICT = "verdict"
    GATE = "gate"
    WINDOW = "window"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before ``until`` (or before something happens)."""

    reason: Reason
    why: str
    ring: str = ""
    until: datetime | None = None


class Result(StrEnum):
    """How a rollout ended."""

    DONE = "done"
    STOPPED = "stopped"
    """It did what was asked (``--ring``) and has more rings to go."""
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNREACHABLE = "unreachable"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class End:
    """The rollout is over, for this run or for good."""

    result: Result
    why: str
    ring: str = ""


Action = Stage | SwitchOver | Confirm | Prove | Revert
Decision = Action | Wait | End


def decide(facts: Facts) -> Decision:
    """Give the next step. Pure: the same facts give the same step."""
    return (
        _beyond_reach(facts)
        or _failure(facts)
        or _staging(facts)
        or _next_ring(facts)
        or End(Result.DONE, "every ring passed")
    )


def _with(facts: Facts, *standings: Standing) -> tuple[str, ...]:
    return tuple(name for name, view in facts.hosts.items() if view.standing in standings)


def _beyond_reach(facts: Facts) -> Decision | None:
    """Too many hosts are away: what passed stays, what is pending goes back."""
    away = _with(facts, Standing.AWAY)
    if len(away) <= facts.policy.max_unreachable.at_most(len(facts.hosts)):
        return None
    pending = _with(facts, Standing.PENDING)
    told = "; ".join(f"{name}: {facts.hosts[name].why}" for name in away)
    why = f"{len(away)} of {len(facts.hosts)} hosts cannot be worked on ({told})"
    if pending:
        return Revert(pending, why, is_condemned=False)
    if _with(facts, Standing.BUSY):
        return Wait(Reason.ACT, "acts are under way")
    return End(Result.UNREACHABLE, why)


def _failure(facts: Facts) -> Decision | None:
    """Something failed: name what goes back, and end when it is back."""
    returned = _with(facts, Standing.RETURNED, Standing.STUCK)
    ring, why = _first_failure(facts, returned)
    if not why:
        return None
    going = [
        name
        for name in _goes_back(facts, ring, returned)
        if facts.hosts[name].standing in (Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN)
    ]
    if going:
        return Revert(tuple(going), why)
    if _with(facts, Standing.BUSY):
        return Wait(Reason.ACT, "hosts are going back", ring)
    stuck = _with(facts, Standing.STUCK)
    if stuck:
        others = [f"{name}: {facts.hosts[name].why}" for name in stuck]
        told = "; ".join(one for one in others if one not in why)
        more = f"; the way back failed on {told}" if told else ""
        return End(Result.STUCK, why + more, ring)
    return End(Result.FAILED, why, ring)


def _first_failure(facts: Facts, returned: Sequence[str]) -> tuple[str, str]:
    for ring in facts.policy.rings:
        members = facts.members.get(ring.name, ())
        verdict = facts.verdicts.get(ring.name)
        if verdict is not None and verdict.outcome is Outcome.FAIL:
            where = f"{verdict.host}: " if verdict.host else ""
            return ring.name, where + "; ".join(verdict.reasons)
        for name in members:
            if name in returned:
                return ring.name, f"{name}: {facts.hosts[name].why}"
    return "", ""


def _goes_back(facts: Facts, ring: str, returned: Sequence[str]) -> Sequence[str]:
    """Hosts that a failure in ``ring`` takes back, by the policy's ``on_fail``."""
    match facts.policy.on_fail:
        case OnFail.FLEET:
            return tuple(facts.hosts)
        case OnFail.RING:
            return tuple(facts.members.get(ring, ()))
        case OnFail.HOST:
            verdict = facts.verdicts.get(ring)
            shown = verdict.host if verdict else None
            pending = _with(facts, Standing.PENDING)
            if shown is None and not returned:
                return tuple(facts.members.get(ring, ()))
            return (*((shown,) if shown else ()), *pending)


def _staging(facts: Facts) -> Decision | None:
    """Everything is staged everywhere before anything is switched."""
    unstaged = _with(facts, Standing.UNSTAGED)
    return Stage(unstaged) if unstaged else None


def _next_ring(facts: Facts) -> Decision | None:
    for ring in facts.policy.rings:
        members = [
            name
            for name in facts.members.get(ring.name, ())
            if facts.hosts[name].standing is not Standing.AWAY
        ]
        if not members and facts.members.get(ring.name):
            return End(Result.UNREACHABLE, f"no host of ring {ring.name} can be reached", ring.name)
        if any(facts.hosts[name].standing is not Standing.PROVEN for name in members):
            return _step(facts, ring, members)
        if facts.last_ring == ring.name:
            return End(Result.STOPPED, f"stopped after ring {ring.name} as asked", ring.name)
    return None


def _step(facts: Facts, ring: Ring, members: Sequence[str]) -> Decision:
    """Take a ring that has not passed one step on."""
    views = {name: facts.hosts[name] for name in members}
    behind = [name for name, view in views.items() if view.standing is Standing.BEHIND]
    if any(view.standing is Standing.BUSY for view in views.values()):
        return Wait(Reason.ACT, "acts are under way", ring.name)
    if behind and len(behind) == len(members):
        closed = _closed(facts, ring)
        if closed is not None:
            return closed
    if facts.hold and behind:
        return Wait(Reason.HOLD, f"held by {facts.hold}", ring.name)
    settling = [
        view.age_s
        for view in views.values()
        if view.standing is Standing.PENDING and view.age_s < ring.settle.total_seconds()
    ]
    if settling:
        left = ring.settle - timedelta(seconds=min(settling))
        return Wait(Reason.SETTLE, "the batch settles", ring.name, facts.now + left)
    settled = tuple(n for n, view in views.items() if view.standing is Standing.PENDING)
    if settled and not _stays_pending(facts, ring):
        return Confirm(ring.name, settled)
    if behind:
        size = max(1, ring.batch.of(len(members)))
        return SwitchOver(ring.name, tuple(behind[:size]))
    return _soak(facts, ring, views)


def _closed(facts: Facts, ring: Ring) -> Wait | None:
    """Tell why a ring may not begin: a hold, a missing approval, the hours."""
    if facts.hold:
        return Wait(Reason.HOLD, f"held by {facts.hold}", ring.name)
    if ring.gate is Gate.APPROVE and ring.name not in facts.approved:
        return Wait(Reason.GATE, f"ring {ring.name} needs an approval", ring.name)
    if ring.window is not None:
        opens = next_opening(ring.window, facts.now)
        if opens > facts.now:
            return Wait(Reason.WINDOW, f"ring {ring.name} opens {ring.window}", ring.name, opens)
    return None


def _stays_pending(facts: Facts, ring: Ring) -> bool:
    """Tell whether the ring stays under lease until its verdict."""
    if facts.policy.lease.until is LeaseUntil.VERDICT:
        return True
    return facts.is_attended and timedelta(0) < ring.soak <= facts.policy.attended_soak


def _soak(facts: Facts, ring: Ring, views: Mapping[str, HostView]) -> Decision:
    """Every member runs the release: wait for the soak's end and the verdict, then act on it."""
    youngest = min(view.age_s for view in views.values() if view.standing is not Standing.PROVEN)
    left = ring.soak - timedelta(seconds=youngest)
    if left > timedelta(0):
        return Wait(Reason.SOAK, f"ring {ring.name} soaks", ring.name, facts.now + left)
    verdict = facts.verdicts.get(ring.name)
    if verdict is None or verdict.outcome is Outcome.WAIT:
        told = f": {verdict.reasons[0]}" if verdict and verdict.reasons else ""
        return Wait(Reason.VERDICT, f"no verdict yet{told}", ring.name)
    pending = tuple(n for n, view in views.items() if view.standing is Standing.PENDING)
    if pending:
        return Confirm(ring.name, pending)
    if verdict.outcome is Outcome.INCONCLUSIVE and ring.name not in facts.approved:
        return End(Result.INCONCLUSIVE, "; ".join(verdict.reasons), ring.name)
    waiting = tuple(n for n, view in views.items() if view.standing is not Standing.PROVEN)
    return Prove(ring.name, waiting, verdict)


def describe(decision: Decision) -> str:
    """Say a decision in words, for a dry run."""
    match decision:
        case Stage(hosts):
            return f"stage on {', '.join(hosts)}"
        case SwitchOver(ring, hosts):
            return f"switch {', '.join(hosts)} (ring {ring})"
        case Confirm(ring, hosts):
            return f"confirm {', '.join(hosts)} (ring {ring})"
        case Prove(ring):
            return f"ring {ring} has passed"
        case Revert(hosts, why):
            return f"take {', '.join(hosts)} back: {why}"
        case Wait(_, why, _, until):
            return why + (f", until {until:%Y-%m-%d %H:%M:%S} UTC" if until else "")
        case End(result, why):
            return f"{result.value}: {why}"


# --- from a host's own words to its standing --------------------------------------------------


def standing_of(
    state: HostState, release: str, rollout: str, *, this_run: bool = False
) -> HostView:
    """Say where a host stands with ``release`` in ``rollout``.

    ``this_run`` tells that this controller itself switched the host, so that an earlier proof of
    the same release does not count as this rollout's.
    """
    switch = state.switch
    ours = switch is not None and is_try_of(switch.run, rollout)
    if switch is not None and switch.phase is Phase.REVERTING:
        return HostView(Standing.BUSY, why="goes back")
    if switch is not None and switch.phase is Phase.PENDING and switch.new == release:
        return HostView(Standing.PENDING, switch.age_s)
    if switch is not None and switch.phase is Phase.REVERTED and ours and switch.new == release:
        if state.stuck:
            return HostView(Standing.STUCK, why=state.stuck)
        if switch.cause not in OWN_DOING:
            return HostView(Standing.RETURNED, why=switch.why)
    staged = state.release(release)
    if staged is None:
        return HostView(Standing.UNSTAGED)
    if state.current == release and state.running == release:
        if staged.is_proven and not (ours and staged.proven_in != rollout) and not this_run:
            return HostView(Standing.PROVEN)
        age = switch.age_s if switch is not None and switch.new == release else 0.0
        return HostView(Standing.CONFIRMED, age)
    return HostView(Standing.BEHIND)


def is_try_of(run: str, rollout: str) -> bool:
    """Match a run, one try of a rollout on one host: ``ROLLOUT`` or ``ROLLOUT.N``."""
    return run == rollout or run.startswith(f"{rollout}.")
