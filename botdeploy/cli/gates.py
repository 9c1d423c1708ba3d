"""The gates and the lock, by hand: approve, hold, resume, unlock. Each names who and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.core.model.policy import Gate
from botdeploy.core.rollout import decision as decisions
from botdeploy.core.rollout import ring_members, rollout_records
from botdeploy.core.rollout.decision import Standing
from botdeploy.engine.commands.ownership import refuse_others
from botdeploy.engine.commands.since_pass import since_pass
from botdeploy.engine.fleet.lock import owner_name
from botdeploy.engine.fleet.observe import observe_some
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.host_state import HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.fleet.fleet import Fleet


def hold(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """Stop promotions."""
    return _everywhere(context, environment, "hold", message, dry_run=dry_run)


def resume(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """End a hold."""
    return _everywhere(context, environment, "resume", message, dry_run=dry_run)


def approve(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """Open the gate of the ring that waits."""
    inventory = context.load(environment)
    with context.fleet(inventory) as fleet:
        states = _states(fleet, inventory)
        record = rollout_records.newest_under_way(states, inventory.policy)
        if record is None:
            raise UserError(f"no rollout of {inventory.environment} is under way; nothing waits")
        ring, has_begun = _waiting_ring(inventory, states, record.id, record.release)
        if not ring:
            raise UserError(
                f"no ring of {record.release} waits for an approval; see:\n"
                f"botdeploy status {inventory.environment}"
            )
        what = f"ring {ring} of {record.release}"
        if has_begun:
            what += ", should its verdict be inconclusive"
        came = since_pass(fleet, inventory, states, record)
        told = f"; since the pass: {'; '.join(came)}" if came else ""
        if dry_run:
            return context.ended(Ended(ExitCode.DONE, f"would approve {what}{told}"))
        who = owner_name(context.environ)
        context.say(f"approving {what}")
        return _emit(
            context,
            fleet,
            inventory,
            lambda name: fleet.acts(name).gate("approve", who, message, record.release, ring),
            f"approved {what} by {who}{told}; next: botdeploy promote {inventory.environment}",
        )


def _waiting_ring(
    inventory: Inventory, states: Mapping[str, HostState], rollout_id: str, release: str
) -> tuple[str, bool]:
    """Name the ring that an approval is for, and tell whether it has begun already.

    One approval opens a ring's gate; another, given after it began, takes on a doubtful verdict.
    """
    rings = ring_members.members(inventory, states, rollout=rollout_id, release=release)
    for ring in inventory.policy.rings:
        views = [
            decisions.standing_of(states[name], release, rollout_id).standing
            for name in rings[ring.name]
            if name in states
        ]
        if all(view is Standing.PROVEN for view in views):
            continue
        if any(view in (Standing.PENDING, Standing.CONFIRMED) for view in views):
            is_done = ring.name in rollout_records.accepted(states, release)
            return ("" if is_done else ring.name), True
        waits = ring.gate is Gate.APPROVE and ring.name not in rollout_records.approved(
            states, release
        )
        return (ring.name if waits else ""), False
    return "", False


def unlock(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """Take a lock away."""
    inventory = context.load(environment)
    with context.fleet(inventory) as fleet:
        states = _states(fleet, inventory)
        locked = {name: state.lock for name, state in states.items() if state.lock is not None}
        if not locked:
            return context.ended(Ended(ExitCode.DONE, "nobody has the lock"))
        told = "; ".join(f"{name} by {holder}" for name, holder in locked.items())
        if dry_run:
            return context.ended(Ended(ExitCode.DONE, f"locked: {told}"))
        who = (
            f"{owner_name(context.environ)}: {message}" if message else owner_name(context.environ)
        )
        return _emit(
            context,
            fleet,
            inventory,
            lambda name: fleet.acts(name).unlock(who),
            f"unlocked; it was {told}",
        )


def _everywhere(
    context: Context, environment: str, act: str, message: str, *, dry_run: bool
) -> int:
    inventory = context.load(environment)
    if dry_run:
        return context.ended(Ended(ExitCode.DONE, f"would {act} {inventory.environment}"))
    with context.fleet(inventory) as fleet:
        states = _states(fleet, inventory)
        is_held = any(state.hold for state in states.values())
        if act == "resume" and not is_held and len(states) == len(inventory.hosts):
            told = f"nobody holds {inventory.environment}"
            return context.ended(Ended(ExitCode.DONE, told))
        who = owner_name(context.environ)
        done = "held" if act == "hold" else "resumed"
        return _emit(
            context,
            fleet,
            inventory,
            lambda name: fleet.acts(name).gate(act, who, message),
            f"{inventory.environment} {done} by {who}",
        )


def _states(fleet: Fleet, inventory: Inventory) -> dict[str, HostState]:
    """Ask all hosts; raises UserError where another environment has one."""
    states, _away = observe_some(fleet, [host.name for host in inventory.hosts])
    refuse_others(inventory, states)
    return states


def _emit(
    context: Context,
    fleet: Fleet,
    inventory: Inventory,
    act: Callable[[str], Any],
    done: str,
) -> int:
    """Tell every host; a majority must have heard it, for a majority decides a rollout."""
    names = [host.name for host in inventory.hosts]
    results = fleet.each(names, act)
    failed = [one for one in results.values() if isinstance(one, HostError)]
    told = f" (not told: {'; '.join(map(str, failed))})" if failed else ""
    heard = len(names) - len(failed)
    code = ExitCode.DONE if heard * 2 > len(names) else ExitCode.UNREACHABLE
    return context.ended(Ended(code, done + told if heard else told.strip()))
