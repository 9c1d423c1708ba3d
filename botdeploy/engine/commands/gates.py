"""Gates and the lock, by hand: hold, resume, approve, unlock. Each notes who and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.model.policy import Gate
from botdeploy.core.rollout import ring_members, rollout_records
from botdeploy.core.rollout.host_standing import SATISFIED, UNPROVEN, standing_of
from botdeploy.core.rollout.machine_count import machines_with
from botdeploy.core.rollout.renumbering import as_one_batch
from botdeploy.engine.commands.since_pass import since_pass
from botdeploy.engine.fleet.observe import observe_some
from botdeploy.engine.fleet.ownership import refuse_others
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, Hint, HostError, Todo, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Signed:
    """Who acts, and the message that goes with it."""

    who: str
    message: str = ""


def hold(inventory: Inventory, fleet: Fleet, by: Signed, *, is_dry: bool) -> Ended:
    """Stop promotions."""
    if is_dry:
        return Ended(ExitCode.DONE, f"would hold {inventory.environment}")
    states(fleet, inventory)
    return _everywhere(
        fleet,
        inventory,
        lambda name: fleet.acts(name).rollout.gate("hold", by.who, by.message),
        f"{inventory.environment} is held by {by.who}",
    )


def resume(inventory: Inventory, fleet: Fleet, by: Signed, *, is_dry: bool) -> Ended:
    """End a hold."""
    if is_dry:
        return Ended(ExitCode.DONE, f"would resume {inventory.environment}")
    seen = states(fleet, inventory)
    is_held = any(state.hold for state in seen.values())
    if not is_held and len(seen) == len(inventory.hosts):
        return Ended(ExitCode.DONE, f"{inventory.environment} is not held")
    return _everywhere(
        fleet,
        inventory,
        lambda name: fleet.acts(name).rollout.gate("resume", by.who, by.message),
        f"{inventory.environment} was resumed by {by.who}",
    )


def approve(inventory: Inventory, fleet: Fleet, by: Signed, *, is_dry: bool) -> Ended:
    """Open the gate of the ring that waits; raises UserError where none does."""
    seen = states(fleet, inventory)
    record = rollout_records.newest_under_way(seen, inventory.policy)
    if record is None:
        raise UserError(f"no rollout of {inventory.environment} is under way; nothing waits")
    ring, has_begun = _waiting_ring(inventory, seen, record)
    if not ring:
        raise UserError(
            f"no ring waits for an approval of {record.release}",
            hint=Hint(Todo.STATUS),
        )
    what = f"ring {ring} of {record.release}"
    if has_begun:
        what += ", in case its verdict is inconclusive"
    since = since_pass(fleet, inventory, seen, record)
    note = f"; since its pass: {'; '.join(since)}" if since else ""
    if is_dry:
        return Ended(ExitCode.DONE, f"would approve {what}{note}")
    return _everywhere(
        fleet,
        inventory,
        lambda name: fleet.acts(name).rollout.gate(
            "approve", by.who, by.message, record.release, ring
        ),
        f"approved {what} by {by.who}{note}",
        hint=Hint(Todo.PROMOTE),
    )


def _waiting_ring(
    inventory: Inventory, seen: Mapping[str, HostState], record: RolloutRecord
) -> tuple[str, bool]:
    """Name the ring that an approval is for, and tell whether it has begun already.

    One approval opens a ring's gate; another, given after it began, takes on a doubtful verdict.
    """
    release = record.release
    inventory = as_one_batch(inventory, seen, release)
    rings = ring_members.members(inventory, seen, rollout=record.id, release=release)
    for ring in inventory.policy.rings:
        views = [
            standing_of(seen[name], release, record.digest, record.id).standing
            for name in rings[ring.name]
            if name in seen
        ]
        if all(view in SATISFIED for view in views):
            continue
        if any(view in UNPROVEN for view in views):
            is_done = ring.name in rollout_records.accepted(seen, release)
            return ("" if is_done else ring.name), True
        waits = ring.gate is Gate.APPROVE and ring.name not in rollout_records.approved(
            seen, release
        )
        return (ring.name if waits else ""), False
    return "", False


def unlock(inventory: Inventory, fleet: Fleet, by: Signed, *, is_dry: bool) -> Ended:
    """Remove a lock."""
    seen = states(fleet, inventory)
    locked = {name: state.lock for name, state in seen.items() if state.lock is not None}
    if not locked:
        return Ended(ExitCode.DONE, f"{inventory.environment} is not locked")
    holders = "; ".join(f"{name} by {holder}" for name, holder in locked.items())
    if is_dry:
        return Ended(ExitCode.DONE, f"locked: {holders}")
    who = f"{by.who}: {by.message}" if by.message else by.who
    done = f"removed the lock: {holders}"
    return _everywhere(fleet, inventory, lambda name: fleet.acts(name).lock.unlock(who), done)


def states(fleet: Fleet, inventory: Inventory) -> dict[str, HostState]:
    """Ask all hosts; raises UserError where another environment has one."""
    seen, _away = observe_some(fleet, [host.name for host in inventory.hosts])
    refuse_others(inventory, seen)
    return seen


def _everywhere(
    fleet: Fleet,
    inventory: Inventory,
    act: Callable[[str], Any],
    done: str,
    hint: Hint | None = None,
) -> Ended:
    """Do it on every host; most machines must have answered, for a majority decides a rollout."""
    names = [host.name for host in inventory.hosts]
    results = fleet.each(names, act)
    failed = [str(one) for one in results.values() if isinstance(one, HostError)]
    reached = [name for name, one in results.items() if not isinstance(one, HostError)]
    if not reached:
        return Ended(ExitCode.UNREACHABLE, f"no host could be reached: {'; '.join(failed)}")
    note = f" (not on every host: {'; '.join(failed)})" if failed else ""
    is_most = machines_with(inventory, reached).is_most
    code = ExitCode.DONE if is_most else ExitCode.UNREACHABLE
    return Ended(code, done + note, hints=(hint,) if hint is not None else ())
