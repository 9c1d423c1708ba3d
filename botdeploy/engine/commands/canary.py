"""Canary: take the lock, find the rollout, run it, release the lock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.host.host_state import bot_fault
from botdeploy.core.host.running import Runs
from botdeploy.core.rollout import target as targets
from botdeploy.core.rollout.host_standing import SATISFIED, Standing
from botdeploy.core.rollout.machine_count import machines_with
from botdeploy.core.rollout.one_machine import as_told
from botdeploy.core.rollout.renumbering import as_one_batch, refuse_renumbering
from botdeploy.engine.commands.leftovers import revert_leftovers, still_stuck
from botdeploy.engine.outcome import Ended
from botdeploy.engine.rollout.loop import RolloutLoop
from botdeploy.engine.rollout.rollout_ids import new_rollout
from botdeploy.errors import BotdeployError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import BotFault
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.target import Target
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.engine.rollout.options import Options
    from botdeploy.sources.build import Build


class TooFew(BotdeployError):
    """Less than a majority of the machines can be reached; nothing was touched."""

    exit_code = ExitCode.UNREACHABLE


def canary(
    inventory: Inventory,
    build: Build | None,
    dependencies: Dependencies,
    options: Options,
    *,
    release: str | None = None,
    is_forced: bool = False,
    is_agreed: bool = False,
) -> Ended:
    """Take a build (or an already staged ``release``) through the rings as far as they allow.

    The same command after an interruption goes on where the hosts say that it was. Raises
    LockedError, Quarantined, NotAgreed (without ``is_agreed``), TooFew and UserError before
    anything is touched.
    """
    names = [host.name for host in inventory.hosts]
    with dependencies.lock(names, "rollout", options.message or "canary") as lock:
        inventory = as_told(inventory, lock.states)
        need_majority(inventory, lock, dependencies)
        built = build.release if build is not None else None
        new = new_rollout(dependencies.clock, lock.states)
        target = targets.named(inventory, lock.states, built, release, new, is_forced=is_forced)
        if not is_forced:
            targets.refuse_quarantined(inventory, lock.states, target)
        refuse_renumbering(
            inventory,
            lock.states,
            target.release,
            is_agreed=is_agreed,
            last_ring=options.last_ring,
        )
        if build is not None:
            build = build.under(target.release)
        swept = revert_leftovers(inventory, dependencies, lock, besides=target.release)
        options = replace(options, is_forced=is_forced)
        ended = run(inventory, build, dependencies, options, target, lock)
        return ended.after(still_stuck(swept, target.release, dependencies))


def run(
    inventory: Inventory,
    build: Build | None,
    dependencies: Dependencies,
    options: Options,
    target: Target,
    lock: EnvironmentLock,
) -> Ended:
    """Go on with the rollout of ``target`` under the lock, until it ends or must wait."""
    if build is not None:
        dependencies.mask.add(build.mask)
    inventory = as_one_batch(inventory, lock.states, target.release)
    with RolloutLoop(inventory, dependencies, lock, target, build, options) as loop:
        faults = _faults(loop, lock) if options.is_attended else {}
        # A new rollout would find every host proven, and say that it passed.
        if loop.members.is_over or (faults and not loop.members.without(*SATISFIED)):
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


def need_majority(inventory: Inventory, lock: EnvironmentLock, dependencies: Dependencies) -> None:
    """Raise TooFew where no more than half of the machines are under the lock."""
    count = machines_with(inventory, lock.entered)
    if count.is_most:
        return
    emit = dependencies.emitter(inventory.environment)
    for name, error in lock.away.items():
        emit(Kind.HOST_FAILED, host=name, error=error.message)
    errors = "; ".join(str(error) for error in lock.away.values())
    raise TooFew(
        f"{count} are available, and a rollout needs more than "
        f"half of them, so that two controllers can't both start one. Nothing was changed. {errors}"
    )
