"""The environment's lock: a lease of every host that was reached, held in a session a machine."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.errors import BotdeployError, HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from datetime import timedelta
    from typing import Self

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.faults import LockLost, LockRefused
    from botdeploy.hosts.acts.lock import Entered

    Answer = LockRefused | HostError | None
    """What came of asking for a host's lock; None: it is ours."""

LOCK_TTL_S = 30
"""How long a host keeps the lock of a controller that it no longer hears."""
RENEW_EVERY_S = 10.0
PATIENCE_S = 3.0
"""How long hosts that are to be acted on soon wait for one that does not answer."""


class HostRestarted(HostError):
    """A host restarted while its lock was ours."""


@dataclass(frozen=True, slots=True)
class Heard:
    """When a host answered, and what its clock was then."""

    ahead: timedelta
    """How far its clock was before ours."""
    at: float
    """Monotonic second."""


@dataclass(slots=True)
class EnvironmentLock:
    """The hosts whose lock we have, what they said when they gave it, and who is away."""

    token: str
    fleet: Fleet
    late: dict[str, Future[Mapping[str, Answer]]] = field(default_factory=dict)
    """Hosts whose machine has not answered yet, and that nobody waited for."""
    came_late: dict[str, tuple[Entered, HostState]] = field(default_factory=dict)
    """What they said, until it is asked for."""
    entered: dict[str, Entered] = field(default_factory=dict)
    """The session of each host; those of one machine share one."""
    states: dict[str, HostState] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    """Of hosts that gave it, when they said what is in ``states``."""
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
        for session, names in _sessions(self.entered).items():
            if session.is_open:
                session.renew()
                continue
            for name in names:
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
                refused = answer.result()[name]
            except HostError as error:
                refused = error.of(name)
            if isinstance(refused, HostError):
                self.away[name] = refused
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
        sessions = {names[0]: (session, names) for session, names in _sessions(entered).items()}

        def leave(first: str) -> None:
            session, names = sessions[first]
            if session.leave():
                return
            for name in names:
                acts = self.fleet.open_acts(name)
                if acts is not None:
                    acts.under(self.token).lock.leave()

        self.fleet.each(sessions, leave, is_cleanup=True)

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


def _sessions(entered: Mapping[str, Entered]) -> dict[Entered, list[str]]:
    """Give the hosts of each session."""
    found: dict[Entered, list[str]] = {}
    for name, session in entered.items():
        found.setdefault(session, []).append(name)
    return found
