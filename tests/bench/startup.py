"""Starting: what a command costs before it does anything, and where that goes."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench import bots
from tests.bench.field import PROJECT, Field, near
from tests.bench.figures import cost_of, median, ratio, say, table
from tests.bench.ways.by_botdeploy import ByBotdeploy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.lab.lab import Lab

_ROW = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")
COMMANDS = (("--version",), ("--json", "status", "bench"), ("status", "bench"))
MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Share:
    """What a distribution's modules take to import, by themselves."""

    name: str
    ms: float
    modules: int


def run(lab: Lab, folder: Path, rounds: int) -> None:
    """Measure commands beside an empty Python, and say which packages their imports are."""
    field = Field(lab, folder / "startup", bots.SMALL, is_parallel=False, targets=near(lab)[:1])
    field.write()
    way = ByBotdeploy(field)
    way.prepare()
    env = {"HOME": str(field.folder), "PYTHONPATH": str(PROJECT)}
    python = (sys.executable, "-m", "botdeploy")
    cpu: dict[str, list[float]] = {}
    rss: dict[str, float] = {}
    for _ in range(max(rounds, 3)):
        for name, argv in {
            "python -c pass": (sys.executable, "-c", "pass"),
            "import fabric": (sys.executable, "-c", "import fabric"),
            **{f"botdeploy {' '.join(words)}": (*python, *words) for words in COMMANDS},
        }.items():
            cost = cost_of(argv, cwd=field.folder, env=env)
            cpu.setdefault(name, []).append(cost.cpu_s)
            rss[name] = cost.rss_mb
    base = median(cpu["import fabric"])
    rows = [
        (name, f"{1000 * median(many):.0f}", ratio(median(many), base), f"{rss[name]:.0f}")
        for name, many in cpu.items()
    ]
    say("\nStarting\n")
    say(table(("program", "CPU ms", "of import fabric", "RSS MB"), rows))
    for words in COMMANDS[:2]:
        shares = shares_of([*python[:1], "-X", "importtime", *python[1:], *words], field, env)
        total = sum(one.ms for one in shares)
        say(f"\nImports of botdeploy {' '.join(words)}: {sum(one.modules for one in shares)}\n")
        say(
            table(
                ("package", "share", "modules"),
                [
                    (one.name, f"{100 * one.ms / total:.0f} %", one.modules)
                    for one in shares[:MOST_SHOWN]
                ],
            )
        )


def shares_of(argv: Sequence[str], field: Field, env: dict[str, str]) -> list[Share]:
    """Add up what ``-X importtime`` prints, by top-level package; the largest first."""
    out = cost_of(argv, cwd=field.folder, env={**os.environ, **env}).out
    found: dict[str, tuple[float, int]] = {}
    for line in out.splitlines():
        match = _ROW.match(line)
        if match is None:
            continue
        name = match[4].split(".")[0].lstrip("_")
        if name in sys.stdlib_module_names:
            name = "Python's own"
        elif name == "botdeploy":
            name = ".".join(match[4].split(".")[:2])
        ms, count = found.get(name, (0.0, 0))
        found[name] = ms + int(match[1]) / 1000, count + 1
    shares = [Share(name, ms, count) for name, (ms, count) in found.items()]
    return sorted(shares, key=lambda one: -one.ms)
