"""Taking an instance away that the inventory does not name any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.retire import Retirement, at_machine, retire, retire_there
from botdeploy.engine.commands.status import status
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, LockedError, NoneReached, UserError
from botdeploy.views import sentences, status_record
from tests.engine.fakefleet import Stage
from tests.engine.fakehost import Lock

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.outcome import Ended

LEFT = "m1/h3"


@pytest.fixture
def stage() -> Stage:
    """Give a machine with three instances that run, of which the inventory names two now."""
    made = Stage(4, machines={"m1": ("h1", "h2", "h3")})
    assert released(made).code is ExitCode.DONE
    made.inventory = without(made.inventory, "h3")
    made.controller()
    return made


def without(inventory: Inventory, name: str) -> Inventory:
    """Take a host out of an inventory."""
    hosts = tuple(host for host in inventory.hosts if host.name != name)
    rings = tuple(
        replace(ring, hosts=tuple(one for one in ring.hosts if one != name))
        for ring in inventory.policy.rings
    )
    return replace(inventory, hosts=hosts, policy=replace(inventory.policy, rings=rings))


def released(stage: Stage) -> Ended:
    """Roll a release out."""
    build: Any = stage.build()
    return canary(stage.inventory, build, stage.dependencies(), Options())


def retired(stage: Stage, name: str = LEFT, *, deletes: bool = False) -> Ended:
    """Retire a host."""
    fleet: Any = stage.fleet
    return retire(stage.inventory, fleet, Retirement(name, "ann", deletes_data=deletes))


def shown(stage: Stage) -> dict[str, Any]:
    """Give what status prints."""
    fleet: Any = stage.fleet
    names = tuple(host.name for host in stage.inventory.hosts)
    states, away = observe(fleet, names)
    return status_record.record(status(stage.inventory, names, states, away, stage.clock.now()))


def test_status_lists_it_with_the_next_command(stage: Stage) -> None:
    """And nothing once it is gone."""
    assert shown(stage)["not_in_inventory"] == [
        {
            "host": LEFT,
            "machine": "m1",
            "instance": "h3",
            "next": f"botdeploy retire prod {LEFT}",
        }
    ]
    assert retired(stage).code is ExitCode.DONE
    assert shown(stage)["not_in_inventory"] == []


def test_canary_names_it(stage: Stage) -> None:
    """It goes on without it."""
    stage.events.clear()
    assert released(stage).code is ExitCode.DONE
    started = next(one for one in stage.events if one.kind is Kind.ROLLOUT_STARTED)
    assert started.data["not_in_inventory"] == [LEFT]
    assert stage.hosts["h3"].current == "R0001"


def test_it_is_stopped_and_its_data_is_kept(stage: Stage) -> None:
    """Its neighbours run on; who did it is written down; a second time there is nothing to do."""
    ended = retired(stage)
    assert ended.code is ExitCode.DONE
    assert ended.summary == (
        f"{LEFT} is retired: R0001 no longer runs there; its unit and releases are removed; "
        "its data is kept in /opt/tbot/instances/h3/shared"
    )
    assert stage.running() == ["R0001", "R0001", "", "R0001"]
    assert stage.hosts["h3"].did[-1] == ("retire", "ann")
    again = retired(stage, deletes=True)
    assert again.code is ExitCode.DONE
    assert "nothing ran there" in again.summary
    assert "it has no data there" in again.summary
    assert not stage.hosts["h3"].has_data


def test_a_host_of_the_inventory_can_be_retired_by_its_name(stage: Stage) -> None:
    """The command line asks before."""
    assert retired(stage, "h1").code is ExitCode.DONE
    assert stage.running()[0] == ""


def test_what_is_not_there_is_no_success(stage: Stage) -> None:
    """A slip of the keyboard is told with what there is."""
    with pytest.raises(UserError, match=r"called m1x/h3; not in the inventory: m1/h3\. Nothing"):
        retired(stage, "m1x/h3")
    stage.hosts["h4"].die()
    ended = retired(stage, "m1x/h3")
    assert ended.code is ExitCode.UNREACHABLE
    assert "h4: it does not answer" in ended.summary
    stage.hosts["h1"].die()
    with pytest.raises(NoneReached):
        retired(stage)


def test_anothers_instance_is_refused(stage: Stage) -> None:
    """Although it stands on the same machine and could be named."""
    stage.hosts["h3"].rollout["environment"] = "dev"
    assert shown(stage)["not_in_inventory"] == []
    with pytest.raises(UserError, match=rf"{LEFT} belongs to environment 'dev'; this is 'prod'"):
        retired(stage)
    assert stage.running() == ["R0001"] * 4


def test_what_a_rollout_has_stays(stage: Stage) -> None:
    """Exit 4, as for any other command."""
    host = stage.hosts["h3"]
    host.lock = Lock("b" * 32, stage.clock.mono + 60, "rollout", "ben", "canary", host.wall())
    with pytest.raises(LockedError):
        retired(stage)
    assert stage.running() == ["R0001"] * 4


def test_a_machine_that_left_the_inventory_is_reached_by_its_address(stage: Stage) -> None:
    """The instance is told by the end of its name."""
    first, *others = stage.inventory.hosts
    grown = replace(
        first, address=first.address.with_ssh_args("-o HostName=192.0.2.1 -o ConnectTimeout=7")
    )
    whole = replace(stage.inventory, hosts=(grown, *others))
    there = at_machine(whole, "root@192.0.2.9:2222", "w9/h3")
    (host,) = there.hosts
    assert (host.address.hostname, host.address.user, host.address.port) == (
        "192.0.2.9",
        "root",
        2222,
    )
    kept = [host.address.option(name) for name in ("HostName", "ConnectTimeout")]
    assert kept == [None, "7"]
    stage.hosts["w9/h3"] = stage.hosts["h1"]
    stage.fleet.inventory = there
    fleet: Any = stage.fleet
    assert retire_there(there, fleet, Retirement("w9/h3", "ann")).code is ExitCode.DONE
    assert [stage.hosts[name].current for name in ("h1", "h2", "h3")] == ["R0001", "R0001", ""]
    with pytest.raises(UserError, match=r"called w9/h7; not in the inventory: h1, h2\."):
        retire_there(there, fleet, Retirement("w9/h7", "ann"))


def test_a_command_can_be_copied_whatever_the_machine_is_called() -> None:
    """An address may have the way there in it."""
    (line,) = sentences.not_in_inventory(["[2001:db8::1]:22 via jump/dev"], "prod")
    assert line.endswith("next: botdeploy retire prod '[2001:db8::1]:22 via jump/dev'")
