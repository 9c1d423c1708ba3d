"""`quick` on simulated fleets: what it fails, leaves to a person, and passes.

    python -m tests.bench.quick [--nulls 2000] [--runs 400] [--only text|text] [--world rough]

One process, no packages. Cells are per cent with Wilson's 95 % interval, and the median second.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from math import sqrt
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import Quote
from botdeploy.core.judge.long_silence import LongSilence
from botdeploy.core.judge.new_errors import NewErrors
from botdeploy.core.judge.quick import QuickRules
from botdeploy.core.judge.quick_facts import QuickFacts
from botdeploy.core.verdict import Outcome
from tests.bench.quick_scenarios import EVEN, ROUGH, Case, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

WORLDS = {"rough": ROUGH, "even": EVEN}
FIRST = Case(hosts=1, past_h=0.0, knows_start=False)
UNKNOWN = Case(hosts=1, knows_start=False)
GOOD = (
    ("good, 4 hosts, 20 a minute", Case()),
    ("good, single, 20 a minute", Case(hosts=1)),
    ("good, 4 hosts, 6 a minute", Case(rate=6.0)),
    ("good, single, 6 a minute", Case(hosts=1, rate=6.0)),
    ("good, 4 hosts, 100 a minute", Case(rate=100.0)),
    ("good, 4 hosts, soak 30 s", Case(soak_s=30.0)),
    ("good, 4 hosts, soak 120 s", Case(soak_s=120.0)),
    ("good, single, soak 30 s", Case(hosts=1, soak_s=30.0)),
    ("good, single, soak 120 s", Case(hosts=1, soak_s=120.0)),
    ("good, first deploy", FIRST),
    ("good, start until 20 s, 4 hosts", Case(start_errors_s=(15.0, 20.0))),
    ("good, start until 20 s, single", Case(hosts=1, start_errors_s=(15.0, 20.0))),
    ("good, start until 30 s, 4 hosts", Case(start_errors_s=(22.0, 30.0))),
    ("good, start until 30 s, single", Case(hosts=1, start_errors_s=(22.0, 30.0))),
    ("good, start until 30 s, unknown", Case(start_errors_s=(22.0, 30.0), knows_start=False)),
    ("good, a trace at each start", Case(start_traces=1)),
    ("good, soak 30 s, start until 10 s", Case(soak_s=30.0, start_errors_s=(5.0, 10.0))),
    (
        "good, soak 30 s, the same, unknown",
        Case(soak_s=30.0, start_errors_s=(5.0, 10.0), knows_start=False),
    ),
    ("good, provider fails", Case(outage=True)),
)
BAD = (
    ("retried 3 times in 10 s, 4 hosts", Case(retried=3)),
    ("retried 3 times in 10 s, single", Case(hosts=1, retried=3)),
    ("silent after 5 s, 20 a minute, 4 hosts", Case(silent_s=5.0)),
    ("silent after 5 s, 20 a minute, single", Case(hosts=1, silent_s=5.0)),
    ("silent after 5 s, 6 a minute, 4 hosts", Case(rate=6.0, silent_s=5.0)),
    ("silent after 5 s, 6 a minute, single", Case(hosts=1, rate=6.0, silent_s=5.0)),
    ("silent after 30 s, 20 a minute, 4 hosts", Case(silent_s=30.0)),
    ("silent after 5 s, soak 30 s", Case(soak_s=30.0, silent_s=5.0)),
    ("errors x 20, 4 hosts", Case(errors=20.0)),
    ("errors x 20, single", Case(hosts=1, errors=20.0)),
    ("errors x 5, 4 hosts", Case(errors=5.0)),
    ("errors x 20, 100 a minute", Case(rate=100.0, errors=20.0)),
    ("a new trace once, single", Case(hosts=1, new_once=1)),
    ("a new trace once, start unknown", replace(UNKNOWN, new_once=1)),
    ("a new trace twice, single", Case(hosts=1, new_once=2)),
    ("new each 20 s, seen, 4 hosts", Case(new_every_s=20.0, at_least=1)),
    ("new each 20 s, twice, 4 hosts", Case(new_every_s=20.0, at_least=2)),
    ("new each 20 s, seen, single", Case(hosts=1, new_every_s=20.0, at_least=1)),
    ("new each 20 s, twice, single", Case(hosts=1, new_every_s=20.0, at_least=2)),
    (
        "new each 20 s, seen, start unknown",
        replace(UNKNOWN, new_every_s=20.0, at_least=1),
    ),
    (
        "new each 20 s, twice, start unknown",
        replace(UNKNOWN, new_every_s=20.0, at_least=2),
    ),
    (
        "new each 20 s, seen, first deploy",
        replace(FIRST, new_every_s=20.0, at_least=1),
    ),
    (
        "new each 20 s, twice, first deploy",
        replace(FIRST, new_every_s=20.0, at_least=2),
    ),
    ("new each 20 s, twice, soak 30 s", Case(soak_s=30.0, new_every_s=20.0, at_least=2)),
    ("new each 20 s, twice, soak 120 s", Case(soak_s=120.0, new_every_s=20.0, at_least=2)),
)
RULES: dict[str, tuple[type, str, object]] = {
    "starts": (QuickFacts, "start_end_us", lambda facts, tally, _: facts.grace_end_us(tally)),
    "retries": (Quote, "is_back", True),
    "outages": (QuickFacts, "is_outage", lambda *_: False),
    "new errors": (NewErrors, "any", lambda *_: None),
    "quiet": (LongSilence, "at_the_end", lambda *_: None),
    "silence": (LongSilence, "too_long", lambda *_: None),
    "more errors": (QuickRules, "may_be_more", lambda *_: None),
}
"""What each rule would be without: where it stands, and what takes its place."""
_SHOWN = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)


def interval(hits: int, many: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share, in per cent."""
    z = 1.96
    middle = (hits + z * z / 2) / (many + z * z)
    spread = z / (many + z * z) * sqrt(hits * (many - hits) / many + z * z / 4)
    return 100 * max(0.0, middle - spread), 100 * (middle + spread)


def cell(seconds: Sequence[float], many: int) -> str:
    """Write how many of the runs ended so, with the interval, and the median second."""
    low, high = interval(len(seconds), many)
    at = f" @{median(seconds):.0f}" if seconds else ""
    return f"{100 * len(seconds) / many:.1f} ({low:.1f}-{high:.1f}){at}"


def main() -> None:
    """Run all cases and print them."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--nulls", type=int, default=2000, help="runs of good releases")
    asked.add_argument("--runs", type=int, default=400, help="runs of each fault")
    asked.add_argument("--only", default="", help="cases whose names hold this, or this|that")
    asked.add_argument("--world", choices=WORLDS, default="rough")
    asked.add_argument("--past", type=float, default=0.0, help="hours of past, instead of one")
    asked.add_argument("--reasons", action="store_true", help="print one reason of each outcome")
    asked.add_argument("--without", choices=RULES, help="leave a rule out")
    given = asked.parse_args()
    if given.without:
        holder, name, instead = RULES[given.without]
        setattr(holder, name, instead)
    parts = given.only.split("|")
    _say(f"{'':40}{'failed':>24}{'inconclusive':>24}{'passed':>24}")
    for cases, many in ((GOOD, given.nulls), (BAD, given.runs)):
        for name, case in cases:
            if many and any(part in name for part in parts):
                here = replace(case, world=WORLDS[given.world])
                if given.past and case.past_h:
                    here = replace(here, past_h=given.past)
                _row(name, here, many, is_told=given.reasons)


def _row(name: str, case: Case, many: int, *, is_told: bool) -> None:
    begun = monotonic()
    found = list(runs(case, name, many))
    cells = [
        cell([second for second, ruled in found if ruled.outcome is outcome], many)
        for outcome in _SHOWN
    ]
    _say(f"{name:40}" + "".join(f"{one:>24}" for one in cells) + f"  {monotonic() - begun:.0f} s")
    if is_told:
        for outcome in _SHOWN:
            said = [ruled.reasons[0] for _, ruled in found if ruled.outcome is outcome]
            for one in said[:3]:
                _say(f"    {outcome}: {one}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
