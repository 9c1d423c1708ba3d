"""Leftovers: hosts that were unreachable when a release failed are reverted from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.rollout import rollout_records
from botdeploy.engine.event_emitter import told_unseen
from botdeploy.engine.fleet.lock import HostRestarted
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, Hint, HostError, Todo
from botdeploy.hosts.acts.switch import Reverted, Unchanged

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.event_emitter import EventEmitter
    from botdeploy.engine.fleet.lock import EnvironmentLock


def revert_leftovers(
    inventory: Inventory, dependencies: Dependencies, lock: EnvironmentLock, *, besides: str = ""
) -> Ended | None:
    """Revert every host that still runs a release of an earlier rollout which failed.

    Not those that run ``besides``. Gives how it went, or None where there was nothing to do; what
    the hosts run then is in ``lock.states``.
    """
    left = {
        name: found
        for name, found in rollout_records.leftovers(lock.states, inventory.policy).items()
        if lock.states[name].current != besides
    }
    if not left:
        return None
    locked_fleet = dependencies.locked_fleet(lock)
    emit = dependencies.emitter(inventory.environment)

    def revert(name: str) -> Reverted | Unchanged:
        digest, why = left[name]
        state = lock.states[name]
        # A try's name has no "+", as a release's has that was made with other values.
        try_id = f"{state.current.replace('+', '.')}-{lock.token[:8]}"
        return locked_fleet.acts(name).switch.revert(try_id, None, why, digest, "verdict")

    back, lost, unready, unknown = [], [], [], []
    results = locked_fleet.together(left, revert)
    for name, result in results.items():
        release, why = lock.states[name].current, left[name][1]
        if isinstance(result, HostError):
            if not isinstance(result, HostRestarted):  # else the next step takes it back
                unknown.append(name)
            lost.append(f"{result}; it still runs {release}, which failed elsewhere")
            emit(Kind.HOST_FAILED, release=release, host=name, error=result.message)
        else:
            back.append(f"{name} was reverted from {release}, which had failed elsewhere: {why}")
            _tell_return(emit, name, release, why, result)
            if isinstance(result, Reverted) and result.old and not result.is_running:
                unready.append(name)
                lost.append(f"{name}: {result.old} did not become ready after the revert")
    states, away = observe(dependencies.fleet, left)
    for name, result in results.items():
        if isinstance(result, HostRestarted):  # and its lock went with it: it can't be worked on
            away[name] = result
            states.pop(name, None)
    for name in away:
        del lock.states[name]
    lock.states.update(states)
    now = dependencies.clock.monotonic()
    lock.heard.update({name: replace(lock.heard[name], at=now) for name in states})
    lock.away.update(away)
    told = "; ".join([*lost, *back])
    if unready or unknown:
        steps = [Hint(Todo.LOGS, tuple(unready))] if unready else []
        steps += [Hint(Todo.STATUS, tuple(unknown))] if unknown else []
        return Ended(ExitCode.NEEDS_PERSON, told, hints=tuple(steps))
    return Ended(ExitCode.FAILED if back else ExitCode.UNREACHABLE, told)


def _tell_return(
    emit: EventEmitter, name: str, release: str, why: str, result: Reverted | Unchanged
) -> None:
    went = result if isinstance(result, Reverted) else None
    emit(
        Kind.REVERTED,
        release=release,
        host=name,
        by="controller",
        seconds=went.seconds if went else 0.0,
        to=(result.old if isinstance(result, Reverted) else result.release) or None,
        why=why,
        **(told_unseen(went) if went else {}),
    )


def still_stuck(swept: Ended | None, release: str, dependencies: Dependencies) -> Ended | None:
    """Give how the reverts went that left hosts to a person; None where all run ``release`` now."""
    if swept is None or swept.code is not ExitCode.NEEDS_PERSON:
        return None
    names = [name for hint in swept.hints for name in hint.hosts]
    states, away = observe(dependencies.fleet, names)
    is_mended = not away and all(one.running == release for one in states.values())
    return None if is_mended else swept
