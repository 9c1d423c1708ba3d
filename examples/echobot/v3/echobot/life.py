"""One life at a time: a kernel lock on the data folder, and a record of each start and end.

Two copies of a bot on one token answer everything twice and get the bot banned. The kernel frees
the lock at the very moment that the process is gone, however it died, so a second copy can't miss
a first one. ``lives.log`` has a JSON line for each ``start`` and ``end``, and a ``clash`` where a
copy found another one alive; ``mono_ns`` is the kernel's monotonic clock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import sys
import time
from typing import Iterator

from echobot import __version__

DATA = pathlib.Path(os.environ.get("DATA_DIR", "data"))
EXIT_CLASH = 75


def record(event: str) -> None:
    """Append one line to ``lives.log``, on disk before it returns."""
    entry = {
        "event": event,
        "mono_ns": time.monotonic_ns(),
        "pid": os.getpid(),
        "version": __version__,
        "release": pathlib.Path.cwd().resolve().name,
        "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    }
    line = json.dumps(entry) + "\n"
    fd = os.open(DATA / "lives.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        os.write(fd, line.encode())
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the lock while the bot lives; end the process where another copy holds it."""
    DATA.mkdir(parents=True, exist_ok=True)
    with (DATA / "alive.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record("clash")
            print("CRITICAL another copy of this bot is alive", file=sys.stderr, flush=True)
            raise SystemExit(EXIT_CLASH) from None
        record("start")
        try:
            yield
        finally:
            record("end")
