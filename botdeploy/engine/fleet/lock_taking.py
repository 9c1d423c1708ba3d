"""Taking the environment's lock: machine by machine in order of names, on all or on none."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.rollout.succession import form_of
from botdeploy.engine.fleet.by_machine import by_machine, each_machine, instances_of
from botdeploy.engine.fleet.fleet import StillAtWork
from botdeploy.engine.fleet.lock import LOCK_TTL_S, EnvironmentLock, Heard
from botdeploy.engine.fleet.ownership import refuse
from botdeploy.errors import ActFailed, Hint, HostError, LockedError, Todo
from botdeploy.hosts.acts.faults import LockRefused, OtherEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.engine.fleet.lock import Answer
    from botdeploy.hosts.acts.lock import Entered, LockRequest

    _Enter = Callable[[tuple[str, ...]], Mapping[str, Answer]]

YIELD_S = 4.0
"""How long two controllers that began at once may need to find out which goes on."""


def take(
    fleet: Fleet,
    names: Sequence[str],
    request: LockRequest,
    clock: Clock,
    *,
    patience_s: float | None = None,
    last: Collection[str] = (),
) -> EnvironmentLock:
    """Take the lock on all ``names`` that can be reached, or on none.

    The first reachable machine, in order of its hosts' names, decides between controllers that
    begin at once; the rest follows together. Where two still cross (each can't see the other's
    first machine), the one with the smaller token goes on. Raises LockedError (exit 4) with the
    holder, and UserError (exit 2) where a host belongs to another environment than the fleet's
    and the one that is taken over; hosts that cannot be worked on are told in ``away``.
    With ``patience_s`` nobody waits longer than that for a machine that does not answer: its hosts
    are ``late``, and count as away for now. ``last`` names hosts that are not to be the first one.
    """
    lock = EnvironmentLock(secrets.token_hex(16), fleet)
    order = sorted(names, key=lambda name: (name in last, name))
    if patience_s is None:
        opened = each_machine(
            fleet, order, lambda names: {name: fleet.acts(name) for name in names}
        )
        lock.away = {name: error for name, error in opened.items() if isinstance(error, HostError)}
    reachable = list(by_machine(fleet, [name for name in order if name not in lock.away]).values())
    deadline = clock.monotonic() + YIELD_S

    def enter(names: tuple[str, ...]) -> Mapping[str, Answer]:
        asked = replace(
            request,
            user=fleet.host(names[0]).bot.run_as,
            environment=fleet.inventory.known_as,
            form=form_of(fleet.inventory, names[0]) if request.kind == "rollout" else "",
        )
        while True:
            try:
                return _enter(lock, names, asked, clock)
            except LockRefused as refused:
                if _gives_way(lock, refused, request.kind) or clock.monotonic() > deadline:
                    return dict.fromkeys(names, refused)
                fleet.pause(0.3)

    refused: list[LockRefused] = []
    try:
        while reachable and not refused and not lock.entered:
            refused = _enter_some(fleet, reachable.pop(0), enter, lock, patience_s)
        if reachable and not refused:
            others = [name for names in reachable for name in names]
            refused = _enter_some(fleet, others, enter, lock, patience_s)
        _need_all(lock, refused)
    except BaseException:
        lock.leave()
        raise
    lock.renewed_at = clock.monotonic()
    return lock


def _enter(
    lock: EnvironmentLock, names: tuple[str, ...], request: LockRequest, clock: Clock
) -> Mapping[str, Answer]:
    """Take the locks of some hosts of one machine in one session; raises LockRefused, HostError.

    Where that fails for a fault of one of them, each is asked alone: it is no other's.
    """
    acts = lock.fleet.acts(names[0]).under(lock.token)
    instances = instances_of(lock.fleet, names)
    session: Entered
    states: Mapping[str, HostState | HostError]
    asked = clock.now()
    try:
        if len(names) == 1:
            session, only = acts.lock.enter(LOCK_TTL_S, request)
            states = {instances[names[0]]: only}
        else:
            session, states = acts.lock.enter_all(LOCK_TTL_S, request, list(instances.values()))
    except LockRefused as refused:
        named = next((name for name in names if instances[name] == refused.instance), names[0])
        raise LockRefused(named, refused.holder) from refused
    except (ActFailed, OtherEnvironment):
        if len(names) == 1:
            raise
        return _enter_alone(lock, names, request, clock)
    answered, at = clock.now(), clock.monotonic()
    answers: dict[str, Answer] = {}
    for name in names:
        state = states[instances[name]]
        answers[name] = state.of(name) if isinstance(state, HostError) else None
        if isinstance(state, HostError):
            continue
        lock.heard[name] = Heard(state.ahead_between(asked, answered), at)
        if name in lock.late:
            lock.came_late[name] = session, state
        else:
            lock.entered[name], lock.states[name] = session, state
    return answers


def _enter_alone(
    lock: EnvironmentLock, names: tuple[str, ...], request: LockRequest, clock: Clock
) -> Mapping[str, Answer]:
    answers: dict[str, Answer] = {}
    for name in names:
        try:
            answers |= _enter(lock, (name,), request, clock)
        except HostError as error:
            answers[name] = error
    return answers


def _need_all(lock: EnvironmentLock, refused: Sequence[LockRefused]) -> None:
    """Refuse where a host belongs to another environment, or somebody else has its lock."""
    theirs = {
        name: error.environment
        for name, error in lock.away.items()
        if isinstance(error, OtherEnvironment)
    }
    refuse(lock.fleet.inventory, theirs)
    if refused:
        holders = "; ".join(f"{one.host} by {one.holder}" for one in refused[:3])
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""  # noqa: PLR2004
        raise LockedError(
            f"locked: {holders}{more}. Nothing was changed. "
            f"The lock of a controller that died ends within {LOCK_TTL_S} s",
            hint=Hint(Todo.UNLOCK),
        )


def _gives_way(lock: EnvironmentLock, refused: LockRefused, kind: str) -> bool:
    """Tell whether a refusal is final: only the holder of the first host may wait for others."""
    holder = refused.holder
    return not lock.entered or holder.kind != kind or not holder.id or holder.id < lock.token[:8]


def _enter_some(
    fleet: Fleet,
    names: Sequence[str],
    enter: _Enter,
    lock: EnvironmentLock,
    patience_s: float | None,
) -> list[LockRefused]:
    refused: list[LockRefused] = []
    for name, result in each_machine(fleet, names, enter, patience_s=patience_s).items():
        if isinstance(result, LockRefused):
            refused += [result] if result not in refused else []
        elif isinstance(result, StillAtWork):
            lock.late[name], lock.away[name] = result.answer, result
        elif isinstance(result, HostError):
            lock.away[name] = result
    return refused
