"""One ring, taken one step on: switch a batch, let it settle, confirm, wait, prove."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.core.host.running import CONFIRMABLE, Runs, judged
from botdeploy.core.model.lease import LeaseUntil
from botdeploy.core.model.policy import Gate
from botdeploy.core.rollout.batch import next_batch
from botdeploy.core.rollout.host_standing import HOLDING, MOST_AGAIN, UNPROVEN, Standing
from botdeploy.core.rollout.next_step import (
    Confirm,
    End,
    Prove,
    Reason,
    Result,
    SwitchOver,
    Wait,
)
from botdeploy.core.rollout.renumbering import whole_step
from botdeploy.core.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.model.policy import Ring
    from botdeploy.core.rollout.facts import Facts
    from botdeploy.core.rollout.host_standing import HostStanding
    from botdeploy.core.rollout.next_step import Decision

VERDICT_LATE = timedelta(seconds=60)
"""How long after a soak's end its verdict may come and still be waited for in any case."""


def ring_step(facts: Facts, ring: Ring, members: Sequence[str]) -> Decision:
    """Take a ring that has not passed one step on."""
    views = {name: facts.hosts[name] for name in members}
    if any(view.standing is Standing.BUSY for view in views.values()):
        return Wait(Reason.ACT, "another operation is still running", ring.name)
    first = whole_step(facts, ring)
    if first is not None:
        return first
    settling = [
        view.age_s
        for view in views.values()
        if view.standing is Standing.PENDING and view.age_s < ring.settle.total_seconds()
    ]
    if settling:
        left = ring.settle - timedelta(seconds=min(settling))
        return Wait(Reason.SETTLE, "the batch settles", ring.name, facts.now + left)
    settled = _confirmable(ring, views)
    if settled and not _stays_pending(facts, ring):
        return Confirm(ring.name, settled)
    behind = [
        name for name, view in views.items() if view.standing in (Standing.BEHIND, Standing.LAPSED)
    ]
    if not behind:
        return _soak(facts, ring, views)
    exhausted = next((name for name in behind if views[name].has_given_up), None)
    if exhausted is not None:
        why = f"{exhausted} reverted by itself {MOST_AGAIN + 1} times: {views[exhausted].why}"
        return Wait(Reason.LAPSED, why, ring.name)
    stopped = _earlier_batch(ring, views)
    if stopped is not None:
        return stopped
    closed = _closed(facts, ring, behind)
    if closed is not None:
        return closed
    alone = _alone(facts, ring, views)
    if alone is not None:
        return alone
    every = facts.members[ring.name]
    return SwitchOver(ring.name, next_batch(ring, members, behind, facts.machines, every))


def _alone(facts: Facts, ring: Ring, views: Mapping[str, HostStanding]) -> Decision | None:
    """Let one host go first, for the ring's soak, where no ring before it has tried the release.

    Hosts that keep what they run try nothing, and what a later ring's hosts have from an earlier
    rollout is no try of this ring.
    """
    tried = [view for view in views.values() if view.standing in HOLDING]
    earlier = facts.policy.rings[: facts.policy.rings.index(ring)]
    names = [name for one in earlier for name in facts.members.get(one.name, ())]
    if (
        ring.renumbers
        or not names
        or any(facts.hosts[name].standing is not Standing.SAME for name in names)
    ):
        return None
    if not tried:
        return SwitchOver(ring.name, (next(iter(views)),))
    if len(tried) > 1:
        return None
    left = ring.soak - timedelta(seconds=tried[0].age_s)
    if left <= timedelta(0):
        return None
    return Wait(Reason.SOAK, f"ring {ring.name} soaks, one host first", ring.name, facts.now + left)


def _earlier_batch(ring: Ring, views: Mapping[str, HostStanding]) -> Decision | None:
    """Tell what stands against the next batch: hosts of earlier ones that do not run now."""
    held = {name: view for name, view in views.items() if view.standing in UNPROVEN}
    over_s = min((view.age_s for view in held.values()), default=0.0) - ring.settle.total_seconds()
    seen = {name: view.seen for name, view in held.items()}
    verdict = judged(None, seen, over_s=max(0.0, over_s))
    if verdict is None:
        return None
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return End(Result.INCONCLUSIVE, verdict.reasons[0], ring.name)
    return Wait(Reason.SETTLE, verdict.reasons[0], ring.name)


def _closed(facts: Facts, ring: Ring, behind: Sequence[str]) -> Wait | End | None:
    """Tell why hosts of a ring may not be switched: a hold, a missing approval or proof, the hours.

    Another environment's proof is looked at last: it is asked for where all else is open.
    """
    if facts.hold:
        return Wait(Reason.HOLD, f"held by {facts.hold}", ring.name)
    refused = [name for name in behind if name in facts.refused]
    if refused and not facts.is_attended:
        why = f"it is in quarantine on {refused[0]} ({facts.refused[refused[0]]})"
        return Wait(Reason.QUARANTINE, why, ring.name)
    has_begun = facts.has_begun(ring.name)
    if ring.gate is Gate.APPROVE and ring.name not in facts.approved and not has_begun:
        return Wait(Reason.GATE, f"ring {ring.name} needs an approval", ring.name)
    # A ring that has begun goes to its end; who was away then comes within the hours again.
    views = facts.views(ring.name).values()
    has_proven = any(
        view.standing is Standing.PROVEN and (view.has_passed or facts.has_ended) for view in views
    )
    if ring.window is not None and (not has_begun or has_proven):
        opens = ring.window.next_opening(facts.now)
        if opens > facts.now:
            return Wait(Reason.WINDOW, f"ring {ring.name} opens {ring.window}", ring.name, opens)
    if facts.unmet is not None and not has_begun:
        return facts.unmet.step(ring.name)
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
        reasons = f": {'; '.join(verdict.reasons)}" if verdict and verdict.reasons else ""
        return _without_verdict(facts, ring, views, f"no verdict yet{reasons}")
    pending = _confirmable(ring, views)
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


def _confirmable(ring: Ring, views: Mapping[str, HostStanding]) -> tuple[str, ...]:
    pending = {n: view for n, view in views.items() if view.standing is Standing.PENDING}
    found = tuple(name for name, view in pending.items() if view.seen.runs in CONFIRMABLE)
    return () if ring.renumbers and len(found) < len(pending) else found


def _without_verdict(
    facts: Facts, ring: Ring, views: Mapping[str, HostStanding], why: str
) -> Confirm | Wait:
    """Wait for proof that is missing when the soak is over; who attends leaves that after a while.

    The hosts are confirmed then, and ``promote`` waits until the judge's deadline.
    """
    # Here, for its package brings the whole judge, which those who only look do without.
    from botdeploy.core.judge.judge_options import JudgeOptions

    youngest = min(view.age_s for view in views.values() if view.standing is not Standing.PROVEN)
    age = timedelta(seconds=youngest)
    attended = max(facts.policy.attended_soak, ring.soak + VERDICT_LATE)
    if facts.is_attended and age < attended:
        return Wait(Reason.VERDICT, why, ring.name, facts.now + (attended - age))
    pending = _confirmable(ring, views)
    if facts.is_attended and pending and facts.policy.lease.until is not LeaseUntil.VERDICT:
        return Confirm(ring.name, pending)
    options = JudgeOptions.from_policy(facts.policy.judge, ring.soak or ring.settle)
    left = timedelta(seconds=options.deadline_s) - age
    until = facts.now + left if left > timedelta(0) else None
    return Wait(Reason.VERDICT, why, ring.name, until, is_left=True)
