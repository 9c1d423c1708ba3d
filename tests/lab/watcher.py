"""Watches every process of this machine, the lab's among them, for text that none may show."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAUSE_S = 0.003


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
        lines: dict[str, bytes] = {}
        while not self._ended.wait(PAUSE_S):
            present = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
            lines = {name: lines.get(name, b"") for name in present}
            for name in present:
                self._look(name, lines)
            now = time.monotonic()
            self.gaps_s.append(now - before)
            before = now

    def _look(self, pid: str, lines: dict[str, bytes]) -> None:
        """Look at one process; at its environment only when it runs another program than before."""
        if int(pid) == os.getpid():
            return
        try:
            line = _read(f"/proc/{pid}/cmdline")
            if line == lines[pid]:
                return
            environ = _read(f"/proc/{pid}/environ")
            user = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 (a path object costs more)
        except OSError:  # it has ended
            return
        lines[pid] = line
        self.seen.add(line)
        for word in self._words:
            if word in line:
                self.found.add(f"command line {line!r}")
            if word in environ and not self._passes_over(user, environ, word):
                self.found.add(f"environment of {line!r}")


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 20)
    finally:
        os.close(file)
