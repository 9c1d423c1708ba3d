"""ID+N on real hosts: other values of a release that is there already, and what becomes of each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.hosts.acts.actkit import BOT, Actor, release
from tests.lab.rollouts import Project, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hosts.acts.actkit import Release, Reply
    from tests.lab.host import Host
    from tests.lab.lab import Lab

FILES_BYTES = 3000
"""What a release of the lab's bot needs to be sent with its file, and does not without."""
RINGS = [
    {"name": "first", "hosts": "h1", "soak": "4s", "settle": "1s"},
    {"name": "second", "hosts": "h2", "soak": "4s", "settle": "1s"},
]


# --- what a host does with such an id ---------------------------------------------------------


@pytest.fixture
def actor(lab: Lab) -> Actor:
    """Give a controller that has the lock of a host that was never deployed to."""
    made = Actor(lab["h1"])
    assert "installed" in made.install()
    assert "state" in made.enter()
    return made


def proven(actor: Actor, name: str, keep: int = 5) -> Reply:
    """Take a release all the way."""
    assert not actor.stage(release(name)).fault
    assert "switched" in actor.switch(f"run-{name.replace('+', '-')}", name)
    assert "confirmed" in actor("confirm", actor.token, f"run-{name.replace('+', '-')}")
    said = actor("prove", actor.token, name, keep, "roll1")
    assert "proven" in said
    return said


def ids(actor: Actor) -> set[str]:
    """Name the releases on the host."""
    return {one["id"] for one in actor.state()["releases"]}


def test_such_a_release_lives_as_any_other(actor: Actor, lab: Lab) -> None:
    """Its id stands in paths, units, marks and links; the way back leads to the one before."""
    proven(actor, "R1")
    proven(actor, "R1+2")
    state = actor.state()
    assert (state["current"], state["previous"], state["running"]) == ("R1+2", "R1", "R1+2")
    assert state["switches"][-1][1] == "R1+2"
    assert state["rendered"] == ["R1+2"]
    assert "gate" in actor("gate", "approve", "ann", "go", "R1+2", "fleet")
    assert actor.state()["approved"][0]["release"] == "R1+2"
    assert "kept" in actor("keep", actor.token, "R1+2", stdin=b"some")
    assert actor("evidence", "R1+2")["evidence"]
    assert "about" in actor("about", "R1+2")
    back = actor("revert", actor.token, "run-back", "R1", "a person", "-", "person")
    assert back["reverted"]["new"] == "R1+2"
    assert actor.state()["running"] == "R1"
    lab["h1"].root(f"systemctl is-active {BOT}")


@pytest.mark.parametrize("odd", ["+2", "R1+", "R1+02", "R1+x", "R1+2+3", "R1+-2", "../R1+2"])
def test_only_a_number_may_stand_behind_the_plus(actor: Actor, odd: str) -> None:
    """Nothing else becomes a path."""
    assert actor("evidence", odd).fault == "usage"
    assert actor("switch", actor.token, "run", odd, 20).fault == "usage"


def test_many_renderings_push_no_other_release_out(actor: Actor) -> None:
    """Of each id what was proven last counts; what runs and the way back stay besides."""
    proven(actor, "R0", keep=1)
    for number in ("", "+2", "+9", "+10"):
        proven(actor, f"R1{number}", keep=1)
    assert ids(actor) == {"R0", "R1+9", "R1+10"}
    proven(actor, "R2", keep=1)
    assert ids(actor) == {"R0", "R1+10", "R2"}
    assert actor.state()["rendered"] == ["R1+10"]
    proven(actor, "R3", keep=1)
    proven(actor, "R4", keep=1)
    assert ids(actor) == {"R2", "R3", "R4"}
    assert actor.state()["rendered"] == []


def test_a_refused_rendering_is_no_way_back_and_costs_none(actor: Actor) -> None:
    """The one before it stays, although it has the same id."""
    proven(actor, "R1")
    proven(actor, "R1+2")
    assert "condemned" in actor("condemn", actor.token, release("R1+2").digest, "it was bad")
    proven(actor, "R1+3", keep=1)
    assert {"R1", "R1+3"} <= ids(actor)


def test_the_newest_of_what_failed_stay_for_a_look(actor: Actor) -> None:
    """By their number, not by its digits."""
    proven(actor, "R0")
    for number in (2, 9, 10):
        assert not actor.stage(release(f"R1+{number}")).fault
    actor("prove", actor.token, "R0", 1, "roll1")
    assert ids(actor) == {"R0", "R1+9", "R1+10"}


def test_one_name_stands_for_one_content(actor: Actor) -> None:
    """What a controller left that died gives way while it never ran; what ran is never replaced."""
    one, other = (release("R1+2", ready=f"kind=pattern\nvalue=READY\ntimeout={s}\n") for s in "78")
    assert not actor.stage(one).fault
    assert actor.stage(one)["already"] is True
    assert actor.stage(other)["already"] is False
    assert actor.state()["releases"][0]["digest"] == other.digest
    assert "switched" in actor.switch("run1", "R1+2")
    assert actor.stage(one).fault == "taken"
    assert actor.state()["releases"][0]["digest"] == other.digest


def test_names_of_what_changes_are_told_and_no_value(actor: Actor) -> None:
    """Also where a secret has lines that look like others' names."""

    def with_values(name: str, key: str, pin: str, level: str) -> Release:
        own = f"BOTDEPLOY_RELEASE={name}\nLEVEL={level}\nTEXT='one\ntwo'\n"
        return release(
            name,
            extra={
                "environment": f"{own}KEY='begin\nLEAK={key}\n{key}=x\nend'\nLAST=1\n".encode(),
                "shown": f"{own}KEY='********'\nLAST=1\n".encode(),
                "credentials/PIN": pin.encode(),
            },
        )

    def changed(made: Release) -> str:
        return str(actor.stage(made)["changed"])

    first = with_values("R1", "aaa", "1", "info")
    assert changed(first) == ""
    assert "switched" in actor.switch("run1", "R1")
    assert changed(with_values("R1+2", "bbb", "1", "info")).split() == ["KEY"]
    assert changed(with_values("R1+3", "aaa", "2", "debug")).split() == ["LEVEL", "PIN"]
    assert changed(with_values("R2", "ccc", "3", "debug")) == ""


# --- rollouts -----------------------------------------------------------------------------------


def project_of(lab: Lab, tmp_path: Path, *, named: bool, **more: Any) -> Project:
    """Give a project of two hosts, or of two instances on one machine."""
    of: dict[str, Any] = {"named": {"h1": "h1", "h2": "h1"}} if named else {"hosts": ("h1", "h2")}
    return Project(tmp_path, lab, rollout={"rings": RINGS}, **of, **more)


def on(host: Host, instance: str = "") -> list[str]:
    """List the releases on a host."""
    home = f"/opt/tbot/instances/{instance}" if instance else "/opt/tbot"
    return host.root(f"ls {home}/releases").stdout.split()


def test_a_rotated_secret_is_rendered_under_the_same_id(lab: Lab, tmp_path: Path) -> None:
    """No file is sent again; a rerun changes nothing; the way back leads to the old value."""
    secret = {"secrets": {"TOKEN": "env:GIVEN"}}
    project = project_of(lab, tmp_path, named=False, bot=secret)
    old, new = {"GIVEN": "one-of-the-test"}, {"GIVEN": "two-of-the-test"}
    first = releases_of(project.canary(env=old))
    plan = project.run("plan", "prod", env=new)
    assert plan.events[0]["release"] == f"{first}+2"
    assert plan.events[0]["values_changed"] == {"from": first, "env": [], "secrets": True}
    ran = project.canary(env=new)
    assert releases_of(ran) == f"{first}+2"
    changed = {"env": [], "secrets": ["TOKEN"]}
    assert [one["values_changed"] for one in ran.all("staged")] == [changed] * 2
    assert "of-the-test" not in plan.out + plan.err + ran.out + ran.err
    assert project.running() == [f"{first}+2"] * 2
    assert all(one["bytes_sent"] < FILES_BYTES for one in ran.all("staged"))
    again = project.canary(env=new)
    assert again.all("staged") == again.all("switched") == []
    environment = lab["h1"].root("cat /opt/tbot/current/.botdeploy/environment").stdout
    assert "two-of-the-test" in environment
    assert project.run("rollback", "prod", "--keep").code == 0
    assert project.running() == [first] * 2
    assert project.run("rollback", "prod", "--to", f"{first[-8:]}+2", "--keep", "--yes").code == 0
    assert project.running() == [f"{first}+2"] * 2
    assert project.run("rollback", "prod", "--to", first, "--yes").code == 0
    assert project.running() == [first] * 2
    refused = project.canary("--release", f"{first}+2", code=5)
    assert "is in quarantine" in refused.out + refused.err
    assert (
        "one-of-the-test" in lab["h1"].root("cat /opt/tbot/current/.botdeploy/environment").stdout
    )
    project.assert_never_two()


def test_only_the_instance_whose_value_changes_is_restarted(lab: Lab, tmp_path: Path) -> None:
    """The other keeps its process and its id, and goes on from there the next time."""
    bot = {"env": {"MINE": "{{ mine }}"}}
    project = project_of(
        lab, tmp_path, named=True, bot=bot, host_vars={"h1": {"mine": "a"}, "h2": {"mine": "b"}}
    )
    first = releases_of(project.canary())
    life = project.lives("h1", "h1")
    project.host_vars["h2"]["mine"] = "c"
    project.write()
    plan = project.run("plan", "prod").events[0]
    assert plan["values_changed"] == {"from": first, "env": ["MINE"], "secrets": None}
    ran = project.canary()
    assert ran.all("staged")[1]["values_changed"] == {"env": ["MINE"], "secrets": []}
    assert {one["host"]: one.get("same_as") for one in ran.all("staged")} == {
        "h1": first,
        "h2": None,
    }
    assert project.running() == [first, f"{first}+2"]
    assert project.lives("h1", "h1") == life
    project.host_vars["h1"]["mine"] = "d"
    project.write()
    ran = project.canary()
    assert releases_of(ran) == f"{first}+3"
    assert project.running() == [f"{first}+3", f"{first}+2"]
    assert on(lab["h1"], "h1") == [first, f"{first}+3"]
    assert len(lab["h1"].root("ls /opt/tbot/trees").stdout.split()) == 1
    assert project.run("rollback", "prod").code == 0
    assert project.running() == [first, f"{first}+2"]


@pytest.mark.parametrize("named", [False, True], ids=["plain", "several"])
def test_a_failed_rendering_is_refused_alone(lab: Lab, tmp_path: Path, *, named: bool) -> None:
    """The same values are refused again; other ones go, and the files were never to blame."""
    project = project_of(lab, tmp_path, named=named)
    first = releases_of(project.canary())
    failed = project.canary("--set", "MODE=import-error", code=1)
    assert releases_of(failed) == f"{first}+2"
    assert project.running() == [first] * 2
    refused = project.canary("--set", "MODE=import-error", code=5)
    assert f"{first}+2 is in quarantine" in refused.out + refused.err
    other = project.canary("--set", "MODE=good")
    assert releases_of(other) == f"{first}+3"
    assert project.running() == [f"{first}+3"] * 2
    back = project.canary()
    assert releases_of(back) == first
    assert project.running() == [first] * 2
    shown = project.run("releases", "prod").events[0]["hosts"][0]["releases"]
    assert [one["id"] for one in shown] == [f"{first}+3", f"{first}+2", first]
    assert [bool(one["quarantined"]) for one in shown] == [False, True, False]
    project.assert_never_two(() if named else None)


def test_cron_takes_it_on_over_two_rings(lab: Lab, tmp_path: Path) -> None:
    """A controller without the secret's value promotes it by its name, after a person's go."""
    project = project_of(lab, tmp_path, named=False, bot={"secrets": {"TOKEN": "env:GIVEN"}})
    first = releases_of(project.canary(env={"GIVEN": "one-of-the-test"}))
    project.write(rings=[RINGS[0], {**RINGS[1], "gate": "approve"}])
    project.canary(env={"GIVEN": "two-of-the-test"})
    assert project.running() == [f"{first}+2", first]
    assert project.run("promote", "prod").code == 5
    assert project.run("approve", "prod", "--message", "go").code == 0
    assert project.run("promote", "prod").code == 0
    assert project.running() == [f"{first}+2"] * 2
    deadline = time.monotonic() + HANG_S
    while not (ran := project.run("promote", "prod")).summary.endswith("every ring passed"):
        assert ran.code == 0
        assert time.monotonic() < deadline
        time.sleep(1)
    history = project.run("history", "prod").events[0]["entries"]
    assert {one["release"] for one in history if one["act"] == "prove"} == {first, f"{first}+2"}


@pytest.mark.parametrize("named", [False, True], ids=["plain", "several"])
def test_a_host_that_was_away_gets_it_from_another(
    lab: Lab, tmp_path: Path, *, named: bool
) -> None:
    """From a controller without the value; its tree is neither sent nor built there again."""
    rings = [
        {"name": "canary", "hosts": "h1", "soak": "2s", "settle": "1s"},
        {"name": "fleet", "hosts": "all", "batch": 3, "settle": "1s"},
    ]
    names = ("h1", "h2", "h3")
    of: dict[str, Any] = {"named": dict(zip(names, names, strict=True))} if named else {}
    bot = {"secrets": {"TOKEN": "env:GIVEN"}, "build": ["date +%N >built"]}
    project = Project(
        tmp_path, lab, bot=bot, rollout={"rings": rings, "max_unreachable": 1}, hosts=names, **of
    )
    first = releases_of(project.canary(env={"GIVEN": "one-of-the-test"}))
    with lab["h3"].cut_network():
        project.canary(env={"GIVEN": "two-of-the-test"})
    assert project.running() == [f"{first}+2", f"{first}+2", first]
    deadline = time.monotonic() + HANG_S
    while project.running() != [f"{first}+2"] * 3:
        assert project.run("promote", "prod").code == 0
        assert time.monotonic() < deadline
        time.sleep(1)
    home = "/opt/tbot/instances/h3" if named else "/opt/tbot"
    assert "two-of-the-test" in lab["h3"].root(f"cat {home}/current/.botdeploy/environment").stdout
    built = {
        one: lab["h3"].root(f"cat {home}/releases/{one}/{'tree/' * named}built").stdout
        for one in (first, f"{first}+2")
    }
    assert (len(set(built.values())) == 1) is named, "a plain bot builds for each release"
