"""Evidence of a soak: every entry is counted once, and what nobody read is no silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.assembler import Assembler
from botdeploy.engine.evidence.collect import collect
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.core.evidence.evidence import Evidence

TOKEN = "t" * 32
RELEASE = "R0001"
MINUTE_S = 60


@pytest.fixture
def stage() -> Stage:
    """Give a host that was switched a moment ago, after ten minutes of an older bot's lines."""
    made = Stage(1)
    host = made.hosts["h1"]
    host.enter(TOKEN, 10**6, "rollout", "tbot", "ann", "test")
    for _ in range(10):
        host.write("handled message")
        made.clock.advance(MINUTE_S)
    meta = json.dumps({"digest": "d" * 64}).encode()
    host.stage(TOKEN, RELEASE, "-", len(meta), 0, 0, "roll", "canary", stdin=meta)
    host.switch(TOKEN, "roll", RELEASE, 10**6)
    host.write("READY")
    return made


def read(stage: Stage) -> Evidence:
    """Read on, as the next tick on some machine does."""
    host = stage.hosts["h1"]
    return collect(
        stage.fleet.acts("h1").under(TOKEN),
        RELEASE,
        host.state(),
        Assembler(),
        since_s=3600,
        bucket_us=5_000_000,
    )


def lines(evidence: Evidence) -> int:
    """Count all lines that were taken in."""
    return sum(evidence.totals(name).lines for name in evidence.releases())


def talk(stage: Stage, minutes: int) -> None:
    """Let the bot write a line a minute."""
    for _ in range(minutes):
        stage.clock.advance(MINUTE_S)
        stage.hosts["h1"].write("handled message")


def test_each_entry_is_counted_once_whoever_reads(stage: Stage) -> None:
    """Ten ticks by ten machines give what one long read gives."""
    for _ in range(10):
        talk(stage, 5)
        stage.controller()
        evidence = read(stage)
    assert lines(evidence) == len(stage.hosts["h1"].journal) == 61
    assert evidence.coverage.gaps() == []


def test_a_quiet_bot_leaves_no_gap(stage: Stage) -> None:
    """An hour without a line, read before and after it, is an hour of silence."""
    read(stage)
    stage.clock.advance(3600)
    evidence = read(stage)
    assert evidence.coverage.gaps() == []
    assert evidence.coverage.within(0, 2**60) > 3600 * 1_000_000


def test_what_was_rotated_away_between_two_ticks_is_a_gap(stage: Stage) -> None:
    """The entry where reading ended is gone: up to the next that is left, nobody knows."""
    talk(stage, 5)
    read(stage)
    talk(stage, 10)
    del stage.hosts["h1"].journal[:-3]
    evidence = read(stage)
    ((begin, end),) = evidence.coverage.gaps()
    assert 7 * MINUTE_S <= (end - begin) / 1e6 <= 8 * MINUTE_S + 1
    assert lines(evidence) == 10 + 1 + 5 + 3


def test_a_journal_that_was_emptied_is_a_gap_up_to_now(stage: Stage) -> None:
    """Nothing is left of it, and nothing new was written: that is no silence."""
    talk(stage, 5)
    read(stage)
    stage.clock.advance(600)
    stage.hosts["h1"].journal.clear()
    evidence = read(stage)
    ((begin, end),) = evidence.coverage.gaps()
    assert (end - begin) / 1e6 == pytest.approx(600, abs=1)


def test_what_was_rotated_away_before_the_first_look_is_a_gap(stage: Stage) -> None:
    """Nobody looked for an hour after the switch, and its first half hour is gone."""
    talk(stage, 60)
    del stage.hosts["h1"].journal[:-30]
    evidence = read(stage)
    ((begin, end),) = evidence.coverage.gaps()
    assert begin == stage.hosts["h1"].state().switch.armed_us  # type: ignore[union-attr]
    assert (end - begin) / 1e6 == pytest.approx(31 * MINUTE_S, abs=MINUTE_S)


def test_time_before_the_first_entry_is_not_known(stage: Stage) -> None:
    """A bot that was deployed ten minutes ago was not silent for the fifty before."""
    evidence = read(stage)
    known_s = evidence.coverage.within(0, 2**60) / 1e6
    assert known_s == pytest.approx(10 * MINUTE_S, abs=1)


def test_damaged_evidence_is_read_anew(stage: Stage) -> None:
    """What can't be parsed is replaced by what the journal still holds."""
    talk(stage, 5)
    read(stage)
    stage.hosts["h1"].kept[RELEASE] = b'{"v": 1'
    assert lines(read(stage)) == 16


@pytest.mark.parametrize("form", ["{}", "INFO {}"])
def test_a_bot_whose_lines_have_no_level_is_told_of_by_what_was_kept(
    stage: Stage, form: str
) -> None:
    """The next tick, on another machine, knows it too; one who read an older form says nothing."""
    for number in range(30):
        stage.clock.advance(1)
        stage.hosts["h1"].write(form.format(f"handled message {number}"))
    evidence = read(stage)
    stage.controller()
    stage.clock.advance(60)
    for kept in (evidence, read(stage)):
        said = told_of(kept)
        assert ("states a level" in said) is ("INFO" not in form)
    del evidence.reader["levels"]
    assert "states a level" not in told_of(evidence)


def told_of(kept: Evidence) -> str:
    """Judge what was kept of the host; say what a pass could not vouch for."""
    switched_us = kept.coverage.spans()[0][0]
    it = Judge(
        JudgeOptions.from_policy({}, 60.0),
        canary=["h1"],
        baseline=[],
        switched_at_us={"h1": switched_us},
    )
    it.absorb("h1", kept)
    return " ".join(it.cannot_exclude())
