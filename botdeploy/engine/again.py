"""Once more: a repeatable act whose answer was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from botdeploy.errors import OutcomeUnknown, Unreachable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from botdeploy.engine.clock import Clock
    from botdeploy.engine.fleet import Fleet

T = TypeVar("T")


def again(
    act: Callable[[], T], fleet: Fleet, clock: Clock, stop: threading.Event, deadline: float
) -> T:
    """Do a repeatable act, again over a new connection when the answer was cut off.

    ``deadline`` is a second of ``clock``'s monotonic time. Gives up when interrupted.
    """
    pause = 0.2
    while True:
        try:
            return act()
        except (OutcomeUnknown, Unreachable):
            if clock.monotonic() + pause > deadline or stop.is_set():
                raise
            fleet.pause(pause)
            pause = min(pause * 2, 5.0)
