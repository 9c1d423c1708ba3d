"""The facts: what the hosts said, as the decision may see it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.rollout import decision as decisions
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.decision import Facts, HostStanding, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.policy import Policy
    from botdeploy.engine.rollout.target import Target


def view_of(
    name: str, states: Mapping[str, HostState], away: Mapping[str, str], target: Target
) -> HostStanding:
    """Say where one host of the inventory stands; ``away`` tells why some can't be asked."""
    if name in away or name not in states:
        return HostStanding(Standing.AWAY, why=away.get(name, "not observed"))
    return decisions.standing_of(states[name], target.release, target.rollout)


def facts_of(
    policy: Policy,
    members: Mapping[str, Sequence[str]],
    hosts: Mapping[str, HostStanding],
    states: Mapping[str, HostState],
    target: Target,
    now: datetime,
) -> Facts:
    """Give the decision what the hosts say, without any verdict yet."""
    record = next(
        (one for one in rollout_records.records(states) if one.id == target.rollout), None
    )
    has_failed = record is not None and record.outcome == rollout_records.FAILED
    return Facts(
        policy=policy,
        members=members,
        hosts={
            name: _no_older(view, states.get(name), target, now) for name, view in hosts.items()
        },
        now=now,
        approved=rollout_records.approved(states, target.release),
        accepted=rollout_records.accepted(states, target.release),
        hold=rollout_records.hold(states),
        has_ended=record is not None and record.outcome != "",
        condemned=(record.ended_why or "it failed before") if record and has_failed else "",
        refused={
            name: why
            for name, state in states.items()
            if (why := state.quarantine.get(target.digest)) is not None
        },
    )


def _no_older(
    view: HostStanding, state: HostState | None, target: Target, now: datetime
) -> HostStanding:
    """Let no soak end early because a host's clock jumped ahead: ours must agree.

    After a reboot only: until then the kernel's clock has counted.
    What the host's clock was ahead when the release was staged counts as its usual error.
    """
    switch = state.switch if state is not None else None
    if state is None or switch is None or switch.new != target.release or switch.is_steady:
        return view
    if not switch.armed_us:
        return view
    ahead_s = 0.0
    begun, record = rollout_records.begun_at(target.rollout), state.rollout
    if begun is not None and record is not None and record.id == target.rollout:
        ahead_s = max(0.0, ((record.begun or begun) - begun).total_seconds())
    limit_s = now.timestamp() - switch.armed_us / 1e6 + ahead_s
    return view if limit_s < 0 else replace(view, age_s=min(view.age_s, limit_s))
