"""The next step of a rollout: a pure decision over what the hosts say. Read this file first.

A rollout takes one release through the rings. Nothing is remembered between two decisions: the
same facts give the same step to a cron job, a laptop or a CI runner, and a step that was done
shows in the next facts, so it is never repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import HostState, Phase
from botdeploy.core.host.running import CONFIRMABLE, Runs, Seen, judged
from botdeploy.core.model.policy import Gate, LeaseUntil, OnFail
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from botdeploy.core.model.policy import Policy, Ring

OWN_DOING = frozenset({"lease", "boot", "person", "host"})
"""Causes of a revert that are no verdict: nobody confirmed it in time, a person took it back, or
something of the host kept it from being seen (its journal, a port that is another's)."""
VERDICT_LATE = timedelta(seconds=60)
"""How long after a soak's end its verdict may come and still be waited for in any case."""
MOST_AGAIN = 3
"""How often one rollout switches a host again that went back before anybody confirmed it."""


class Standing(StrEnum):
    """Where one host stands with the release of the rollout."""

    UNSTAGED = "unstaged"
    """It does not have the release, or was not told of this rollout yet."""
    BEHIND = "behind"
    """Staged, but it runs another release (or none)."""
    BUSY = "busy"
    """An act is under way there."""
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROVEN = "proven"
    RETURNED = "returned"
    """It failed here and went back."""
    LAPSED = "lapsed"
    """It went back by itself, for no controller confirmed it in time; it is tried again."""
    STUCK = "stuck"
    """It went back, and what it went back to does not run."""
    AWAY = "away"
    """It cannot be worked on."""


HOLDING = (Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN)
"""Standings in which a host runs the release."""
UNPROVEN = (Standing.PENDING, Standing.CONFIRMED)
"""Standings in which a host runs the release and waits for its ring's verdict."""


@dataclass(frozen=True, slots=True)
class HostStanding:
    """One host as the decision sees it."""

    standing: Standing
    age_s: float = 0.0
    """Seconds since it was switched (pending), confirmed or proven; 0 in other standings."""
    why: str = ""
    has_given_up: bool = False
    """It has lapsed, and this rollout has tried it again as often as it may: a person is asked."""
    seen: Seen = field(default_factory=Seen)
    """Of a host that has the release: whether it runs."""
    has_passed: bool = False
    """It was proven by this very rollout, and is watched."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may look at."""

    policy: Policy
    members: Mapping[str, Sequence[str]]
    """Hosts of each ring by the ring's name, in the order in which they are switched."""
    hosts: Mapping[str, HostStanding]
    now: datetime
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    revoked: Mapping[str, Verdict] = field(default_factory=dict)
    """Fails of rings that had passed, by what came since."""
    approved: frozenset[str] = frozenset()
    """Rings whose gate a person opened for this release."""
    accepted: frozenset[str] = frozenset()
    """Rings whose inconclusive verdict a person took on."""
    hold: str = ""
    """Who holds the environment and why; empty when nobody does."""
    is_attended: bool = True
    """A controller stays: it waits for soaks up to ``attended_soak`` and renews leases."""
    last_ring: str | None = None
    """Stop after this ring."""
    has_ended: bool = False
    """It is written down that the rollout is over: nothing is watched any more."""
    condemned: str = ""
    """Why this rollout has failed, where a host has that written down."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Hosts that hold the release in quarantine, and why: never switched unattended."""


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


Action = Stage | SwitchOver | Confirm | Prove | Revert
Decision = Action | Wait | End


def decide(facts: Facts) -> Decision:
    """Give the next step. Pure: the same facts give the same step."""
    facts = _with_what_runs(facts)
    return (
        _failure(facts)
        or _beyond_reach(facts)
        or _refused_everywhere(facts)
        or _staging(facts)
        or _next_ring(facts)
        or _late_failure(facts)
        or _last_watch(facts)
        or End(Result.DONE, "every ring passed")
    )


def _with_what_runs(facts: Facts) -> Facts:
    """Let no verdict be better than what the hosts run that it is about."""
    verdicts = {
        ring.name: judged_ring(ring, facts.members.get(ring.name, ()), facts.hosts, verdict)
        for ring in facts.policy.rings
        for verdict in (facts.verdicts.get(ring.name),)
    }
    revoked = {**_fallen_since(facts), **facts.revoked}
    told = {name: one for name, one in verdicts.items() if one}
    return replace(facts, verdicts=told, revoked=revoked)


def _fallen_since(facts: Facts) -> Mapping[str, Verdict]:
    """Give the rings that have passed in this rollout, and have a host that ended by itself since.

    All else that may be said of a bot that is down is no fail, and needs no word here.
    """
    found = {}
    for ring in facts.policy.rings if not facts.has_ended else ():
        views = {name: facts.hosts[name] for name in facts.members.get(ring.name, ())}
        passed = {name: view.seen for name, view in views.items() if view.has_passed}
        told = judged(None, passed, over_s=-1.0)
        if told is not None and told.outcome is Outcome.FAIL:
            reasons = (*told.reasons, "after it had passed")
            found[ring.name] = Verdict(Outcome.FAIL, reasons, told.host)
    return found


def judged_ring(
    ring: Ring,
    members: Sequence[str],
    hosts: Mapping[str, HostStanding],
    verdict: Verdict | None,
    unread: Collection[str] = (),
    doubts: Mapping[str, str] | None = None,
) -> Verdict | None:
    """Give a ring's verdict, by what its journals tell and by what its hosts run.

    ``unread`` and ``doubts``: as ``core.running.judged`` takes them.
    """
    views = {name: hosts[name] for name in members if hosts[name].standing in UNPROVEN}
    if not views:
        return verdict
    age_s = min(view.age_s for view in views.values())
    return judged(
        verdict,
        {name: view.seen for name, view in views.items()},
        over_s=age_s - (ring.soak or ring.settle).total_seconds(),
        unread=unread,
        doubts=doubts,
    )


_BACK = (Standing.RETURNED, Standing.STUCK)
_TO_SWITCH = (Standing.BEHIND, Standing.LAPSED)


def _with(facts: Facts, *standings: Standing) -> tuple[str, ...]:
    return tuple(name for name, view in facts.hosts.items() if view.standing in standings)


def _told(facts: Facts, hosts: Sequence[str]) -> str:
    return "; ".join(f"{name}: {facts.hosts[name].why}" for name in hosts)


def _failure(facts: Facts) -> Decision | None:
    """Something failed: name what goes back, and end when it is back."""
    is_late = not facts.condemned and not facts.revoked and _has_passed(facts)
    if is_late:
        return _late_return(facts)
    ring, why = _first_failure(facts)
    if not why:
        return None
    going = [name for name in _goes_back(facts, ring) if facts.hosts[name].standing in HOLDING]
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


def _late_return(facts: Facts) -> Revert | None:
    """Every ring has passed: of those whose late hosts fail, these go back, and no others."""
    for ring in facts.policy.rings:
        verdict = _fail_of(facts, ring.name)
        unproven = [
            name
            for name in facts.members.get(ring.name, ())
            if facts.hosts[name].standing in UNPROVEN
        ]
        if verdict is not None and unproven:
            where = f"{verdict.host}: " if verdict.host else ""
            return Revert(tuple(unproven), where + "; ".join(verdict.reasons), Blame.HOST)
    return None


def _has_passed(facts: Facts) -> bool:
    """Tell whether every ring has passed, so that only hosts that were away are left."""
    rings = [ring.name for ring in facts.policy.rings if facts.members.get(ring.name)]
    return bool(rings) and all(_passed(facts, ring) for ring in rings)


def _passed(facts: Facts, ring: str) -> bool:
    """Tell whether a ring has passed: its hosts are proven together, by one verdict.

    Where none of them can be asked, a later ring that has begun tells that it had.
    """
    views = [facts.hosts[name].standing for name in facts.members.get(ring, ())]
    if any(view is not Standing.AWAY for view in views):
        return Standing.PROVEN in views
    names = [one.name for one in facts.policy.rings]
    return any(
        facts.hosts[name].standing in HOLDING
        for later in names[names.index(ring) + 1 :]
        for name in facts.members.get(later, ())
    )


def _fail_of(facts: Facts, ring: str) -> Verdict | None:
    """Give the verdict that failed a ring, at its end or after it had passed."""
    verdict = facts.revoked.get(ring) or facts.verdicts.get(ring)
    return verdict if verdict is not None and verdict.outcome is Outcome.FAIL else None


def _first_failure(facts: Facts) -> tuple[str, str]:
    for ring in facts.policy.rings:
        verdict = _fail_of(facts, ring.name)
        if verdict is not None:
            where = f"{verdict.host}: " if verdict.host else ""
            return ring.name, where + "; ".join(verdict.reasons)
    for ring in facts.policy.rings:
        for name in facts.members.get(ring.name, ()):
            if facts.hosts[name].standing in _BACK:
                return ring.name, f"{name}: {facts.hosts[name].why}"
    return "", facts.condemned


def _goes_back(facts: Facts, ring: str) -> Sequence[str]:
    """Hosts that a failure in ``ring`` takes back, by the policy's ``on_fail``."""
    members = facts.members.get(ring, ())
    unproven = _with(facts, Standing.PENDING, Standing.CONFIRMED)
    match facts.policy.on_fail:
        case OnFail.FLEET:
            return tuple(facts.hosts)
        case OnFail.RING:
            return tuple(members) if ring else unproven
        case OnFail.HOST:
            verdict = _fail_of(facts, ring)
            shown = verdict.host if verdict else None
            pending = _with(facts, Standing.PENDING)
            if shown is None and not facts.condemned and not _with(facts, *_BACK):
                return tuple(members)
            return (*((shown,) if shown else ()), *pending)


def _beyond_reach(facts: Facts) -> Decision | None:
    """Too many hosts are away: what passed stays, what is pending goes back."""
    away = _with(facts, Standing.AWAY)
    if len(away) <= facts.policy.max_unreachable.at_most(len(facts.hosts)):
        return None
    pending = _with(facts, Standing.PENDING)
    told = _told(facts, away)
    why = f"{len(away)} of {len(facts.hosts)} hosts cannot be worked on ({told})"
    if pending:
        return Revert(pending, why, Blame.NOBODY)
    if _with(facts, Standing.BUSY):
        return Wait(Reason.ACT, "acts are under way")
    return End(Result.UNREACHABLE, why)


def _refused_everywhere(facts: Facts) -> Decision | None:
    """End what runs nowhere and a host refuses: only a person takes it on from there.

    One that was forced by a person whose controller died before the first switch, or in it, would
    wait for ever.
    """
    if facts.is_attended or _with(facts, *HOLDING, Standing.AWAY, Standing.BUSY):
        return None
    for name in _with(facts, *_TO_SWITCH):
        if name in facts.refused:
            why = f"it runs nowhere, and {name} has it in quarantine: {facts.refused[name]}"
            return End(Result.ABANDONED, why)
    return None


def _staging(facts: Facts) -> Decision | None:
    """Everything is staged everywhere before anything is switched."""
    unstaged = _with(facts, Standing.UNSTAGED)
    return Stage(unstaged) if unstaged else None


def _next_ring(facts: Facts) -> Decision | None:
    later: Decision | None = None
    for ring in facts.policy.rings:
        name = ring.name
        members = [
            host
            for host in facts.members.get(name, ())
            if facts.hosts[host].standing not in (Standing.AWAY, *_BACK)
        ]
        if not members and facts.members.get(name) and not _passed(facts, name):
            told = _told(facts, facts.members[name])
            return End(Result.UNREACHABLE, f"no host of ring {name} can be reached ({told})", name)
        if any(facts.hosts[host].standing is not Standing.PROVEN for host in members):
            step = _step(facts, ring, members)
            if facts.is_attended or not _passed(facts, name) or not _can_go_on(step):
                return step
            # Hosts that were away are judged alone, beside the next rings.
            later = later or step
        elif facts.last_ring == name and later is None:
            return End(Result.STOPPED, f"stopped after ring {name} as asked", name)
    return later


def _can_go_on(step: Decision) -> bool:
    match step:
        case Wait(Reason.SOAK | Reason.VERDICT | Reason.WINDOW | Reason.QUARANTINE | Reason.LAPSED):
            return True
        case End(Result.INCONCLUSIVE):
            return True
        case _:
            return False


def _late_failure(facts: Facts) -> Decision | None:
    """Every ring has passed, and a host that came later would not have the release."""
    for name in _with(facts, *_BACK):
        view = facts.hosts[name]
        result = Result.STUCK if view.standing is Standing.STUCK else Result.FAILED
        return End(result, f"{name}: {view.why}", blame=Blame.HOST)
    return None


def _last_watch(facts: Facts) -> Wait | None:
    """Every ring has passed: the last one is watched for as long as the policy says."""
    last = next((r.name for r in reversed(facts.policy.rings) if facts.members.get(r.name)), "")
    ages = [
        facts.hosts[name].age_s
        for name in facts.members.get(last, ())
        if facts.hosts[name].standing is Standing.PROVEN
    ]
    left = facts.policy.watch - timedelta(seconds=min(ages, default=0.0))
    if facts.has_ended or facts.policy.only is not None or not ages or left <= timedelta(0):
        return None
    return Wait(Reason.WATCH, f"ring {last} is watched", last, facts.now + left)


def _step(facts: Facts, ring: Ring, members: Sequence[str]) -> Decision:
    """Take a ring that has not passed one step on."""
    views = {name: facts.hosts[name] for name in members}
    if any(view.standing is Standing.BUSY for view in views.values()):
        return Wait(Reason.ACT, "acts are under way", ring.name)
    settling = [
        view.age_s
        for view in views.values()
        if view.standing is Standing.PENDING and view.age_s < ring.settle.total_seconds()
    ]
    if settling:
        left = ring.settle - timedelta(seconds=min(settling))
        return Wait(Reason.SETTLE, "the batch settles", ring.name, facts.now + left)
    settled = _confirmable(views)
    if settled and not _stays_pending(facts, ring):
        return Confirm(ring.name, settled)
    behind = [name for name, view in views.items() if view.standing in _TO_SWITCH]
    if not behind:
        return _soak(facts, ring, views)
    tired = next((name for name in behind if views[name].has_given_up), None)
    if tired is not None:
        why = f"{tired} went back by itself {MOST_AGAIN + 1} times: {views[tired].why}"
        return Wait(Reason.LAPSED, why, ring.name)
    ill = _ill_batch(ring, views)
    if ill is not None:
        return ill
    closed = _closed(facts, ring, behind)
    if closed is not None:
        return closed
    size = max(1, ring.batch.of(len(members)))
    return SwitchOver(ring.name, tuple(behind[:size]))


def _ill_batch(ring: Ring, views: Mapping[str, HostStanding]) -> Decision | None:
    """Tell what stands against the next batch: hosts of earlier ones that do not run now."""
    held = {name: view for name, view in views.items() if view.standing in UNPROVEN}
    over_s = min((view.age_s for view in held.values()), default=0.0) - ring.settle.total_seconds()
    told = judged(None, {name: view.seen for name, view in held.items()}, over_s=max(0.0, over_s))
    if told is None:
        return None
    if told.outcome is Outcome.INCONCLUSIVE:
        return End(Result.INCONCLUSIVE, told.reasons[0], ring.name)
    return Wait(Reason.SETTLE, told.reasons[0], ring.name)


def _closed(facts: Facts, ring: Ring, behind: Sequence[str]) -> Wait | None:
    """Tell why hosts of a ring may not be switched: a hold, a missing approval, the hours."""
    if facts.hold:
        return Wait(Reason.HOLD, f"held by {facts.hold}", ring.name)
    refused = [name for name in behind if name in facts.refused]
    if refused and not facts.is_attended:
        why = f"it is in quarantine on {refused[0]} ({facts.refused[refused[0]]})"
        return Wait(Reason.QUARANTINE, why, ring.name)
    views = {facts.hosts[name].standing for name in facts.members.get(ring.name, ())}
    has_begun = not views.isdisjoint(HOLDING)
    if ring.gate is Gate.APPROVE and ring.name not in facts.approved and not has_begun:
        return Wait(Reason.GATE, f"ring {ring.name} needs an approval", ring.name)
    # A ring that has begun goes to its end; who was away then comes within the hours again.
    if ring.window is not None and (not has_begun or Standing.PROVEN in views):
        opens = ring.window.next_opening(facts.now)
        if opens > facts.now:
            return Wait(Reason.WINDOW, f"ring {ring.name} opens {ring.window}", ring.name, opens)
    return None


def _stays_pending(facts: Facts, ring: Ring) -> bool:
    """Tell whether the ring stays under lease until its verdict."""
    if facts.policy.lease.until is LeaseUntil.VERDICT:
        return True
    return facts.is_attended and timedelta(0) < ring.soak <= facts.policy.attended_soak


def _soak(facts: Facts, ring: Ring, views: Mapping[str, HostStanding]) -> Decision:
    """Every member runs the release: wait for the soak's end and the verdict, then act on it."""
    youngest = min(view.age_s for view in views.values() if view.standing is not Standing.PROVEN)
    left = ring.soak - timedelta(seconds=youngest)
    if left > timedelta(0):
        return Wait(Reason.SOAK, f"ring {ring.name} soaks", ring.name, facts.now + left)
    verdict = facts.verdicts.get(ring.name)
    if verdict is None or verdict.outcome is Outcome.WAIT:
        told = f": {'; '.join(verdict.reasons)}" if verdict and verdict.reasons else ""
        return _without_verdict(facts, ring, views, f"no verdict yet{told}")
    pending = _confirmable(views)
    if pending:
        return Confirm(ring.name, pending)
    is_down = any(
        view.seen.runs not in (Runs.RUNNING, Runs.LOOPING)
        for view in views.values()
        if view.standing in UNPROVEN
    )
    if verdict.outcome is Outcome.INCONCLUSIVE and (is_down or ring.name not in facts.accepted):
        return End(Result.INCONCLUSIVE, "; ".join(verdict.reasons), ring.name)
    waiting = tuple(n for n, view in views.items() if view.standing is not Standing.PROVEN)
    return Prove(ring.name, waiting, verdict)


def _confirmable(views: Mapping[str, HostStanding]) -> tuple[str, ...]:
    return tuple(
        name
        for name, view in views.items()
        if view.standing is Standing.PENDING and view.seen.runs in CONFIRMABLE
    )


def _without_verdict(
    facts: Facts, ring: Ring, views: Mapping[str, HostStanding], why: str
) -> Confirm | Wait:
    """Wait for proof that is missing when the soak is over; who attends leaves that after a while.

    The hosts are confirmed then, and ``promote`` waits until the judge's deadline.
    """
    # Here, for its package brings the whole judge, which those who only look do without.
    from botdeploy.core.judge.options import JudgeOptions  # noqa: PLC0415

    youngest = min(view.age_s for view in views.values() if view.standing is not Standing.PROVEN)
    age = timedelta(seconds=youngest)
    attended = max(facts.policy.attended_soak, ring.soak + VERDICT_LATE)
    if facts.is_attended and age < attended:
        return Wait(Reason.VERDICT, why, ring.name, facts.now + (attended - age))
    pending = _confirmable(views)
    if facts.is_attended and pending and facts.policy.lease.until is not LeaseUntil.VERDICT:
        return Confirm(ring.name, pending)
    options = JudgeOptions.from_policy(facts.policy.judge, ring.soak or ring.settle)
    left = timedelta(seconds=options.deadline_s) - age
    until = facts.now + left if left > timedelta(0) else None
    return Wait(Reason.VERDICT, why, ring.name, until, is_left=True)


# --- from a host's own words to its standing --------------------------------------------------


def standing_of(state: HostState, release: str, rollout: str) -> HostStanding:
    """Say where a host stands with ``release`` in ``rollout``, and whether it runs there."""
    view = _standing(state, release, rollout)
    return replace(view, seen=state.sees(release)) if view.standing in HOLDING else view


def _standing(state: HostState, release: str, rollout: str) -> HostStanding:
    switch = state.switch
    ours = switch is not None and is_try_of(switch.run, rollout) and switch.new == release
    if switch is not None and switch.phase is Phase.REVERTING:
        return HostStanding(Standing.BUSY, why="goes back")
    if switch is not None and switch.phase is Phase.PENDING and switch.new == release:
        return HostStanding(Standing.PENDING, _runs_for_s(state, release))
    if switch is not None and switch.phase is Phase.REVERTED and ours:
        if state.stuck:
            return HostStanding(Standing.STUCK, why=state.stuck)
        if switch.cause not in OWN_DOING:
            return HostStanding(Standing.RETURNED, why=switch.why)
    staged = state.release(release)
    if staged is None:
        return HostStanding(Standing.UNSTAGED)
    # A bot that is down at the moment still has the release: its journal tells the judge why.
    if state.current == release and state.running in (release, ""):
        is_of_another = staged.proven_in != rollout
        if staged.is_proven and not (is_of_another and (ours or staged.digest in state.quarantine)):
            age_s = staged.proven_for_s(state.at)
            return HostStanding(Standing.PROVEN, age_s, has_passed=staged.proven_in == rollout)
        return HostStanding(Standing.CONFIRMED, _runs_for_s(state, release))
    if switch is not None and switch.phase is Phase.REVERTED and ours:
        return lapsed(switch.run, rollout, switch.why)
    if state.rollout is None or state.rollout.id != rollout:
        return HostStanding(Standing.UNSTAGED)
    return HostStanding(Standing.BEHIND)


def lapsed(run: str, rollout: str, why: str) -> HostStanding:
    """Say that a host went back by itself after this try of a rollout, unconfirmed."""
    return HostStanding(Standing.LAPSED, why=why, has_given_up=_tries(run, rollout) > MOST_AGAIN)


def _runs_for_s(state: HostState, release: str) -> float:
    """Seconds since it was confirmed (or armed) here, else since its bot was started.

    The second one never jumps, and is what is left where the first lies in the host's future.
    """
    if state.switch is not None and state.switch.new == release and state.switch.age_s > 0:
        return state.switch.age_s
    since = state.active_since
    if since is None or state.at is None:
        return 0.0
    return max(0.0, (state.at - since).total_seconds())


def is_try_of(run: str, rollout: str) -> bool:
    """Match a run, one try of a rollout on one host: ``ROLLOUT`` or ``ROLLOUT.N``."""
    return run == rollout or run.startswith(f"{rollout}.")


def next_try(rollout: str, runs: Iterable[str]) -> str:
    """Name a run of a rollout that is none of a host's earlier ones."""
    last = max((_tries(run, rollout) for run in runs if is_try_of(run, rollout)), default=0)
    return f"{rollout}.{last + 1}" if last else rollout


def _tries(run: str, rollout: str) -> int:
    """Count the tries of a rollout on a host up to this one."""
    number = run.removeprefix(rollout).removeprefix(".")
    return int(number) if number.isdecimal() else 1
