"""The clock: the one place where time enters."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the engine asks for the time; tests give their own."""

    def now(self) -> datetime:
        """Give the date and time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never jump."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Give the date and time, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never jump."""
        return time.monotonic()
