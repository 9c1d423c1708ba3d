"""Whether a bot runs, by what its host says: the one definition, and what it makes of a verdict."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.host.running import PATIENCE_S, UNREAD, Runs, Seen, Unit, judged, seen, unit_of
from botdeploy.core.verdict import Outcome, Verdict

UP = Unit("active", "running", "success", main_pid=7, release="R2", restart="on-failure")
PASS = Verdict(Outcome.PASS, ("nothing bad was seen",))


@pytest.mark.parametrize(
    ("unit", "runs"),
    [
        (UP, Runs.RUNNING),
        (Unit("reloading", "reload", main_pid=7, release="R2"), Runs.RUNNING),
        (Unit("refreshing", "refresh", main_pid=7, release="R2"), Runs.RUNNING),
        (Unit("active", "running", main_pid=7), Runs.RUNNING),  # of a release nobody can tell
        (Unit("active", "exited"), Runs.ENDED),  # RemainAfterExit=yes
        (Unit("active", "running", main_pid=7, release="R1"), Runs.OTHER),
        (Unit("activating", "auto-restart", restarts=1), Runs.STARTING),
        (Unit("activating", "start", main_pid=7), Runs.STARTING),
        (Unit("deactivating", "stop-sigterm", main_pid=7), Runs.STARTING),
        (Unit("inactive", "dead", is_start_due=True), Runs.STARTING),
        (Unit("inactive", "dead", "success", ended_by="itself"), Runs.ENDED),
        (Unit("failed", "failed", "exit-code", 1, ended_by="itself"), Runs.ENDED),
        (Unit("inactive", "dead", "success", ended_by="person"), Runs.STOPPED),
        (Unit("failed", "failed", "timeout", ended_by="person"), Runs.STOPPED),
        (Unit("inactive", "dead", "success"), Runs.STOPPED),  # nobody can tell
        (Unit("failed", "failed", "exit-code", 1), Runs.STOPPED),
        (Unit(), Runs.UNKNOWN),
        (Unit("maintenance", "?"), Runs.UNKNOWN),
    ],
)
def test_a_state_of_the_unit_means_one_thing(unit: Unit, runs: Runs) -> None:
    """Each state that systemd knows is running, waited for, ended, stopped, or not known."""
    assert seen(unit, "R2").runs is runs


@pytest.mark.parametrize(
    ("restarts", "before", "ran_s", "runs"),
    [
        (1, 0, 20.0, Runs.RUNNING),  # once is no loop
        (3, 0, 30.0, Runs.LOOPING),
        (5, 3, 30.0, Runs.LOOPING),
        (4, 3, 30.0, Runs.RUNNING),  # three of them were before the release was ready
        (0, 3, 30.0, Runs.RUNNING),  # a start by hand begins to count anew
        (48, 0, 2 * 86400.0, Runs.RUNNING),  # a restart each hour is somebody's plan
        (3, 0, 0.0, Runs.RUNNING),  # nobody knows within which time
    ],
)
def test_a_loop_is_told_from_restarts_now_and_then(
    restarts: int, before: int, ran_s: float, runs: Runs
) -> None:
    """Restarts count from when the release was ready, against the time since the switch."""
    unit = Unit(
        "active", "running", main_pid=7, release="R2", restarts=restarts, restarts_before=before
    )
    assert seen(unit, "R2", ran_s).runs is runs


def test_a_loop_that_systemd_gave_up_needs_no_journal() -> None:
    """Nobody has to tell who stopped it: a person does not stop a bot three times in a minute."""
    unit = Unit("failed", "failed", "exit-code", 1, restarts=5, restart="on-failure")
    assert seen(unit, "R2", 20.0).runs is Runs.LOOPING


def test_a_bot_that_ended_fails_at_once() -> None:
    """The soak is not waited for: nothing will start it again."""
    told = judged(None, {"h1": Seen(), "h2": Seen(Runs.ENDED, "it ended")}, over_s=-20.0)
    assert told == Verdict(Outcome.FAIL, ("it ended",), "h2")


@pytest.mark.parametrize("runs", [Runs.STOPPED, Runs.OTHER, Runs.LOOPING])
def test_what_a_person_did_is_inconclusive_when_the_verdict_is_due(runs: Runs) -> None:
    """Until then it may be undone; what a journal tells of a loop was weighed by the judge."""
    hosts = {"h1": Seen(runs, "so it is")}
    before = judged(PASS, hosts, over_s=-1.0)
    after = judged(PASS, hosts, over_s=0.0)
    assert before is not None
    assert after is not None
    assert (before.outcome, after.outcome) == (Outcome.WAIT, Outcome.INCONCLUSIVE)


def test_a_systemd_that_does_not_answer_is_asked_for_a_while() -> None:
    """Then it is inconclusive; a bot between two lives is waited for."""
    mute, starting = {"h1": Seen(Runs.UNKNOWN, "?")}, {"h1": Seen(Runs.STARTING, "?")}

    def outcome(hosts: dict[str, Seen], over_s: float) -> Outcome:
        told = judged(PASS, hosts, over_s=over_s)
        assert told is not None
        return told.outcome

    assert outcome(mute, 1.0) is Outcome.WAIT
    assert outcome(mute, PATIENCE_S) is Outcome.INCONCLUSIVE
    assert outcome(starting, 1000.0) is Outcome.WAIT


def test_a_journal_that_holds_nothing_leaves_what_systemd_counted() -> None:
    """Restarts that only a fault can cause fail; without any, nobody can vouch."""
    crashed = Unit("active", "running", main_pid=7, release="R2", restarts=1, restart="on-failure")
    always = Unit("active", "running", main_pid=7, release="R2", restarts=1, restart="always")
    outcomes = [
        told.outcome
        for unit in (crashed, always, UP)
        if (told := judged(PASS, {"h1": seen(unit, "R2", 30.0)}, over_s=0.0, unread={"h1"}))
    ]
    assert outcomes == [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE]
    loop = judged(PASS, {"h1": Seen(Runs.LOOPING, "3 times")}, over_s=-5.0, unread={"h1"})
    assert loop == Verdict(Outcome.FAIL, ("3 times",), "h1")
    quiet = judged(PASS, {"h1": Seen()}, over_s=0.0, unread={"h1"})
    assert quiet is not None
    assert UNREAD in quiet.reasons[0]


SOME = st.sampled_from(list(Runs))


@given(
    verdict=st.none() | st.builds(Verdict, st.sampled_from(list(Outcome))),
    hosts=st.dictionaries(
        st.sampled_from(["h1", "h2", "h3"]), st.builds(Seen, SOME, st.just("?")), min_size=1
    ),
    over_s=st.floats(-100, 100),
    unread=st.sets(st.sampled_from(["h1", "h2", "h3"])),
)
def test_no_verdict_is_better_than_what_runs(
    verdict: Verdict | None, hosts: dict[str, Seen], over_s: float, unread: set[str]
) -> None:
    """A pass needs every host's bot to run; a fail of the judge's stays one."""
    told = judged(verdict, hosts, over_s=over_s, unread=unread)
    if told is not None and told.outcome is Outcome.PASS:
        assert verdict is not None
        assert verdict.outcome is Outcome.PASS
        assert {one.runs for one in hosts.values()} == {Runs.RUNNING}
        assert unread.isdisjoint(hosts)
    if verdict is not None and verdict.outcome is Outcome.FAIL:
        assert told == verdict


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers() | st.text(max_size=5)))
def test_any_record_is_read_or_refused(record: dict[str, object]) -> None:
    """What a host's program says of the unit is a value, or a ValueError or TypeError."""
    with suppress(ValueError, TypeError):
        assert isinstance(seen(unit_of(record), "R2").runs, Runs)
