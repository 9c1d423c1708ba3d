"""The simulation measures the judge itself: compiled and plain, it weighs the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("numpy", reason="the simulation's packages are not installed")
pytest.importorskip("numba", reason="the simulation's packages are not installed")

from botdeploy.core.evidence.counts import Counts
from botdeploy.core.judge.fleet_tally import FleetTally
from botdeploy.core.judge.host_tally import MINUTE_US
from botdeploy.core.judge.judge_options import JudgeOptions, Preset
from botdeploy.core.judge.sequential import LATE_US, SequentialTest
from tests.bench.judge_compiled import CompiledJudge
from tests.bench.judge_scenarios import IDEAL, REAL, Fault, Scenario, at_rate, simulate

if TYPE_CHECKING:
    from tests.bench.judge_scenarios import Run

FIRST = 28_000_000
"""The minute in which the past begins."""


def ledger_of(run: Run) -> FleetTally:
    """Fill a ledger with a simulated run."""
    names = [f"h{host}" for host in range(run.scenario.hosts)]
    past = run.scenario.past
    switch_us = (FIRST + past) * MINUTE_US
    ledger = FleetTally(names[:1], names[1:], {"h0": switch_us}, MINUTE_US)
    fresh = {(host, minute): kind for minute, host, kind in run.unseen}
    for host, name in enumerate(names):
        part = ledger.host(name)
        assert part is not None
        part.first_us = FIRST * MINUTE_US
        for minute in range(past + run.scenario.watch):
            errors = {
                f"Traceback!known{kind}": int(many)
                for kind, many in enumerate(run.errors[host, minute])
                if many
            }
            if (host, minute) in fresh:
                errors[f"Traceback!unseen{fresh[host, minute]}"] = 1
            bucket = Counts(
                lines=int(run.events[host, minute]),
                errors=errors,
                latency_count=int(run.events[host, minute]),
                latency_sum=float(run.work[host, minute]),
                latency_squares=float(run.squares[host, minute]),
            )
            if minute < past:
                part.before[FIRST + minute] = bucket
                for error, many in errors.items():
                    part.errors_before[error] = part.errors_before.get(error, 0) + many
            else:
                part.after[FIRST + minute] = bucket
            if minute < past or host:
                ledger.learn(errors)
    return ledger


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
@pytest.mark.parametrize(
    ("scenario", "fault"),
    [(REAL, Fault()), (IDEAL, Fault(errors=5.0)), (REAL, Fault(new=0.3, slow=1.4))],
)
def test_compiled_and_plain_judge_weigh_the_same(
    scenario: Scenario, fault: Fault, rate: float
) -> None:
    """Minute by minute the simulation's evidence is the package's."""
    run = simulate(at_rate(scenario, rate), fault, (11, int(rate)))
    options = JudgeOptions.preset_for(Preset.NORMAL, 600.0)
    plain = SequentialTest(ledger_of(run), options)
    judge = CompiledJudge(run)
    compiled = judge.watch()
    for minute in range(run.scenario.watch):
        end_us = (FIRST + run.scenario.past + minute + 1) * MINUTE_US + LATE_US
        condemned = plain.advance(end_us)
        assert plain.comparison is not None
        parts = plain.comparison.parts()
        for kind, share in parts.items():
            assert share[1] == pytest.approx(compiled.parts[kind][minute], rel=1e-6), (minute, kind)
        if minute % 20 == 19 or condemned:
            looked_back = plain.comparison.in_hindsight()
            assert looked_back == pytest.approx(judge.in_hindsight(compiled, minute), rel=1e-6)
        if condemned:
            break
    assert minute > 3
