"""What the last starts said stands apart from the rest of the past."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.evidence.past_starts import START_US, merged, past_starts
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord

SECOND = 1_000_000
spans = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda one: (one[0], one[0] + one[1]))
)


def started(at_s: int) -> LogLine:
    record = SystemRecord(SystemKind.STARTED)
    return LogLine(at_s * SECOND, LineKind.SYSTEMD, None, "Started", system=record)


@given(st.lists(st.integers(0, 1000), max_size=5), st.integers(1, 900))
def test_what_is_between_the_starts_is_unread(starts: list[int], begin_s: int) -> None:
    """Up to where the rest begins; no instant that was read is among it."""
    said = past_starts([started(at_s) for at_s in starts], begin_s * SECOND)
    older = sorted(at_s for at_s in starts if at_s < begin_s)
    assert [line.at_us for line in said.lines] == [at_s * SECOND for at_s in older]
    unread = {one // SECOND for begin, end in said.unread for one in range(begin, end, SECOND)}
    known = {at_s + second for at_s in older for second in range(START_US // SECOND)}
    first = older[0] if older else begin_s
    before = {at_s - second for at_s in older for second in range(1, 11)}
    assert unread == set(range(first, begin_s)) - known - before


def test_lines_without_a_start_tell_nothing_of_one() -> None:
    assert not past_starts([LogLine(5, LineKind.LOG, None, "x")], 10).lines


@given(spans)
def test_merged_spans_hold_the_same_instants_once(some: list[tuple[int, int]]) -> None:
    """In order, and apart from each other."""
    out = merged(some)
    held = [at for begin, end in out for at in range(begin, end)]
    assert held == sorted({at for begin, end in some for at in range(begin, end)})
    assert all(one[1] < other[0] for one, other in pairwise(out))
