"""Instances that change their numbers together on a real host: never two numberings at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hosts.acts.groupkit import Group, kill_in_forming_a_return, left, mixed, prepared, shard
from tests.hosts.acts.instancekit import HOME, STATE

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab

OLD = {"1": "0/3", "2": "1/3", "3": "2/3"}
NEW = {"1": "1/4", "2": "2/4", "3": "3/4", "0": "0/4"}
"""Each index goes to another instance, so that two numberings meet in an index."""
WERE = {"1": "R1", "2": "R1", "3": "R1", "0": ""}
ARE = dict.fromkeys(NEW, "R2")


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host that has the program and no instance yet."""
    host = lab["h1"]
    prepared(host)
    return host


@pytest.fixture
def group(host: BreakableHost) -> Group:
    """Give three shards that run, proven, and a fourth that is new; the next release is staged."""
    made = Group(host, tuple(NEW))
    made.deploy("R1", "run1", OLD)
    made.send("R2", NEW)
    return made


def test_one_more_shard_renumbers_all_of_them(host: BreakableHost, group: Group) -> None:
    """All that run are dead before the first one starts; one confirmation keeps them all."""
    assert "switched" in group.switch("run2", "R2")
    assert all("switched" in said for said in group.told("run2", "R2").values())
    one = group.of["2"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    for each in group.of.values():
        assert "confirmed" in each("confirm", each.token, "run2")
    assert (mixed(host), left(host)) == ([], [])
    host.root("sync")
    host.reboot()
    group.until(ARE)
    assert mixed(host) == []


@pytest.mark.parametrize("how", ["fail", "lease", "person", "confirmed"])
def test_a_renumbering_that_does_not_stay_takes_all_back(
    how: str, host: BreakableHost, group: Group
) -> None:
    """Whoever is called back calls all; no old one starts before all new ones are dead."""
    if how == "fail":
        group.send("R3", NEW, fails="3")
    release = "R3" if how == "fail" else "R2"
    said = group.switch("run2", release)
    one = group.of["2"]
    if how == "fail":
        assert "reverted" in said, said.records
        causes = {
            name: told["reverted"]["cause"] for name, told in group.told("run2", release).items()
        }
        assert causes == dict.fromkeys(NEW, "ready")
    else:
        assert "switched" in said, said.records
    if how == "lease":
        group.told("run2", release)
        one.let_lapse("run2")
    if how == "confirmed":
        assert "confirmed" in one("confirm", one.token, "run2")
        group.until(ARE)
    if how in {"person", "confirmed"}:
        said = one("revert", one.token, "run2", "-", "why")
        assert said["reverted"]["runs"] is True
    group.until(WERE)
    if how == "confirmed":
        for each in group.of.values():
            assert "reverted" in each("revert", each.token, "run2", "-", "why")
    assert (mixed(host), left(host)) == ([], [])


@pytest.mark.parametrize("cut", ["reboot", "cut_power"])
@pytest.mark.parametrize("is_confirmed", [False, True])
def test_a_restart_takes_all_the_same_way(
    cut: str, host: BreakableHost, group: Group, *, is_confirmed: bool
) -> None:
    """Pending ones go back at that boot; a confirmation of one was one of all."""
    assert "switched" in group.switch("run2", "R2", 300)
    group.told("run2", "R2", 300)
    one = group.of["3"]
    host.root("sync")
    if is_confirmed:
        assert "confirmed" in one("confirm", one.token, "run2")
    if cut == "reboot":
        host.reboot()
    else:
        host.cut_power().end()
    group.until(ARE if is_confirmed else WERE)
    Group(host, tuple(NEW))  # the next controller takes along what the cut left
    assert (mixed(host), left(host)) == ([], [])


def test_nothing_starts_before_the_go(host: BreakableHost, group: Group) -> None:
    """Where other machines have shards too, all are dead everywhere before the first one starts."""
    assert "stopped" in group.switch("run2", "R2", 60, "hold")
    assert group.running() == dict.fromkeys(NEW, ("", True))
    assert "switched" in group.switch("run2", "R2", 60, "go")
    group.of["1"]("confirm", group.of["1"].token, "run2")
    group.until(ARE)
    assert mixed(host) == []


def test_a_go_that_never_comes_takes_all_back(host: BreakableHost, group: Group) -> None:
    """The lease bounds the wait."""
    assert "stopped" in group.switch("run2", "R2", 4, "hold")
    group.until(WERE)
    assert (mixed(host), left(host)) == ([], [])


def test_an_instance_of_somebody_else_lets_nobody_go_back_alone(
    host: BreakableHost, group: Group
) -> None:
    """Who has not the lock of all can't take one back: two would do the same work."""
    assert "switched" in group.switch("run2", "R2")
    one, other = group.of["1"], group.of["2"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    other("leave", other.token)
    said = one("revert", one.token, "run3", "-", "why")
    assert (said.fault, "echobot@2.service" in said["message"]) == ("group", True)
    group.until(ARE)
    assert mixed(host) == []


def test_a_guard_that_is_killed_in_forming_a_return_leaves_no_mix(
    host: BreakableHost, group: Group
) -> None:
    """Confirmed ones get their marks one after the other; a guard finishes what an act began."""
    assert "switched" in group.switch("run2", "R2")
    one = group.of["1"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    kill_in_forming_a_return(group, "1", "0")
    group.until(WERE)
    assert (mixed(host), left(host)) == ([], [])


def test_a_first_deploy_is_taken_back_one_by_one(host: BreakableHost) -> None:
    """Nobody ran by other numbers before, so none waits for another one, and none stops it."""
    group = Group(host, tuple(OLD))
    group.send("R1", OLD)
    for name, one in group.of.items():
        assert "switched" in one.switch(f"run{name}", "R1")
        assert name == "3" or "confirmed" in one("confirm", one.token, f"run{name}")
    for name, one in group.of.items():
        said = one("revert", one.token, f"run{name}", "-", "why")
        assert "reverted" in said, said.records
        assert group.running() == {each: ("" if each <= name else "R1", False) for each in OLD} | (
            {} if name == "3" else {"3": ("R1", True)}
        )
    assert left(host) == []


def test_each_goes_back_to_a_release_of_its_own(host: BreakableHost, group: Group) -> None:
    """One of them got other values before: it does not have the release that another one names."""
    other = group.of["2"]
    other.deploy(shard("2", "R1b", OLD["2"]), "run1b")
    host.root(f"rm -r {HOME}/instances/2/releases/R1")
    assert "switched" in group.switch("run2", "R2")
    one = group.of["1"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    said = one("revert", one.token, "run3", "R1", "why")
    assert "reverted" in said, said.records
    group.until({**WERE, "2": "R1b"})
    assert (mixed(host), left(host)) == ([], [])


def test_one_that_kept_its_number_stays(host: BreakableHost) -> None:
    """It did not change with the others, so it does not go back with them."""
    group = Group(host, tuple(OLD))
    group.deploy("R1", "run1", OLD)
    group.send("R2", {"2": "2/3", "3": "1/3"})
    group.names = ("2", "3")
    assert "switched" in group.switch("run2", "R2")
    one = group.of["2"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until({"1": "R1", "2": "R2", "3": "R2"})
    assert "reverted" in one("revert", one.token, "run3", "-", "why")
    group.until(dict.fromkeys(OLD, "R1"))
    assert (mixed(host), left(host)) == ([], [])


def test_what_a_cut_confirmation_left_hinders_no_return(host: BreakableHost, group: Group) -> None:
    """After a power cut the group may stand there as kept, though all of it is confirmed."""
    assert "switched" in group.switch("run2", "R2")
    one = group.of["2"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    kept = f"{STATE}/together/run2.kept"
    host.root(f"printf 'with={group.word}\\nhold=\\n' >{kept}")
    said = one("revert", one.token, "run2", "-", "why")
    assert said["reverted"]["new"] == "R2"
    group.until(WERE)
    assert (mixed(host), left(host)) == ([], [])


def test_one_that_is_switched_alone_never_goes_back_to_other_numbers(
    host: BreakableHost, group: Group
) -> None:
    """The others keep their new numbers: it goes back to what ran there, or it stops."""
    assert "switched" in group.switch("run2", "R2")
    one = group.of["1"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    group.send("R3", {"1": NEW["1"]})
    assert "switched" in one.switch("run3", "R3")
    one.let_lapse("run3")
    group.until(ARE)
    assert "proven" in one("prove", one.token, "R2", 5, "roll1")
    assert "switched" in one.switch("run4", "R2")
    one.let_lapse("run4")
    group.until({**ARE, "1": ""})
    assert mixed(host) == []


def test_one_that_is_alone_on_its_machine_can_be_stopped(host: BreakableHost) -> None:
    """It came with the new numbers, is proven, and has no other release."""
    group = Group(host, ("3",))
    group.deploy("R1", "run1", {"3": OLD["3"]})
    one = group.of["3"]
    assert one("revert", one.token, "run2", "-", "why").fault == "no-target"
    said = one("revert", one.token, "run3", "none", "why")
    assert said["reverted"]["runs"] is True
    group.until({"3": ""})
    assert one("revert", one.token, "run4", "none", "why")["unchanged"] == {"release": ""}
