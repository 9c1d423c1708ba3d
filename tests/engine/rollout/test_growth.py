"""What a rollout looks at: each host a fixed number of times, however many there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.evidence import proven_past
from botdeploy.core.host.host_state import HostState
from botdeploy.core.host.running import Unit
from botdeploy.core.model.policy import Policy
from botdeploy.core.rollout.succession import form_of
from botdeploy.core.rollout.unnamed import unnamed
from botdeploy.engine.rollout.ring_watch import RingWatch
from botdeploy.engine.watch.watch import MOST_BASELINE
from tests.engine.fakefleet import DEFAULT_RINGS, inventory_of

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory

HOSTS = 300


@pytest.fixture
def inventory() -> Inventory:
    return inventory_of([f"h{number}" for number in range(HOSTS)], Policy(DEFAULT_RINGS))


def test_who_may_be_compared_with_is_found_by_one_look_at_each_host(
    monkeypatch: pytest.MonkeyPatch, inventory: Inventory
) -> None:
    looks: Counter[int] = Counter()
    real = proven_past._passed

    def passed(state: HostState) -> set[str]:
        looks[id(state)] += 1
        return real(state)

    monkeypatch.setattr(proven_past, "_passed", passed)
    runs = replace(HostState(), unit=Unit(active_state="active"), switches=((1, "R1"),))
    states = {host.name: replace(runs) for host in inventory.hosts}
    names = list(states)
    members: Any = SimpleNamespace(within=lambda *_: names, states=states, inventory=inventory)
    unused: Any = None
    watch = RingWatch(members, unused, unused, unused)
    assert watch.baseline(names[:1]) == ()
    assert set(looks.values()) == {1, 2}, "once for all of them, once for itself"
    first = {name: replace(state, switches=()) for name, state in states.items()}
    members.states = first
    assert watch.baseline(names[:1]) == tuple(names[1 : MOST_BASELINE + 1])


def test_no_host_has_all_others_grouped_by_machine_for_it(
    monkeypatch: pytest.MonkeyPatch, inventory: Inventory
) -> None:
    grouped = []
    whole = inventory.machines

    def machines(its: Inventory) -> dict[str, tuple[str, ...]]:
        grouped.append(its)
        return whole

    monkeypatch.setattr(type(inventory), "machines", property(machines))
    states = {host.name: HostState() for host in inventory.hosts}
    assert {form_of(inventory, name) for name in states} == {"-"}
    assert not list(unnamed(inventory, states))
    assert len(grouped) <= 2
