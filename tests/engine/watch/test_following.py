"""Following hosts: what came, what waits, and what nobody heard."""

from __future__ import annotations

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.engine.watch import following
from botdeploy.engine.watch.liveness import ANSWER_WITHIN_S, ASK_AFTER_S, LONGEST_S
from tests.engine.watch.journals import SECOND, T0, Stand, error, line


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(monkeypatch, {"preset": "quick"})
    made.watch.following.follow(["w1", "w2"], {"w2": 90 * SECOND})
    return made


def test_each_host_is_followed_once_within_a_share(stand: Stand) -> None:
    """A day back, or from where an earlier reader stopped."""
    follow = stand.watch.following
    first = stand.journal("w1")
    kept = Evidence("w3")
    kept.reader = {"cursor": "c9"}
    follow.follow(["w1", "w3"], {}, {"w3": kept})
    assert stand.journal("w1") is first
    assert first.is_open
    assert first.how["position"] == "since:86400"
    assert first.how["most_bytes"] == following.MOST_BYTES // 2
    assert stand.journal("w2").how["ahead_us"] == 90 * SECOND
    assert stand.journal("w3").how["position"] == "c9"
    assert stand.journal("w3").how["most_bytes"] == following.ONE_BYTES
    follow.close()
    assert not first.is_open
    assert not follow.hosts


def test_many_hosts_share_what_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, {})
    names = [f"w{number}" for number in range(40)]
    stand.watch.following.follow(names, {})
    assert {stand.journal(name).how["most_bytes"] for name in names} == {following.LEAST_BYTES}


def test_what_comes_is_told_in_order(stand: Stand) -> None:
    assert not stand.watch.following.pump()
    stand.journal("w1").brings(line(0, "a"), line(0, "b"))
    stand.journal("w2").brings(line(0, "c"))
    assert stand.watch.following.pump()
    assert stand.heard == [("w1", "a"), ("w1", "b"), ("w2", "c")]
    assert not stand.watch.following.pump()


def test_what_a_host_in_doubt_wrote_waits(stand: Stand) -> None:
    """Its lease may be over: nobody knows whose line it is."""
    stand.journal("w1").brings(line(0, "a"))
    stand.watch.following.pump(in_doubt={"w1"})
    assert stand.heard == []
    stand.journal("w1").brings(line(0, "b"))
    stand.watch.following.pump()
    assert stand.heard == [("w1", "a"), ("w1", "b")]


def test_what_waits_is_forgotten_with_what_came_since_the_switch(stand: Stand) -> None:
    host = stand.watch.following.hosts["w1"]
    stand.journal("w1").brings(line(-5, "old"), line(1, "new"))
    stand.watch.following.pump()
    host.begin(T0, 0)
    stand.journal("w1").brings(line(2, "late"))
    stand.watch.following.pump(in_doubt={"w1"})
    assert stand.watch.following.judged() == ["w1"]
    stand.watch.judging.forget(["w1", "nobody"])
    assert [one.message for one in host.lines] == ["old"]
    assert stand.watch.following.judged() == []
    stand.heard.clear()
    stand.watch.following.pump()
    assert stand.heard == []


def test_a_gap_and_a_late_line_are_no_silence(stand: Stand) -> None:
    stand.clock.passed = 20.0
    stand.journal("w1").brings(gap="rotated away")
    stand.journal("w2").brings(line(12, "late"))
    stand.watch.following.pump()
    assert stand.heard == [("w1", "gap"), ("w2", 12.0, 20.0), ("w2", "late")]


def test_old_lines_before_it_has_caught_up_are_not_late(stand: Stand) -> None:
    stand.clock.passed = 20.0
    stand.journal("w1").has_caught_up = False
    stand.journal("w1").brings(line(2, "past"))
    stand.watch.following.pump()
    assert stand.heard == [("w1", "past")]


def test_time_that_was_missed_is_told_of_every_host(stand: Stand) -> None:
    stand.clock.passed = 60.0
    stand.watch.following.missed(130.0, 160.0)
    assert stand.heard == [("w1", 30.0, 60.0), ("w2", 30.0, 60.0)]


def test_a_quiet_host_is_asked_and_who_does_not_answer_is_not_silent(stand: Stand) -> None:
    follow = stand.watch.following
    follow.ask_quiet(["w1", "w2"])
    assert stand.fleet.asked == ["w1", "w2"]
    stand.fleet.heard_at = {"w1": 100.2, "w2": 99.0}
    stand.clock.passed = 0.5
    follow.ask_quiet(["w1", "w2"])
    assert stand.heard == []
    stand.clock.passed = ANSWER_WITHIN_S + 0.1
    follow.ask_quiet(["w1", "w2"])
    assert stand.heard == [("w2", "gap")]
    assert stand.fleet.asked == ["w1", "w2"], "w1 has answered just now"
    stand.heard.clear()
    stand.clock.passed = 1 + ASK_AFTER_S
    follow.ask_quiet(["w1"])
    assert stand.fleet.asked == ["w1", "w2", "w1"]
    stand.clock.passed += ANSWER_WITHIN_S + 0.1
    follow.ask_quiet(["w1"])
    assert stand.heard == [("w1", "gap")]


def test_a_quiet_host_without_a_connection_is_asked_again_after_a_while(stand: Stand) -> None:
    follow = stand.watch.following
    for second in (0.0, 5.0, LONGEST_S, LONGEST_S + 0.5):
        stand.clock.passed = second
        follow.ask_quiet(["w1"])
    assert stand.fleet.asked == ["w1", "w1"]
    assert ("w1", "gap") in stand.heard


def test_to_catch_up_waits_for_the_past_but_not_for_ever(stand: Stand) -> None:
    stand.journal("w2").has_caught_up = False

    def pump(_s: float) -> None:
        stand.clock.passed += 1.0
        if stand.clock.passed == 2.0:
            stand.journal("w2").brings(error(-10, "old"))
        stand.journal("w2").has_caught_up = 3.0 <= stand.clock.passed < 4.0

    stand.watch.following.catch_up(["w1", "w2"], pump)
    assert (stand.clock.passed, stand.heard) == (3.0, [("w2", "ERROR old")])
    stand.clock.passed = 5.0
    stand.journal("w2").has_caught_up = False
    stand.watch.following.catch_up(["w1", "w2"], pump)
    assert stand.clock.passed == 5.0 + following.CATCH_UP_S
