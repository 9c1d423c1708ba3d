"""The judge on simulated fleets: false aborts and detections, beside what others do.

    python -m tests.bench.judge [--nulls 2000] [--runs 600] [--rivals 250] [--json FILE] [--svg DIR]

Each cell is "% aborted @ median minute". Needs the packages of the group ``bench``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from zlib import crc32

try:
    import numpy as np

    from tests.bench import judge_rivals, judge_worlds
    from tests.bench.judge_compiled import CompiledJudge
    from tests.bench.judge_worlds import IDEAL, NASTY, OTHER, REAL, Fault, World
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is missing; type: .venv/bin/python -m pip install --group bench")

from botdeploy.core.judge.scales import CALM, ENOUGH_REPLAYS, NEWS_MIN, OUTAGE, PROVED

SEED = 20261125
RATES = (1.0, 10.0, 100.0)
GRACE = 2
SOAK = 10
FALSE_ABORTS = 0.05
PROOF = 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    world: World
    fault: Fault
    is_null: bool = False
    has_rivals: bool = False


ROWS = (
    Row("good, rough world", REAL, Fault(), is_null=True, has_rivals=True),
    Row("good, ideal world", IDEAL, Fault(), is_null=True),
    Row("good, nasty world", NASTY, Fault(), is_null=True),
    Row("good, other world", OTHER, Fault(), is_null=True),
    Row("good, outage of all", REAL, Fault(outage=10)),
    Row("errors x 1.5", REAL, Fault(errors=1.5)),
    Row("errors x 2", REAL, Fault(errors=2.0), has_rivals=True),
    Row("errors x 5", REAL, Fault(errors=5.0), has_rivals=True),
    Row("errors x 20", REAL, Fault(errors=20.0), has_rivals=True),
    Row("one kind of six x 20", REAL, Fault(errors=20.0, is_one_kind=True)),
    Row("a new error, 1 in 5 min", REAL, Fault(new=0.2), has_rivals=True),
    Row("a new error, 1 in 20 min", REAL, Fault(new=0.05)),
    Row("gone silent", REAL, Fault(traffic=0.0), has_rivals=True),
    Row("latency + 20 %", REAL, Fault(slow=1.2)),
    Row("latency + 100 %", REAL, Fault(slow=2.0)),
    Row("errors x 5, nasty world", NASTY, Fault(errors=5.0)),
    Row("errors x 20, nasty world", NASTY, Fault(errors=20.0)),
)
RIVALS = {
    "grep ERROR": judge_rivals.grep,
    "threshold 2.5 x": judge_rivals.threshold,
    "Kayenta's rule": judge_rivals.kayenta,
    "Poisson, peeked": judge_rivals.poisson,
}


def judged(row: Row, rate: float, number: int) -> tuple[int, int]:
    """Judge one run: the minute of the abort and of the promotion, 0 for never.

    The abort is that of a watch of an hour; the promotion that of a soak of ten minutes.
    """
    world = judge_worlds.at_rate(row.world, rate)
    seed = (SEED, crc32(row.name.encode()), int(rate), number)
    judge = CompiledJudge(judge_worlds.simulate(world, row.fault, seed))
    watch = judge.watch()
    young = judge.young
    worth = watch.worth
    full = 1.0 / FALSE_ABORTS
    limit = full
    if (worth[GRACE:] >= PROVED * full).any():
        reached = sorted(judge.replays(), reverse=True)
        above = max(0, int(FALSE_ABORTS * (len(reached) + 1) + 0.3) - 1)
        limit = max(PROVED * full, reached[above] * 1.0000001)
        if len(reached) < ENOUGH_REPLAYS:
            limit = max(full, reached[0])
    over = [int(t) for t in np.flatnonzero(worth >= limit) if t >= GRACE]
    failed = next((t + 1 for t in over if judge.in_hindsight(watch, t) >= limit), 0)
    news = np.flatnonzero(young)
    passed = 0
    for t in range(SOAK - 1, world.watch if not failed else failed - 1):
        before = news[news <= t]
        if len(before) and t + 1 - before[-1] < min(NEWS_MIN, SOAK):
            continue
        proofs = (watch.safety[t], watch.traffic[t], watch.slow[t])
        if worth[t] < CALM and watch.level[t] < OUTAGE and min(proofs) >= PROOF:
            passed = t + 1
            break
    return failed, passed


def rivals(row: Row, rate: float, number: int) -> list[int]:
    """Let the others judge one run: the minute of each one's abort, 0 for never."""
    world = judge_worlds.at_rate(row.world, rate)
    seed = (SEED, crc32(row.name.encode()), int(rate), number)
    run = judge_worlds.simulate(world, row.fault, seed)
    return [rival(run) for rival in RIVALS.values()]


def cell(minutes: list[int]) -> str:
    """Write "% @ median minute"."""
    hits = [minute for minute in minutes if minute]
    share = 100.0 * len(hits) / len(minutes)
    shown = f"{share:.1f}" if share < 10 else f"{share:.0f}"
    return f"{shown}@{median(hits):.0f}" if hits else "0"


def main() -> None:
    """Run all rows and print them."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--nulls", type=int, default=2000, help="runs for false aborts")
    asked.add_argument("--runs", type=int, default=600, help="runs of each fault")
    asked.add_argument("--rivals", type=int, default=250, help="runs judged by the others")
    asked.add_argument("--only", default="", help="rows whose names hold this")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--json", type=Path, help="write the figures there")
    asked.add_argument("--svg", type=Path, help="write plots into this folder")
    given = asked.parse_args()
    rows = [row for row in ROWS if given.only in row.name]
    figures: dict[str, dict[str, list[list[int]]]] = {}
    begin = monotonic()
    _say(f"{'':26}" + "".join(f"{f'{rate:g}/min':>13}" for rate in RATES) + "   promoted")
    with ProcessPoolExecutor(given.jobs) as pool:
        for row in rows:
            mine: dict[str, list[list[int]]] = {}
            for rate in RATES:
                many = given.nulls if row.is_null else given.runs
                found = list(pool.map(partial(judged, row, rate), range(many), chunksize=10))
                mine[f"judge@{rate:g}"] = [[failed for failed, _ in found], [ok for _, ok in found]]
                if row.has_rivals and given.rivals:
                    theirs = list(
                        pool.map(partial(rivals, row, rate), range(given.rivals), chunksize=10)
                    )
                    for at, name in enumerate(RIVALS):
                        mine[f"{name}@{rate:g}"] = [[one[at] for one in theirs]]
            figures[row.name] = mine
            _show(row, mine)
    _say(f"{given.nulls} and {given.runs} runs, {monotonic() - begin:.0f} s")
    if given.json:
        given.json.write_text(json.dumps(figures))
    if given.svg:
        from tests.bench.judge_plots import write_plots  # noqa: PLC0415

        write_plots(figures, given.svg)


def _show(row: Row, mine: dict[str, list[list[int]]]) -> None:
    cells = [cell(mine[f"judge@{rate:g}"][0]) for rate in RATES]
    promoted = [cell(mine[f"judge@{rate:g}"][1]) for rate in RATES]
    line = f"{row.name:26}" + "".join(f"{one:>13}" for one in cells)
    _say(f"{line}   {' / '.join(promoted)}")
    for name in RIVALS:
        if f"{name}@1" in mine:
            theirs = [cell(mine[f"{name}@{rate:g}"][0]) for rate in RATES]
            _say(f"{'  ' + name:26}" + "".join(f"{one:>13}" for one in theirs))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
