"""A bot that changes its form on a real host: its data moves along, and no two copies meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hosts.acts.actkit import BOT, Actor
from tests.hosts.acts.formkit import Plain, change, copies, data_of, lives_of, of, plain, until
from tests.hosts.acts.instancekit import HOME, STATE, TREES, Instance, entered
from tests.lab.shell import looks
from tests.lab.test_instances import wait_until

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab
    from tests.lab.plugin import NewLab

UNITS = "/etc/systemd/system"
ONE = f"{HOME}/instances/1"


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host that has the program and no instance yet."""
    host = lab["h1"]
    assert "installed" in Actor(host).install()
    host.root("rm -f /dev/shm/echobot-*")
    return host


@pytest.fixture
def old(host: BreakableHost) -> Plain:
    """Give the plain bot, proven, with data; its controller has gone."""
    actor = Plain(host)
    assert "state" in actor.enter()
    actor.deploy(plain("P1"), "run1")
    host.root(f"echo precious >{HOME}/shared/data/mark; chown {BOT}: {HOME}/shared/data/mark")
    actor("leave", actor.token)
    return actor


def owners(host: BreakableHost) -> str:
    """List whose the data is, without what the bot writes on and on."""
    return host.root(f"find {HOME}/shared -printf '%p %u:%g %m\\n' | sort").stdout


def left(host: BreakableHost) -> list[str]:
    """List what a change must not leave behind, on either side."""
    found = host.root(
        f"find {HOME} {STATE} {UNITS} -name '*.left' -o -name .trial -o -name '*.new.*' -o"
        " -name successor -o -name took"
    )
    return found.stdout.split()


def was_stopped(host: BreakableHost) -> bool:
    """Tell whether anybody asked systemd to stop the plain bot; it may have ended by itself."""
    return host.root(f"journalctl -q -u {BOT} -o cat | grep -q ^Stopping", check=False).ok


def test_the_first_instance_takes_the_place_of_the_plain_bot(
    host: BreakableHost, old: Plain
) -> None:
    """With its data, by a rename; the plain bot is dead, disabled, and does not come back."""
    inode = host.root(f"stat -c %i {HOME}/shared").stdout
    one = change(host)
    assert old.enter().fault == "locked", "the plain bot's lock is held as well"
    one.deploy(of("1", "R1"), "run2")
    state = one.state()
    assert (state["running"], state["before"]) == (
        "R1",
        {"unit": f"{BOT}.service", "release": "P1", "numbers": ""},
    )
    assert host.root(f"stat -c %i {ONE}/shared").stdout == inode
    assert data_of(host, "1") == "precious"
    assert host.root(f"stat -c %U {ONE}/shared {ONE}/shared/data").stdout.split() == ["root", BOT]
    assert not host.root(f"systemctl start {BOT}", check=False).ok
    stand = host.root(f"ls {HOME}").stdout.split()
    assert stand == ["current.left", "instances", "releases", "trees"]
    assert (lives_of(host), copies(host)) == (["P1", "R1"], [])
    one("leave", one.token)
    for kind in ("rollout", "rollback"):
        said = old.enter(kind)
        assert (said.fault, f"{BOT}@1.service" in said["message"]) == ("form", True)
    (stands,) = state["standing"]
    assert stands == {
        "instance": "1",
        "release": "R1",
        "environment": "prod",
        "took": "-",
        "numbers": "",
    }
    host.reboot()
    until(one, "R1")
    assert old.state()["active_state"] == "inactive"
    assert (lives_of(host), copies(host)) == (["P1", "R1", "R1"], [])


@pytest.mark.parametrize("how", ["lease", "fail", "person", "confirmed", "proven"])
def test_a_change_that_does_not_stay_gives_all_back(
    how: str, host: BreakableHost, old: Plain
) -> None:
    """The plain bot runs again with its data, as it was owned; nothing is left of the change."""
    before = owners(host)
    one = change(host)
    assert "staged" in one.send(of("1", "R1", fails=how == "fail"))
    said = one.switch("run2", "R1", ttl=60)
    if how == "fail":
        assert said["reverted"]["cause"] == "ready"
        assert (said["reverted"]["unit"], said["reverted"]["release"]) == (f"{BOT}.service", "P1")
    else:
        assert "switched" in said, said.records
    if how == "lease":
        one.let_lapse("run2")
    if how in {"confirmed", "proven"}:
        assert "confirmed" in one("confirm", one.token, "run2")
    if how == "proven":
        assert "proven" in one("prove", one.token, "R1", 5, "roll1")
    if how in {"person", "confirmed", "proven"}:
        said = one("revert", one.token, "run3", "-", "why")
        assert (said["reverted"]["runs"], said["reverted"]["release"]) == (True, "P1")
    state = until(old, "P1")
    assert (state["enabled"], state["stuck"], data_of(host, "-")) == (True, None, "precious")
    assert owners(host) == before
    assert host.root(f"ls {ONE}").stdout.split() == ["releases"]
    assert (left(host), copies(host)) == ([], [])
    assert lives_of(host)[0] == "P1" == lives_of(host)[-1]
    assert one.state()["before"] is None
    one("leave", one.token)
    assert "state" in old.enter(), "its old inventory is welcome again"
    host.reboot()
    until(old, "P1")
    assert one.state()["active_state"] == "inactive"


@pytest.mark.parametrize("cut", ["reboot", "cut_power"])
def test_a_change_that_nobody_confirmed_does_not_survive_a_restart(
    cut: str, host: BreakableHost, old: Plain
) -> None:
    """The plain bot starts at that boot, with its data, and only it."""
    one = change(host)
    assert "staged" in one.send(of("1", "R1"))
    assert "switched" in one.switch("run2", "R1", ttl=300)
    host.root("sync")
    if cut == "reboot":
        host.reboot()
    else:
        host.cut_power().end()
    state = until(old, "P1")
    assert (state["enabled"], data_of(host, "-"), copies(host)) == (True, "precious", [])
    assert wait_until(one, "reverted")["phase"]["cause"] == "boot"
    assert lives_of(host) == ["P1", "R1", "P1"]
    assert left(host) == []


def test_a_later_release_ends_the_way_back(host: BreakableHost, old: Plain) -> None:
    """Once it is proven, of the plain bot stays the audit log; a return stays in the new form."""
    one = change(host)
    one.deploy(of("1", "R1"), "run2")
    one.deploy(of("1", "R2"), "run3")
    assert one.state()["before"] is None
    assert host.root(f"ls -A {HOME}").stdout.split() == ["instances", "trees"]
    assert host.root(f"ls -A {STATE}").stdout.split() == ["audit.jsonl", "instances", "user"]
    assert (
        host.root(f"ls {UNITS} {UNITS}/*.wants | grep -c '{BOT}\\.'", check=False).stdout == "0\n"
    )
    said = one("revert", one.token, "run4", "-", "why")
    assert said["reverted"]["old"] == "R1"
    assert (data_of(host, "1"), copies(host)) == ("precious", [])
    assert lives_of(host) == ["P1", "R1", "R2", "R1"]
    one("leave", one.token)
    assert old.enter().fault == "form"


def test_instances_that_come_with_the_change_go_with_it(host: BreakableHost, old: Plain) -> None:
    """They begin empty, also before the first one has switched, and keep what they had."""
    for number in ("2", "1", "3"):
        instance = Instance(host, number, environment="prod")
        assert "state" in instance.enter(form="1")
        instance.deploy(
            of(number, "R1", alone=False), f"run{number}", "-" if number == "2" else "="
        )
    assert old.state()["active_state"] == "inactive"
    assert (data_of(host, "1"), data_of(host, "2")) == ("precious", "")
    states = [Instance(host, number).state() for number in ("1", "2", "3")]
    assert [one["before"]["release"] for one in states] == ["P1", "", ""]
    for number in ("1", "3", "2"):
        instance = Instance(host, number, environment="prod")
        assert "state" in instance.enter("rollback")
        assert "reverted" in instance("revert", instance.token, "run9", "-", "why")
        assert (instance.state()["current"], instance.state()["active_state"]) == ("", "inactive")
    until(old, "P1")
    assert data_of(host, "-") == "precious"
    assert host.root(f"ls {HOME}/instances/2/shared/data").stdout.split() == ["deep"]


def test_a_return_to_the_plain_form_takes_the_data_along(host: BreakableHost, old: Plain) -> None:
    """From the instance that had it, whatever its name; the others stay for a person."""
    two = change(host, "2")
    two.deploy(of("2", "R1", alone=False), "run2")
    one = Instance(host, "1", environment="prod")
    assert "state" in one.enter(form="2")
    one.deploy(of("1", "R1", alone=False), "run2", "=")
    for actor in (one, two):
        actor("leave", actor.token)
    assert old.enter().fault == "form"
    said = old.enter(form="-")
    assert "state" in said, said.records
    old.deploy(plain("P2"), "run3")
    assert (old.state()["running"], data_of(host, "-")) == ("P2", "precious")
    assert old.state()["before"] == {"unit": f"{BOT}@2.service", "release": "R1", "numbers": ""}
    assert (two.state()["active_state"], one.state()["running"]) == ("inactive", "R1")
    assert host.root(f"stat -c %U {HOME}/shared {HOME}/shared/data").stdout.split() == [BOT, BOT]
    said = old("revert", old.token, "run4", "-", "why")
    assert (said["reverted"]["unit"], said["reverted"]["release"]) == (f"{BOT}@2.service", "R1")
    assert (two.state()["running"], data_of(host, "2")) == ("R1", "precious")
    old.deploy(plain("P3"), "run5")
    old.deploy(plain("P4"), "run6")
    assert host.root(f"ls -A {HOME}/instances").stdout.split() == ["1"]
    assert (old.state()["running"], data_of(host, "-")) == ("P4", "precious")
    assert host.root(f"stat -c %U {HOME}/shared").stdout.strip() == BOT
    assert "state" in Instance(host, "1", environment="prod").enter("rollback")
    assert [one["instance"] for one in old.state()["standing"]] == ["", "1"]


def test_there_and_back_and_there_again(host: BreakableHost, old: Plain) -> None:
    """Each change is a rollout of its own, with a way back of its own."""
    for number in range(2, 5):
        one = change(host)
        one.deploy(of("1", f"R{number}"), f"run{number}")
        one("leave", one.token)
        assert data_of(host, "1") == "precious"
        assert "state" in old.enter(form="-")
        old.deploy(plain(f"P{number}"), f"back{number}")
        old("leave", old.token)
        assert data_of(host, "-") == "precious"
    assert copies(host) == []
    assert lives_of(host) == ["P1", "R2", "P2", "R3", "P3", "R4", "P4"]


def test_a_full_disk_stops_no_return(new_lab: NewLab) -> None:
    """With no space left the old bot is not stopped for a change, and comes back from one."""
    host = new_lab(disk_mb=256)["h1"]
    assert "installed" in Actor(host).install()
    old = Plain(host)
    assert "state" in old.enter()
    old.deploy(plain("P1"), "run1")
    host.root(f"echo precious >{HOME}/shared/data/mark; chown {BOT}: {HOME}/shared/data/mark")
    old("leave", old.token)
    one = change(host)
    assert "staged" in one.send(of("1", "R1"))
    for fill in (host.fill_disk, host.fill_inodes):
        pid = old.state()["main_pid"]
        with fill("/opt"):
            said = one.switch(f"{fill.__name__}1", "R1")
            assert said.fault or "reverted" in said, said.records
            assert old.state()["main_pid"] == pid
        wait_until_closed(one)
        assert "switched" in one.switch(f"{fill.__name__}2", "R1", ttl=60)
        with fill("/opt"):
            one.let_lapse(f"{fill.__name__}2")
            until(old, "P1")
        wait_until_closed(one)
        assert (data_of(host, "-"), old.state()["enabled"]) == ("precious", True)
        assert (copies(host), left(host)) == ([], [])


def wait_until_closed(actor: Instance) -> None:
    """Wait until nothing is open."""
    for _ in looks():
        if (actor.state()["phase"] or {}).get("phase") not in {"pending", "reverting"}:
            return
    raise AssertionError(actor.state())


# --- refused --------------------------------------------------------------------------------------


def test_data_that_no_rename_can_move_is_refused_before_anything_stops(
    host: BreakableHost, old: Plain
) -> None:
    """A file system of its own, one below it, a link, an earlier life's data; the bot runs on."""
    one = Instance(host, "1", environment="prod")

    def refused(word: str) -> None:
        said = one.enter(form="1")
        assert said.fault == "succession", said.records
        assert word in said["message"], said["message"]
        assert "Nothing was changed" in said["message"]
        assert not host.root(f"ls {ONE}/releases", check=False).ok
        until(old, "P1")  # a mount over its data may have ended it

    host.root(f"mkdir -p {HOME}/shared/media; mount -t tmpfs none {HOME}/shared/media")
    refused("is mounted")
    host.root(f"umount -l {HOME}/shared/media; mount --bind {HOME}/shared {HOME}/shared")
    refused("is mounted")
    host.root(
        f"umount -l {HOME}/shared; mkdir -p {HOME}/instances; mount -t tmpfs none {HOME}/instances"
    )
    refused("different file systems")
    host.root(
        f"umount -l {HOME}/instances; mkdir -p {ONE}/shared/data; touch {ONE}/shared/data/old"
    )
    host.root(f"mkdir -p {STATE}/instances/1; touch {STATE}/instances/1/audit.jsonl")
    refused("has data already")
    host.root(f"rm -rf {ONE}/shared; mkdir -p {ONE}/shared/data")
    assert "state" in one.enter(form="1"), "empty folders are no data"
    assert old.enter().fault == "locked"


def test_an_entry_behind_a_link_is_refused_before_anything_stops(
    host: BreakableHost, old: Plain
) -> None:
    """The bot could lead root anywhere by it."""
    host.root(f"mv {HOME}/shared/data {HOME}/shared/real; ln -s real {HOME}/shared/data")
    one = change(host)
    said = one.send(of("1", "R1"))
    assert (said.fault, "link" in said["message"]) == ("shared", True)
    until(old, "P1")
    assert (was_stopped(host), copies(host)) == (False, [])


def test_what_is_tampered_with_after_staging_stops_nothing(host: BreakableHost, old: Plain) -> None:
    """The guard looks again before the old bot is stopped."""
    one = change(host)
    assert "staged" in one.send(of("1", "R1"))
    host.root(f"mkdir {HOME}/shared/media; mount -t tmpfs none {HOME}/shared/media")
    said = one.switch("run2", "R1")
    assert said.fault == "succession", said.records
    host.root(f"umount -l {HOME}/shared/media")
    host.root(f"mv {HOME}/shared/data {HOME}/shared/real; ln -s real {HOME}/shared/data")
    said = one.switch("run3", "R1")
    assert "link" in said["reverted"]["why"], said.records
    until(old, "P1")
    assert not was_stopped(host)


def test_another_environments_plain_bot_is_no_predecessor(host: BreakableHost, old: Plain) -> None:
    """They live beside each other."""
    one = Instance(host, "1", environment="stage")
    assert "state" in one.enter(form="1")
    one.deploy(of("1", "R1", alone=False), "run2")
    assert one.state()["before"] is None
    assert (old.state()["running"], data_of(host, "-"), data_of(host, "1")) == (
        "P1",
        "precious",
        "",
    )


def test_a_plain_bot_in_the_middle_of_a_switch_is_not_succeeded(
    host: BreakableHost, old: Plain
) -> None:
    """Its own rollout ends first; and an old controller can't switch it in the middle of ours."""
    assert "state" in old.enter()
    assert not old.stage(plain("P2")).fault
    assert "switched" in old.switch("run2", "P2", ttl=300)
    old("leave", old.token)
    one = Instance(host, "1", environment="prod")
    said = one.enter(form="1")
    assert (said.fault, "middle of a switch" in said["message"]) == ("form", True)
    assert "state" in old.enter("rollback")
    old("revert", old.token, "run3", "-", "why")
    old("leave", old.token)
    one = change(host)
    assert "staged" in one.send(of("1", "R1"))
    assert "switched" in one.switch("run4", "R1", ttl=300)
    assert old.enter("rollback").fault == "form"
    old("unlock", "ann")
    host.root(f"sed -i 's/^token=.*/token={old.token}/' /run/botdeploy/{BOT}/lock", check=False)
    assert old("revert", old.token, "run5", "P1", "why").fault in {"form", "lost-lock"}
    assert old("retire", "ann").fault in {"busy", "locked"}
    assert (one.state()["running"], copies(host)) == ("R1", [])


def test_a_hold_and_the_quarantine_come_along(host: BreakableHost, old: Plain) -> None:
    """What a person stopped, and what failed, is not forgotten with the name."""
    old("gate", "hold", "ann", "wait")
    assert "state" in old.enter()
    old("condemn", old.token, "f" * 64, "bad")
    old("leave", old.token)
    state = change(host).state()
    assert (state["hold"]["who"], state["quarantine"]) == ("ann", {"f" * 64: "bad"})


def test_the_successor_is_retired_with_what_it_has_left(host: BreakableHost, old: Plain) -> None:
    """The data stays where it is then, and the plain bot may begin again."""
    one = change(host)
    one.deploy(of("1", "R1"), "run2")
    one("leave", one.token)
    assert one("retire", "ann")["retired"] == {"release": "R1", "data": f"{ONE}/shared"}
    assert left(host) == []
    assert data_of(host, "1") == "precious"
    assert host.root(f"ls {TREES}").stdout == ""
    assert "state" in old.enter()
    old.deploy(plain("P9"), "run3")
    assert entered(host, "dev", "stage").state()["before"] is None
