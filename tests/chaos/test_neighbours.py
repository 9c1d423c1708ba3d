"""Every step of an instance's acts meets every fault: its neighbour on the host does not notice.

BOTDEPLOY_CHAOS_HOSTS=N asks for another number of hosts than two, BOTDEPLOY_CHAOS_EVERY=N for every
Nth step of each fault only (default 2; 1: all). From 16 on, only the lease's end is tried.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.chaos import report
from tests.chaos.forms import DEV
from tests.chaos.lives import FAULTS, LEASE_S, LIVES, Life, Row
from tests.chaos.test_steps import EVERY, live_through_all, stands_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.stand import Stand

pytestmark = [pytest.mark.chaos, pytest.mark.lab]

ENOUGH_FOR_A_PAGE = 100
A_SHORT_RUN = 16
TRIED = [life for life in LIVES if not life.faults]


@pytest.fixture(scope="module")
def stands() -> Iterator[list[Stand]]:
    """Give hosts with disks, each with two instances."""
    yield from stands_up(int(os.environ.get("BOTDEPLOY_CHAOS_HOSTS", "2")), DEV)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """Collect what every test found, and write it to the page when all have."""
    found: list[Row] = []
    yield found
    is_whole = {row.life for row in found} == {life.name for life in TRIED}
    if is_whole and len([row for row in found if row.is_reached]) >= ENOUGH_FOR_A_PAGE:
        report.put_neighbours(report.PAGE, report.of_neighbours(found, LEASE_S, EVERY))


@pytest.mark.parametrize("life", TRIED, ids=lambda life: life.name)
def test_a_neighbour_notices_nothing_whatever_breaks_at_any_step(
    life: Life, stands: list[Stand], rows: list[Row]
) -> None:
    """Its process, links, files, lock and lease are what they were; its own rollout goes on."""
    if EVERY >= A_SHORT_RUN and life is not TRIED[0]:
        pytest.skip("in a short run one act of an instance stands for all")
    found = live_through_all(life, stands, tuple(FAULTS))
    rows += found
    assert any(row.is_reached for row in found)
    assert [f"{row.fault} before {row.step}: {row.wrong}" for row in found if row.wrong] == []
