"""What a run knows of its hosts is by its own clock, whoever switched them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from botdeploy.core.rollout.target import Target
from botdeploy.engine.fleet.lock import PATIENCE_S, EnvironmentLock, Heard
from botdeploy.engine.fleet.observe import observe_timed
from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
from botdeploy.errors import ExitCode, HostError
from tests.engine.commands.test_canary import release
from tests.engine.fakefleet import Stage

TOKEN = "t" * 32
SECOND_US = 1_000_000


def members_of(stage: Stage, lock: EnvironmentLock) -> RolloutHosts:
    """Make what a rollout of the first release knows of its hosts."""
    return RolloutHosts(
        stage.inventory,
        Target("roll", "R0001", "d" * 64),
        lock,
        stage.clock,
        lambda *_args, **_more: None,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("hours", [-2, 0, 1])
def test_a_switch_is_by_our_clock_also_where_it_is_taken_over(hours: int) -> None:
    """A host's clock is wrong by hours, and another machine goes on with its rollout."""
    stage = Stage(1)
    host = stage.hosts["h1"]
    host.jump = timedelta(hours=hours)
    host.enter(TOKEN, 10**6, "rollout", "tbot", "ann", "test")
    meta = json.dumps({"digest": "d" * 64}).encode()
    host.stage(TOKEN, "R0001", "-", len(meta), 0, 0, "roll", "canary", stdin=meta)
    host.switch(TOKEN, "roll", "R0001", 10**6)
    switched_us = int(stage.clock.now().timestamp() * 1e6)
    by_host_us = int(host.wall().timestamp() * 1e6)
    stage.clock.advance(40)
    state = host.state()
    assert state.switch is not None
    state = replace(state, switch=replace(state.switch, armed_us=by_host_us))
    lock = EnvironmentLock(TOKEN, stage.fleet)  # type: ignore[arg-type]
    lock.states["h1"] = state
    lock.heard["h1"] = Heard(state.ahead(stage.clock.now()), stage.clock.monotonic())
    members = members_of(stage, lock)
    taken_over_us = members["h1"].switched_at_us
    assert abs(taken_over_us - switched_us) < 10 * SECOND_US
    assert members.by_host_clock("h1", taken_over_us) == by_host_us


def slow_to_answer(act: str, name: str) -> Stage:
    """Give hosts that run a release, one of which needs 40 s for an act; h2's clock is wrong."""
    stage = Stage(4, tick_s=1.0)
    stage.hosts["h2"].jump = timedelta(minutes=1)
    assert release(stage).code is ExitCode.DONE

    def wait(host: str, asked: str) -> None:
        if (host, asked) == (name, act):
            stage.clock.advance(40)

    stage.controller().before = wait
    return stage


@pytest.mark.parametrize("aged_s", [0, 120])
@pytest.mark.parametrize("name", ["h1", "h2", "h4"])
def test_a_clock_is_compared_when_its_host_answers_and_not_when_all_have(
    name: str, aged_s: float
) -> None:
    """One host needs 40 s for the lock, or reverting leftovers takes minutes: no clock is slow."""
    stage = slow_to_answer("enter", name)
    with stage.dependencies().lock(tuple(stage.hosts), "rollout", "canary") as lock:
        heard_at = {name: lock.heard[name].at for name in stage.hosts}
        stage.clock.advance(aged_s)
        members = members_of(stage, lock)
        told_s = {name: ahead_us / SECOND_US for name, ahead_us in members.ahead_us.items()}
        assert told_s == {"h1": 0, "h2": pytest.approx(60, abs=0.1), "h3": 0, "h4": 0}
        assert {name: members[name].seen for name in stage.hosts} == heard_at
        assert members["h4"].seen <= stage.clock.monotonic() - aged_s


def test_the_clock_of_a_host_that_answers_late_is_compared_when_it_does() -> None:
    """It is taken in when somebody asks for it, which may be much later."""
    stage = Stage(4, tick_s=1.0)
    assert release(stage).code is ExitCode.DONE
    fleet = stage.controller()
    fleet.hangs["h4"] = stage.clock.monotonic() + 20
    names = tuple(stage.hosts)
    patient = stage.dependencies().lock(names, "rollout", "promote", patience_s=PATIENCE_S)
    with patient as lock:
        members = members_of(stage, lock)
        late = tuple(lock.late)
        assert late == ("h4",)
        stage.clock.advance(30)
        lock.late["h4"].done()
        stage.clock.advance(60)
        lock.await_late(lambda _seconds: None)
        members.answered_late(late, lock.states, {})
        assert members.ahead_us == dict.fromkeys(names, 0)
        assert members["h4"].seen == lock.heard["h4"].at


def test_a_host_that_is_slow_to_observe_has_no_fast_clock() -> None:
    """What its clock shows lies between question and answer."""
    stage = slow_to_answer("observe", "h4")
    seen = observe_timed(stage.fleet, stage.hosts, stage.clock)  # type: ignore[arg-type]
    told = {name: one[1] for name, one in seen.items() if not isinstance(one, HostError)}
    nothing = timedelta(0)
    minute = pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=0.1))
    assert told == {"h1": nothing, "h2": minute, "h3": nothing, "h4": nothing}
