"""Instances of one machine are asked by one program, and each gets its own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.fleet.by_machine import by_machine
from botdeploy.engine.fleet.fleet import StillAtWork
from botdeploy.engine.fleet.lock import RENEW_EVERY_S
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ActFailed, ExitCode, LockedError, UserError
from tests.engine.fakefleet import Stage
from tests.engine.fakehost import Lock

if TYPE_CHECKING:
    from botdeploy.engine.fleet.lock import EnvironmentLock

NAMES = ("h1", "h2", "h3", "h4")
MACHINES = {"m1": ("h1", "h2", "h3")}


@pytest.fixture
def stage() -> Stage:
    """Give one machine with three instances, and one with a plain host."""
    return Stage(machines=MACHINES)


def taken(stage: Stage, kind: str = "rollout", **how: Any) -> EnvironmentLock:
    """Take the lock on all hosts."""
    return stage.dependencies().lock(NAMES, kind, "a test", **how)


def asked(stage: Stage, act: str) -> list[str]:
    """Name the hosts by whose acts something was asked."""
    return [name for name, one in stage.fleet.calls if one == act]


def test_a_machine_is_observed_by_one_program(stage: Stage) -> None:
    """Each instance tells its own state."""
    stage.hosts["h2"].stop_by_hand()
    states, away = observe(stage.fleet, NAMES)  # type: ignore[arg-type]
    assert not away
    assert asked(stage, "observe") == ["h1", "h4"]
    assert {name: one.instance for name, one in states.items()} == {
        "h1": "h1",
        "h2": "h2",
        "h3": "h3",
        "h4": "",
    }


def test_a_machine_that_hangs_is_late_with_all_its_instances(stage: Stage) -> None:
    """Who waits no longer learns of each of them, and nobody else is waited for."""
    stage.fleet.hangs["h2"] = stage.clock.mono + 60
    states, away = observe(stage.fleet, NAMES, patience_s=3.0)  # type: ignore[arg-type]
    assert set(states) == {"h4"}
    assert {name: type(one) for name, one in away.items()} == dict.fromkeys(
        ("h1", "h2", "h3"), StillAtWork
    )
    assert [error.host for error in away.values()] == ["h1", "h2", "h3"]


def test_a_state_that_is_damaged_is_its_own_instances_fault(stage: Stage) -> None:
    """The others of its machine are read, and their locks taken."""
    damaged = stage.hosts["h2"]
    damaged.observe = lambda: {"state": {"instance": "h2", "at": 5}}  # type: ignore[method-assign]
    states, away = observe(stage.fleet, NAMES)  # type: ignore[arg-type]
    assert set(states) == {"h1", "h3", "h4"}
    assert str(away["h2"]).startswith("h2: observe: the host's answer is damaged")
    with taken(stage) as lock:
        assert set(lock.entered) == {"h1", "h3", "h4"}
        assert set(lock.away) == {"h2"}
    assert all(host.lock is None for host in stage.hosts.values())


def test_the_lock_of_a_machine_is_one_session(stage: Stage) -> None:
    """It is taken, renewed and given back once, for all of them."""
    with taken(stage) as lock:
        assert asked(stage, "enter") == ["h1", "h4"]
        assert len({id(session) for session in lock.entered.values()}) == 2
        before = {name: host.lock.deadline for name, host in stage.hosts.items() if host.lock}
        assert set(before) == set(NAMES)
        stage.clock.advance(RENEW_EVERY_S)
        lock.renew(stage.clock.mono)
        for name, host in stage.hosts.items():
            assert host.lock is not None
            assert host.lock.deadline > before[name]
    assert all(host.lock is None for host in stage.hosts.values())
    assert set(asked(stage, "renew") + asked(stage, "leave")) == set()


def test_a_session_that_was_cut_is_renewed_and_left_for_each_instance(stage: Stage) -> None:
    """A renewal over another connection is an act, and an act is of one instance."""
    with taken(stage) as lock:
        for session in lock.entered.values():
            session._call.is_open = False  # type: ignore[misc]
        stage.clock.advance(RENEW_EVERY_S)
        lock.renew(stage.clock.mono)
        assert sorted(asked(stage, "renew")) == list(NAMES)


def test_the_instance_whose_lock_is_anothers_is_named(stage: Stage) -> None:
    """No lock is kept: all or none, on the machine and beyond it."""
    host, clock = stage.hosts["h3"], stage.clock
    host.lock = Lock("b" * 32, clock.mono + 60, "rollout", "ben", "canary", host.wall())
    with pytest.raises(LockedError, match=r"^locked: h3 by ben since .*: rollout \(canary\)\."):
        taken(stage)
    assert [one.name for one in stage.hosts.values() if one.lock is not None] == ["h3"]


def test_locks_of_two_environments_on_one_machine_do_not_exclude_each_other(stage: Stage) -> None:
    """Each takes those of its own instances only."""
    made = stage.dependencies()
    with made.lock(("h1", "h2"), "rollout", "one"), made.lock(("h3",), "rollout", "other") as lock:
        assert set(lock.entered) == {"h3"}


def test_an_instance_of_another_environment_is_refused_by_its_own_name(stage: Stage) -> None:
    """Its neighbours are not said to belong there."""
    stage.hosts["h2"].rollout = {"id": "r", "environment": "dev"}
    with pytest.raises(UserError, match=r"^h2 belongs to environment 'dev'; this is 'prod'"):
        taken(stage)
    assert all(host.lock is None for host in stage.hosts.values())


def test_an_instance_that_cannot_be_prepared_keeps_no_other_from_its_lock(stage: Stage) -> None:
    """Then each is entered alone: a broken folder of one must not hold up the others' way back."""
    broken = stage.hosts["h2"]

    def enter(*_words: object) -> None:
        raise ActFailed("h2", "enter", "cannot write the lock", code="state")

    broken.enter = enter  # type: ignore[assignment, method-assign]
    with taken(stage, "rollback") as lock:
        assert set(lock.entered) == {"h1", "h3", "h4"}
        assert str(lock.away["h2"]) == "h2: enter: cannot write the lock"
    assert all(host.lock is None for host in stage.hosts.values())


def test_a_machine_that_is_late_comes_with_all_its_instances(stage: Stage) -> None:
    """Its lock is ours when it has answered, and not before."""
    stage.fleet.hangs["h1"] = stage.clock.mono + 10
    with taken(stage, patience_s=3.0) as lock:
        assert set(lock.late) == {"h1", "h2", "h3"}
        assert set(lock.entered) == {"h4"}
        came = lock.await_late(stage.clock.advance)
        assert set(came) == {"h1", "h2", "h3"}
        assert set(lock.entered) == set(lock.states) == set(NAMES)
        assert asked(stage, "enter").count("h1") == 1
    assert all(host.lock is None for host in stage.hosts.values())


def test_a_machine_that_is_down_is_tried_once(stage: Stage) -> None:
    """Every instance of it is told as away, under its own name."""
    stage.hosts["h2"].die()
    with taken(stage, "rollback") as lock:
        assert [str(lock.away[name]) for name in ("h1", "h2", "h3")] == [
            f"{name}: it does not answer" for name in ("h1", "h2", "h3")
        ]


def test_a_rollout_and_a_rollback_ask_a_machine_once_for_its_lock(stage: Stage) -> None:
    """And every instance has its release, each with a state of its own."""
    for number in (1, 2):
        stage.controller()
        build: Any = stage.build()
        ended = canary(stage.inventory, build, stage.dependencies(), Options())
        assert ended.code is ExitCode.DONE, ended
        assert asked(stage, "enter") == ["h1", "h4"]
        assert stage.running() == [f"R000{number}"] * 4
    stage.controller()
    assert rollback(stage.inventory, NAMES, stage.dependencies()).code is ExitCode.DONE
    assert asked(stage, "enter") == ["h1", "h4"]
    assert stage.running() == ["R0001"] * 4


@given(st.lists(st.sampled_from(["", "m1", "m2"]), min_size=1, max_size=6), st.randoms())
def test_every_host_is_in_one_group_of_its_machine(machines: list[str], shuffle: Any) -> None:
    """In the order in which they are asked; a plain host is alone."""
    names = [f"h{number + 1}" for number in range(len(machines))]
    on = {
        machine: [name for name, one in zip(names, machines, strict=True) if one == machine]
        for machine in ("m1", "m2")
    }
    stage = Stage(len(names), machines=on)
    shuffle.shuffle(names)
    groups = by_machine(stage.fleet, names)  # type: ignore[arg-type]
    assert sorted(one for group in groups.values() for one in group) == sorted(names)
    for first, group in groups.items():
        assert group[0] == first
        assert list(group) == [name for name in names if name in group]
        assert len({stage.inventory.host(name).on_machine for name in group}) == 1
    assert len(groups) == len({stage.inventory.host(name).on_machine for name in names})
