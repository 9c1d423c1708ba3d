"""A time limit for an inventory's regular expressions: each is tried in a process of its own.

The machinery of ``re`` gives nobody else a turn, not even a signal of the user's, until it is done.
So what may take long is done by another process first, which can be killed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import re
import select
import subprocess
import sys
import threading
from functools import lru_cache
from typing import Any

LIMIT_S = 5.0
"""How long one expression may take with one text."""
_SHORT = 4096
_QUANTIFIERS = re.compile(r"[*+?{]")

# The alarm ends a process whose parent is gone meanwhile: its default ends what re is at.
_WORKER = """\
import json, re, signal, sys
for row in sys.stdin:
    how, pattern, text, flags = json.loads(row)
    signal.alarm(60)
    try:
        found = getattr(re, how)(pattern, text, flags)
    except (re.error, ValueError, OverflowError, RecursionError, MemoryError):
        pass
    signal.alarm(0)
    print("done", flush=True)
"""


class TooLongError(Exception):
    """An expression takes too long with a text."""


def search(pattern: str, text: str, flags: int = 0) -> re.Match[str] | None:
    """Do as ``re.search`` does; raises TooLongError, and re.error."""
    _try("search", pattern, text, flags)
    return re.search(pattern, text, flags)


def match(pattern: str, text: str, flags: int = 0) -> re.Match[str] | None:
    """Do as ``re.match`` does; raises TooLongError, and re.error."""
    _try("match", pattern, text, flags)
    return re.match(pattern, text, flags)


def find_all(pattern: str, text: str, flags: int = 0) -> list[Any]:
    """Do as ``re.findall`` does; raises TooLongError, and re.error."""
    _try("findall", pattern, text, flags)
    return re.findall(pattern, text, flags)


def replace(pattern: str, by: str, text: str, *, count: int = 0, flags: int = 0) -> str:
    """Do as ``re.sub`` does; raises TooLongError, and re.error."""
    _try("findall", pattern, text, flags)
    return re.sub(pattern, by, text, count=count, flags=flags)


@lru_cache(maxsize=1024)
def _try(how: str, pattern: str, text: str, flags: int) -> None:
    """Find whether it comes to an end; what surely does so soon is not tried."""
    repeats = len(_QUANTIFIERS.findall(pattern))
    if len(text) <= _SHORT and (repeats == 0 or (repeats == 1 and "(" not in pattern)):
        return
    if not _OTHER.ends([how, pattern, text, int(flags)]):
        raise TooLongError(
            f"the regular expression {pattern!r} takes longer than {LIMIT_S:g} s with a text of "
            f"{len(text)} characters"
        )


class _Other:
    """The other process: started when it is first needed, and again after it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ends(self, what: list[object]) -> bool:
        """Tell whether the other process is done with it in time; also where there can be none."""
        with self._lock:
            try:
                process = self._started()
                assert process.stdin is not None  # noqa: S101 (for the type checker)
                assert process.stdout is not None  # noqa: S101
                process.stdin.write(json.dumps(what).encode() + b"\n")
                process.stdin.flush()
                if select.select([process.stdout], [], [], LIMIT_S)[0]:
                    process.stdout.readline()
                    return True
            except OSError:
                return True
            self._end()
            return False

    def close(self) -> None:
        """End the other process, if there is one."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


_OTHER = _Other()
atexit.register(_OTHER.close)
