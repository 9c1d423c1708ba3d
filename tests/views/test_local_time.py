"""One rule for times: local with the offset for people, RFC 3339 in UTC for programs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.views import tables
from botdeploy.views.local_time import duration, local, with_local_times

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read the tests' times in one place."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("due 2026-11-30T21:05:12Z; next", "due 2026-11-30 22:05:12+01:00; next"),
        ("since 2026-07-01T10:00:00.123456Z", "since 2026-07-01 12:00:00+02:00"),
        ("until 2026-11-30T21:05:12+00:00", "until 2026-11-30 22:05:12+01:00"),
        ("20261130T210512Z-307ac064 runs", "20261130T210512Z-307ac064 runs"),
        ("x2026-11-30T21:05:12Z", "x2026-11-30T21:05:12Z"),
        ("2026-99-30T21:05:12Z", "2026-99-30T21:05:12Z"),
    ],
)
def test_people_read_their_own_time(text: str, shown: str) -> None:
    """Names of releases and what is no time stay as they are."""
    assert with_local_times(text) == shown


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_a_shown_time_is_the_same_instant(at: datetime) -> None:
    """To the second."""
    given = at.replace(tzinfo=UTC, microsecond=0)
    assert datetime.fromisoformat(local(given)) == given


def test_history_is_one_line_an_entry() -> None:
    """Digests are cut, line ends are blanks, and times have their offset."""
    entries = [
        {
            "at": "2026-11-30T21:05:12Z",
            "host": "h1",
            "act": "quarantine",
            "release": "a" * 64,
            "outcome": "done",
            "who": "ann@laptop",
            "why": "an error\nof two lines " + "b" * 64,
        },
        {"at": "2026-11-30T21:06:00Z", "host": "h10", "act": "note"},
    ]
    first, second = tables.history(entries)
    assert first.startswith("2026-11-30 22:05:12+01:00  h1   quarantine  aaaaaaaaaaaa  done  ann@")
    assert first.endswith("an error of two lines bbbbbbbbbbbb")
    assert second == "2026-11-30 22:06:00+01:00  h10  note"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.5, "less than a second"), (59.9, "59 s"), (90, "1 min 30 s"), (7200, "2 h"),
     (90_061, "1 d 1 h"), (172_801, "2 d 1 s")],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """The largest that are not 0."""
    assert duration(seconds) == text
