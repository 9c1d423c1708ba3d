"""What a journal tells of a bot's processes: how long they ran, and whether who wrote is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.evidence.process_lives import Lives, in_words
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord

SECOND = 1_000_000
SWITCH = 1000 * SECOND


def at(seconds: float) -> int:
    return SWITCH + round(seconds * SECOND)


def unit(seconds: float, kind: SystemKind) -> LogLine:
    return LogLine(at(seconds), LineKind.SYSTEMD, None, "…", system=SystemRecord(kind))


def said(seconds: float, pid: str = "70") -> LogLine:
    return LogLine(at(seconds), LineKind.LOG, None, "handled", pid=pid)


def lives(*lines: LogLine) -> Lives:
    """Read lines of a journal, the first life of the new release beginning at 1 s."""
    made = Lives(SWITCH)
    for line in (unit(1, SystemKind.STARTED), *lines):
        made.feed(line)
    return made


def test_the_share_counts_from_the_first_start() -> None:
    """Five of thirty seconds between an end and the next start."""
    made = lives(
        unit(11, SystemKind.DEACTIVATED), unit(13, SystemKind.RESTART), unit(16, SystemKind.STARTED)
    )
    assert made.uptime(at(31)) == pytest.approx(25 / 30)
    assert (made.restarts, made.is_down) == (1, False)


def test_a_bot_that_is_down_loses_time_until_now() -> None:
    """Its last word is its end."""
    made = lives(unit(11, SystemKind.CRASHED), unit(11, SystemKind.FAILED))
    assert made.is_down
    assert made.uptime(at(21)) == pytest.approx(0.5)


def test_what_ended_before_the_first_start_is_the_old_release() -> None:
    """The old process ends after the switch was ordered."""
    made = Lives(SWITCH)
    for line in (unit(0.1, SystemKind.DEACTIVATED), unit(0.5, SystemKind.STARTED)):
        made.feed(line)
    assert (made.is_down, made.uptime(at(10))) == (False, 1.0)


def test_a_journal_without_systemds_lines_tells_nothing() -> None:
    """Neither how long it ran nor that it did."""
    made = Lives(SWITCH)
    made.feed(said(5))
    assert (made.is_told, made.uptime(at(30))) == (False, None)


def test_a_writer_that_left_its_unit_is_told() -> None:
    """A shell outlives the bot that it started, and says so in its last line."""
    bot = [said(4 + i, "71") for i in range(8)]
    made = lives(*bot, said(11.2, "70"))
    assert "process 71, which wrote its 8 lines, has left the unit" in made.silenced({70}, at(30))
    assert made.silenced({70, 71}, at(30)) == ""  # it is there
    assert made.silenced({70}, at(13)) == ""  # it may have left just now
    assert made.silenced((), at(30)) == ""  # nobody asked the host


def test_a_bot_that_goes_on_is_not_told() -> None:
    """Another process writes on, or processes come and go by nature."""
    bot = [said(4 + i, "71") for i in range(8)]
    others = [said(13 + i, "72") for i in range(6)]
    assert lives(*bot, *others).silenced({70, 72}, at(30)) == ""
    jobs = [said(4 + i, str(80 + i)) for i in range(6)]
    assert lives(*jobs).silenced({70}, at(30)) == ""


def test_processes_that_came_and_went_before_are_usual() -> None:
    """The old release's lives had as many writers."""
    made = Lives(SWITCH)
    for line in (
        *(said(-100 + i, str(40 + i)) for i in range(5)),
        unit(1, SystemKind.STARTED),
        *(said(4 + i, "71") for i in range(8)),
    ):
        made.feed(line)
    assert made.silenced({70}, at(30)) == ""


def test_what_only_prepared_the_bot_is_not_the_writer() -> None:
    """Lines of the first seconds of a life are a migration's as well as the bot's."""
    assert lives(*(said(1 + i / 10, "71") for i in range(15))).silenced({70}, at(30)) == ""


KINDS = st.sampled_from([*SystemKind])


@given(st.lists(st.tuples(st.floats(-50, 50), KINDS | st.sampled_from(["70", "71"]))))
def test_whatever_comes_the_share_is_one(happenings: list[tuple[float, SystemKind | str]]) -> None:
    """Between 0 and 1, in whatever order lines arrive; and it goes on from what was kept."""
    made, kept = Lives(SWITCH), Lives(SWITCH)
    for seconds, what in happenings:
        line = unit(seconds, what) if isinstance(what, SystemKind) else said(seconds, what)
        made.feed(line)
        kept.feed(line)
        kept = Lives.from_record(kept.to_record())
    share = made.uptime(at(60))
    assert share is None or 0.0 <= share <= 1.0
    assert kept == made


def test_a_share_is_rounded_down() -> None:
    """What was down for a moment did not run all the time."""
    assert "99.9 %" in in_words(0.99999)
    assert "100 %" in in_words(1.0)
    assert in_words(None) == ""
