"""The controller's own clocks: what jumps, what sleeps, and what the pulse makes of it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.verdict import Outcome
from botdeploy.engine.fleet import clock as clocks
from botdeploy.engine.fleet.clock import SystemClock
from botdeploy.engine.fleet.ticker import LAG_S, Ticker
from tests.engine.fakehost import FakeClock

if TYPE_CHECKING:
    import pytest

SECOND = 1_000_000


def test_a_wall_clock_that_is_set_makes_no_time_go_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour ahead or back, by hand or by a time server: the run's own date goes on."""
    made = SystemClock()
    before = made.now()
    for hours in (1, -3):

        class Jumped(datetime):
            @classmethod
            def now(cls, tz: object = None, *, by: int = hours) -> datetime:  # type: ignore[override]
                del tz
                return datetime.now(UTC) + timedelta(hours=by)

        monkeypatch.setattr(clocks, "datetime", Jumped)
        assert abs((made.now() - before).total_seconds()) < 60
        assert abs((SystemClock().now() - before).total_seconds()) > 3500


def test_time_that_the_machine_slept_goes_by() -> None:
    """A closed lid stops the monotonic clock of Linux, and hosts go back meanwhile all the same."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(SystemClock().monotonic() - boot) < 1


def test_a_beat_that_was_missed_is_told_before_anything_else() -> None:
    """Whoever listens learns first that it did not, and for how long; a wait is no miss."""
    clock = FakeClock()
    told: list[object] = []
    ticker = Ticker(clock, threading.Event())
    ticker.add(told.append)
    ticker.on_miss(lambda since, now: told.append((since, now)))
    for seconds in (0.1, LAG_S, 1.0):
        ticker.tick()
        clock.advance(seconds)
    assert told == [1000.0, 1000.1, 1002.1]
    clock.advance(60)
    told.clear()
    ticker.tick()
    assert told == [(1002.1, 1063.1), 1063.1]


def _entry(at_us: int, text: str) -> dict[str, str]:
    return {"__REALTIME_TIMESTAMP": str(at_us), "MESSAGE": text, "_PID": "7", "PRIORITY": "6"}


def test_silence_that_nobody_could_hear_is_none() -> None:
    """The stream stood still for a minute; the same minute heard is a fail."""
    begin = 1_800_000_000 * SECOND
    outcomes = []
    for is_heard in (True, False):
        judge = Judge(
            JudgeOptions.from_policy({"preset": "quick"}, 120),
            canary=["w1"],
            baseline=[],
            switched_at_us={"w1": begin},
        )
        reader = Assembler()
        for second in range(-3600, 60):
            for line in reader.feed(_entry(begin + second * SECOND, f"handled {second}")):
                judge.feed("w1", line)
        if not is_heard:
            judge.unheard("w1", begin + 60 * SECOND, begin + 118 * SECOND)
        outcomes.append(judge.verdict(begin + 120 * SECOND).outcome)
    assert outcomes[0] is Outcome.FAIL
    assert outcomes[1] is not Outcome.FAIL
