"""The next step of a rollout: a pure decision over what the hosts say. Read this file first.

A rollout takes one release through the rings. Nothing is remembered between two decisions: the
same facts give the same step to a cron job, a laptop or a CI runner, and a step that was done
shows in the next facts, so it is never repeated.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.core.rollout import failures
from botdeploy.core.rollout.facts import with_what_runs
from botdeploy.core.rollout.host_standing import Standing
from botdeploy.core.rollout.next_step import End, Reason, Result, Stage, Wait
from botdeploy.core.rollout.ring_decision import ring_step

if TYPE_CHECKING:
    from botdeploy.core.rollout.facts import Facts
    from botdeploy.core.rollout.next_step import Decision


_OUT = (Standing.AWAY, Standing.RETURNED, Standing.STUCK, Standing.SAME)
"""Standings of hosts that a ring's next step is not about."""


def decide(facts: Facts) -> Decision:
    """Give the next step. Pure: the same facts give the same step."""
    facts = with_what_runs(facts)
    return (
        failures.failure(facts)
        or failures.beyond_reach(facts)
        or failures.refused_everywhere(facts)
        or _staging(facts)
        or _next_ring(facts)
        or failures.late_failure(facts)
        or _last_watch(facts)
        or End(Result.DONE, "every ring passed")
    )


def _staging(facts: Facts) -> Decision | None:
    """Everything is staged everywhere before anything is switched."""
    unstaged = facts.within(Standing.UNSTAGED)
    return Stage(unstaged) if unstaged else None


def _next_ring(facts: Facts) -> Decision | None:
    later: Decision | None = None
    for ring in facts.policy.rings:
        name = ring.name
        members = [
            host for host in facts.members.get(name, ()) if facts.hosts[host].standing not in _OUT
        ]
        if not members and facts.members.get(name) and not facts.has_passed(name):
            why = f"no host of ring {name} can be reached ({facts.whys(facts.members[name])})"
            return End(Result.UNREACHABLE, why, name)
        if any(facts.hosts[host].standing is not Standing.PROVEN for host in members):
            step = ring_step(facts, ring, members)
            if facts.is_attended or not facts.has_passed(name) or not _can_go_on(step):
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
