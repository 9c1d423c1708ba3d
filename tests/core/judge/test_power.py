"""What a soak is said to find: sums that hold, and what the judge itself then finds."""

from __future__ import annotations

from math import exp, factorial, sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.judge.power import power_of
from botdeploy.core.judge.power.forecast import RATIOS
from botdeploy.core.judge.power.scenario import BURST_LINES, SURE
from botdeploy.core.judge.tails import at_least, bursts_of
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome
from tests.effort import examples

pytestmark = pytest.mark.simulation

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND


def options(soak_s: float, preset: str | None = None) -> JudgeOptions:
    return JudgeOptions.from_policy({"preset": preset} if preset else {}, soak_s)


# --- sums ----------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.floats(0.01, 60.0))
def test_chances_of_events_are_those_of_poisson(count: int, mean: float) -> None:
    """Between whole numbers the sum is continued; at them it is exact."""
    exact = 1.0 - sum(exp(-mean) * mean**n / factorial(n) for n in range(count))
    assert at_least(float(count), mean) == pytest.approx(exact, abs=1e-9)
    assert at_least(count + 0.5, mean) <= at_least(float(count), mean) + 1e-12


@pytest.mark.parametrize("mean", [0.02, 0.7, 5.0, 90.0])
def test_bursts_have_the_moments_that_they_should(mean: float) -> None:
    """Poisson many bursts of three lines: mean and variance of a compound Poisson count."""
    chances = bursts_of(mean, BURST_LINES, 4000)
    total = sum(chances)
    middle = sum(n * one for n, one in enumerate(chances))
    spread = sum(n * n * one for n, one in enumerate(chances)) - middle * middle
    assert total == pytest.approx(1.0, abs=1e-6)
    assert middle == pytest.approx(3.0 * mean, rel=1e-3)
    assert spread == pytest.approx(mean * 15.0, rel=1e-2)


def test_very_many_bursts_still_sum_to_one() -> None:
    """Where no count is unlikely enough to begin at 0, the sum is about the middle."""
    chances = bursts_of(900.0, BURST_LINES, 4000)
    assert sum(chances) == pytest.approx(1.0, abs=1e-3)


# --- what is forecast -----------------------------------------------------------------------------

traffics = st.floats(0.05, 500.0)
rates = st.floats(0.0, 0.5)


@given(st.sampled_from([20.0, 60.0, 400.0]), traffics, rates, st.integers(1, 4))
@settings(max_examples=examples(10), deadline=None)
def test_more_errors_are_never_harder_to_find(
    soak_s: float, lines: float, rate: float, hosts: int
) -> None:
    """Chances grow with the ratio and lie between 0 and 1."""
    it = power_of(options(soak_s), lines, rate, hosts, baseline=2)
    chances = [chance for _, chance in it.finds]
    assert chances == sorted(chances)
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    assert [ratio for ratio, _ in it.finds] == (list(RATIOS) if rate else [])


def test_a_longer_soak_and_more_traffic_find_more() -> None:
    """Both quick and normal."""
    for soaks in ((30.0, 120.0, 500.0), (1800.0, 3600.0, 7200.0)):
        seen = [power_of(options(one), 10.0, 0.02, history_s=3600).chance(5.0) for one in soaks]
        assert seen == sorted(seen)
        assert seen[-1] > seen[0] + 0.02
    for soak_s in (60.0, 1800.0):
        seen = [power_of(options(soak_s), n, 0.02).chance(5.0) for n in (1.0, 10.0, 100.0)]
        assert seen == sorted(seen)


def test_rarer_errors_need_longer_soaks() -> None:
    """A new error that is found may come as rarely as the soak is long."""
    every = [power_of(options(one), 10.0, 0.02).new_s or 0.0 for one in (15.0, 60.0, 300.0)]
    assert every == sorted(every)
    assert 15.0 < every[1] < 40.0


@pytest.mark.parametrize(
    ("soak_s", "lines", "rate", "said"),
    [
        (60.0, 0.0, 0.0, "nothing known of the old release"),
        (60.0, 4.0, 0.02, "with about 4 lines a minute (2 % errors) this soak finds a new error"),
        (60.0, 4.0, 0.02, "and silence within 35 s but can't find more of the usual errors"),
        (60.0, 600.0, 0.02, "silence within 5 s"),
        (1800.0, 10.0, 0.02, "a 5x error rate in"),
        (60.0, 1.0, 0.0, "with about 1 line a minute this soak"),
    ],
)
def test_a_soak_is_told_in_a_sentence(soak_s: float, lines: float, rate: float, said: str) -> None:
    """With the traffic that it rests on, what is found and what is not."""
    assert said in str(power_of(options(soak_s), lines, rate, 1, baseline=2))


def test_a_bot_that_hardly_errs_cannot_be_judged_by_its_errors() -> None:
    """A bot that errs once a day shows no rise of the rate in ten minutes, and it is said so."""
    said = str(power_of(options(600.0, "normal"), 0.1, 0.01, 3))
    assert "error rate" not in said
    assert "can't find more of the usual errors" in said


def test_the_scales_find_about_what_the_simulation_found() -> None:
    """An hour beside five others, 2 % errors: ``make bench-judge``, in a world without outages."""
    simulated = {(1.0, 5.0): 0.23, (1.0, 20.0): 0.87, (4.0, 10.0): 0.89, (10.0, 5.0): 0.86}
    for (lines, ratio), found in simulated.items():
        it = power_of(options(1800.0), lines, 0.02, 1, baseline=5, history_s=43200.0)
        assert it.chance(ratio) == pytest.approx(found, abs=0.1)


# --- beside the judge itself ----------------------------------------------------------------------


def written(
    rng: Random, start: float, end: float, lines: float, rate: float, name: str = "known"
) -> list[LogLine]:
    """Let a host write: lines and bursts of errors by chance; seconds from the switch."""
    out = []
    at = start
    while lines and (at := at + rng.expovariate(lines / 60.0)) < end:
        out.append(LogLine(SWITCH + round(at * SECOND), LineKind.LOG, Level.INFO, "handled"))
    at = start
    while rate and (at := at + rng.expovariate(lines * rate / 60.0 / BURST_LINES)) < end:
        size = 1
        while rng.random() < 1.0 - 1.0 / BURST_LINES:
            size += 1
        out += [
            LogLine(
                SWITCH + round((at + 0.01 * n) * SECOND),
                LineKind.LOG,
                Level.ERROR,
                f"ERROR {name}",
                name,
            )
            for n in range(size)
        ]
    return out


STARTED = LogLine(
    SWITCH - 3700 * SECOND, LineKind.SYSTEMD, None, "", system=SystemRecord(SystemKind.STARTED)
)
"""A start of the old release is known: errors in the first half of the soak count."""


def is_found(seed: int, soak_s: float, lines: float, rate: float, ratio: float) -> bool:
    """Let the quick judge follow one soak with so many times the usual errors."""
    rng = Random(seed)  # noqa: S311 (the same each time)
    it = Judge(
        options(soak_s),
        canary=["w1"],
        baseline=["w2"],
        switched_at_us={"w1": SWITCH},
        history={
            name: [STARTED, *written(rng, -3600.0, 0.0, lines, rate)] for name in ("w1", "w2")
        },
    )
    feed = [("w1", one) for one in written(rng, 0.0, soak_s, lines, ratio * rate)]
    feed += [("w2", one) for one in written(rng, 0.0, soak_s, lines, rate)]
    feed.sort(key=lambda one: one[1].at_us)
    ask = SWITCH
    for host, line in feed:
        while ask < line.at_us:
            if it.verdict(ask).outcome is Outcome.FAIL:
                return True
            ask += 5 * SECOND
        it.feed(host, line)
    return it.verdict(SWITCH + round(soak_s * SECOND)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("soak_s", "lines", "rate", "ratio"),
    [(300.0, 60.0, 0.03, 5.0), (60.0, 60.0, 0.05, 10.0), (120.0, 20.0, 0.05, 20.0)],
)
def test_the_quick_judge_finds_what_was_forecast(
    soak_s: float, lines: float, rate: float, ratio: float
) -> None:
    """In 60 soaks it finds as many as forecast, within what chance allows and a tenth."""
    runs = max(15, examples(60))
    forecast = power_of(options(soak_s), lines, rate, 1, baseline=1).chance(ratio)
    found = sum(is_found(seed, soak_s, lines, rate, ratio) for seed in range(runs)) / runs
    slack = 0.10 + 2.0 * sqrt(0.25 / runs)
    assert abs(found - forecast) < slack, f"found {found:.2f}, forecast {forecast:.2f}"


def is_seen_to_come_back(it: Judge, rng: Random, soak_s: float, every_s: float) -> bool:
    """Let a new error come by chance until the deadline; a soak without it passes."""
    at = rng.expovariate(1.0 / every_s)
    is_in_soak = at < soak_s
    while is_in_soak and at < 2 * soak_s:
        when = SWITCH + round(at * SECOND)
        it.feed("w1", LogLine(when, LineKind.LOG, Level.ERROR, "ERROR new", "new"))
        if it.verdict(when + 3 * SECOND).outcome is Outcome.FAIL:
            return True
        at += rng.expovariate(1.0 / every_s)
    return False


def test_the_quick_judge_finds_new_errors_as_rare_as_forecast() -> None:
    """A new error that comes by chance, as often as is said, is found in about 8 of 10 soaks."""
    soak_s = 60.0
    every_s = power_of(options(soak_s), 20.0, 0.0, 1, baseline=1).new_s
    assert every_s is not None
    found = 0
    for seed in range(100):
        rng = Random(seed)  # noqa: S311 (the same each time)
        past = written(rng, -3600.0, 0.0, 20.0, 0.0)
        it = Judge(
            options(soak_s),
            canary=["w1"],
            baseline=["w2"],
            switched_at_us={"w1": SWITCH},
            history={"w1": [STARTED, *past], "w2": [STARTED, *past]},
        )
        found += is_seen_to_come_back(it, rng, soak_s, every_s)
    assert 100 * (SURE - 0.12) <= found <= 100 * (SURE + 0.12)
