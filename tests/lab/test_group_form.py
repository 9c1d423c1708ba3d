"""A plain shard that becomes several on a real host: never two numberings, there or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hosts.acts.actkit import BOT
from tests.hosts.acts.formkit import Plain, data_of, until
from tests.hosts.acts.groupkit import (
    Group,
    kill_in_forming_a_return,
    left,
    mixed,
    plain_shard,
    prepared,
    shard,
)
from tests.hosts.acts.instancekit import HOME

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab

NEW = {"1": "1/3", "2": "0/3", "3": "2/3"}
"""The successor gets another index than the plain bot has, and another instance gets that one."""
ARE = dict.fromkeys(NEW, "R2")
WERE = dict.fromkeys(NEW, "")


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host with a plain shard, proven, that has data; its controller has gone."""
    host = lab["h1"]
    prepared(host)
    old = Plain(host)
    assert "state" in old.enter()
    old.deploy(plain_shard("P1", "0/1"), "run1")
    host.root(f"echo precious >{HOME}/shared/data/mark; chown {BOT}: {HOME}/shared/data/mark")
    old("leave", old.token)
    return host


@pytest.fixture
def group(host: BreakableHost) -> Group:
    """Give three instances to come; one of them takes the plain bot's place."""
    made = Group(host, tuple(NEW), form="1")
    made.send("R2", NEW)
    return made


def settled(host: BreakableHost, group: Group, form: str) -> None:
    """Wait until one form runs with the data, and look for what must not have been or be left."""
    group.until(ARE if form == "1" else WERE)
    if form == "-":
        until(Plain(host), "P1")
    assert (data_of(host, form), mixed(host)) == ("precious", [])
    may_be = ["current.left"] if form == "1" else []
    assert left(host, beside=may_be, folder=HOME) == []


def test_all_wait_until_the_plain_shard_is_dead(host: BreakableHost, group: Group) -> None:
    """One confirmation keeps them all, also after a restart; its numbers are told before."""
    (stands,) = (one for one in group.of["1"].state()["standing"] if one["release"])
    assert (stands["instance"], stands["numbers"]) == ("", "0/1")
    assert "switched" in group.switch("run2", "R2")
    one = group.of["2"]
    assert "confirmed" in one("confirm", one.token, "run2")
    settled(host, group, "1")
    assert group.of["1"].state()["before"] == {
        "unit": f"{BOT}.service",
        "release": "P1",
        "numbers": "0/1",
    }
    host.root("sync")
    host.reboot()
    settled(host, group, "1")


@pytest.mark.parametrize("how", ["fail", "lease", "person", "confirmed", "by the successor"])
def test_a_change_that_does_not_stay_gives_the_plain_shard_its_place(
    how: str, host: BreakableHost, group: Group
) -> None:
    """It starts when all new ones are dead, whoever was called back first."""
    release = "R3" if how == "fail" else "R2"
    if how == "fail":
        group.send("R3", NEW, fails="2")
    said = group.switch("run2", release)
    assert ("reverted" if how == "fail" else "switched") in said, said.records
    one = group.of["1" if how == "by the successor" else "3"]
    if how == "lease":
        group.told("run2", release)
        one.let_lapse("run2")
    if how in {"confirmed", "by the successor"}:
        assert "confirmed" in one("confirm", one.token, "run2")
        group.until(ARE)
    if how not in {"fail", "lease"}:
        said = one("revert", one.token, "run3", "-", "why")
        assert said["reverted"]["runs"] is True, said.records
    settled(host, group, "-")


@pytest.mark.parametrize("cut", ["reboot", "cut_power"])
@pytest.mark.parametrize("is_confirmed", [False, True])
def test_a_restart_takes_all_the_same_way(
    cut: str, host: BreakableHost, group: Group, *, is_confirmed: bool
) -> None:
    """Pending ones go back at that boot; a confirmation of one was one of all."""
    assert "switched" in group.switch("run2", "R2", 300)
    group.told("run2", "R2", 300)
    host.root("sync")
    one = group.of["3"]
    if is_confirmed:
        assert "confirmed" in one("confirm", one.token, "run2")
    if cut == "reboot":
        host.reboot()
    else:
        host.cut_power().end()
    group.until(ARE if is_confirmed else WERE)
    Group(host, tuple(NEW), form="1")  # the next controller takes along what the cut left
    settled(host, group, "1" if is_confirmed else "-")


def test_nothing_starts_before_the_go(host: BreakableHost, group: Group) -> None:
    """Where other machines have shards too; a go that never comes gives the place back."""
    one = group.of["1"]
    for run, ttl in (("run2", 6), ("run3", 300)):
        assert "stopped" in group.switch(run, "R2", ttl, "hold")
        assert group.running() == dict.fromkeys(NEW, ("", True))
        assert host.root(f"systemctl is-active {BOT}", check=False).stdout.strip() == "inactive"
        phase = one.state()["phase"]
        assert (phase["unit"], phase["numbers"]) == (f"{BOT}.service", "0/1")
        if run == "run3":
            assert "reverted" in one("revert", one.token, "run4", "-", "why")
        settled(host, group, "-")


def test_what_went_with_a_change_before_does_not_come_back_by_the_next(
    host: BreakableHost, group: Group
) -> None:
    """It was proven then; beside the plain shard it has no work, and nobody starts it there."""
    assert "switched" in group.switch("run2", "R2")
    for one in group.of.values():
        assert "confirmed" in one("confirm", one.token, "run2")
        assert "proven" in one("prove", one.token, "R2", 5, "roll1")
    one = group.of["3"]
    assert "reverted" in one("revert", one.token, "run3", "-", "why")
    settled(host, group, "-")
    said = one("revert", one.token, "run4", "R2", "why")
    assert (said.fault, "in its other form" in said["message"]) == ("form", True)
    for name, number in NEW.items():
        group.of[name].send(shard(name, "R3", number, fails="2"), "-" if name == "1" else "=")
    assert "reverted" in group.switch("run5", "R3")
    settled(host, group, "-")


def test_an_act_that_is_killed_in_forming_a_return_leaves_no_mix(
    host: BreakableHost, group: Group
) -> None:
    """Confirmed ones get their marks one after the other; a guard finishes what an act began."""
    assert "switched" in group.switch("run2", "R2")
    one = group.of["1"]
    assert "confirmed" in one("confirm", one.token, "run2")
    group.until(ARE)
    kill_in_forming_a_return(group, "3", "1")
    settled(host, group, "-")
