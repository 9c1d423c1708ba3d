"""The threads of all followers of a run: one that reads, and some that connect.

A follower has no thread of its own. It is looked at when something came for it, or when it asked to
be; while nothing comes, nothing here wakes up.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], None]

MOST_CONNECTING = 32
"""Journals that begin to be followed at a time; each takes a host's program to start."""


class FollowerThreads:
    """Does works one after the other in one thread, each as soon as it is asked for or due.

    A work that is asked for again before it was done is done once. It must not wait, and must not
    raise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start nothing yet; ``clock`` gives seconds that never jump."""
        self._clock = clock
        self._changed = threading.Condition()
        self._asked: deque[Work] = deque()
        self._is_asked: set[Work] = set()
        self._later: list[tuple[float, int, Work]] = []
        self._count = 0
        self._thread: threading.Thread | None = None
        self._connecting = ThreadPoolExecutor(MOST_CONNECTING, thread_name_prefix="follow")
        self._is_closed = False

    def soon(self, work: Work) -> None:
        """Have a work done as soon as may be; from any thread, waits for nothing."""
        with self._changed:
            if work not in self._is_asked:
                self._is_asked.add(work)
                self._asked.append(work)
                self._wake()

    def later(self, seconds: float, work: Work) -> None:
        """Have a work done in so many seconds."""
        with self._changed:
            self._count += 1
            heapq.heappush(self._later, (self._clock() + seconds, self._count, work))
            self._wake()

    def beside(self, work: Work) -> None:
        """Have a work done that may wait, such as for a connection; dropped when closed."""
        with self._changed:
            if not self._is_closed:
                self._connecting.submit(work)

    def close(self) -> None:
        """Do nothing more; what is being done ends by itself."""
        with self._changed:
            self._is_closed = True
            self._connecting.shutdown(wait=False, cancel_futures=True)
            self._changed.notify()

    def _wake(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._run, name="followers", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Work | None:
        """Wait for the next work; None when closed."""
        with self._changed:
            while not self._is_closed:
                now = self._clock()
                while self._later and self._later[0][0] <= now:
                    work = heapq.heappop(self._later)[2]
                    if work not in self._is_asked:
                        self._is_asked.add(work)
                        self._asked.append(work)
                if self._asked:
                    work = self._asked.popleft()
                    self._is_asked.discard(work)
                    return work
                self._changed.wait(self._later[0][0] - now if self._later else None)
            return None
