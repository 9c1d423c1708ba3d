"""One machine under two addresses: refused where both are one instance, else counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.host.host_state import HostState
from botdeploy.core.rollout.one_machine import as_told
from botdeploy.engine.commands import check as checking
from botdeploy.engine.commands.canary import TooFew, canary
from botdeploy.engine.commands.plan import plan
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, UserError
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TWINS = r"^h2 and h3 lead to one machine: it would be deployed to twice\. Nothing was changed\. "


class Needs:
    """A release that wants nothing of a host."""

    def of_host(self, _host: object) -> tuple[str, list[dict[str, Any]]]:
        """Want nothing."""
        return "", []


@pytest.fixture
def stage() -> Stage:
    """Give four hosts; the second and the third turn out to be one machine."""
    made = Stage()
    build: Any = made.build()
    assert canary(made.inventory, build, made.dependencies(), Options()).code is ExitCode.DONE
    made.hosts["h2"].machine = made.hosts["h3"].machine = "0c6d"
    made.controller()
    return made


def run(stage: Stage) -> object:
    """Release."""
    build: Any = stage.build()
    return canary(stage.inventory, build, stage.dependencies(), Options())


def step(stage: Stage) -> object:
    """Take a rollout on."""
    for host in stage.hosts.values():
        host.rollout.pop("outcome")
    return promote(stage.inventory, stage.dependencies(), Options(is_attended=False))


def look(stage: Stage) -> object:
    """Say what a release would do."""
    fleet: Any = stage.fleet
    build: Any = stage.build()
    return plan(stage.inventory, fleet, build, None, stage.clock, is_forced=False)


@pytest.mark.parametrize("command", [run, step, look])
def test_two_hosts_that_are_one_instance_are_refused(
    stage: Stage, command: Callable[[Stage], object]
) -> None:
    """Exit 2; nothing is changed, and no lock is kept."""
    before = {name: list(host.did) for name, host in stage.hosts.items()}
    with pytest.raises(UserError, match=TWINS + "Take one of them out of /inventories/prod.yml"):
        command(stage)
    assert {name: host.did for name, host in stage.hosts.items()} == before
    assert all(host.lock is None for host in stage.hosts.values())


def test_the_way_back_is_not_kept_from_anybody(stage: Stage) -> None:
    """What one machine says of itself must not stop a rollback."""
    for host in stage.hosts.values():
        host.machine = ""
    assert getattr(run(stage), "code", None) is ExitCode.DONE
    for host in stage.hosts.values():
        host.machine = "claimed"
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert ended.code is ExitCode.DONE
    assert stage.running() == ["R0001"] * 4


def test_check_says_it_as_a_fault_of_the_inventory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's name itself is no item, and what a machine has is tried once."""
    fine = {"name": "sessions", "ok": True, "message": "", "mend": ""}
    monkeypatch.setattr(checking, "_sessions", lambda _connection: fine)
    fleet, needs, names = stage.fleet, Needs(), tuple(stage.hosts)
    given: Any = (fleet, names, needs)
    hosts = {one.name: one for one in checking.check(*given)}
    assert [one.is_fine(usage=True) for one in hosts.values()] == [True, True, False, True]
    assert all(one.is_fine(usage=False) for one in hosts.values())
    (fault,) = (item for item in hosts["h3"].items if not item["ok"])
    assert fault["message"] == "h2 and h3 lead to one machine: it would be deployed to twice"
    assert [item["name"] for item in hosts["h1"].items] == [
        *("reachable", "root", "running", "sessions"),
    ]


def test_what_a_machine_has_is_checked_for_its_first_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are tried for what is theirs."""
    fine = {"name": "sessions", "ok": True, "message": "", "mend": ""}
    monkeypatch.setattr(checking, "_sessions", lambda _connection: fine)
    stage = Stage(3, machines={"m1": ("h1", "h2", "h3")})
    given: Any = (stage.fleet, tuple(stage.hosts), Needs())
    names = [[item["name"] for item in one.items] for one in checking.check(*given)]
    assert names == [["reachable", "root", "running", "sessions"], *[["reachable", "running"]] * 2]


def test_instances_of_one_machine_under_two_addresses_count_as_one() -> None:
    """It is one machine of two then, and no majority is left where it is away."""
    stage = Stage(3, machines={"m1": ("h1",), "m2": ("h2",)})
    stage.hosts["h1"].machine = stage.hosts["h2"].machine = "0c6d"
    assert getattr(run(stage), "code", None) is ExitCode.DONE
    stage.controller()
    stage.hosts["h3"].die()
    with pytest.raises(TooFew, match=r"^1 of 2 machines are available"):
        run(stage)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.booleans()), max_size=5))
def test_what_machines_say_never_makes_more_of_them(told: Sequence[tuple[str, bool]]) -> None:
    """Hosts are merged only where they say the same name; a twin is always refused."""
    names = [f"h{number + 1}" for number in range(len(told))]
    if not names:
        return
    named = {
        f"m{name}": (name,) for name, (_, is_named) in zip(names, told, strict=True) if is_named
    }
    inventory = Stage(len(names), machines=named).inventory
    states = {name: HostState(machine=one) for name, (one, _) in zip(names, told, strict=True)}
    plain = [one for one, is_named in told if one and not is_named]
    try:
        found = as_told(inventory, states)
    except UserError:
        assert len(set(plain)) < len(plain)
        return
    assert len(set(plain)) == len(plain)
    assert [host.name for host in found.hosts] == names
    silent = sum(not one for one, _ in told)
    assert len(found.machines) == silent + len({one for one, _ in told if one})
