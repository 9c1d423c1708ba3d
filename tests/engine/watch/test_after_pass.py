"""After a pass, on hosts in memory: rings are watched until the rollout is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.evidence.proven_past import proven
from botdeploy.core.model.policy import Gate, OnFail
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.rollback_target import way_back
from botdeploy.core.text.secret_mask import Mask
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.since_pass import since_pass
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode
from tests.engine.commands.test_canary import release, tick
from tests.engine.commands.test_promote import RINGS, approve, stage_of, wait
from tests.engine.fakefleet import Stage

GATED = (RINGS[0], replace(RINGS[1], gate=Gate.APPROVE), RINGS[2])


def gets_bad(stage: Stage, name: str = "R0002") -> None:
    """Let what was good so far show what it is."""
    stage.world.is_like(name, "bad")


def test_what_fails_while_a_gate_waits_goes_back_and_is_never_promoted() -> None:
    """It had passed; the tick that sees it takes it back with 1, and an approval opens nothing."""
    stage = stage_of(GATED)
    release(stage)
    wait(stage, 2.5)
    assert stage.hosts["h1"].releases["R0002"].order
    gets_bad(stage)
    approve(stage, "beta")
    ended = tick(stage)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 5)
    assert "errors came late" in ended.summary
    assert all(f"{2:064x}" in host.quarantine for host in stage.hosts.values())
    verdicts = [event for event in stage.events if event.kind is Kind.VERDICT]
    assert (verdicts[-1].ring, verdicts[-1].data["outcome"]) == ("internal", "fail")
    assert wait(stage, 2) == []


def test_a_gate_that_waits_is_read_on_each_time() -> None:
    """The passed ring's journal and the baseline's, from where the last reader stopped."""
    stage = stage_of(GATED)
    release(stage)
    wait(stage, 2.2)
    before = len(stage.hosts["h1"].kept["R0002"])
    stage.controller()
    tick(stage)
    read = {name for name, act in stage.fleet.calls if act == "keep"}
    assert read == set(stage.hosts)
    assert len(stage.hosts["h1"].kept["R0002"]) >= before


@pytest.mark.parametrize(
    ("on_fail", "left"),
    [
        (OnFail.FLEET, ["R0001"] * 5),
        (OnFail.RING, ["R0001", "R0002", *["R0001"] * 3]),
        (OnFail.HOST, ["R0001", "R0002", *["R0001"] * 3]),
    ],
)
def test_on_fail_says_who_goes_back_from_a_pass(on_fail: OnFail, left: list[str]) -> None:
    """The first ring fails while the second soaks."""
    stage = stage_of(on_fail=on_fail)
    release(stage)
    wait(stage, 2.3)
    assert stage.running()[1] == "R0002"
    stage.world.is_like("R0002", "bad", "h1")
    ended = tick(stage)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, left)


def test_a_live_canary_watches_what_passed_while_it_rolls_on() -> None:
    """The first host fails after its pass, in the middle of the fleet: all go back."""
    stage = Stage(6)
    release(stage)
    build = stage.build()
    stage.controller()

    def late(name: str, act: str) -> None:
        if (name, act) == ("h4", "switch"):
            stage.world.is_like("R0002", "bad", "h1")

    stage.fleet.before = late
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 6)
    assert all(build.release.digest in host.quarantine for host in stage.hosts.values())


def test_a_canary_that_goes_on_looks_at_what_passed_first() -> None:
    """The same command after a gate was opened: what came since the pass counts."""
    stage = stage_of(GATED)
    build = stage.build()
    release(stage, build)
    wait(stage, 2.5)
    gets_bad(stage)
    approve(stage, "beta")
    ended = release(stage, build)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 5)


def test_the_last_ring_is_watched_where_that_is_asked_for() -> None:
    """Canary ends with what is due; promote sees the fail, or ends the rollout in time."""
    for is_bad in (False, True):
        stage = stage_of(watch=timedelta(hours=1))
        release(stage)
        wait(stage, 3.3)
        assert stage.running() == ["R0002"] * 5
        assert stage.hosts["h1"].rollout.get("outcome", "") == ""
        waiting = [event for event in stage.events if event.kind is Kind.WAITING]
        assert (waiting[-1].ring, waiting[-1].data["reason"]) == ("fleet", "watch")
        if is_bad:
            gets_bad(stage)
            ended = tick(stage)
            assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 5)
        else:
            said = wait(stage, 1.1)
            assert [code for code, _ in said] == [0]
            assert stage.hosts["h1"].rollout["outcome"] == "passed"
        assert wait(stage, 1) == []


def test_a_short_watch_is_waited_for() -> None:
    """A watch of a minute is part of the run, as a short soak is."""
    stage = Stage(3)
    release(stage)
    rules = replace(stage.inventory.policy, watch=timedelta(seconds=60))
    stage.inventory = replace(stage.inventory, policy=rules)
    build = stage.build()
    stage.controller()
    begun = stage.clock.mono

    def late() -> None:
        if stage.running() == ["R0002"] * 3:
            gets_bad(stage)

    for seconds in range(60, 400, 20):
        stage.clock.at(seconds, late)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 3)
    assert stage.clock.mono - begun < 400


def test_what_came_since_a_pass_is_told_before_a_person_approves() -> None:
    """Errors, crashes and how long it is up, of the hosts that passed; nothing is kept for it."""
    stage = stage_of(GATED)
    release(stage)
    wait(stage, 2.2)
    stage.controller()
    fleet: Any = stage.fleet
    fleet.mask = Mask(())
    host = stage.hosts["h1"]
    host.write("ERROR upstream said no")
    host.write("handled 2")
    stage.clock.advance(60)
    states = {name: host.state() for name, host in stage.hosts.items()}
    record = rollout_records.newest(states)
    assert record is not None
    kept = dict(host.kept)
    (told,) = since_pass(fleet, stage.inventory, states, record)
    assert told.startswith("h1, passed ")
    assert "1 error in 2 lines, 0 crashes" in told
    assert host.kept == kept


def test_what_failed_after_its_pass_is_proven_nowhere() -> None:
    """Its mark stays; it is no way back, no past and no reason to say that nothing is due."""
    stage = stage_of(on_fail=OnFail.RING)
    build = stage.build()
    release(stage, build)
    wait(stage, 2.3)
    stage.world.is_like("R0002", "bad", "h1")
    assert tick(stage).code is ExitCode.FAILED
    states = {name: host.state() for name, host in stage.hosts.items()}
    assert (states["h1"].running, states["h2"].running) == ("R0001", "R0002")
    for name, state in states.items():
        assert not state.is_proven("R0002")
        assert "R0002" not in proven(states, name)
        assert way_back(name, replace(state, current="R0003")).target != "R0002"
    # By force it is judged again everywhere, also where it has run since; its pass is a new one.
    stage.world.is_like("R0002", "good", "h1")
    stage.controller()
    canary(stage.inventory, build, stage.dependencies(), Options(), is_forced=True)  # type: ignore[arg-type]
    wait(stage, 4)
    assert all(stage.hosts[name].state().is_proven("R0002") for name in ("h1", "h2"))
    assert stage.running() == ["R0002"] * 2 + ["R0001"] * 3  # the others: by a person's force alone
