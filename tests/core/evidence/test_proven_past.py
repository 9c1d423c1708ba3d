"""Whose lines are the past: by what a host says of its switches, runs and releases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.evidence.proven_past import (
    BEFORE,
    NOBODY,
    attribution,
    counted,
    past_of,
    proven,
    timeline,
)
from botdeploy.core.host.host_state import HostState, Phase, RefusedError, StagedRelease, Switch
from botdeploy.core.host.running import Unit
from botdeploy.core.host.state_record import from_record
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from tests.effort import examples

MINUTE_US = 60_000_000
AT_US = 1_795_510_800_000_000


def line(minute: float, run: str, text: str = "handled", error: str | None = None) -> LogLine:
    """Make a line of a run, so many minutes from the start."""
    level = Level.ERROR if error else None
    at_us = AT_US + round(minute * MINUTE_US)
    return LogLine(at_us, LineKind.LOG, level, text, error, invocation=run)


def crash(minute: float, run: str) -> LogLine:
    """Make systemd's record of a run's end."""
    record = SystemRecord(SystemKind.CRASHED)
    at_us = AT_US + round(minute * MINUTE_US)
    return LogLine(at_us, LineKind.SYSTEMD, None, "exited", invocation=run, system=record)


def host(*switches: tuple[float, str], running: str = "v1", good: str = "v1") -> HostState:
    """Give a host that ran these since these minutes, on which some are proven."""
    names = {name for _, name in switches} | {running}
    return HostState(
        current=running,
        unit=Unit("active", main_pid=7, release=running, invocation=f"run-of-{running}"),
        at=datetime.fromtimestamp(AT_US / 1e6, tz=UTC),
        releases=tuple(StagedRelease(one, f"digest-{one}", one in good.split()) for one in names),
        switches=tuple((AT_US + round(at * MINUTE_US), name) for at, name in switches),
    )


def test_a_failed_release_between_two_lives_of_the_proven_one_is_left_out() -> None:
    """Its lines, its crash, and its time; a line of it that comes late, too."""
    state = host((0, "v1"), (10, "v2"), (12, "v1"))
    lines = [
        line(1, "a"),
        line(9, "a"),
        line(10.1, "a", "bye"),
        line(11, "b", error="KeyError"),
        crash(11.5, "b"),
        line(12.1, "b", error="KeyError"),
        line(13, "c"),
    ]
    begin, oldest = AT_US + 20 * MINUTE_US, AT_US
    past = past_of(lines, attribution(state), proven({"h": state}, "h"), begin, oldest)
    assert [one.invocation for one in past.lines] == ["a", "a", "a", "c"]
    assert past.left_out == [(AT_US + 10 * MINUTE_US, AT_US + 12 * MINUTE_US)]


def test_without_a_proven_release_the_time_before_botdeploy_counts() -> None:
    """And where there is none, nothing does."""
    state = host((10, "v1"), running="v1", good="")
    lines = [line(1, "a"), line(11, "b", error="KeyError")]
    begin = AT_US + 20 * MINUTE_US
    past = past_of(lines, attribution(state), proven({"h": state}, "h"), begin, AT_US)
    assert [one.invocation for one in past.lines] == ["a"]
    past = past_of(lines[1:], attribution(state), proven({"h": state}, "h"), begin, AT_US)
    assert past.lines == []


def test_of_a_host_that_an_older_botdeploy_switched_what_runs_now_is_known() -> None:
    """What ran before the last switch is nobody's: it may have been one that failed."""
    switch = Switch(Phase.CONFIRMED, "r", "v1", "v0", armed_us=AT_US + 10 * MINUTE_US)
    state = replace(host(running="v1"), switches=(), switch=switch)
    assert timeline(state) == [(0, NOBODY), (AT_US + 10 * MINUTE_US, "v1")]
    lines = [line(1, "a", error="KeyError"), line(11, "run-of-v1")]
    begin = AT_US + 20 * MINUTE_US
    past = past_of(lines, attribution(state), proven({"h": state}, "h"), begin, AT_US)
    assert [one.invocation for one in past.lines] == ["run-of-v1"]


def test_what_is_refused_on_most_hosts_is_nobodys_past() -> None:
    """Also on one that was away when it failed; one refusal that is left over does not count."""
    states = {f"h{n}": host((0, "v1"), good="v1") for n in range(4)}
    refused = {"digest-v1": "it failed"}
    one_left = {**states, "h0": replace(states["h0"], quarantine=refused)}
    assert proven(one_left, "h0") == frozenset()
    assert proven(one_left, "h1") == {"v1"}
    most = {name: replace(one, quarantine=refused) for name, one in states.items()}
    most["h3"] = states["h3"]
    assert proven(most, "h3") == frozenset()


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(["v1", "bad", "lapsed", NOBODY])),
        max_size=8,
    ),
    st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=40),
)
@settings(max_examples=examples(300), deadline=None)
def test_no_order_of_switches_makes_another_release_the_past(
    switches: list[tuple[int, str]], said: list[tuple[int, bool]]
) -> None:
    """Whatever ran when: what is taken is the proven one's, and no time is both."""
    switches = sorted(set(switches))
    state = host(*((float(at), name) for at, name in switches))
    state = replace(state, unit=Unit("inactive"))
    runs = [(at, name, f"run{n}") for n, (at, name) in enumerate(switches)]
    lines = []
    for minute, is_error in sorted(said):
        ran = [one for one in runs if one[0] <= minute]
        name, run = ran[-1][1:] if ran else ("before", "run-before")
        lines.append(line(minute, run, name, "Error" if is_error else None))
    begin = AT_US + 201 * MINUTE_US
    past = past_of(lines, attribution(state), proven({"h": state}, "h"), begin, AT_US)
    wrote = {one.message for one in past.lines}
    assert wrote <= {"v1"} or (wrote <= {"before"} and "v1" not in {one.message for one in lines})
    for one in past.lines:
        assert not any(b < one.at_us < e for b, e in past.left_out)
    assert counted(["v1", "bad", BEFORE], {"v1"}) == {"v1"}


def test_an_old_quarantine_and_damaged_lines_of_one_are_read() -> None:
    """A reason alone, as it was written before; of the lines below it those that are whole."""
    record = {
        "quarantine": {"d1": "an error never seen"},
        "refused": [
            '{"fingerprint": "KeyError x", "text": "KeyError", "release": "r1"}',
            '{"fingerprint": ',
            "[]",
            '{"text": "no name"}',
        ],
    }
    state = from_record(record)
    assert state.quarantine == {"d1": "an error never seen"}
    assert state.refused == (RefusedError("KeyError x", "KeyError", "r1"),)
    assert from_record({"quarantine": {"d1": "w"}}).refused == ()
