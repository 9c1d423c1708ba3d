"""How often cron and timers come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.rollout.promote_schedule import cron_gap_s, timer_gap_s

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("line", "gap"),
    [
        ("*/5 * * * * deploy botdeploy promote prod", 5 * MINUTE),
        ("* * * * * x", MINUTE),
        ("0 * * * * x", HOUR),
        ("*/7 * * * * x", 7 * MINUTE),
        ("*/40 * * * * x", 40 * MINUTE),
        ("1,2,50 * * * * x", 48 * MINUTE),
        ("0 9-17 * * 1-5 x", 64 * HOUR),
        ("0 9 * * mon x", 7 * DAY),
        ("30 4 1 * * x", 31 * DAY),
        ("0 0 1 jan * x", 366 * DAY),
        ("0 0 1 * 1 x", 7 * DAY),
        ("@hourly x", HOUR),
        ("@reboot x", None),
        ("PATH=/usr/bin:/bin", None),
        ("# a comment of some more words", None),
        ("61 * * * * x", None),
        ("5-1 * * * * x", None),
        ("*/0 * * * * x", None),
        ("", None),
    ],
)
def test_a_cron_line_comes_at_least_so_often(line: str, gap: int | None) -> None:
    """The longest gap counts, over nights and weekends too; what is no line has none."""
    assert cron_gap_s(line) == gap


@given(st.integers(1, 59), st.integers(0, 23))
def test_the_gap_is_the_longest_of_the_day(minute: int, hour: int) -> None:
    """One run an hour is an hour apart, one a day is a day."""
    assert cron_gap_s(f"{minute} * * * * x") == HOUR
    assert cron_gap_s(f"{minute} {hour} * * * x") == DAY


@pytest.mark.parametrize(
    ("value", "gap"),
    [
        ("OnCalendar=*:0/5", 5 * MINUTE),
        ("OnCalendar=*-*-* *:00/15:00", 15 * MINUTE),
        ("OnCalendar=*:*", MINUTE),
        ("OnCalendar=*:0/25", 25 * MINUTE),
        ("OnCalendar=*:30", HOUR),
        ("OnCalendar=hourly", HOUR),
        ("OnUnitInactiveSec=2min 30s", 150),
        ("OnUnitActiveSec=90", 90),
        ("OnCalendar=Mon..Fri 09..17:00", None),
        ("OnUnitActiveSec=some time", None),
    ],
)
def test_a_timer_comes_at_least_so_often(value: str, gap: int | None) -> None:
    """What is not understood is not guessed."""
    assert timer_gap_s(f"[Timer]\n{value}\nAccuracySec=10s\n") == gap
