"""Environments of one bot on the same hosts are told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.host.host_state import HostState, StagedRelease, meant
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.commands.rollback import rollback, would_roll_back
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import others, own, owner_item
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, UserError
from botdeploy.views import sentences
from tests.engine.fakefleet import Stage
from tests.engine.sentences import AnyHost

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.outcome import Ended


def release(stage: Stage, inventory: Inventory, take_over: str = "") -> Ended:
    """Let a person release to an environment."""
    stage.inventory = inventory
    stage.controller()
    return canary(
        inventory,
        stage.build(),  # type: ignore[arg-type]
        replace(stage.dependencies(), take_over=take_over),
        Options(),
    )


def named(inventory: Inventory, name: str, known_as: str = "") -> Inventory:
    """Give the same hosts under another environment's name."""
    policy = replace(inventory.policy, id=known_as)
    return replace(inventory, environment=name, policy=policy)


@pytest.fixture
def stage() -> Stage:
    """Give hosts that environment prod released to."""
    made = Stage()
    assert release(made, made.inventory).code is ExitCode.DONE
    return made


def test_a_check_tells_whose_a_host_is(stage: Stage) -> None:
    """It is fine where it is this one, also under an id; else it says both names and both ways."""
    said = {"name": "environment", "ok": True, "message": "prod", "mend": ""}
    for mine in (stage.inventory, named(stage.inventory, "renamed", known_as="prod")):
        assert owner_item(mine, said)["ok"]
    found = owner_item(named(stage.inventory, "slow"), said)
    assert (found["name"], found["ok"]) == ("environment", False)
    assert found["message"] == "this host belongs to environment 'prod'; this is 'slow'"
    assert "set rollout.id: prod" in found["mend"]
    mend = sentences.check_item(found, named(stage.inventory, "slow"), "h1")["mend"]
    assert mend.endswith("\nbotdeploy canary slow --take-over prod")


def test_another_environment_is_refused_with_both_names(stage: Stage) -> None:
    """Nothing is touched, not even the lock, and what to type is said."""
    before = [(host.current, dict(host.rollout)) for host in stage.hosts.values()]
    with pytest.raises(UserError) as caught:
        release(stage, named(stage.inventory, "slow"))
    said = sentences.with_hints(str(caught.value), caught.value.hints, "slow", AnyHost())
    assert caught.value.exit_code is ExitCode.USAGE
    assert "belongs to environment 'prod'; this is 'slow'" in said.replace("; h", "\nh")
    assert ": botdeploy canary slow --take-over prod" in said
    assert [(host.current, dict(host.rollout)) for host in stage.hosts.values()] == before
    assert all(host.lock is None for host in stage.hosts.values())


@pytest.mark.parametrize("act", ["promote", "rollback", "rollback --check"])
def test_nothing_else_is_done_for_another_environment(stage: Stage, act: str) -> None:
    """A rollback would take the lock from a rollout that is none of its business."""
    other = named(stage.inventory, "slow")
    stage.inventory = other
    stage.controller()
    names = [host.name for host in other.hosts]
    acts = {
        "promote": lambda: promote(other, stage.dependencies(), Options()),
        "rollback": lambda: rollback(other, names, stage.dependencies()),
        "rollback --check": lambda: would_roll_back(other, names, stage.dependencies(), None),
    }
    with pytest.raises(UserError, match="belongs to environment 'prod'"):
        acts[act]()


def test_an_id_outlives_the_file_s_name(stage: Stage) -> None:
    """The environment is known by ``rollout.id`` where it is set."""
    renamed = named(stage.inventory, "production", "prod")
    assert release(stage, renamed).code is ExitCode.DONE
    assert {host.rollout["environment"] for host in stage.hosts.values()} == {"prod"}


def test_a_person_may_take_hosts_over(stage: Stage) -> None:
    """From the environment that is named, and from no other; it is theirs from then on."""
    other = named(stage.inventory, "slow")
    with pytest.raises(UserError, match="belongs to environment 'prod'"):
        release(stage, other, take_over="test")
    assert release(stage, other, take_over="prod").code is ExitCode.DONE
    assert {host.rollout["environment"] for host in stage.hosts.values()} == {"slow"}
    assert release(stage, other).code is ExitCode.DONE
    with pytest.raises(UserError, match="belongs to environment 'slow'; this is 'prod'"):
        release(stage, named(other, "prod"))


def test_what_was_under_way_elsewhere_does_not_go_on_after_it_was_taken_over(stage: Stage) -> None:
    """The same release is a rollout of its own in the environment that takes the hosts."""
    for host in stage.hosts.values():
        host.rollout |= {"outcome": ""}
    earlier = {host.rollout["id"] for host in stage.hosts.values()}
    release(stage, named(stage.inventory, "slow"), take_over="prod")
    assert earlier.isdisjoint({host.rollout["id"] for host in stage.hosts.values()})


def test_records_that_name_no_environment_are_anybodys(stage: Stage) -> None:
    """Hosts that an earlier version deployed to can be worked on; then they are known."""
    for host in stage.hosts.values():
        del host.rollout["environment"]
    other = named(stage.inventory, "slow")
    assert release(stage, other).code is ExitCode.DONE
    assert {host.rollout["environment"] for host in stage.hosts.values()} == {"slow"}


def test_hosts_of_another_environment_are_told_apart_when_looking(stage: Stage) -> None:
    """``status`` leaves their rollouts out, and says whose they are."""
    stage.hosts["h2"].rollout["environment"] = "slow"
    names = [host.name for host in stage.inventory.hosts]
    states, _ = observe(stage.dependencies().fleet, names)
    assert others(stage.inventory, states) == {"h2": "slow"}
    assert list(own(stage.inventory, states)) == ["h1", "h3", "h4"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("20261130T210512Z-307ac064", "20261130T210512Z-307ac064"),
        ("307ac064", "20261130T210512Z-307ac064"),
        ("20261130T2105", "20261130T210512Z-307ac064"),
        ("64", "20261130T210512Z-307ac064"),
        ("other", "other"),
    ],
)
def test_a_release_may_be_named_by_its_beginning_or_ending(given: str, found: str) -> None:
    """As far as only one can be meant; what is not known is told as it was typed."""
    state = HostState(
        releases=(
            StagedRelease("20261130T210512Z-307ac064", "d1"),
            StagedRelease("20261130T220000Z-307ac06f", "d2"),
        )
    )
    assert meant(given, {"h1": state, "h2": state}) == found


def test_a_name_that_fits_two_releases_is_refused() -> None:
    """With both of them."""
    states = {
        "h1": HostState(releases=(StagedRelease("20261130T210512Z-307ac064", "d1"),)),
        "h2": HostState(releases=(StagedRelease("20261130T220000Z-307ac06f", "d2"),)),
    }
    with pytest.raises(UserError, match="-307ac064, 20261130T220000Z-307ac06f: give more of it"):
        meant("20261130", states)
    assert meant("20261130T22", states) == "20261130T220000Z-307ac06f"


def test_a_release_s_ending_is_enough_to_return_to_it_and_to_release_it(stage: Stage) -> None:
    """As ``logs`` prints it."""
    release(stage, stage.inventory)
    names = [host.name for host in stage.inventory.hosts]
    assert rollback(stage.inventory, names, stage.dependencies(), to="0001").code is ExitCode.DONE
    assert stage.running() == ["R0001"] * 4
    ended = canary(
        stage.inventory, None, stage.dependencies(), Options(), release="0002", is_forced=True
    )
    assert ended.code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
