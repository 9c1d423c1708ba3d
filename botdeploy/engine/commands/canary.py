"""Canary and promote: take the lock, find the rollout, run it, release the lock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.host.host_state import bot_fault
from botdeploy.core.host.running import Runs
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout import target as targets
from botdeploy.core.rollout.standing import Standing
from botdeploy.core.rollout.target import Target
from botdeploy.engine.commands.leftovers import revert_leftovers
from botdeploy.engine.commands.preview import next_decision
from botdeploy.engine.fleet.fleet import StillAtWork
from botdeploy.engine.fleet.lock import PATIENCE_S
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import refuse_others
from botdeploy.engine.outcome import Ended
from botdeploy.engine.rollout.loop import RolloutLoop
from botdeploy.engine.rollout.rollout_ids import new_rollout
from botdeploy.errors import BotdeployError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import BotFault, HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.next_step import Decision
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.engine.rollout.loop import Options
    from botdeploy.sources.build import Build


class TooFew(BotdeployError):
    """Less than a majority of the hosts can be reached; nothing was touched."""

    exit_code = ExitCode.UNREACHABLE


def canary(
    inventory: Inventory,
    build: Build | None,
    dependencies: Dependencies,
    options: Options,
    *,
    release: str | None = None,
    is_forced: bool = False,
) -> Ended:
    """Take a build (or an already staged ``release``) through the rings as far as they allow.

    The same command after an interruption goes on where the hosts say that it was. Raises
    LockedError, Quarantined, TooFew and UserError before anything is touched.
    """
    names = [host.name for host in inventory.hosts]
    with dependencies.lock(names, "rollout", options.message or "canary") as lock:
        _need_majority(inventory, lock, dependencies)
        built = build.release if build is not None else None
        new = new_rollout(dependencies.clock, lock.states)
        target = targets.named(inventory, lock.states, built, release, new, is_forced=is_forced)
        if not is_forced:
            targets.refuse_quarantined(inventory, lock.states, target)
        if build is not None:
            build = build.under(target.release)
        revert_leftovers(inventory, dependencies, lock, besides=target.release)
        return _run(inventory, build, dependencies, options, target, lock)


def _run(
    inventory: Inventory,
    build: Build | None,
    dependencies: Dependencies,
    options: Options,
    target: Target,
    lock: EnvironmentLock,
) -> Ended:
    if build is not None:
        dependencies.mask.add(build.mask)
    with RolloutLoop(inventory, dependencies, lock, target, build, options) as loop:
        faults = _faults(loop, lock) if options.is_attended else {}
        # A new rollout would find every host proven, and say that it passed.
        if loop.members.is_over or (faults and not loop.members.without(Standing.PROVEN)):
            summary = f"{target.release} is on every host already; nothing to do"
            return _with_faults(Ended(ExitCode.DONE, summary), faults)
        return _with_faults(loop.go(), faults)


def _faults(loop: RolloutLoop, lock: EnvironmentLock) -> dict[str, BotFault]:
    """Tell what is wrong with bots that have the release already and are not started by this run.

    A bot that ended by itself is started; one that a person stopped is not.
    """
    return {
        name: fault
        for name in loop.members.within(Standing.PROVEN)
        if (fault := bot_fault(lock.states[name])) is not None
    }


def _with_faults(ended: Ended, faults: Mapping[str, BotFault]) -> Ended:
    """Let no run end well where a bot that has the release does not run."""
    if not faults or ended.code is not ExitCode.DONE:
        return ended
    is_down = any(one.runs is not Runs.RUNNING for one in faults.values())
    code = ExitCode.HELD if is_down else ExitCode.DONE
    return replace(ended, code=code, faults={**ended.faults, **faults})


def _need_majority(inventory: Inventory, lock: EnvironmentLock, dependencies: Dependencies) -> None:
    total = len(inventory.hosts)
    if len(lock.entered) * 2 > total:
        return
    emit = dependencies.emitter(inventory.environment)
    for name, error in lock.away.items():
        emit(Kind.HOST_FAILED, host=name, error=error.message)
    errors = "; ".join(str(error) for error in lock.away.values())
    raise TooFew(
        f"{len(lock.entered)} of {total} hosts are available, and a rollout needs more than "
        f"half of them, so that two controllers can't both start one. Nothing was changed. {errors}"
    )


def promote(inventory: Inventory, dependencies: Dependencies, options: Options) -> Ended:
    """Do what is due now of the rollout that is under way; silent when nothing is.

    Reads everything from the hosts, so that any controller takes the same next step. Hosts that
    were unreachable when a release failed are reverted from it first. Where most hosts answer soon,
    one that hangs keeps no lease from being renewed and no failed host from being reverted.
    """
    names = [host.name for host in inventory.hosts]
    states, away = observe(dependencies.fleet, names, patience_s=PATIENCE_S)
    late = [name for name, error in away.items() if isinstance(error, StillAtWork)]
    is_hasty = len(states) * 2 > len(names) and _is_due(inventory, states)
    if late and not is_hasty:
        states, away = observe(dependencies.fleet, names)
    if len(states) * 2 <= len(names):
        errors = "; ".join(str(error) for error in away.values())
        raise TooFew(f"{len(states)} of {len(names)} hosts answer. Nothing was changed. {errors}")
    refuse_others(inventory, states)
    if not _is_due(inventory, states):
        return Ended(ExitCode.DONE, "")
    patience_s = PATIENCE_S if is_hasty else None
    with dependencies.lock(names, "rollout", "promote", patience_s=patience_s, last=late) as lock:
        ticker = dependencies.locked_fleet(lock).ticker
        if len(lock.entered) * 2 <= len(names):
            lock.await_late(ticker.tick)
        _need_majority(inventory, lock, dependencies)
        swept = revert_leftovers(inventory, dependencies, lock)
        record = rollout_records.newest_under_way(lock.states, inventory.policy)
        if record is None:
            lock.await_late(ticker.tick)  # else it would keep the lock that it takes meanwhile
            return swept or Ended(ExitCode.DONE, "")
        options = replace(options, is_attended=False)
        ended = _run(inventory, None, dependencies, options, Target.of(record), lock)
    if swept is None:
        return ended
    code = swept.code if ended.code is ExitCode.DONE else ended.code
    summary = "; ".join(one for one in (swept.summary, ended.summary) if one)
    return replace(ended, code=code, summary=summary)


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
    states, unreached = observe(dependencies.fleet, [host.name for host in inventory.hosts])
    policy = inventory.policy
    left = {name: why for name, (_, why) in rollout_records.leftovers(states, policy).items()}
    record = rollout_records.newest_under_way(states, policy)
    if record is None:
        return Due(left)
    now = dependencies.clock.now()
    return Due(left, record.release, next_decision(inventory, states, unreached, record, now))
