"""The environment's lock: one lease on every reachable host, taken in a fixed order."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.engine.fleet.fleet import StillAtWork
from botdeploy.engine.fleet.ownership import refuse
from botdeploy.errors import BotdeployError, Hint, HostError, LockedError, Todo
from botdeploy.hosts.acts.faults import LockRefused, OtherEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future
    from typing import Self

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.faults import LockLost
    from botdeploy.hosts.acts.lock import Entered, LockRequest

    _Enter = Callable[[str], LockRefused | None]

LOCK_TTL_S = 30
"""How long a host keeps the lock of a controller that it no longer hears."""
RENEW_EVERY_S = 10.0
PATIENCE_S = 3.0
"""How long hosts that are to be acted on soon wait for one that does not answer."""
YIELD_S = 4.0
"""How long two controllers that began at once may need to find out which goes on."""


class HostRestarted(HostError):
    """A host restarted while its lock was ours."""


@dataclass(slots=True)
class EnvironmentLock:
    """The hosts whose lock we have, what they said when they gave it, and who is away."""

    token: str
    fleet: Fleet
    late: dict[str, Future[LockRefused | None]] = field(default_factory=dict)
    """Hosts that have not answered yet, and that nobody waited for."""
    came_late: dict[str, tuple[Entered, HostState]] = field(default_factory=dict)
    """What they said, until it is asked for."""
    entered: dict[str, Entered] = field(default_factory=dict)
    states: dict[str, HostState] = field(default_factory=dict)
    away: dict[str, HostError] = field(default_factory=dict)
    renewed_at: float = 0.0

    def __enter__(self) -> Self:
        """Have it for a block; it is given back however the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.leave()

    def renew(self, now: float) -> None:
        """Renew every host's lock when it is time; cheap to call often."""
        if now - self.renewed_at < RENEW_EVERY_S:
            return
        self.renewed_at = now
        for name, entered in self.entered.items():
            if entered.is_open:
                entered.renew()
            else:
                # Its connection was cut. Whether another one can be had shows at the next act.
                self.fleet.submit(
                    lambda name=name: (  # type: ignore[misc]
                        self.fleet.acts(name).under(self.token).lock.renew(LOCK_TTL_S)
                    )
                )

    def await_late(self, pump: Callable[[float], None]) -> tuple[str, ...]:
        """Wait for the hosts that had not answered; names those whose lock is ours now, too."""
        came: list[str] = []
        while self.late:
            came += self.admit_late()
            pump(0.05)
        return tuple(came)

    def admit_late(self) -> list[str]:
        """Take in what late hosts have answered by now; names those whose lock is ours now, too."""
        came = []
        for name in [name for name, answer in self.late.items() if answer.done()]:
            answer = self.late.pop(name)
            try:
                refused = answer.result()
            except HostError as error:
                self.away[name] = error
                continue
            if refused is not None:
                self.away[name] = HostError(name, f"locked by {refused.holder}")
                continue
            del self.away[name]
            came.append(name)
            if name in self.came_late:
                self.entered[name], self.states[name] = self.came_late.pop(name)
        return came

    def leave(self) -> None:
        """Give back what was taken, on all hosts at once.

        Where the connection that it was taken over was cut, over the one that came after it, if
        there is one: nobody waits for a host that can't be reached.
        """
        entered = {**self.entered, **{name: one for name, (one, _) in self.came_late.items()}}
        self.entered.clear()

        def leave(name: str) -> None:
            if not entered[name].leave():
                acts = self.fleet.open_acts(name)
                if acts is not None:
                    acts.under(self.token).lock.leave()

        self.fleet.each(entered, leave, is_cleanup=True)

    def meaning_of(self, lost: LockLost) -> BotdeployError:
        """Say what a lost lock means: somebody has it now, or the host has forgotten it.

        A lock stands in /run: a host that restarts has none, and that is a fault of this host
        and not another's rollout. What was not confirmed there has gone back.
        """
        before = self.states.get(lost.host)
        try:
            state = self.fleet.acts(lost.host).state.observe()
        except HostError as error:
            return error
        if before is None or state.boot_id == before.boot_id:
            return lost
        runs = state.running or "nothing"
        return HostRestarted(lost.host, f"it restarted during the rollout, and runs {runs} now")


def owner_name(environ: Mapping[str, str]) -> str:
    """Say who acts: user and machine, or what BOTDEPLOY_OWNER says (for CI)."""
    given = environ.get("BOTDEPLOY_OWNER", "").strip()
    if given:
        return " ".join(given.split())[:200]
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


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

    The first reachable host in order of name decides between controllers that begin at once;
    the rest follows together. Where two still cross (each can't see the other's first host),
    the one with the smaller token goes on. Raises LockedError (exit 4) with the
    holder, and UserError (exit 2) where a host belongs to another environment than the fleet's
    and the one that is taken over; hosts that cannot be worked on are told in ``away``.
    With ``patience_s`` nobody waits longer than that for a host that does not answer: it is
    ``late``, and counts as away for now. ``last`` names hosts that are not to be the first one.
    """
    lock = EnvironmentLock(secrets.token_hex(16), fleet)
    order = sorted(names, key=lambda name: (name in last, name))
    opened = {} if patience_s is not None else fleet.each(order, fleet.acts)
    lock.away = {name: error for name, error in opened.items() if isinstance(error, HostError)}
    reachable = [name for name in order if name not in lock.away]
    deadline = clock.monotonic() + YIELD_S

    def enter(name: str) -> LockRefused | None:
        asked = replace(
            request, user=fleet.host(name).bot.run_as, environment=fleet.inventory.known_as
        )
        while True:
            try:
                acts = fleet.acts(name).under(lock.token)
                session, state = acts.lock.enter(LOCK_TTL_S, asked)
            except LockRefused as refused:
                if _gives_way(lock, refused, request.kind) or clock.monotonic() > deadline:
                    return refused
                fleet.pause(0.3)
                continue
            if name in lock.late:
                lock.came_late[name] = session, state
            else:
                lock.entered[name] = session
                lock.states[name] = state
            return None

    refused: list[LockRefused] = []
    try:
        while reachable and not refused and not lock.entered:
            refused = _enter_some(fleet, [reachable.pop(0)], enter, lock, patience_s)
        if reachable and not refused:
            refused = _enter_some(fleet, reachable, enter, lock, patience_s)
        _need_all(lock, refused)
    except BaseException:
        lock.leave()
        raise
    lock.renewed_at = clock.monotonic()
    return lock


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
    for name, result in fleet.each(names, enter, patience_s=patience_s).items():
        if isinstance(result, LockRefused):
            refused.append(result)
        elif isinstance(result, StillAtWork):
            lock.late[name], lock.away[name] = result.answer, result
        elif isinstance(result, HostError):
            lock.away[name] = result
    return refused
