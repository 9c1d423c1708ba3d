"""Acts on many hosts at once, under the environment's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from botdeploy.engine.fleet.by_machine import each_machine
from botdeploy.engine.fleet.ticker import Ticker
from botdeploy.errors import HostError, OutcomeUnknown, Unreachable
from botdeploy.hosts.acts.faults import LockLost, NoAnswer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.errors import BotdeployError
    from botdeploy.hosts.acts.acts import Acts

T = TypeVar("T")

RETRY_S = 45.0
"""How long a repeatable act is tried again when the connection ended before its answer."""


class LockedFleet:
    """Does what was decided; what came of it on each host is a value, also where it failed."""

    def __init__(
        self, fleet: Fleet, lock: EnvironmentLock, clock: Clock, stop: threading.Event
    ) -> None:
        """Work under ``lock``, which is renewed from now on with every tick of ``ticker``."""
        self.fleet = fleet
        self.ticker = Ticker(clock, stop)
        self.lock = lock
        self._clock = clock
        self._stop = stop
        self.ticker.add(lock.renew)

    def acts(self, name: str) -> Acts:
        """Give a host's acts, under the lock; raises HostError where it can't be reached."""
        return self.fleet.acts(name).under(self.lock.token)

    def together(self, hosts: Iterable[str], work: Callable[[str], T]) -> dict[str, T | HostError]:
        """Do ``work`` on hosts at once and wait for all; a host's own error is its result.

        A lock that is lost ends the run, for somebody else acts now; but one that a restart of
        the host took is that host's own fault.
        """
        return self.fleet.each(hosts, lambda name: self._careful(work, name), pump=self.ticker.tick)

    def in_turn(self, hosts: Iterable[str], work: Callable[[str], T]) -> dict[str, T | HostError]:
        """Do ``work`` as ``together`` does, but on the hosts of one machine one after the other."""

        def each(names: tuple[str, ...]) -> dict[str, T | HostError]:
            results: dict[str, T | HostError] = {}
            for name in names:
                try:
                    results[name] = self._careful(work, name)
                except HostError as error:
                    results[name] = error
            return results

        return self.each_machine(hosts, each)

    def _careful(self, work: Callable[[str], T], name: str) -> T:
        try:
            return work(name)
        except LockLost as lost:
            raise self.meaning_of(lost) from lost

    def each_machine(
        self,
        hosts: Iterable[str],
        look: Callable[[tuple[str, ...]], Mapping[str, T | HostError]],
    ) -> dict[str, T | HostError]:
        """Ask the hosts of each machine together, machines at once, and wait for all."""
        return each_machine(self.fleet, hosts, look, pump=self.ticker.tick)

    def meaning_of(self, lost: LockLost) -> BotdeployError:
        """Say what a lost lock means: the host's own fault (a HostError), or the run's end."""
        return self.lock.meaning_of(lost)

    def beside(self, work: Callable[[], T]) -> Future[T]:
        """Do something while the loop goes on, such as a heartbeat."""
        return self.fleet.submit(work)

    def again(self, act: Callable[[], T], within_s: float = RETRY_S) -> T:
        """Do a repeatable act, again over a new connection when the answer was cut off.

        Gives up ``within_s`` seconds after that, or when interrupted; of a host that did not answer
        in time, so long after the beginning.
        """
        began = self._clock.monotonic()
        deadline: float | None = None
        pause = 0.2
        while True:
            try:
                return act()
            except (OutcomeUnknown, Unreachable) as error:
                now = self._clock.monotonic()
                if deadline is None:
                    deadline = (began if isinstance(error, NoAnswer) else now) + within_s
                if now + pause > deadline or self._stop.is_set():
                    raise
                self.fleet.pause(pause)
                pause = min(pause * 2, 5.0)
