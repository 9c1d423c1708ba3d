"""The lock when hosts restart under it."""

from __future__ import annotations

import pytest

from botdeploy.engine.commands.canary import canary
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode
from botdeploy.hosts.acts.faults import LockLost
from tests.engine.commands.test_canary import release
from tests.engine.fakefleet import Stage

ACTS = ["stage", "switch", "confirm", "prove", "end"]


@pytest.fixture
def stage() -> Stage:
    """Give hosts that run a release everywhere."""
    made = Stage()
    release(made)
    return made


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["h1", "h3"])
def test_a_host_that_restarts_is_no_other_rollout(stage: Stage, act: str, name: str) -> None:
    """Its lock went with /run: the host is named, nobody else is, and the same command goes on."""
    host = stage.hosts[name]

    def restart() -> None:
        host.die()
        host.boot()

    build = stage.build()
    stage.controller()
    stage.fleet.faults[name, act].append(restart)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code in (ExitCode.UNREACHABLE, ExitCode.DONE), ended
    if ended.code is ExitCode.UNREACHABLE:
        assert f"{name}: it" in ended.summary
        assert "restarted" in ended.summary
    stage.clock.advance(120)
    assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
    assert all(one.lock is None for one in stage.hosts.values())


@pytest.mark.parametrize("act", ACTS)
def test_a_lock_that_was_taken_away_ends_the_rollout(stage: Stage, act: str) -> None:
    """Where the host did not restart, a person or another controller took the lock: exit 4."""
    build = stage.build()
    stage.controller()
    stage.fleet.faults["h1", act].append(stage.hosts["h1"].unlock)
    with pytest.raises(LockLost) as ended:
        canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.value.exit_code is ExitCode.LOCKED


def test_a_host_that_went_back_is_told_with_what_it_runs(stage: Stage) -> None:
    """Exit 6 tells the state of every host, also of one that is out of reach, and what to do."""
    build = stage.build()
    stage.controller()
    host = stage.hosts["h1"]
    stage.fleet.faults["h1", "confirm"].append(host.die)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.UNREACHABLE
    assert "h1: ran R0002 when last reached" in ended.summary
    assert "h2, h3, h4: runs R0001" in ended.summary
    assert "The same command goes on from there" in ended.summary
