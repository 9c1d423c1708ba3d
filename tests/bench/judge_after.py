"""The watch after a pass on simulated fleets: good releases failed in a day, bad ones found.

    python -m tests.bench.judge_after [--runs 100] [--only rough]

One process; needs the packages of the group ``bench``. Hosts have passed: nothing starts, and a
fault begins at a random minute of the half hours at which watches begin.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from math import sqrt
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

try:
    import numpy as np

    from tests.bench import judge_scenarios
    from tests.bench.judge_compiled import CompiledJudge, Weighed
    from tests.bench.judge_scenarios import NASTY, REAL, Fault, Scenario
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is missing; type: .venv/bin/python -m pip install --group bench")

from botdeploy.core.judge.after_pass import ALONE, ALONE_MIN, BESIDE, BOUND, EVERY_MIN, GONE
from botdeploy.core.judge.comparison import SHARES
from botdeploy.core.judge.count_table import LINES, NEW_ERRORS, WORK
from botdeploy.core.judge.past_windows import WINDOW_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 778
RATES = (1.0, 10.0, 100.0)
DAY_MIN = 1440
FOUND_MIN = 60
NO_FAULT = Fault()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    scenario: Scenario
    fault: Fault = NO_FAULT


ROWS = (
    Row("good, rough scenario, a day", REAL),
    Row("good, nasty scenario, a day", NASTY),
    Row("good, rough scenario, one host alone, a day", replace(REAL, hosts=1)),
    Row("errors x 20, rough scenario beside others", REAL, Fault(errors=20.0)),
    Row("errors x 20, rough scenario, one host alone", replace(REAL, hosts=1), Fault(errors=20.0)),
    Row(
        "errors x 20, rough scenario, ten minutes of past", replace(REAL, past=10), Fault(errors=20)
    ),
)


def failed(row: Row, rate: float, number: int) -> int:
    """Watch one run; gives the minute since the pass, or the fault's begin, of the fail, or 0."""
    is_good = row.fault == NO_FAULT
    many = DAY_MIN if is_good else FOUND_MIN
    scenario = replace(row.scenario, rate=rate, watch=many + 2 * WINDOW_MIN, noise=0.0)
    seeds = (SEED, judge_scenarios.seed_of(row.name), int(rate), number)
    judge = CompiledJudge(judge_scenarios.simulate(scenario, row.fault, seeds))
    rng = np.random.default_rng(seeds)
    first = 0 if is_good else -int(rng.integers(0, min(EVERY_MIN, judge.past)))
    found = [
        begin + minute
        for begin in range(first, many, EVERY_MIN)
        if (minute := _minute(judge, judge.past + begin))
    ]
    return min((one for one in found if one <= many), default=0)


def _minute(judge: CompiledJudge, begin: int) -> int:
    """Give the minute at which a watch of an hour fails the release, 0 for never."""
    watch = judge.watch(0, begin)
    over = (
        int(t) for t in np.flatnonzero(watch.e_value >= BOUND) if _is_plain(judge, watch, int(t))
    )
    return next((t + 1 for t in over if judge.in_hindsight(watch, t) >= BOUND), 0)


def _is_plain(judge: CompiledJudge, watch: Weighed, t: int) -> bool:
    """Tell whether what is seen is as plain as it has to be, as ``AfterPass`` does."""
    is_alone = judge.hosts == 1
    values = {kind: SHARES[kind] * watch.parts[kind][t] for kind in SHARES}
    if (
        sum(values[kind] for kind in ((NEW_ERRORS,) if is_alone else (NEW_ERRORS, LINES, WORK)))
        >= BOUND
    ):
        return True
    counted = {name: about for name, about, _ in watch.kept}
    own, mean, *_ = counted["weighed"]
    if not is_alone:
        expected = (mean * watch.level)[: t + 1].sum()
        return bool(own[: t + 1].sum() >= judge.bad(BESIDE) * expected)
    is_gone = values[LINES] >= BOUND
    if is_gone:
        own, mean, *_ = counted["lines"]
    ends = [t + 1 - back * ALONE_MIN for back in range(3)]
    spans = [slice(max(0, end - ALONE_MIN), max(0, end)) for end in ends]
    sums = [(own[span].sum(), mean[span].sum()) for span in spans]
    if is_gone:
        return all(expected > 0.0 and seen <= GONE * expected for seen, expected in sums)
    return all(expected > 0.0 and seen >= judge.bad(ALONE) * expected for seen, expected in sums)


def interval(hits: int, runs: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share, in per cent."""
    z = 1.96
    middle = (hits + z * z / 2) / (runs + z * z)
    spread = z / (runs + z * z) * sqrt(hits * (runs - hits) / runs + z * z / 4)
    return 100 * max(0.0, middle - spread), 100 * (middle + spread)


def told(minutes: Sequence[int], within: int) -> str:
    """Write how many of the runs failed in time, with the interval, and the median minute."""
    hits = [one for one in minutes if 0 < one <= within]
    low, high = interval(len(hits), len(minutes))
    at = f" @{median(hits):.0f}" if hits else ""
    return f"{100 * len(hits) / len(minutes):.1f} ({low:.1f}-{high:.1f}){at}"


def main() -> None:
    """Run all rows and print them."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--runs", type=int, default=100, help="runs of each cell")
    asked.add_argument("--only", default="", help="rows whose names hold this")
    given = asked.parse_args()
    for row in (one for one in ROWS if given.only in one.name):
        for rate in RATES:
            begun = monotonic()
            minutes = [failed(row, rate, number) for number in range(given.runs)]
            spans = (DAY_MIN,) if row.fault == NO_FAULT else (10, 20, FOUND_MIN)
            cells = ", ".join(f"in {span} min {told(minutes, span)}" for span in spans)
            sys.stdout.write(
                f"{row.name}, {rate:g} a minute, n = {given.runs}: {cells}"
                f" [{monotonic() - begun:.0f} s]\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
