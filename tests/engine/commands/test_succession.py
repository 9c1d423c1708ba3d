"""A rollout that changes the bot's form, and goes back to before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.rollback import rollback, would_roll_back
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode
from tests.engine.commands.test_retire import shown
from tests.engine.fakefleet import Stage
from tests.engine.fakehost import FakeHost, Staged

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended


@pytest.fixture
def stage() -> Stage:
    """Give a machine with a plain bot, which the inventory names as three instances now."""
    made = Stage(3, machines={"m1": ("h1", "h2", "h3")})
    old = FakeHost("plain", made.clock, made.world, machine="m1")
    old.rollout = {"id": "earlier", "release": "P1", "environment": "prod"}
    old.releases["P1"] = Staged("p" * 64, order=1)
    old.start_release("P1")
    old.neighbours = tuple(made.hosts.values())
    for host in made.hosts.values():
        host.neighbours = (*host.neighbours, old)
    return made


def plain(stage: Stage) -> FakeHost:
    """Give the plain bot."""
    return stage.hosts["h1"].named("")


def released(stage: Stage, kind: str = "good") -> Ended:
    """Roll a release out."""
    stage.controller()
    build: Any = stage.build(kind)
    return canary(stage.inventory, build, stage.dependencies(), Options())


def rolled_back(stage: Stage, *, dry: bool = False) -> Ended:
    """Roll back."""
    stage.controller()
    names = tuple(stage.hosts)
    if dry:
        return would_roll_back(stage.inventory, names, stage.dependencies(), None)
    return rollback(stage.inventory, names, stage.dependencies())


def test_a_good_release_changes_the_form_and_can_be_rolled_back(stage: Stage) -> None:
    """The first instance takes the place; a rollback gives it back, the others stop."""
    assert [one["host"] for one in shown(stage)["changes_of_form"]] == ["h1"]
    assert released(stage).code is ExitCode.DONE
    assert (stage.running(), plain(stage).current) == (["R0001"] * 3, "")
    (started,) = [one for one in stage.events if one.kind is Kind.ROLLOUT_STARTED]
    assert started.data["changes_of_form"] == [
        {"host": "h1", "machine": "m1", "of": None, "stay": []}
    ]
    assert shown(stage)["changes_of_form"] == []
    told = rolled_back(stage, dry=True)
    assert told.summary.splitlines() == [
        "h1: R0001 → P1 of plain",
        "h2: R0001 → nothing",
        "h3: R0001 → nothing",
    ]
    ended = rolled_back(stage)
    assert (ended.code, stage.running()) == (ExitCode.DONE, [""] * 3)
    assert plain(stage).current == "P1"
    assert "h1 runs P1 of plain" in ended.summary
    again = rolled_back(stage)
    assert again.code is ExitCode.DONE
    assert "nothing to revert" in again.summary


def test_a_bad_release_ends_in_the_plain_form(stage: Stage) -> None:
    """Exit 1: what ran before runs."""
    assert released(stage, "bad").code is ExitCode.FAILED
    assert (stage.running(), plain(stage).current) == ([""] * 3, "P1")
    assert released(stage, "unready").code is ExitCode.FAILED
    assert (stage.running(), plain(stage).current) == ([""] * 3, "P1")
    assert released(stage).code is ExitCode.DONE
    assert (stage.running(), plain(stage).current) == (["R0003"] * 3, "")


def test_a_plain_bot_that_does_not_come_back_needs_a_person(stage: Stage) -> None:
    """Exit 7, with its unit and release."""
    plain(stage).world.is_like("P1", "unready", "plain")
    ended = released(stage, "bad")
    assert ended.code is ExitCode.NEEDS_PERSON
    assert "P1 of plain did not become ready" in ended.summary


def test_a_later_release_ends_the_way_to_before_the_change(stage: Stage) -> None:
    """Then a rollback stays in the new form."""
    released(stage)
    assert released(stage).code is ExitCode.DONE
    assert rolled_back(stage).code is ExitCode.DONE
    assert (stage.running(), plain(stage).current) == (["R0001"] * 3, "")


def test_a_rollback_takes_no_place(stage: Stage) -> None:
    """Only a rollout says which instance may succeed."""
    released(stage)
    assert {one.form for one in stage.hosts.values()} == {"h1"}
    rolled_back(stage)
    assert {one.form for one in stage.hosts.values()} == {""}
