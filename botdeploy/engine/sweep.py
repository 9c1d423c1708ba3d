"""The sweep: hosts that were away when a release failed are taken back from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core import underway
from botdeploy.core.events import Event, Kind
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, HostError
from botdeploy.hosts.acts import Reverted, Unchanged

if TYPE_CHECKING:
    from botdeploy.core.model import Inventory
    from botdeploy.engine.lock import EnvironmentLock
    from botdeploy.engine.tools import Tools


def sweep(
    inventory: Inventory, tools: Tools, lock: EnvironmentLock, *, besides: str = ""
) -> Ended | None:
    """Take back every host that still runs a release of an earlier rollout which failed.

    Not those that run ``besides``. Gives how it went, or None where there was nothing to do; what
    the hosts run then is in ``lock.states``.
    """
    left = {
        name: found
        for name, found in underway.leftovers(lock.states, inventory.policy).items()
        if lock.states[name].current != besides
    }
    if not left:
        return None

    def revert(name: str) -> Reverted | Unchanged:
        digest, why = left[name]
        state = lock.states[name]
        run = f"{state.current}-{lock.token[:8]}"
        return tools.fleet.acts(name).revert(lock.token, run, None, why, digest, "verdict")

    back, lost = [], []
    pump = lambda _seconds: lock.renew(tools.clock.monotonic())  # noqa: E731
    for name, result in tools.fleet.each(left, revert, pump=pump).items():
        release, why = lock.states[name].current, left[name][1]
        if isinstance(result, HostError):
            lost.append(f"{result}; it still runs {release}, which failed elsewhere")
            kind = Kind.HOST_FAILED
            data: dict[str, object] = {"error": result.message}
        else:
            back.append(f"{name} left {release}, which failed while it was away: {why}")
            old = result.old if isinstance(result, Reverted) else result.release
            seconds = result.seconds if isinstance(result, Reverted) else 0.0
            kind = Kind.REVERTED
            data = {"by": "controller", "seconds": seconds, "to": old or None, "why": why}
            if isinstance(result, Reverted) and old and not result.is_running:
                lost.append(f"{name}: {old} did not become ready after the return")
        tools.emit(
            Event(
                kind,
                tools.clock.now(),
                inventory.environment,
                release=release,
                host=name,
                data=data,
            )
        )
    for name, state in tools.fleet.each(
        left, lambda name: tools.fleet.acts(name).observe()
    ).items():
        if isinstance(state, HostError):
            del lock.states[name]
            lock.away[name] = state
        else:
            lock.states[name] = state
    if lost:
        return Ended(ExitCode.NEEDS_PERSON, "; ".join([*lost, *back]))
    return Ended(ExitCode.FAILED, "; ".join(back))
