"""Failures: what a rollout does when something failed, or too many hosts are away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.model.policy import OnFail
from botdeploy.core.rollout.host_standing import HOLDING, UNPROVEN, Standing
from botdeploy.core.rollout.machine_count import count_machines
from botdeploy.core.rollout.next_step import Blame, End, Reason, Result, Revert, Wait
from botdeploy.core.rollout.rollout_records import host_named, is_rolled_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.rollout.facts import Facts
    from botdeploy.core.rollout.next_step import Decision

_BACK = (Standing.RETURNED, Standing.STUCK)


def failure(facts: Facts) -> Decision | None:
    """Something failed: name what goes back, and end when it is back."""
    is_late = not facts.condemned and not facts.revoked and _has_passed(facts)
    if is_late:
        return _late_return(facts)
    ring, why = _first_failure(facts)
    if not why:
        return None
    back = _with_renumbered(facts, _goes_back(facts, ring))
    going = [name for name in back if facts.hosts[name].standing in HOLDING]
    if going:
        return Revert(tuple(going), why)
    if facts.within(Standing.BUSY):
        return Wait(Reason.ACT, "hosts are being reverted", ring)
    stuck = facts.within(Standing.STUCK)
    if stuck:
        others = [f"{name}: {facts.hosts[name].why}" for name in stuck]
        more = "; ".join(one for one in others if one not in why)
        more = f"; the revert failed on {more}" if more else ""
        return End(Result.STUCK, why + more, ring)
    return End(Result.FAILED, why, ring)


def _late_return(facts: Facts) -> Revert | None:
    """Every ring has passed: of those whose late hosts fail, these go back, and no others."""
    for ring in facts.policy.rings:
        verdict = facts.failure(ring.name)
        views = facts.views(ring.name).items()
        unproven = [name for name, view in views if view.standing in UNPROVEN]
        if verdict is not None and unproven:
            where = f"{verdict.host}: " if verdict.host else ""
            return Revert(tuple(unproven), where + "; ".join(verdict.reasons), Blame.HOST)
    return None


def _has_passed(facts: Facts) -> bool:
    """Tell whether every ring has passed, so that only hosts that were away are left."""
    rings = [ring.name for ring in facts.policy.rings if facts.members.get(ring.name)]
    return bool(rings) and all(facts.has_passed(ring) for ring in rings)


def _first_failure(facts: Facts) -> tuple[str, str]:
    for ring in facts.policy.rings:
        verdict = facts.failure(ring.name)
        if verdict is not None:
            where = f"{verdict.host}: " if verdict.host else ""
            return ring.name, where + "; ".join(verdict.reasons)
    hosts = {
        name: one.name for one in facts.policy.rings for name in facts.members.get(one.name, ())
    }
    back = (name for name in hosts if facts.hosts[name].standing in _BACK)
    name = host_named(hosts, facts.condemned) or next(back, "")
    return hosts.get(name, ""), facts.condemned or (_told(facts, name) if name else "")


def _told(facts: Facts, name: str) -> str:
    """Say why a host went back: the reason may be another's, or name it already."""
    why = facts.hosts[name].why
    return why if host_named(facts.hosts, why) else f"{name}: {why}"


def _goes_back(facts: Facts, ring: str) -> Sequence[str]:
    """Hosts that a failure in ``ring`` takes back, by the policy's ``on_fail``.

    All of them where a person rolled the release back.
    """
    if is_rolled_back(facts.condemned):
        return tuple(facts.hosts)
    members = facts.members.get(ring, ())
    unproven = facts.within(*UNPROVEN)
    match facts.policy.on_fail:
        case OnFail.FLEET:
            return tuple(facts.hosts)
        case OnFail.RING:
            return tuple(members) if ring else unproven
        case OnFail.HOST:
            verdict = facts.failure(ring)
            shown = verdict.host if verdict else host_named(facts.hosts, facts.condemned)
            pending = facts.within(Standing.PENDING)
            if not shown and (facts.condemned or not facts.within(*_BACK)):
                return tuple(dict.fromkeys((*members, *pending)))
            return (*((shown,) if shown else ()), *pending)


def _with_renumbered(facts: Facts, going: Sequence[str]) -> Sequence[str]:
    """Add to hosts that go back those that changed their numbers with them."""
    others = [name for ring in facts.policy.rings for name in ring.renumbers]
    return going if {*going}.isdisjoint(others) else tuple(dict.fromkeys((*going, *others)))


def beyond_reach(facts: Facts) -> Decision | None:
    """Too many machines are away: what passed stays, what is pending goes back.

    A machine is away with any of its hosts: what keeps one from being worked on is nothing that
    may be passed over.
    """
    away = facts.within(Standing.AWAY)
    count = count_machines(facts.machines, facts.hosts, away)
    if count.some <= facts.policy.max_unreachable.at_most(count.total):
        return None
    pending = facts.within(Standing.PENDING)
    why = f"{count} are not available ({facts.whys(away)})"
    if pending:
        return Revert(pending, why, Blame.NOBODY)
    if facts.within(Standing.BUSY):
        return Wait(Reason.ACT, "another operation is still running")
    return End(Result.UNREACHABLE, why)


def refused_everywhere(facts: Facts) -> Decision | None:
    """End what runs nowhere and a host refuses: only a person takes it on from there.

    One that was forced by a person whose controller died before the first switch, or in it, would
    wait for ever.
    """
    if facts.is_attended or facts.within(*HOLDING, Standing.AWAY, Standing.BUSY):
        return None
    for name in facts.within(Standing.BEHIND, Standing.LAPSED):
        if name in facts.refused:
            why = f"no host runs it, and it is in quarantine on {name}: {facts.refused[name]}"
            return End(Result.ABANDONED, why)
    return None


def late_failure(facts: Facts) -> Decision | None:
    """Every ring has passed, and a host that came later would not have the release."""
    for name in facts.within(*_BACK):
        view = facts.hosts[name]
        result = Result.STUCK if view.standing is Standing.STUCK else Result.FAILED
        return End(result, f"{name}: {view.why}", blame=Blame.HOST)
    return None
