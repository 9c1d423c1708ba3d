"""A ring that has passed: what its journals since then lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge.after_pass import BOUND, EVERY_MIN, FALSE_A_DAY, AfterPass
from botdeploy.core.judge.threshold import SMOOTH_SHARE
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTE = 60_000_000
PASS = 1_800_000_000_000_000
NEW, OLD = "new", "old"


def lines(
    said: Callable[[int], str], past: int = 240, after: int = 120, each: int = 10
) -> Iterator[LogLine]:
    """Let a bot write ``each`` lines a minute: ``said`` tells the line by its number."""
    reader = Assembler()
    for number in range(-past * each, after * each):
        entry = {
            "__REALTIME_TIMESTAMP": str(PASS + number * MINUTE // each),
            "MESSAGE": said(number),
            "PRIORITY": "6",
            "_PID": "7",
            "_TRANSPORT": "stdout",
        }
        yield from reader.feed(entry)
    yield from reader.flush()


def good(number: int) -> str:
    """Say what a bot says that errs now and then."""
    return "ERROR upstream said no" if number % 37 == 0 else f"handled {number}"


def bad_from(minute: int) -> Callable[[int], str]:
    """Say the same, but for every second line from a minute on."""
    return lambda number: (
        "ERROR upstream said no" if number >= minute * 10 and number % 2 else good(number)
    )


def watched(said: Callable[[int], str], *, is_kept: bool, baseline: int = 2) -> AfterPass:
    """Watch one host beside others that stay good, by lines or by what was kept."""
    others = [f"b{number}" for number in range(baseline)]
    after = AfterPass(["w1"], others, {"w1": PASS})
    for name in ("w1", *others):
        its = list(lines(said if name == "w1" else good))
        if not is_kept:
            for line in its:
                after.feed(name, line)
            continue
        kept = Evidence(name)
        kept.open(its[0].at_us)
        for line in its:
            is_new = name == "w1" and line.at_us >= PASS - 2 * MINUTE
            kept.add(line, NEW if is_new else OLD)
        after.absorb(name, Evidence.from_json(kept.to_json()), NEW)
    return after


def fails_in(after: AfterPass, minutes: int = 120) -> int:
    """Ask each minute; gives the first one in which it fails, 0 for never."""
    for minute in range(1, minutes):
        verdict = after.failure(PASS + minute * MINUTE + MINUTE // 2)
        if verdict is not None:
            assert verdict.outcome is Outcome.FAIL
            return minute
    return 0


def test_the_bound_is_that_of_a_hundredth_a_day() -> None:
    """So many watches begin in a day, and a smooth past is asked for twice the proof."""
    assert pytest.approx(SMOOTH_SHARE / BOUND) == FALSE_A_DAY / (1440 / EVERY_MIN)


@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize("baseline", [2, 0])
def test_errors_that_begin_long_after_the_pass_are_found(is_kept: bool, baseline: int) -> None:  # noqa: FBT001
    """Twenty times as many from the fortieth minute on; before, and else, nothing is."""
    found = fails_in(watched(bad_from(40), is_kept=is_kept, baseline=baseline))
    assert 40 < found <= 60
    assert not fails_in(watched(good, is_kept=is_kept, baseline=baseline))


def test_a_single_new_error_and_a_short_silence_fail_nothing() -> None:
    """What quick's rules would answer to does not count for days on end."""
    once = {300: "ERROR never seen", 330: "ERROR never seen"}

    def said(number: int) -> str:
        return once.get(number) or good(number)

    assert not fails_in(watched(said, is_kept=False))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_long_wait_for_the_next_start_is_not_a_unit_that_stays_down(*, is_known: bool) -> None:
    """RestartSec=10 after one fault: its host says that a start is due."""
    after = watched(good, is_kept=False)
    at_us = PASS + 130 * MINUTE
    for kind in (SystemKind.CRASHED, SystemKind.FAILED):
        record = SystemRecord(kind, "exited", 1)
        after.feed("w1", LogLine(at_us, LineKind.SYSTEMD, None, "tbot.service: …", system=record))
    if is_known:
        after.start_due("w1")
    assert (after.failure(at_us + 9_000_000) is None) is is_known


def test_all_hosts_in_trouble_is_not_the_release() -> None:
    """The world errs for a quarter of an hour."""
    after = AfterPass(["w1"], ["b0", "b1", "b2"], {"w1": PASS})

    def said(number: int) -> str:
        return "ERROR upstream said no" if 400 <= number < 550 and number % 2 else good(number)

    for name in ("w1", "b0", "b1", "b2"):
        for line in lines(said):
            after.feed(name, line)
    assert not fails_in(after)


@pytest.mark.parametrize("is_kept", [False, True])
def test_hard_rules_go_on(is_kept: bool) -> None:  # noqa: FBT001
    """A fatal error that nobody knew is a fail at its line, an hour after the pass too."""

    def said(number: int) -> str:
        return "CRITICAL the database is corrupt" if number == 605 else good(number)

    assert fails_in(watched(said, is_kept=is_kept)) <= 61


def test_a_host_that_gets_the_release_compares_with_nothing_any_more() -> None:
    """What it does after that says nothing of the old release: its trouble excuses nobody."""
    after = AfterPass(["w1"], ["b0"], {"w1": PASS})
    after.leave("b0", PASS + 30 * MINUTE)
    for name in ("w1", "b0"):
        for line in lines(bad_from(40)):
            after.feed(name, line)
    assert 40 < fails_in(after) <= 70
