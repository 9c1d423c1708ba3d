"""The clock: the one place where time enters."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_COUNTER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that goes on while the machine sleeps: Linux's boot time; elsewhere (macOS) the
monotonic one does."""


class Clock(Protocol):
    """What the engine asks for the time; tests give their own."""

    def now(self) -> datetime:
        """Give the date and time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never jump, and go on while the machine sleeps or the process stops."""
        ...


class SystemClock:
    """The machine's own clocks.

    The date is read once; from then on it is counted. Somebody who sets the clock meanwhile makes
    no time go by: no soak ends early, and no bot was silent for it.
    """

    def __init__(self) -> None:
        """Read the date."""
        self._date = datetime.now(UTC)
        self._read_at = self.monotonic()

    def now(self) -> datetime:
        """Give the date and time, aware, UTC."""
        return self._date + timedelta(seconds=self.monotonic() - self._read_at)

    def monotonic(self) -> float:
        """Give seconds that never jump, and go on while the machine sleeps or the process stops."""
        return time.clock_gettime(_COUNTER)
