"""One real machine: under two addresses, and with instances that its inventory no longer names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.rollouts import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

NOW = {"soak": "0s", "settle": "0s"}
RINGS = {"rings": [{"name": "all", "hosts": "all", "batch": "100%", **NOW}]}
DATA = "/opt/tbot/instances/3/shared/data"


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give one machine with three instances, which run."""
    made = Project(tmp_path, lab, bot={"instances": 3}, rollout=RINGS, hosts=("h1",))
    made.canary()
    return made


def add_alias(project: Project, **variables: Any) -> None:
    """Let the inventory name the same machine again, by an alias of ssh's configuration."""
    place = project.folder / "inventories/prod.yml"
    inventory = yaml.safe_load(place.read_text())
    first = inventory["all"]["hosts"]["h1"]
    (project.folder / ".ssh").mkdir(exist_ok=True)
    config = f"Host other\n  HostName {first['ansible_host']}\n"
    (project.folder / ".ssh/config").write_text(config)
    inventory["all"]["hosts"]["twin"] = {**first, "ansible_host": "other", **variables}
    place.write_text(yaml.safe_dump(inventory, sort_keys=False))


def test_two_hosts_that_are_one_instance_are_refused(lab: Lab, tmp_path: Path) -> None:
    """Both are named, nothing is changed, the lock is given back; check says it, too."""
    project = Project(tmp_path, lab, rollout=RINGS, hosts=("h1",))
    add_alias(project)
    ran = project.canary(code=2)
    assert "h1 and twin lead to one machine: it would be deployed to twice" in ran.summary
    host = lab["h1"]
    assert not host.root("ls -A /opt/tbot/releases", check=False).stdout
    assert not host.root("ls /run/botdeploy/tbot/lock", check=False).stdout
    checked = project.run("check", "prod")
    assert checked.code == 2, checked.out
    (twin,) = (one for one in checked.events[0]["hosts"] if one["host"] == "twin")
    assert [one["name"] for one in twin["checks"] if not one["ok"]] == ["machine"]


def test_copies_of_a_machine_are_told_apart_after_a_boot(lab: Lab, tmp_path: Path) -> None:
    """By a name drawn at each boot, not by machine-id; one that was copied with /run restarts."""
    project = Project(tmp_path, lab, rollout=RINGS, hosts=("h1", "h2"))
    identity = lab["h1"].root("cat /etc/machine-id").stdout
    lab["h2"].root("cat >/etc/machine-id", stdin=identity)
    lab["h2"].reboot()  # as a copy of a disk begins
    project.canary()
    assert len(set(project.running())) == 1
    name = lab["h1"].root("cat /run/botdeploy/machine").stdout
    assert lab["h2"].root("cat /run/botdeploy/machine").stdout != name
    lab["h2"].root("cat >/run/botdeploy/machine", stdin=name)
    project.version("v2", "good")
    ran = project.canary("--source", "v2", code=2)
    assert "h1 and h2 lead to one machine" in ran.summary
    assert "has its name: restart that one" in ran.summary
    lab["h2"].reboot()
    project.canary("--source", "v2")
    assert lab["h2"].root("cat /etc/machine-id").stdout == identity


def test_instances_of_one_machine_may_have_two_addresses(lab: Lab, tmp_path: Path) -> None:
    """Each has its unit, and a rollout sees that they are on one machine."""
    host_vars = {"h1": {"instance": "dev"}}
    bot = {"instance": "{{ instance }}"}
    project = Project(tmp_path, lab, bot, RINGS, host_vars, hosts=("h1",))
    add_alias(project, instance="main")
    project.canary()
    running = project.running()
    assert len(running) == 2
    assert None not in running
    units = lab["h1"].root("systemctl is-active tbot@dev tbot@main").stdout.split()
    assert units == ["active", "active"]


def test_what_the_inventory_no_longer_names_is_listed_and_retired(project: Project) -> None:
    """Its data stays until a person has it deleted; its neighbours keep their processes."""
    host = project.lab["h1"]
    pids = "systemctl show -P MainPID tbot@1 tbot@2"
    project.bot["instances"] = 2
    project.write()
    (left,) = project.run("status", "prod").events[0]["not_in_inventory"]
    assert (left["host"], left["instance"]) == ("h1/3", "3")
    started = project.canary("--source", project.version("v2", "good")).all("rollout_started")
    assert started[0]["not_in_inventory"] == ["h1/3"]
    before = host.root(pids).stdout
    assert host.root("systemctl is-active tbot@3").stdout.strip() == "active"

    ran = project.run(*str(left["next"]).split()[1:])
    assert ran.code == 0, ran.out
    assert f"its data is kept in {DATA.removesuffix('/data')}" in ran.summary
    assert host.root("systemctl is-active tbot@3", check=False).stdout.strip() == "inactive"
    assert host.root("ls /etc/systemd/system").stdout.count("tbot@3") == 0
    assert "lives.log" in host.root(f"ls {DATA}").stdout
    assert host.root(pids).stdout == before
    assert project.run("status", "prod").events[0]["not_in_inventory"] == []

    assert project.run("retire", "prod", "h1/3", "--delete-data").code == 2  # nobody can be asked
    assert "lives.log" in host.root(f"ls {DATA}").stdout
    assert project.run("retire", "prod", "h1/3", "--delete-data", "--yes").code == 0
    assert not host.root(f"ls {DATA}", check=False).stdout
    assert host.root(pids).stdout == before


def test_a_machine_that_left_the_inventory_is_cleared_by_its_address(
    lab: Lab, tmp_path: Path
) -> None:
    """The plain bot of a host that was taken out, by who may log in there."""
    project = Project(tmp_path, lab, rollout=RINGS, hosts=("h1", "h2"))
    project.canary()
    shown = yaml.safe_load((lab.folder / "inventory.yml").read_text())["all"]
    place = shown["hosts"]["h2"]["ansible_host"]
    project.hosts = ("h1",)
    project.write()
    ran = project.run("retire", "prod", "h2")
    assert ran.code == 2
    assert "give --machine USER@HOST" in ran.summary
    ran = project.run("retire", "prod", "h2", "--machine", place)
    assert ran.code == 0, ran.out
    assert lab["h2"].root("systemctl is-active tbot", check=False).stdout.strip() == "inactive"
    assert lab["h1"].root("systemctl is-active tbot").stdout.strip() == "active"


def test_twenty_instances_are_followed_switched_and_reverted_together(
    lab: Lab, tmp_path: Path
) -> None:
    """Each has its journal's reader and its acts; sshd allows fewer of them on a connection."""
    rings = [{"name": "canary", "hosts": 1, **NOW}, {**RINGS["rings"][0], "name": "fleet"}]
    patient = {"ready": {"pattern": "^READY", "timeout": "90s"}}  # two cores start all of them
    rollout = {"rings": rings, "lease": "120s"}
    project = Project(tmp_path, lab, {"instances": 20, **patient}, rollout, hosts=("h1",))
    project.canary(timeout=240)
    project.canary("--source", project.version("v2", "good"))
    ran = project.run("rollback", "prod")
    assert ran.code == 0, ran.out
    running = project.running()
    assert len(running) == 20
    assert len(set(running)) == 1
    count = "systemctl list-units --state=active --plain --no-legend 'tbot@*.service'"
    assert len(lab["h1"].root(count).stdout.splitlines()) == 20
