"""The ticker: what has to go on for as long as anything is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.engine.fleet.fleet import Interrupted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from botdeploy.engine.fleet.clock import Clock

TICK_S = 0.1
"""How long the loop waits between two looks at what the journals brought."""
LAG_S = 2.0
"""A tick that comes so much too late was missed: what should have been heard since was not."""


class Ticker:
    """Renews locks and leases and takes journals in, whatever the loop is busy with.

    A run waits in many places: for acts on hosts, for a soak, for the past to arrive. Each of
    them ticks, and who has something to be kept alive is called at every tick. All of it happens
    in the loop's own thread, so nothing that hangs on the ticker needs a lock.
    """

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        """Begin with nothing to be called; ``stop`` ends the run at the next tick."""
        self._clock = clock
        self._stop = stop
        self._works: list[Callable[[float], object]] = []
        self._misses: list[Callable[[float, float], object]] = []
        self._next = clock.monotonic()
        """When the next tick is to come at the latest, but for its own lag."""

    def add(self, work: Callable[[float], object]) -> None:
        """Have ``work`` called at every tick, with the monotonic second; it must be quick."""
        self._works.append(work)

    def on_miss(self, work: Callable[[float, float], object]) -> None:
        """Have ``work`` called first where beats were missed, with the monotonic seconds between.

        The process was stopped, its machine slept, or had too much to do.
        """
        self._misses.append(work)

    def tick(self, seconds: float = 0.0) -> None:
        """Call everything that hangs on the ticker, then wait at most ``seconds``.

        Raises Interrupted when the run was told to stop.
        """
        if self._stop.is_set():
            raise Interrupted
        now = self._clock.monotonic()
        if now - self._next > LAG_S:
            for miss in self._misses:
                miss(self._next, now)
        for work in self._works:
            work(now)
        self._next = self._clock.monotonic() + seconds
        if seconds:
            self._stop.wait(seconds)
