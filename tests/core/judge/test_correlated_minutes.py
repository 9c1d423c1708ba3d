"""Minutes are correlated: a burst that goes on for minutes is one event, not one in each."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.judge import bet
from botdeploy.core.judge.rates import NO_SWING, burst_minutes
from botdeploy.core.judge.streams import Stream, Variation
from tests.effort import examples

HOSTS = 3
BURSTS = 0.1
"""Bursts a minute and host, of three lines each."""
LINES = 3


def counts(minutes: int, spread_min: int, seed: int, hosts: int = HOSTS) -> list[float]:
    """Give the lines of bursts, each spread over so many minutes: ``host*minutes + minute``."""
    rng = random.Random(seed)  # noqa: S311
    out = [0.0] * (hosts * minutes)
    for h in range(hosts):
        for t in range(minutes):
            if rng.random() < BURSTS:
                for _ in range(LINES):
                    at = t + rng.randrange(spread_min)
                    if at < minutes:
                        out[h * minutes + at] += 1.0
    return out


def length(minutes: int, spread_min: int, seed: int = 1, hosts: int = HOSTS) -> float:
    """Learn how long bursts last from such a past."""
    seen = counts(minutes, spread_min, seed, hosts)
    return burst_minutes(seen, [LINES * BURSTS] * len(seen), minutes)


@pytest.mark.parametrize("seed", range(5))
def test_the_past_tells_how_long_a_burst_lasts(seed: int) -> None:
    """Half a day shows it: of three lines over three minutes the sum varies 1.8 times as much."""
    assert length(720, 1, seed) < 1.25
    assert 1.4 < length(720, 3, seed) < 2.3


def test_a_short_past_is_drawn_towards_what_is_usual() -> None:
    """Ten minutes without any error, or with a burst or two, say little."""
    assert burst_minutes([0.0] * 30, [0.3] * 30, 10) == pytest.approx(1.5, abs=0.3)
    assert 1.0 <= length(10, 1) <= 2.0


def test_what_all_hosts_share_is_no_burst() -> None:
    """Ups and downs of the whole fleet are known by the baseline, and not counted here."""
    rng = random.Random(4)  # noqa: S311
    level = [1.0 + (t // 30) % 2 * 2.0 for t in range(720)]
    seen = [float(sum(rng.random() < 0.3 * one for _ in range(3))) for _ in "abc" for one in level]
    assert burst_minutes(seen, [1.8] * len(seen), 720) < 1.4


@given(st.lists(st.floats(0.0, 500.0), min_size=24, max_size=24), st.floats(0.0, 50.0))
@settings(max_examples=examples(200))
def test_a_burst_lasts_one_to_five_minutes(seen: list[float], mean: float) -> None:
    """Whatever was counted, of one host or more."""
    for minutes in (24, 12, 8):
        assert 1.0 <= burst_minutes(seen, [mean] * 24, minutes) <= 5.0


def e_value(watch: list[float], minutes_of_a_burst: float) -> float:
    """Give the most evidence that a watch reaches."""
    variation = Variation(3.0, NO_SWING, 0.2, minutes_of_a_burst)
    stream = Stream.of_errors(variation, LINES * BURSTS, len(watch))
    most = 0.0
    for one in watch:
        stream.canary(one, LINES * BURSTS)
        most = max(most, stream.e_value)
    return most


@pytest.mark.simulation
def test_long_bursts_of_a_good_release_fail_it_less_often() -> None:
    """Of good watches fewer reach a bound of 20; of those with five times the errors most do."""
    learnt = length(720, 3)
    good = [counts(60, 3, 100 + n, hosts=1) for n in range(100)]
    unaware = sum(e_value(one, 1.0) >= 20.0 for one in good)
    aware = sum(e_value(one, learnt) >= 20.0 for one in good)
    assert aware <= 3
    assert aware < unaware
    bad = [_laid(5, seed) for seed in range(20)]
    assert sum(e_value(one, learnt) >= 20.0 for one in bad) >= 19


def _laid(times: int, seed: int) -> list[float]:
    """Give the counts of so many hosts laid over each other: so many times the errors."""
    rows = (counts(60, 3, 1000 * seed + n, hosts=1) for n in range(times))
    return [sum(minute) for minute in zip(*rows, strict=True)]


@given(st.floats(0.02, 5.0), st.integers(1, 8), st.floats(1.1, 10.0), st.floats(1.0, 5.0))
@settings(max_examples=examples(100))
def test_an_event_counts_once_however_long_it_lasts(
    mean: float, lines: int, burst: float, minutes: float
) -> None:
    """A minute says no more for a worse rate than it would as an event of its own."""
    steps = bet.ratio_steps([5.0], 0.3)
    first = bet.lowest_step(steps)
    grid = bet.Grid(0.1, first)
    within = max(1.05, burst / minutes)
    whole = [0.0] * bet.table_size(steps)
    part = list(whole)
    bet.likelihoods(float(lines), mean, 0.1, within, 1.0, grid, whole)
    bet.likelihoods(float(lines), mean, 0.1, burst, minutes, grid, part)
    for one, other in zip(whole, part, strict=True):
        assert other == pytest.approx(one ** (1.0 / minutes), rel=1e-6, abs=1e-12)
