"""Ids of releases: by time, and by what was rendered of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.release.release_ids import (
    in_order,
    made_of,
    next_number,
    numbered,
    release_id,
)

ID = "20261122T210500Z-3f9c2ab1"
LATER = "20261122T210501Z-00000000"


def test_an_id_is_the_utc_time_and_the_begin_of_the_digest() -> None:
    """Ids sort by time whatever the controller's zone."""
    berlin = timezone(timedelta(hours=1))
    now = datetime(2026, 11, 22, 22, 5, 0, 999999, berlin)
    assert release_id(now, "3f9c2ab1" + "0" * 56) == ID
    with pytest.raises(ValueError, match="time zone"):
        release_id(now.replace(tzinfo=None), "3f9c2ab1" + "0" * 56)
    with pytest.raises(ValueError, match="64"):
        release_id(datetime.now(UTC), "3f9c2ab1")


def test_ids_sort_by_their_number_as_a_number() -> None:
    """ID, ID+2, ID+10, then what was made later."""
    known = [LATER, f"{ID}+10", ID, f"{ID}+9", f"{ID}+2"]
    assert sorted(known, key=in_order) == [ID, f"{ID}+2", f"{ID}+9", f"{ID}+10", LATER]


@given(st.integers(1, 10**8))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    """The first one has none."""
    name = numbered(ID, number)
    assert made_of(name) == ID
    assert in_order(name) == (ID, number)
    assert (name == ID) is (number == 1)
    assert next_number(ID, [name, LATER]) == number + 1


@pytest.mark.parametrize("odd", ["", "R1", "+2", "R1+", "R1+0", "R1+02", "R1+x", "R1+2+"])
def test_what_has_no_number_is_an_id_of_its_own(odd: str) -> None:
    """Whatever a host tells is taken as it is."""
    assert made_of(odd) == odd
    assert in_order(odd) == (odd, 1)


def test_the_next_number_is_of_that_id_alone() -> None:
    """Others' numbers do not count, and where none is known it is the first."""
    assert next_number(ID, []) == 1
    assert next_number(ID, [LATER, f"{LATER}+7"]) == 1
    assert next_number(ID, [f"{ID}+4", ID, f"{ID}+2"]) == 5
