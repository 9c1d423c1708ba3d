"""Allowed hours: when a ring may be switched, and when it may be next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.inventory.allowed_hours import parse_window
from tests.effort import examples

OFFICE = "Mo-Fr 09:00-17:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "now", "opens"),
    [
        (OFFICE, "2026-11-30T07:59", "2026-11-30T08:00"),
        (OFFICE, "2026-11-30T08:00", "2026-11-30T08:00"),
        (OFFICE, "2026-11-30T16:00", "2026-12-01T08:00"),
        (OFFICE, "2026-12-04T16:00", "2026-12-07T08:00"),
        ("Sa 22:00-04:00", "2026-12-06T03:59", "2026-12-06T03:59"),
        ("Sa 22:00-04:00", "2026-12-06T04:00", "2026-12-12T22:00"),
        ("Fr-Mo 00:00-24:00", "2026-12-01T00:00", "2026-12-04T00:00"),
        # In the night to 29 March 2026 Berlin has no time between two and three.
        ("Su 02:00-03:00 Europe/Berlin", "2026-03-28T12:00", "2026-04-05T00:00"),
    ],
)
def test_a_window_opens(text: str, now: str, opens: str) -> None:
    """Its days, its hours and its time zone hold, over midnight and where the clock changes."""
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert parse_window(text).next_opening(at) == datetime.fromisoformat(opens).replace(tzinfo=UTC)


@given(
    days=st.lists(st.sampled_from(["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]), min_size=1),
    begin=st.integers(0, 47),
    end=st.integers(0, 48),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001
)
@settings(max_examples=examples(300))
def test_the_next_opening_is_open_and_the_first(
    days: list[str], begin: int, end: int, zone: str, now: datetime
) -> None:
    """No half hour between now and then is inside the window."""
    half_hours = [f"{at // 2:02}:{at % 2 * 30:02}" for at in (begin, end)]
    window = parse_window(f"{','.join(days)} {'-'.join(half_hours)} {zone}")
    at = now.replace(tzinfo=UTC)
    opening = window.next_opening(at)
    assert opening == at or window.is_open(opening)
    step = at
    while step < min(opening, at + timedelta(days=8)):
        assert not window.is_open(step), step
        step += timedelta(minutes=30)
