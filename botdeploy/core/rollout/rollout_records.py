"""Which rollout is under way, and what people said of it, as the hosts tell it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.core.model.policy import OnFail
from botdeploy.core.rollout.host_standing import HOLDING, SATISFIED, Standing, standing_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.host.host_state import HostState, RolloutRecord, StagedRelease, Switch
    from botdeploy.core.model.policy import Policy

_STAMP = "%Y%m%dT%H%M%SZ"
_ENDS = ("", "passed", "abandoned", "failed")
"""Ends of a rollout; where hosts say different ones, the last of these counts."""

FAILED, ABANDONED, PASSED = "failed", "abandoned", "passed"
ROLLED_BACK = "rolled back: "
"""What the reason of a rollout begins with that a person took back from all of its hosts."""


def records(states: Mapping[str, HostState]) -> list[RolloutRecord]:
    """List the rollouts that hosts know of, the newest first, each with its end.

    Names of rollouts begin with their time and never go back (``next_stamp``), so they tell the
    order; the hosts' own clocks do not. One host may have been away at the end: any host's word
    for it is good.
    """
    found: dict[str, RolloutRecord] = {}
    for state in states.values():
        record = state.rollout
        if record is None:
            continue
        known = found.setdefault(record.id, record)
        if _ENDS.index(_end(record)) > _ENDS.index(_end(known)):
            found[record.id] = replace(
                known, outcome=record.outcome, ended=record.ended, ended_why=record.ended_why
            )
    return [found[name] for name in sorted(found, reverse=True)]


def _end(record: RolloutRecord) -> str:
    return record.outcome if record.outcome in _ENDS else ""


def newest(states: Mapping[str, HostState]) -> RolloutRecord | None:
    """Give the last rollout, over or not; a newer one replaces the older ones for good."""
    return next(iter(records(states)), None)


def known(states: Mapping[str, HostState], rollout: str) -> RolloutRecord | None:
    """Give what the hosts know of one rollout, with its end; None: nothing."""
    return next((one for one in records(states) if one.id == rollout), None)


def is_open(states: Mapping[str, HostState], record: RolloutRecord, policy: Policy) -> bool:
    """Tell whether anything is left to do of a rollout, now or later."""
    standings = _standings(states, record)
    views = set(standings.values())
    match record.outcome:
        case "failed" if is_rolled_back(record.ended_why):
            return not views.isdisjoint(left_behind(OnFail.FLEET))
        case "failed":
            return not views.isdisjoint(left_behind(policy.on_fail)) or (
                policy.on_fail is not OnFail.FLEET
                and _is_half_back(states, standings, policy.on_fail, record.ended_why)
            )
        case "abandoned":
            return False
        case "passed":
            late = {Standing.BEHIND, Standing.UNSTAGED, Standing.LAPSED, Standing.BUSY}
            return not views.isdisjoint(SATISFIED) and not views.isdisjoint(
                {Standing.PENDING, Standing.CONFIRMED, *late}
            )
        case _:
            return True


def _standings(states: Mapping[str, HostState], record: RolloutRecord) -> dict[str, Standing]:
    """Say where the hosts stand that answered."""
    return {
        name: standing_of(state, record.release, record.digest, record.id).standing
        for name, state in states.items()
    }


def _is_half_back(
    states: Mapping[str, HostState], views: Mapping[str, Standing], on_fail: OnFail, why: str
) -> bool:
    """Tell whether a host that failed did not go back yet, or one of the ring that failed.

    The controller died before, or the host was away. A ring may have passed when it failed.
    """
    named = host_named(views, why)
    if on_fail is OnFail.HOST and named:
        return views[named] in HOLDING
    rings = {
        state.rollout.ring
        for name, state in states.items()
        if state.rollout is not None and (views[name] is Standing.RETURNED or name == named)
    }
    return any(
        views[name] in HOLDING and state.rollout is not None and state.rollout.ring in rings
        for name, state in states.items()
    )


def is_rolled_back(why: str) -> bool:
    """Tell by its reason whether a person took a rollout back: then no host keeps its release."""
    return why.startswith(ROLLED_BACK)


def host_named(hosts: Iterable[str], why: str) -> str:
    """Name the host that a reason begins with; empty where it is none's own."""
    return next((name for name in hosts if why.startswith(f"{name}: ")), "")


def left_behind(on_fail: OnFail) -> frozenset[Standing]:
    """Give the standings that a host may not stay in after the release failed elsewhere."""
    match on_fail:
        case OnFail.FLEET:
            return frozenset({Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN})
        case OnFail.RING:  # earlier rings' hosts are proven, the failing ring's are not
            return frozenset({Standing.PENDING, Standing.CONFIRMED})
        case OnFail.HOST:
            return frozenset({Standing.PENDING})


def newest_under_way(states: Mapping[str, HostState], policy: Policy) -> RolloutRecord | None:
    """Give the rollout that is under way, or None."""
    record = newest(states)
    return record if record is not None and is_open(states, record, policy) else None


def leftovers(states: Mapping[str, HostState], policy: Policy) -> dict[str, tuple[str, str]]:
    """Name hosts that run a release which failed while they were away: host → (digest, why).

    Only releases of earlier rollouts: the last one's own decision sees to its hosts. A release
    that runs on more hosts than it is refused on was forced through by a person.
    """
    if policy.on_fail is not OnFail.FLEET:
        return {}
    last = newest(states)
    found: dict[str, tuple[str, str]] = {}
    for name, state in states.items():
        staged = _running(state)
        if staged is None or not staged.digest or (last and last.release == staged.id):
            continue
        refused = [one.quarantine[staged.digest] for one in states.values() if _has(one, staged)]
        running = sum(_running(one) == staged or _same(one, staged) for one in states.values())
        if len(refused) > running:
            found[name] = (staged.digest, refused[0])
    return found


def _running(state: HostState) -> StagedRelease | None:
    """Give the release that a host keeps; None where it goes back by itself, or does so now."""
    return state.release(state.current) if state.current and not state.is_switching else None


def _has(state: HostState, staged: StagedRelease) -> bool:
    return staged.digest in state.quarantine


def _same(state: HostState, staged: StagedRelease) -> bool:
    mine = _running(state)
    return mine is not None and mine.digest == staged.digest


def next_stamp(now: datetime, known: Iterable[str]) -> str:
    """Give the time that a new rollout's name begins with: now, but after every known one.

    A rollout needs most hosts, so one of them knows the last one, whatever clock named it.
    """
    last = max((at for name in known if (at := begun_at(name)) is not None), default=None)
    at = now.astimezone(UTC).replace(microsecond=0)
    if last is not None and at <= last:
        at = last + timedelta(seconds=1)
    return at.strftime(_STAMP)


def begun_at(rollout: str) -> datetime | None:
    """Read from a rollout's name when it began, by its controller's clock (UTC)."""
    try:
        return datetime.strptime(rollout.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


# --- what people said ---------------------------------------------------------------------------


def approved(states: Mapping[str, HostState], release: str) -> frozenset[str]:
    """Name the rings that a person opened for a release."""
    return frozenset(
        one.ring for state in states.values() for one in state.approvals if one.release == release
    )


def accepted(states: Mapping[str, HostState], release: str) -> frozenset[str]:
    """Name the rings whose doubtful verdict a person took on: approved after they had begun.

    The host's own clock stamped both its approval and its switch.
    """
    return frozenset(
        one.ring
        for state in states.values()
        if state.switch is not None and state.switch.new == release and state.switch.armed_us
        for one in state.approvals
        if one.release == release
        and _was_in(state, release, one.ring)
        and _is_later(one.at, state.switch, state)
    )


def _is_later(at: datetime | None, switch: Switch, state: HostState) -> bool:
    """Tell whether something was stamped after a switch, also where the clock was set back since.

    A switch that lies in the host's future was armed before that; a stamp from its past, but from
    within the time that the release runs, came after it.
    """
    at_us, now_us = int(at.timestamp() * 1e6) if at is not None else 0, state.at_us
    if at_us > switch.armed_us or switch.armed_us <= now_us:
        return at_us > switch.armed_us
    since = state.active_since
    if switch.is_steady:
        return now_us - switch.age_s * 1e6 < at_us <= now_us
    return since is not None and since.timestamp() * 1e6 < at_us <= now_us


def _was_in(state: HostState, release: str, ring: str) -> bool:
    record = state.rollout
    return record is not None and (record.release, record.ring) == (release, ring)


def hold(states: Mapping[str, HostState]) -> str:
    """Say who holds the environment and why; empty when nobody does.

    A hold, and its end, are told to most hosts. One that was away at the end still has it, so
    that of a few does not count.
    """
    held = [state.hold for state in states.values() if state.hold]
    return held[0] if 2 * len(held) >= len(states) and held else ""
