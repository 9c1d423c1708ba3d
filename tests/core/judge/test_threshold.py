"""How much evidence condemns a release, and how much a minute counts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.judge import bet
from botdeploy.core.judge.baseline_level import trust_in
from botdeploy.core.judge.threshold import least_threshold, threshold

ROUGH, SMOOTH = 2.2, 1.05


def test_a_rough_past_backs_a_third_of_villes_bound() -> None:
    """Where errors come in bursts hours of the past support the rate, and 6.6 is enough for 5 %."""
    least = least_threshold(0.05, ROUGH)
    assert least == pytest.approx(6.6)
    assert threshold(0.05, least, [1.0] * 24) == least


def test_a_smooth_past_asks_for_twice_the_bound() -> None:
    """Where errors come one by one each says much, and hours of the past say nothing."""
    assert least_threshold(0.05, SMOOTH) == pytest.approx(40.0)


def test_there_is_no_edge_between_smooth_and_rough() -> None:
    """A little more of bursts asks for a little less."""
    steps = [least_threshold(0.05, 1.2 + 0.01 * n) for n in range(51)]
    assert steps == sorted(steps, reverse=True)
    assert max(one - other for one, other in pairwise(steps)) < 1.5


def test_the_evidence_must_beat_what_past_hours_reach() -> None:
    """Of 24 hours one in twenty lies between the greatest and the second."""
    reached = [30.0, 10.0, *[1.0] * 22]
    assert 10.0 < threshold(0.05, 6.6, reached) < 30.0
    assert threshold(0.05, 6.6, sorted(reached)) == threshold(0.05, 6.6, reached)


def test_few_past_hours_support_nothing() -> None:
    """With less than 19 the whole bound is asked for, and more than the greatest of them."""
    assert threshold(0.05, 6.6, [2.0] * 18) == pytest.approx(20.0)
    assert threshold(0.05, 6.6, [2.0, 50.0]) == pytest.approx(50.0)
    assert threshold(0.05, 6.6, [2.0] * 24, is_backed=False) == pytest.approx(20.0)


@given(
    st.lists(st.floats(0.1, 1e6), max_size=80),
    st.floats(0.01, 0.5),
    st.floats(1.05, 60.0),
)
def test_the_bar_lies_between_what_is_asked_and_what_was_reached(
    reached: list[float], rate: float, burst: float
) -> None:
    """Never under the least, never over the greatest past hour where that is more than enough."""
    least = least_threshold(rate, burst)
    found = threshold(rate, least, reached)
    assert least <= found <= max([least, 1.0 / rate, *reached]) * (1 + 1e-9)


def test_a_minute_of_an_outage_counts_less() -> None:
    """A usual minute counts fully; the more errors the baseline has, the less it counts."""
    assert trust_in(1.0, 0.05) == 1.0
    assert trust_in(0.5, 0.05) == 1.0
    levels = [trust_in(level, 0.05) for level in (1.0, 2.0, 5.0, 15.0)]
    assert levels == sorted(levels, reverse=True)
    assert trust_in(15.0, 0.9) < 0.1


def test_less_trust_never_makes_more_of_a_minute() -> None:
    """What a minute says for or against a worse rate shrinks with the trust in it."""
    steps = bet.ratio_steps([3.0], 0.4)
    first = bet.lowest_step(steps)
    fits = [0.0] * bet.table_size(steps)
    bet.likelihoods(6.0, 1.0, 0.2, 2.0, 1.0, bet.Grid(0.4 / 3.0, first), fits)
    found = []
    for trust in (1.0, 0.5, 0.1, 0.0):
        null = bet.node_weights()
        table = bet.node_weights()
        bet.advance(table, null, fits, steps, first, bet.Stake(1e9, 0.0, 0.0, trust))
        found.append(bet.e_value(table, [1.0]))
    assert found == sorted(found, reverse=True)
    assert found[0] > 2.0
    assert found[-1] == pytest.approx(1.0)
