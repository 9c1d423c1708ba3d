"""ID+N on hosts in memory: one release with other values, and controllers that die in between."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.model.policy import Policy, Share
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.host_standing import Standing, standing_of
from botdeploy.core.rollout.target import Quarantined
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode
from tests.engine.fakefleet import DEFAULT_RINGS, ControllerDied, FakeBuild, Stage

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended


def build(stage: Stage, value: str, kind: str = "good") -> FakeBuild:
    """Make the one release of these tests with a value; what it is like depends on that."""
    number = {"a": 1, "b": 2, "c": 3}[value]
    for id_ in ("R", "R+2", "R+3"):
        stage.world.is_like(id_, "good")
    stage.world.is_like(f"R+{number}" if number > 1 else "R", kind)
    return FakeBuild("R", f"{number:064x}", "recipe")


def release(stage: Stage, of: FakeBuild) -> Ended:
    """Let a person at a controller of their own type ``canary``."""
    stage.controller()
    return canary(stage.inventory, of, stage.dependencies(), Options())  # type: ignore[arg-type]


@pytest.fixture
def stage() -> Stage:
    """Give four hosts that run the release with its first value."""
    made = Stage(policy=Policy(DEFAULT_RINGS, max_unreachable=Share(count=1)))
    assert release(made, build(made, "a")).code is ExitCode.DONE
    assert made.running() == ["R"] * 4
    return made


def test_other_values_go_through_the_rings_under_a_number(stage: Stage) -> None:
    """And are there when the same command is typed again; the old ones keep their id."""
    assert release(stage, build(stage, "b")).code is ExitCode.DONE
    assert stage.running() == ["R+2"] * 4
    did = {name: list(host.did) for name, host in stage.hosts.items()}
    assert "nothing to do" in release(stage, build(stage, "b")).summary
    assert did == {name: host.did for name, host in stage.hosts.items()}
    assert release(stage, build(stage, "a")).code is ExitCode.DONE
    assert stage.running() == ["R"] * 4


def test_what_failed_is_refused_with_its_values_only(stage: Stage) -> None:
    """The next number is another release."""
    bad = build(stage, "b", "bad")
    assert release(stage, bad).code is ExitCode.FAILED
    assert stage.running() == ["R"] * 4
    with pytest.raises(Quarantined, match=r"R\+2 is in quarantine"):
        release(stage, bad)
    assert release(stage, build(stage, "c")).code is ExitCode.DONE
    assert stage.running() == ["R+3"] * 4


def test_a_number_that_only_a_host_that_is_away_knows_is_not_two_releases(stage: Stage) -> None:
    """Its controller died before others had it: the host gets what all have under that name."""
    stage.controller()
    stage.fleet.before = lambda name, act: _die_at("h2", "stage", name, act)
    with pytest.raises(ControllerDied):
        canary(stage.inventory, build(stage, "b"), stage.dependencies(), Options())  # type: ignore[arg-type]
    assert [name for name, host in stage.hosts.items() if "R+2" in host.releases] == ["h1"]
    stage.hosts["h1"].is_cut = True
    stage.clock.advance(300)
    other = build(stage, "c")
    assert release(stage, other).code is ExitCode.DONE
    assert stage.running() == ["R", "R+2", "R+2", "R+2"]
    stage.hosts["h1"].is_cut = False
    for _ in range(40):
        stage.controller()
        promote(stage.inventory, stage.dependencies("cron@box"), Options())
        stage.clock.advance(30)
    assert stage.running() == ["R+2"] * 4
    assert {host.releases["R+2"].digest for host in stage.hosts.values()} == {other.release.digest}


def _die_at(host: str, at: str, name: str, act: str) -> None:
    if (name, act) == (host, at):
        raise ControllerDied


def test_one_that_was_away_when_its_number_failed_is_reverted_later(stage: Stage) -> None:
    """The next rollout begins with that; the name of its try is one that a host takes."""
    bad = build(stage, "b")
    stage.world.is_like("R+2", "bad", "h2")
    stage.hosts["h2"].on_change = lambda _its, change: stage.hosts["h1"].become(
        is_cut=stage.hosts["h1"].is_cut or change[0] == "switch"
    )
    assert release(stage, bad).code is ExitCode.NEEDS_PERSON
    assert stage.running() == ["R+2", "R", "R", "R"]
    stage.hosts["h2"].on_change = lambda _its, _change: None
    stage.clock.advance(300)
    assert release(stage, build(stage, "c")).code is ExitCode.DONE
    stage.hosts["h1"].is_cut = False
    stage.clock.advance(300)
    release(stage, build(stage, "c"))
    reverts = [change for change in stage.hosts["h1"].did if change[0] == "revert"]
    assert [change[2:4] for change in reverts] == [("R+2", "R")]
    assert stage.running() == ["R+3"] * 4


def test_a_number_with_other_values_is_not_taken_for_the_release(stage: Stage) -> None:
    """One host has it by itself, and was away when others got it: it is told, and not judged."""
    stage.controller()
    own = build(stage, "b")
    limited = replace(
        stage.inventory, policy=replace(stage.inventory.policy, only=frozenset({"h1"}))
    )
    canary(limited, own, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert stage.running() == ["R+2", "R", "R", "R"]
    stage.hosts["h1"].is_cut = True
    stage.clock.advance(300)
    assert release(stage, build(stage, "c")).code is ExitCode.DONE
    stage.hosts["h1"].is_cut = False
    stage.clock.advance(300)
    stage.controller()
    stage.events.clear()
    promote(stage.inventory, stage.dependencies("cron@box"), Options())
    failed = [event for event in stage.events if event.kind is Kind.HOST_FAILED]
    assert [event.host for event in failed] == ["h1"]
    host = stage.hosts["h1"]
    record = rollout_records.newest({n: one.state() for n, one in stage.hosts.items()})
    assert record is not None
    view = standing_of(host.state(), record.release, record.digest, record.id)
    assert view.standing is Standing.UNSTAGED
