"""Which instances stand on an environment's machines without being in its inventory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.host import host_state
from botdeploy.core.host.host_state import HostState
from botdeploy.core.rollout.unnamed import instance_called, unnamed
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory

NAMES = st.sampled_from(["1", "2", "3", "dev", "a;b", "x y", "", "-q", "../up"])
ENVIRONMENTS = st.sampled_from(["prod", "dev", ""])
STANDING = st.lists(st.builds(host_state.StandingInstance, NAMES, ENVIRONMENTS), max_size=6)


def inventory_of(*hosts: tuple[str, str | None, str]) -> Inventory:
    """Give an inventory of hosts: name, instance and machine."""
    found = Stage(len(hosts)).inventory
    return replace(
        found,
        hosts=tuple(
            replace(host, name=name, instance=instance, machine=machine)
            for host, (name, instance, machine) in zip(found.hosts, hosts, strict=True)
        ),
    )


COUNTED = inventory_of(("w1/1", "1", "192.0.2.1:22"), ("w1/2", "2", "192.0.2.1:22"))
NAMED = inventory_of(("one", "1", "192.0.2.1:22"), ("two", "2", "192.0.2.1:22"))
PLAIN = inventory_of(("w1", None, "192.0.2.1:22"))


def stands(*told: tuple[str, str]) -> HostState:
    """Give a state that tells of these instances and their environments."""
    return HostState(standing=tuple(host_state.StandingInstance(*one) for one in told))


def test_what_is_left_is_called_as_the_inventory_would_call_it() -> None:
    """By the machine's own host where it has one, else by its address."""
    state = stands(("1", "prod"), ("3", "prod"), ("other", "dev"), ("free", ""))
    (left,) = unnamed(COUNTED, {"w1/1": state, "w1/2": state})
    assert (left.name, left.host, left.instance) == ("w1/3", "w1/1", "3")
    (left,) = unnamed(NAMED, {"two": state})
    assert (left.name, left.host, left.instance) == ("192.0.2.1:22/3", "two", "3")


def test_another_form_of_the_same_bot_is_not_left_over() -> None:
    """Until the inventory's own form stands there, the next rollout is to change it."""
    plain, several = stands(("", "prod")), stands(("1", "prod"), ("2", "prod"))
    assert unnamed(COUNTED, {"w1/1": plain}) == ()
    assert unnamed(PLAIN, {"w1": several}) == ()
    both = stands(("", "prod"), ("1", "prod"))
    assert [one.name for one in unnamed(COUNTED, {"w1/1": both})] == ["w1"]
    assert [one.name for one in unnamed(PLAIN, {"w1": both})] == ["192.0.2.1:22/1"]


@given(st.sampled_from([COUNTED, NAMED, PLAIN]), STANDING)
def test_what_a_machine_says_is_no_command(inventory: Inventory, told: list[object]) -> None:
    """Only names that an instance may have are listed, and by each the same one is found again."""
    state = HostState(standing=tuple(told))  # type: ignore[arg-type]
    states = dict.fromkeys((host.name for host in inventory.hosts), state)
    for one in unnamed(inventory, states):
        assert one.instance in ("", "1", "2", "3", "dev")
        assert host_state.StandingInstance(one.instance, "prod") in state.standing
        assert all((host.instance or "") != one.instance for host in inventory.hosts)
        found = instance_called(inventory, one.name)
        assert found is None if not one.instance else found is not None
        if found is not None:
            assert found.instance == one.instance
