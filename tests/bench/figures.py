"""Figures: how long a program took and what it cost, and tables of ratios."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT_S = 600


class BenchError(Exception):
    """A measurement could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a program took of this machine.

    CPU is that of the program and of everything it waited for; ``rss_mb`` is the most memory that
    its first process had. What it left in the background (ssh's masters) is not in it.
    """

    wall_s: float
    cpu_s: float
    rss_mb: float
    out: str = ""
    threads: int = 1
    """The most that its first process had at once."""


def cost_of(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    ok: tuple[int, ...] = (0,),
) -> Cost:
    """Run a program to its end and measure it; raises BenchError where it fails."""
    begun = time.monotonic()
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    peak = _Peak(process.pid)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    peak.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode not in ok:
        raise BenchError(f"{argv[0]} ended with {process.returncode}: {out.strip()[-400:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak.mb, out, peak.threads)


class _Peak:
    """Watches a process's threads and memory: wait4 tells its forker's where that is more."""

    def __init__(self, pid: int) -> None:
        self.mb = 0.0
        self.threads = 1
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            with contextlib.suppress(OSError, IndexError, ValueError):
                told = self._status.read_text()
                self.mb = max(self.mb, int(told.partition("VmHWM:")[2].split()[0]) / 1024)
                threads = int(told.partition("Threads:")[2].split()[0])
                self.threads = max(self.threads, threads)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def median(values: Sequence[float]) -> float:
    """Give the median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def ratio(value: float, base: float) -> str:
    """Say how many times ``base`` a value is."""
    return f"\N{MULTIPLICATION SIGN}{value / base:.2f}" if base else "-"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay rows out as a Markdown table whose columns stand under each other."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def say(text: str = "") -> None:
    """Print at once; a bench takes minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell what is going on, beside the tables."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()
