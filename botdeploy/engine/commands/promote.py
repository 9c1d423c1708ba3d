"""Promote: do what is due now of the rollout under way, for cron; silent when nothing is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.machine_count import machines_with
from botdeploy.engine.fleet.fleet import StillAtWork
from botdeploy.engine.fleet.lock import PATIENCE_S
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import refuse_others
from botdeploy.engine.outcome import Ended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.next_step import Decision
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.rollout.options import Options


def promote(inventory: Inventory, dependencies: Dependencies, options: Options) -> Ended:
    """Do what is due now of the rollout that is under way; silent when nothing is.

    Reads everything from the hosts, so that any controller takes the same next step. Hosts that
    were unreachable when a release failed are reverted from it first. Where most hosts answer soon,
    one that hangs keeps no lease from being renewed and no failed host from being reverted.
    """
    names = [host.name for host in inventory.hosts]
    states, away = observe(dependencies.fleet, names, patience_s=PATIENCE_S)
    late = [name for name, error in away.items() if isinstance(error, StillAtWork)]
    is_hasty = machines_with(inventory, states).is_most and _is_due(inventory, states)
    if late and not is_hasty:
        states, away = observe(dependencies.fleet, names)
    answered = machines_with(inventory, states)
    if not answered.is_most:
        from botdeploy.engine.commands.canary import TooFew

        errors = "; ".join(str(error) for error in away.values())
        raise TooFew(f"{answered} answer. Nothing was changed. {errors}")
    refuse_others(inventory, states)
    if not _is_due(inventory, states):
        return Ended.silent()
    return _step(inventory, dependencies, options, late, PATIENCE_S if is_hasty else None)


def _step(
    inventory: Inventory,
    dependencies: Dependencies,
    options: Options,
    late: list[str],
    patience_s: float | None,
) -> Ended:
    """Take the lock, revert leftovers, and do what is due; hosts that were late come last."""
    from botdeploy.core.rollout.one_machine import as_told
    from botdeploy.core.rollout.target import Target
    from botdeploy.engine.commands.canary import need_majority, run
    from botdeploy.engine.commands.leftovers import revert_leftovers

    names = [host.name for host in inventory.hosts]
    with dependencies.lock(names, "rollout", "promote", patience_s=patience_s, last=late) as lock:
        ticker = dependencies.locked_fleet(lock).ticker
        if not machines_with(inventory, lock.entered).is_most:
            lock.await_late(ticker.tick)
        inventory = as_told(inventory, lock.states)
        need_majority(inventory, lock, dependencies)
        swept = revert_leftovers(inventory, dependencies, lock)
        record = rollout_records.newest_under_way(lock.states, inventory.policy)
        if record is None:
            lock.await_late(ticker.tick)  # else it would keep the lock that it takes meanwhile
            return swept or Ended.silent()
        options = replace(options, is_attended=False)
        ended = run(inventory, None, dependencies, options, Target.of(record), lock)
    return ended.after(swept)


def _is_due(inventory: Inventory, states: Mapping[str, HostState]) -> bool:
    policy = inventory.policy
    return bool(
        rollout_records.newest_under_way(states, policy)
        or rollout_records.leftovers(states, policy)
    )


@dataclass(frozen=True, slots=True)
class Due:
    """What ``promote`` would do."""

    leftovers: Mapping[str, str] = field(default_factory=dict)
    """Hosts that it would revert from a release that failed: host → why."""
    release: str = ""
    decision: Decision | None = None
    """What comes next in the rollout of ``release``; None where none is under way."""


def due(inventory: Inventory, dependencies: Dependencies) -> Due:
    """Tell what ``promote`` would do; changes nothing."""
    from botdeploy.core.rollout.next_step import SwitchOver
    from botdeploy.engine.commands.preview import next_decision
    from botdeploy.engine.fleet.required import ask_staged

    states, unreached = observe(dependencies.fleet, [host.name for host in inventory.hosts])
    policy = inventory.policy
    left = {name: why for name, (_, why) in rollout_records.leftovers(states, policy).items()}
    record = rollout_records.newest_under_way(states, policy)
    if record is None:
        return Due(left)
    now = dependencies.clock.now()
    decision = next_decision(inventory, states, unreached, record, now)
    if isinstance(decision, SwitchOver) and (other := dependencies.required()) is not None:
        names = [name for name, state in states.items() if state.release(record.release)]
        answer = ask_staged(dependencies.fleet, names, record.release, other, now)
        unmet = answer.unmet if answer is not None else None
        decision = next_decision(inventory, states, unreached, record, now, unmet)
    return Due(left, record.release, decision)
