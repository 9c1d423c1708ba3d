"""Watches every process of this machine, the lab's among them, for text that none may show."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAUSE_S = 0.005


class Watcher:
    """Reads command line and environment of each process again and again until it is stopped.

    A lab host's processes are this machine's, so that one look sees all hosts and the controller.
    ``passes_over`` says of a process, by its user's number and environment, whether it may have a
    word in there. On a command line nobody may.
    """

    def __init__(
        self, words: Iterable[bytes], passes_over: Callable[[int, bytes, bytes], bool]
    ) -> None:
        """Take the words to look for."""
        self._words = list(words)
        self._passes_over = passes_over
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.found: set[str] = set()
        self.seen: set[bytes] = set()
        """Every command line."""
        self.gaps_s: list[float] = []
        """How long it was from one look to the next."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(PAUSE_S):
            for name in os.listdir("/proc"):  # noqa: PTH208 (a hundred times a second)
                if name.isdigit():
                    self._look(int(name))
            now = time.monotonic()
            self.gaps_s.append(now - before)
            before = now

    def _look(self, pid: int) -> None:
        if pid == os.getpid():
            return
        place = Path(f"/proc/{pid}")
        try:
            line = (place / "cmdline").read_bytes()
            environ = (place / "environ").read_bytes()
            user = place.stat().st_uid
        except OSError:  # it has ended
            return
        self.seen.add(line)
        for word in self._words:
            if word in line:
                self.found.add(f"command line {line!r}")
            if word in environ and not self._passes_over(user, environ, word):
                self.found.add(f"environment of {line!r}")
