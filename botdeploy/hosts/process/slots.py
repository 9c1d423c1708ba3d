"""A limited number of places, given back by whoever took one."""

from __future__ import annotations

import threading


class Slots:
    """At most so many at a time; waiting ends with a deadline or when the whole is closed."""

    def __init__(self, limit: int) -> None:
        self._changed = threading.Condition()
        self._limit = limit
        self._taken = 0
        self.is_closed = False

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return self._taken

    def take(self, timeout_s: float) -> bool:
        """Take a place; False when none came free in time, or when closed."""
        with self._changed:
            if not self._changed.wait_for(self._is_free, max(0.0, timeout_s)) or self.is_closed:
                return False
            self._taken += 1
            return True

    def widen(self, limit: int) -> None:
        """Allow at least so many from now on."""
        with self._changed:
            self._limit = max(self._limit, limit)
            self._changed.notify_all()

    def give_back(self) -> None:
        """Give a place back."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """End all waiting, now and later."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def _is_free(self) -> bool:
        return self.is_closed or self._taken < self._limit
