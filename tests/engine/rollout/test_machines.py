"""A rollout over machines with several instances: batches, confirmations, and what is counted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.engine.commands.canary import TooFew, canary
from botdeploy.engine.commands.gates import Signed, hold
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, Unreachable
from tests.engine.fakefleet import DEFAULT_RINGS, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.engine.outcome import Ended

SETTLE = timedelta(seconds=10)


def stage_of(
    count: int,
    machines: Mapping[str, Sequence[str]],
    *,
    batch: Share | None = None,
    rings: tuple[Ring, ...] = (),
    away: int = 0,
) -> Stage:
    """Give hosts that run R0001, in one ring unless others are given."""
    whole = Ring("fleet", "all", settle=SETTLE, batch=batch or Share(count=1))
    made = Stage(
        count, Policy(rings or (whole,), max_unreachable=Share(count=away)), machines=machines
    )
    assert rolled(made).code is ExitCode.DONE
    return made


def rolled(stage: Stage) -> Ended:
    """Let another controller roll a new release out."""
    stage.controller()
    build: Any = stage.build()
    return canary(stage.inventory, build, stage.dependencies(), Options())


def calls(stage: Stage, act: str) -> list[str]:
    """Name the hosts of an act, in order."""
    return [name for name, one in stage.fleet.calls if one == act]


def test_a_machine_is_connected_to_anew_once_for_a_batch() -> None:
    """After the last switch there, and before any confirmation."""
    stage = stage_of(4, {"m1": ("h1", "h2", "h3")}, batch=Share(percent=100.0))
    assert rolled(stage).code is ExitCode.DONE
    assert calls(stage, "switch") == ["h1", "h2", "h3", "h4"]
    assert stage.fleet.renewed == ["h3", "h4"]
    assert stage.running() == ["R0002"] * 4


def test_where_no_new_connection_can_be_had_no_instance_is_confirmed() -> None:
    """The old one still stands, and must not speak for those whose own switch was heard."""
    stage = stage_of(4, {"m1": ("h1", "h2", "h3")}, batch=Share(percent=100.0))
    stage.controller()
    build: Any = stage.build()
    connect = stage.fleet.fresh

    def fresh(name: str) -> Any:
        if name in ("h1", "h2", "h3"):
            raise Unreachable(name, "it refuses every connection")
        return connect(name)

    stage.fleet.fresh = fresh  # type: ignore[method-assign]
    ended = canary(stage.inventory, build, stage.dependencies(), Options())
    assert ended.code is ExitCode.UNREACHABLE, ended
    for name in ("h1", "h2", "h3"):
        assert f"{name}: it refuses every connection" in ended.summary
    assert "confirm" not in {act for name, act in stage.fleet.calls if name != "h4"}
    stage.clock.advance(3600)
    assert stage.running() == ["R0001"] * 4


def test_machines_take_turns_and_neighbours_do_not_go_down_together() -> None:
    """Although the batch would take two of them."""
    machines = {"m1": ("h1", "h2", "h3"), "m2": ("h4", "h5")}
    stage = stage_of(5, machines, batch=Share(count=2))
    assert rolled(stage).code is ExitCode.DONE
    assert calls(stage, "switch") == ["h1", "h4", "h2", "h5", "h3"]
    assert stage.fleet.renewed == ["h1", "h4", "h2", "h5", "h3"]


def test_a_canary_on_the_only_machine_is_one_instance() -> None:
    """One VPS has an internal ring, a canary and a baseline."""
    stage = stage_of(4, {"m1": ("h1", "h2", "h3", "h4")}, rings=DEFAULT_RINGS)
    assert rolled(stage).code is ExitCode.DONE
    assert calls(stage, "switch") == ["h1", "h2", "h3", "h4"]
    assert calls(stage, "enter") == ["h1"]


def test_a_bad_release_returns_on_every_instance() -> None:
    """What one instance shows takes back all that run it, and quarantines it on all."""
    stage = stage_of(3, {"m1": ("h1", "h2", "h3")}, rings=DEFAULT_RINGS)
    stage.controller()
    build: Any = stage.build("bad")
    ended = canary(stage.inventory, build, stage.dependencies(), Options())
    assert ended.code is ExitCode.FAILED, ended
    assert stage.running() == ["R0001"] * 3
    assert all(build.release.digest in host.quarantine for host in stage.hosts.values())


def test_a_majority_is_one_of_machines() -> None:
    """Of three machines one is away: it has most instances, and is one."""
    stage = stage_of(5, {"m1": ("h1", "h2", "h3"), "m2": ("h4",), "m3": ("h5",)}, away=1)
    stage.hosts["h2"].die()
    ended = rolled(stage)
    assert ended.code is ExitCode.DONE, ended
    assert "behind: h1, h2, h3" in ended.summary
    assert stage.running()[3:] == ["R0002"] * 2
    stage.hosts["h1"].boot()
    stage.controller()
    assert promote(stage.inventory, stage.dependencies(), Options(is_attended=False)).code == 0
    assert stage.running() == ["R0002"] * 5


def test_with_most_machines_away_nothing_is_begun() -> None:
    """Although most instances are there."""
    stage = stage_of(5, {"m1": ("h1", "h2", "h3")}, away=5)
    for name in ("h4", "h5"):
        stage.hosts[name].die()
    with pytest.raises(TooFew, match=r"^1 of 3 machines are available"):
        rolled(stage)
    stage.controller()
    with pytest.raises(TooFew, match=r"^1 of 3 machines answer"):
        promote(stage.inventory, stage.dependencies(), Options(is_attended=False))
    fleet: Any = stage.fleet
    assert hold(stage.inventory, fleet, Signed("ann"), is_dry=False).code == ExitCode.UNREACHABLE


def test_a_machine_counts_once_however_many_of_its_instances_fail() -> None:
    """One machine may be away; with two of its instances unstaged it still is one."""
    stage = stage_of(5, {"m1": ("h1", "h2", "h3")}, away=1)
    stage.controller()
    build: Any = stage.build()
    for name in ("h1", "h2"):
        stage.fleet.faults[name, "stage"].extend(["lost"] * 1000)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())
    assert ended.code is ExitCode.DONE, ended
    assert stage.running() == ["R0001", "R0001", "R0002", "R0002", "R0002"]


def test_one_instance_that_cannot_be_worked_on_counts_as_its_machine() -> None:
    """It is nothing that a policy without machines away may pass over."""
    stage = stage_of(3, {"m1": ("h1", "h2", "h3")})
    stage.controller()
    build: Any = stage.build()
    stage.fleet.faults["h2", "stage"].extend(["lost"] * 1000)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())
    assert ended.code is ExitCode.UNREACHABLE, ended
    assert "1 of 1 machines are not available (h2: " in ended.summary
    assert stage.running() == ["R0001"] * 3


def test_a_reboot_of_the_machine_takes_back_what_was_pending_only() -> None:
    """A confirmed neighbour keeps what it runs, and the same command goes on."""
    stage = stage_of(3, {"m1": ("h1", "h2", "h3")})
    stage.controller()
    build: Any = stage.build()

    def reboot() -> None:
        stage.hosts["h2"].die()
        stage.hosts["h2"].boot()

    stage.fleet.faults["h2", "confirm"].append(reboot)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())
    assert ended.code is ExitCode.UNREACHABLE, ended
    assert stage.running() == ["R0002", "R0001", "R0001"]
    stage.clock.advance(120)
    stage.controller()
    ended = canary(stage.inventory, build, stage.dependencies(), Options())
    assert ended.code is ExitCode.DONE, ended
    assert stage.running() == ["R0002"] * 3


def test_with_every_host_on_its_own_machine_they_are_counted_as_hosts() -> None:
    """Nothing changes where machines are not shared."""
    stage = stage_of(3, {})
    for name in ("h1", "h2"):
        stage.hosts[name].die()
    with pytest.raises(TooFew, match=r"^1 of 3 hosts are available"):
        rolled(stage)
