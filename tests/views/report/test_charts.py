"""Charts put every mark on the page, where its time is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.views.report import charts
from botdeploy.views.report.charts import GUTTER, MARGIN, MOST_BARS, MOST_ROWS, WIDTH, nice
from tests.effort import examples
from tests.views.canned import BEGIN, CRASHED, Canned, failed_canary, passed, seconds, told

if TYPE_CHECKING:
    from botdeploy.views.report.charts import Chart


def is_on_page(chart: Chart) -> bool:
    """Tell whether all of a chart lies inside its drawing, right of the names."""
    return all(
        bar.y >= 0
        and bar.width >= 0
        and bar.height >= 0
        and bar.x >= GUTTER - 1
        and bar.x + bar.width <= WIDTH + 1
        and bar.y + bar.height <= chart.height
        for bar in chart.bars
    ) and all(GUTTER <= mark.x <= WIDTH and 0 <= mark.y <= chart.height for mark in chart.marks)


def test_a_failed_canary_is_drawn() -> None:
    """A bar for each span, a sign for each act, the ring's names, the hours."""
    chart = charts.timeline(told(failed_canary()))
    styles = [bar.style for bar in chart.bars]
    assert styles == ["behind", "pending", "returned", "behind", "behind"]
    assert [label.text for label in chart.labels if label.style == "ring"] == [
        "ring canary",
        "ring fleet",
    ]
    assert {mark.style for mark in chart.marks} == {"dot", "switch", "bad"}
    assert any("10 errors in 3.6 s" in mark.title for mark in chart.marks)
    assert is_on_page(chart)


def test_spans_of_a_host_touch_and_fill_its_row() -> None:
    """No time is without a standing."""
    chart = charts.timeline(told(failed_canary()))
    row = [bar for bar in chart.bars if bar.title.startswith("h1:")]
    for one, other in pairwise(row):
        assert one.x + one.width == pytest.approx(other.x, abs=0.02)
    assert row[0].x == pytest.approx(GUTTER)
    assert row[-1].x + row[-1].width == pytest.approx(WIDTH - MARGIN, abs=0.02)


def test_errors_of_both_releases_are_drawn_apart() -> None:
    """On one scale, with the switch between them; a host without errors needs no row."""
    hosts = failed_canary()
    hosts[1].say(-20, "ERROR timeout of shard 3", "old", priority=3)
    hosts[0].system(20, CRASHED, "Main process exited", "new", EXIT_CODE="exited")
    chart = charts.errors(told(hosts))
    assert {label.text for label in chart.labels if label.style == "host"} == {"h1", "h2"}
    assert {bar.style for bar in chart.bars} >= {"old-errors", "new-errors", "cut", "ran"}
    assert [mark.style for mark in chart.marks] == ["trouble"]
    cut = next(bar for bar in chart.bars if bar.style == "cut")
    for bar in chart.bars:
        if bar.style == "new-errors":
            assert bar.x + bar.width > cut.x
    assert is_on_page(chart)


def test_a_fleet_without_errors_has_no_chart_of_them() -> None:
    """There is nothing to draw."""
    chart = charts.errors(told(passed()))
    assert (chart.bars, chart.marks) == ((), ())


def test_of_many_hosts_those_in_trouble_are_shown() -> None:
    """A chart has room for sixty; how many are left out is told."""
    hosts = [*failed_canary(), *(Canned(f"w{number}") for number in range(100))]
    for host in hosts[3:]:
        host.staged()
        host.record("failed")
    chart = charts.timeline(told(hosts))
    shown = [label.title for label in chart.labels if label.style == "host"]
    assert len(shown) == MOST_ROWS
    assert "h1" in shown
    assert chart.left_out == 103 - MOST_ROWS


def test_a_long_name_is_cut_and_told_in_full() -> None:
    """It may not run into the bars."""
    host = Canned("worker-with-a-very-long-name.example.org")
    host.staged()
    host.record()
    chart = charts.timeline(told([host]))
    (label,) = [label for label in chart.labels if label.style == "host"]
    assert len(label.text) == charts.MOST_NAME
    assert label.title == host.name


def test_a_first_deploy_shows_that_nothing_ran() -> None:
    """Before it there is no release to draw."""
    host = Canned("h1", old="")
    host.staged()
    host.switched(5)
    host.record()
    chart = charts.timeline(told([host]))
    assert [bar.style for bar in chart.bars] == ["unknown", "pending"]
    assert "nothing" in chart.bars[0].title


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (11, 20), (99, 100), (501, 1000)]
)
def test_a_scale_ends_at_a_round_number(value: float, top: float) -> None:
    """1, 2 or 5 times a power of ten, never below what is shown."""
    assert nice(value) == top


@settings(deadline=None, max_examples=examples(40))
@given(
    length_s=st.floats(1, 40 * 86_400),
    errors=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 20)), max_size=20),
)
def test_any_rollout_fits_the_page(length_s: float, errors: list[tuple[float, int]]) -> None:
    """Seconds or weeks: all marks are on the page, the hours are few, the bars are bounded."""
    host = Canned("h1")
    host.staged()
    host.switched(length_s / 3)
    host.proven(length_s)
    host.record()
    for share, count in errors:
        for number in range(count):
            at_s = length_s / 3 + share * length_s / 2
            host.say(at_s + number / 1000, "ERROR no answer", "new", priority=3)
    account = told([host], now=seconds(length_s + 60))
    timeline, chart = charts.timeline(account), charts.errors(account)
    assert is_on_page(timeline)
    assert is_on_page(chart)
    assert 1 <= len(timeline.hours) <= 9
    assert len([bar for bar in chart.bars if bar.style == "new-errors"]) <= MOST_BARS + 1


def test_acts_outside_the_time_that_is_shown_have_no_sign() -> None:
    """A mark is never drawn at the edge for something that was elsewhere."""
    account = told(failed_canary())
    host = account.hosts[0]
    far = replace(host.acts[0], at=BEGIN - timedelta(days=1), what="revert")
    moved = replace(account, hosts=(replace(host, acts=(far,)), *account.hosts[1:]))
    assert not any(mark.style == "bad" for mark in charts.timeline(moved).marks)
