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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

try:
    import numpy as np

    from tests.bench import judge_rivals, judge_scenarios
    from tests.bench.judge_compiled import CompiledJudge
    from tests.bench.judge_plots import JUDGE, write_plots
    from tests.bench.judge_scenarios import (
        IDEAL,
        NASTY,
        OTHER,
        REAL,
        Fault,
        Scenario,
        in_second_world,
    )
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is missing; type: .venv/bin/python -m pip install --group bench")

from botdeploy.core.judge.sequential import DOUBTFUL, NEW_ERROR_MIN, OUTAGE
from botdeploy.core.judge.threshold import least_threshold, threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.judge_plots import Cell, Figures

SEED = 20261126
RATES = (1.0, 10.0, 100.0)
GRACE = 2
SOAK = 10
FALSE_ABORTS = 0.05
PROOF = 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    scenario: Scenario
    fault: Fault
    is_null: bool = False
    has_rivals: bool = False


ROWS: tuple[Row, ...] = (
    Row("good, rough scenario", REAL, Fault(), is_null=True, has_rivals=True),
    Row("good, ideal scenario", IDEAL, Fault(), is_null=True),
    Row("good, nasty scenario", NASTY, Fault(), is_null=True),
    Row("good, other scenario", OTHER, Fault(), is_null=True),
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
    Row("errors x 5, nasty scenario", NASTY, Fault(errors=5.0)),
    Row("errors x 20, nasty scenario", NASTY, Fault(errors=20.0)),
)
_IN_BOTH = (
    Row("good, rough scenario", REAL, Fault(), is_null=True),
    Row("good, nasty scenario", NASTY, Fault(), is_null=True),
    Row("good, outage of all", REAL, Fault(outage=10), is_null=True),
    Row("errors x 2", REAL, Fault(errors=2.0)),
    Row("errors x 5", REAL, Fault(errors=5.0)),
    Row("errors x 20", REAL, Fault(errors=20.0)),
    Row("a new error, 1 in 5 min", REAL, Fault(new=0.2)),
    Row("gone silent", REAL, Fault(traffic=0.0)),
    Row("latency x 3", REAL, Fault(slow=3.0)),
)
ROWS += tuple(
    replace(row, name=f"{row.name}, second world", scenario=in_second_world(row.scenario))
    for row in _IN_BOTH
)
ROWS += tuple(
    replace(row, name=f"{row.name}, 1 h of past", scenario=replace(row.scenario, past=60))
    for row in ROWS
    if row.name.removesuffix(", second world") in {one.name for one in _IN_BOTH}
)
RIVALS = {
    "grep ERROR": judge_rivals.grep,
    "threshold 2.5 x": judge_rivals.threshold,
    "Kayenta's rule": judge_rivals.kayenta,
    "Poisson, peeked": judge_rivals.poisson,
}


def judged(row: Row, rate: float, seed: int, number: int) -> tuple[int, int]:
    """Judge one run: the minute of the abort and of the promotion, 0 for never.

    The abort is that of a watch of an hour; the promotion that of a soak of ten minutes.
    """
    scenario = judge_scenarios.at_rate(row.scenario, rate)
    seeds = (seed, judge_scenarios.seed_of(row.name), int(rate), number)
    judge = CompiledJudge(judge_scenarios.simulate(scenario, row.fault, seeds))
    watch = judge.watch()
    young = judge.young
    e_values = watch.e_value
    limit = least_threshold(FALSE_ABORTS, judge.burst)
    if (e_values[GRACE:] >= limit).any():
        limit = threshold(FALSE_ABORTS, limit, judge.replays())
    over = [int(t) for t in np.flatnonzero(e_values >= limit) if t >= GRACE]
    failed = next((t + 1 for t in over if judge.in_hindsight(watch, t) >= limit), 0)
    news = np.flatnonzero(young)
    passed = 0
    for t in range(SOAK - 1, scenario.watch if not failed else failed - 1):
        before = news[news <= t]
        if len(before) and t + 1 - before[-1] < min(NEW_ERROR_MIN, SOAK):
            continue
        proofs = (watch.safety[t], watch.traffic[t], watch.slow[t])
        if e_values[t] < DOUBTFUL and watch.level[t] < OUTAGE and min(proofs) >= PROOF:
            passed = t + 1
            break
    return failed, passed


def rivals(row: Row, rate: float, seed: int, number: int) -> list[int]:
    """Let the others judge one run: the minute of each one's abort, 0 for never."""
    scenario = judge_scenarios.at_rate(row.scenario, rate)
    seeds = (seed, judge_scenarios.seed_of(row.name), int(rate), number)
    run = judge_scenarios.simulate(scenario, row.fault, seeds)
    return [rival(run) for rival in RIVALS.values()]


def summed(minutes: Sequence[int]) -> Cell:
    """Sum the minutes of many runs up, 0 for never: how many, per cent, median minute."""
    hits = [minute for minute in minutes if minute]
    return {
        "runs": len(minutes),
        "aborted": round(100.0 * len(hits) / len(minutes), 2),
        "minute": median(hits) if hits else None,
    }


def cell(share: float, minute: float | None) -> str:
    """Write "% @ median minute"."""
    shown = f"{share:.1f}" if share < 10 else f"{share:.0f}"
    return f"{shown}@{minute:.0f}" if minute is not None else "0"


def main() -> None:
    """Run all rows and print them."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--nulls", type=int, default=2000, help="runs for false aborts")
    asked.add_argument("--runs", type=int, default=600, help="runs of each fault")
    asked.add_argument("--rivals", type=int, default=250, help="runs judged by the others")
    asked.add_argument("--seed", type=int, default=SEED, help="of the fleets; left out: the page's")
    asked.add_argument("--only", default="", help="rows whose names hold this, or this|that")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--json", type=Path, help="write the figures there")
    asked.add_argument("--svg", type=Path, help="write plots into this folder")
    given = asked.parse_args()
    rows = [row for row in ROWS if any(part in row.name for part in given.only.split("|"))]
    figures: Figures = {}
    begin = monotonic()
    _say(f"{'':26}" + "".join(f"{f'{rate:g}/min':>13}" for rate in RATES) + "   promoted")
    with ProcessPoolExecutor(given.jobs) as pool:
        for row in rows:
            many = given.nulls if row.is_null else given.runs
            mine: dict[str, dict[str, Cell]] = {JUDGE: {}}
            for rate in RATES:
                found = list(
                    pool.map(partial(judged, row, rate, given.seed), range(many), chunksize=10)
                )
                failed, passed = summed([one for one, _ in found]), summed([ok for _, ok in found])
                failed |= {"passed": passed["aborted"], "passed_minute": passed["minute"]}
                mine[JUDGE][f"{rate:g}"] = failed
                if row.has_rivals and given.rivals:
                    theirs = list(
                        pool.map(
                            partial(rivals, row, rate, given.seed),
                            range(given.rivals),
                            chunksize=10,
                        )
                    )
                    for at, name in enumerate(RIVALS):
                        cells = mine.setdefault(name, {})
                        cells[f"{rate:g}"] = summed([one[at] for one in theirs])
            figures[row.name] = mine
            _show(row, mine)
            if given.json:
                record = {"seed": given.seed, "rows": figures}
                given.json.write_text(json.dumps(record, indent=1) + "\n")
    _say(f"{given.nulls} and {given.runs} runs, {monotonic() - begin:.0f} s")
    if given.svg:
        write_plots(figures, given.svg)


def _show(row: Row, mine: Mapping[str, Mapping[str, Cell]]) -> None:
    for name, cells in mine.items():
        line = f"{row.name if name == JUDGE else '  ' + name:26}"
        line += "".join(f"{cell(one['aborted'], one['minute']):>13}" for one in cells.values())
        if name == JUDGE:
            passed = [cell(one["passed"], one["passed_minute"]) for one in cells.values()]
            line += f"   {' / '.join(passed)}"
        _say(line)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
