"""What a soak can find is told beforehand, and more traffic or a longer soak finds more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.judge import JudgeOptions, power
from botdeploy.core.judge.power import least_ratio

HOUR = JudgeOptions.from_policy({"preset": "normal"}, 3600)


def test_the_estimate_agrees_with_the_simulation() -> None:
    """At 1, 10 and 100 events a minute an hour finds about 20, 5 and 3 times the errors."""
    assert least_ratio(HOUR, 1.0, 0.02, 6) in {15.0, 20.0, 30.0}
    assert least_ratio(HOUR, 10.0, 0.02, 6) in {4.0, 5.0, 7.0}
    assert least_ratio(HOUR, 100.0, 0.02, 6) in {2.0, 3.0}


def test_the_sentence_is_for_people() -> None:
    """It names the traffic, the ratio and how often."""
    said = power(HOUR, 10.0, 0.02, 6)
    assert said.startswith("with about 10 lines a minute this soak finds")
    assert "in 8 of 10 cases" in said


def test_where_nothing_can_be_found_it_says_so() -> None:
    """A bot that errs once a day can't be judged by its errors in ten minutes."""
    short = JudgeOptions.from_policy({"preset": "normal"}, 600)
    assert "finds no rise" in power(short, 0.1, 0.01, 3)


def test_a_quick_soak_names_what_a_person_would_see() -> None:
    """A crash, new errors, and silence where there is enough traffic to tell."""
    quick = JudgeOptions.from_policy({}, 60)
    assert "falls silent" in power(quick, 60.0, 0.02, 3)
    assert "can't tell silence" in power(quick, 2.0, 0.02, 3)


@given(st.floats(0.5, 200.0), st.floats(0.001, 0.2), st.integers(1, 20))
def test_more_traffic_never_finds_less(lines: float, errors: float, hosts: int) -> None:
    """Twice the lines find at least the ratio that half of them find, or one step beside it."""
    few = least_ratio(HOUR, lines, errors, hosts) or 1000.0
    many = least_ratio(HOUR, 2.0 * lines, errors, hosts) or 1000.0
    assert many <= 1.5 * few
