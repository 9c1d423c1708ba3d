"""Judging what is followed, and what was kept: the same lines give the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.evidence.past_starts import past_starts
from botdeploy.core.host.host_state import HostState
from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.model.policy import Ring
from botdeploy.core.probes.probe import FAILED
from botdeploy.core.verdict import Outcome
from botdeploy.errors import Unreachable
from tests.engine.watch.journals import SECOND, T0, Stand, error, line, record

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine

RING = Ring("canary", "all", soak=timedelta(seconds=60))
SOAK = timedelta(seconds=60)
STATES = {"w1": HostState(), "w2": HostState()}


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(monkeypatch, {"preset": "quick"})
    made.watch.following.follow(["w1", "w2"], {})
    return made


def past(*more: LogLine) -> list[LogLine]:
    """Give an hour of a bot that writes a line in ten seconds, and more lines among them."""
    lines = [*(line(-second) for second in range(10, 3600, 10)), *more]
    return sorted(lines, key=lambda one: one.at_us)


def judge(stand: Stand, *hosts: str) -> None:
    stand.watch.following.pump()
    switched = dict.fromkeys(hosts or ("w1",), T0)
    stand.watch.judging.judge(RING, switched, SOAK, ["w2"], STATES)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_start_days_back_tells_what_is_usual_at_a_start(stand: Stand, *, is_read: bool) -> None:
    """The days between were not read: they are neither quiet nor known."""
    days = -3 * 86400
    starts = [record(days, SystemKind.STARTED), *(error(days + n, "cold") for n in range(2, 9))]
    for name in ("w1", "w2"):
        said = past_starts(starts, T0 - 3600 * SECOND) if is_read else None
        stand.journal(name).brings(*past(), starts=said)
    judge(stand)
    since = [*(error(n, "cold") for n in range(2, 9)), *(line(n) for n in range(9, 60, 9))]
    stand.journal("w1").brings(*since)
    stand.journal("w2").brings(*(line(n) for n in range(2, 60, 9)))
    stand.clock.passed = 60.0
    stand.watch.following.pump()
    found = stand.watch.judging.verdict()
    assert found is not None
    assert (found[1].outcome is Outcome.PASS) == is_read
    assert not is_read or "usual" in found[1].reasons[0]
    assert is_read or "never seen in 2 h of the old release" in found[1].reasons[0]


def outcome(stand: Stand, **known: Any) -> Outcome:
    found = stand.watch.judging.verdict(**known)
    assert found is not None
    assert found[0] == "canary"
    return found[1].outcome


SINCE = [
    record(0.1, SystemKind.STARTED),
    line(1),
    error(2, "known"),
    error(3, "new"),
    line(4, latency_ms=9.0),
    line(5, "probe", LineKind.PROBE, is_handled=True, count=50),
    error(6, "probe!x", kind=LineKind.PROBE, count=2),
    record(7, SystemKind.RESTART),
    record(8, SystemKind.DROPPED, 7),
]


def test_live_and_kept_are_summed_up_alike(stand: Stand) -> None:
    """The bot's lines are counted, not systemd's nor a probe's; errors are everybody's."""
    stand.journal("w1").brings(*past(error(-100, "known")))
    judge(stand)
    stand.journal("w1").brings(*SINCE)
    stand.watch.following.pump()
    live = stand.watch.judging.evidence("w1")
    kept = Evidence("w1")
    for one in (*past(error(-100, "known")), *SINCE):
        kept.add(one, "new" if one.at_us >= T0 else "")
    judging = stand.watch.judging
    judging.judge_kept(RING, {"w9": T0}, SOAK, {"w9": kept}, "new", {})
    told = judging.evidence("w9")
    assert {**live, "uptime": None} == told
    assert (live["lines"], live["errors"], live["restarts"]) == (4, 4, 1)
    assert live["new_fingerprints"] == ["new", "probe!x"]


def test_who_is_not_known_has_shown_nothing(stand: Stand) -> None:
    told = stand.watch.judging.evidence("w7")
    assert told == {
        "lines": 0,
        "errors": 0,
        "restarts": 0,
        "new_fingerprints": [],
        "uptime": None,
    }


def test_what_came_before_it_is_judged_is_judged_too(stand: Stand) -> None:
    """A fatal error between the switch and the begin of its judgement fails it at once."""
    stand.journal("w1").brings(*past())
    stand.journal("w1").brings(error(1, "ImportError", is_fatal=True))
    judge(stand)
    assert outcome(stand) is Outcome.FAIL
    stand.watch.judging.rest()
    assert stand.watch.judging.verdict() is None
    judge(stand)
    assert outcome(stand) is Outcome.FAIL, "begun anew, it counts the same"
    assert stand.watch.judging.evidence("w1")["errors"] == 1


def test_a_probe_that_fails_in_the_grace_counts_nowhere(stand: Stand) -> None:
    failed = f"{FAILED}: refused"
    stand.journal("w1").brings(*past())
    stand.journal("w1").brings(error(0.5, failed, kind=LineKind.PROBE))
    judge(stand)
    assert stand.watch.judging.evidence("w1")["errors"] == 0
    stand.journal("w1").brings(error(50, failed, kind=LineKind.PROBE))
    stand.watch.following.pump()
    assert stand.watch.judging.evidence("w1")["errors"] == 1


def test_a_known_error_is_no_news(stand: Stand) -> None:
    stand.journal("w1").brings(*past(error(-100, "known")))
    judge(stand)
    assert stand.watch.judging.is_news(error(1, "quite another"))
    assert not stand.watch.judging.is_news(error(1, "known"))


def test_nothing_is_read_is_no_pass(stand: Stand) -> None:
    """Of no host of the ring a journal is followed; or it could not be read."""
    stand.watch.judging.judge(RING, {"w9": T0}, SOAK, [], STATES)
    assert outcome(stand) is Outcome.INCONCLUSIVE
    assert stand.watch.judging.cannot_exclude() == ()
    assert not stand.watch.judging.is_news(error(1))
    stand.journal("w1").has_caught_up = False
    judge(stand)
    stand.clock.passed = 61.0
    assert outcome(stand) is not Outcome.PASS


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_silent_bot_fails_and_a_lost_host_does_not(stand: Stand, *, is_lost: bool) -> None:
    """Until the host answers, nobody can tell whether it is the bot that is silent."""
    lines = [line(-second) for second in range(3600)]
    stand.journal("w1").brings(*reversed(lines))
    judge(stand)
    stand.journal("w1").brings(*(line(second) for second in range(20)))
    stand.watch.following.pump()
    outcomes = []
    for second in range(20, 70):
        stand.clock.passed = second
        outcomes.append(outcome(stand))
        for name in stand.fleet.asked:
            if not is_lost:
                stand.fleet.heard_at[name] = stand.clock.monotonic() + 0.5
    assert (Outcome.FAIL in outcomes) is not is_lost


def test_who_has_ended_is_told_by_its_journal(stand: Stand) -> None:
    processes = stand.watch.processes
    stand.journal("w1").brings(*past())
    judge(stand)
    stand.clock.passed = 5.0
    assert processes.unread() == {"w1"}
    stand.journal("w1").brings(record(0.1, SystemKind.STARTED), line(1))
    stand.watch.following.pump()
    assert (processes.unread(), processes.fallen()) == (frozenset(), frozenset())
    stand.journal("w1").brings(record(4, SystemKind.FAILED))
    stand.watch.following.pump()
    assert processes.fallen() == {"w1"}
    stand.clock.passed = 8.1
    assert processes.uptime()["w1"] == pytest.approx(3.9 / 8.0)


# --- after a pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_early", [True, False], ids=["before", "since"])
def test_a_ring_that_passed_fails_by_what_comes_since(stand: Stand, *, is_early: bool) -> None:
    """What was written before the pass is its past."""
    stand.journal("w1").brings(*past())
    judge(stand)
    fatal = error(30, "ImportError: no module", is_fatal=True)
    if is_early:
        stand.journal("w1").brings(fatal)
    stand.watch.following.pump()
    passed = stand.watch.passed
    passed.watch_on("canary", {"w1": T0 + 40 * SECOND, "w9": T0}, ["w2", "w1"])
    assert passed.hosts() == ["w1"]
    if not is_early:
        stand.journal("w1").brings(error(50, "ImportError: no module", is_fatal=True))
    stand.clock.passed = 60.0
    stand.watch.following.pump()
    assert set(passed.revoked()) == (set() if is_early else {"canary"})


def test_a_ring_of_which_nothing_is_followed_is_not_watched(stand: Stand) -> None:
    stand.watch.passed.watch_on("canary", {"w9": T0}, [])
    stand.watch.passed.look_after("canary", {}, {}, "new", {})
    assert stand.watch.passed.hosts() == []
    assert stand.watch.passed.revoked() == {}


# --- last words ---------------------------------------------------------------------------------


def row(second: int, text: str, **fields: str) -> bytes:
    at = {"__REALTIME_TIMESTAMP": str(T0 + second * SECOND), "__CURSOR": f"c{second}"}
    return json.dumps({**at, "MESSAGE": text, "PRIORITY": "6", "_PID": "7", **fields}).encode()


def test_last_words_are_read_anew_and_else_are_what_came(stand: Stand) -> None:
    run = {"_SYSTEMD_INVOCATION_ID": "r2"}
    stand.clock.passed = 10.0
    stand.fleet.rows = [row(1, "ERROR KeyError: token", **run), row(2, "bye", **run)]
    told = stand.watch.last_words("w1", T0, "r1", back_s=5.0)
    assert "KeyError: token" in told.told
    assert stand.fleet.positions == ["since:15:4"]
    stand.fleet.is_cut = True
    assert stand.watch.last_words("w1", T0, "r1").told == "", "too much to be read"
    stand.fleet.error = Unreachable("w1", "no route")
    stand.journal("w1").brings(error(1, "came", invocation="r2"))
    stand.watch.following.pump()
    assert "ERROR came" in stand.watch.last_words("w1", T0, "r1").told
