"""Prove from a bot's ``lives.log`` that no two copies of it were ever alive at once.

From a shell: ``python3 examples/lives.py lives.log``; ends with 1 where two lives overlap.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Life:
    """One process of the bot; ``end_ns`` is None where it was killed, or lives still."""

    version: str
    release: str
    pid: int
    boot: str
    start_ns: int
    end_ns: int | None = None


def read(lines: Iterable[str]) -> tuple[list[Life], list[str]]:
    """Read the lives in order, and a sentence for each overlap.

    The bot writes ``start`` only while it holds a kernel lock, so the order of the lines is the
    order of the lives; a copy that finds the lock taken writes ``clash``.
    """
    lives: list[Life] = []
    overlaps: list[str] = []
    for line in lines:
        entry = json.loads(line)
        match entry["event"]:
            case "start":
                life = Life(
                    version=entry["version"],
                    release=entry["release"],
                    pid=entry["pid"],
                    boot=entry["boot"],
                    start_ns=entry["mono_ns"],
                )
                before = lives[-1] if lives else None
                if before and before.boot == life.boot and before.end_ns is not None:
                    gap = life.start_ns - before.end_ns
                    if gap < 0:
                        overlaps.append(
                            f"{life.release} began {-gap / 1e6:.1f} ms before"
                            f" {before.release} ended"
                        )
                lives.append(life)
            case "end":
                lives[-1] = Life(**{**vars(lives[-1]), "end_ns": entry["mono_ns"]})
            case "clash":
                overlaps.append(f"{entry['release']} began while another copy was alive")
            case other:
                raise ValueError(f"unknown event {other!r}")
    return lives, overlaps


def main(paths: list[str]) -> int:
    """Print each life and each overlap; give the exit code."""
    faults = 0
    for path in paths:
        lives, overlaps = read(Path(path).read_text(encoding="utf-8").splitlines())
        for life in lives:
            length = "…" if life.end_ns is None else f"{(life.end_ns - life.start_ns) / 1e9:.1f} s"
            told = f"version {life.version} {life.release} pid {life.pid} {length}"
            sys.stdout.write(f"{path}: {told}\n")
        for overlap in overlaps:
            sys.stdout.write(f"{path}: OVERLAP: {overlap}\n")
        faults += len(overlaps)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
