"""A bot goes from one to several instances and back, by the command that users type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import Project, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.host import Host
    from tests.lab.lab import Lab

HOME = "/opt/tbot"


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give one machine with a plain bot that has data."""
    made = Project(tmp_path, lab, hosts=("h1",))
    made.canary()
    lab["h1"].root(f"echo precious >{HOME}/shared/data/mark")
    return made


def become(project: Project, instances: int | None) -> None:
    """Change the number of instances in the inventory; None: the plain form."""
    project.bot = {"instances": instances} if instances else {}
    project.write()


def release(project: Project, mode: str = "good", code: int = 0) -> str:
    """Release something new."""
    number = len(list(project.folder.glob("v*"))) + 1
    return releases_of(project.canary("--source", project.version(f"v{number}", mode), code=code))


def mark(host: Host, instance: str = "") -> str:
    """Read the data of the plain bot, or of an instance."""
    home = f"{HOME}/instances/{instance}" if instance else HOME
    return host.root(f"cat {home}/shared/data/mark", check=False).stdout.strip()


def active(host: Host) -> list[str]:
    """List the bot's units that run."""
    shown = host.root("systemctl list-units --plain --no-legend --state=active 'tbot*.service'")
    return sorted(row.split()[0] for row in shown.stdout.splitlines())


def lives(project: Project, instance: str = "") -> list[str]:
    """Give the starts that the data knows; no copy met another."""
    found = project.lives("h1", instance)
    assert [one for one in found if one["event"] == "clash"] == []
    return [one["release"] for one in found if one["event"] == "start"]


def test_from_one_to_three_and_back(project: Project) -> None:
    """A fail and a rollback end in the plain bot with its data; a good release stays."""
    host = project.lab["h1"]
    first = project.running()[0]
    become(project, 3)
    change: dict[str, Any] = {"host": "h1/1", "of": None, "stay": []}
    for command in ("plan", "status"):
        (told,) = project.run(command, "prod").events[0]["changes_of_form"]
        assert {**told, "machine": ""} == {**change, "machine": ""}
    text, _ = project.command("plan", "prod").communicate(timeout=HANG_S)
    assert "h1/1 takes the place of the plain bot on" in text

    release(project, "crash", code=1)
    assert (active(host), mark(host)) == (["tbot.service"], "precious")
    become(project, None)
    assert (project.running(), lives(project)[-1]) == ([first], first)

    become(project, 3)
    second = release(project)
    assert project.running() == [second] * 3
    assert active(host) == ["tbot@1.service", "tbot@2.service", "tbot@3.service"]
    assert [mark(host, one) for one in ("1", "2", "3")] == ["precious", "", ""]
    assert project.run("status", "prod").events[0]["changes_of_form"] == []
    assert project.run("status", "prod").events[0]["not_in_inventory"] == []

    ran = project.run("rollback", "prod")
    assert ran.code == 0, ran.out + ran.err
    assert f"h1/1 runs {first} of tbot.service" in ran.summary
    assert (active(host), mark(host)) == (["tbot.service"], "precious")
    assert project.run("rollback", "prod").code == 0

    third = release(project)
    assert (project.running(), mark(host, "1")) == ([third] * 3, "precious")
    become(project, None)
    refused = project.run("rollback", "prod")
    assert refused.code == 2, refused.out
    assert "tbot@1.service has taken the place of tbot.service here" in refused.summary
    assert "use the inventory that names that one. Nothing was changed" in refused.summary
    become(project, 3)
    assert project.running() == [third] * 3
    become(project, None)
    fourth = release(project)
    assert (project.running(), mark(host)) == ([fourth], "precious")
    assert active(host) == ["tbot.service", "tbot@2.service", "tbot@3.service"]
    left = project.run("status", "prod").events[0]["not_in_inventory"]
    assert [one["instance"] for one in left] == ["2", "3"]
    for one in left:
        ran = project.run("retire", "prod", one["host"], "--yes")
        assert ran.code == 0, ran.out + ran.err
    assert active(host) == ["tbot.service"]
    started = lives(project)
    assert [started[0], *started[-2:]] == [first, third, fourth]


def test_more_and_fewer_instances(project: Project) -> None:
    """Two, then three, then one: what stays keeps its data, what goes is retired by a person."""
    host = project.lab["h1"]
    become(project, 2)
    release(project)
    become(project, 3)
    second = release(project)
    assert (project.running(), mark(host, "1")) == ([second] * 3, "precious")
    assert host.root(f"ls {HOME}").stdout.split() == ["instances", "trees"]
    become(project, 1)
    third = release(project)
    assert project.running() == [third]
    assert len(active(host)) == 3
    left = project.run("status", "prod").events[0]["not_in_inventory"]
    for one in left:
        assert project.run("retire", "prod", one["host"], "--yes").code == 0
    assert (active(host), mark(host, "1")) == (["tbot@1.service"], "precious")


def test_data_on_a_file_system_of_its_own_is_refused(project: Project) -> None:
    """Exit 2; the plain bot keeps its process."""
    host = project.lab["h1"]
    pid = host.root("systemctl show -P MainPID tbot").stdout
    host.root(f"mkdir {HOME}/shared/media && mount -t tmpfs none {HOME}/shared/media")
    become(project, 3)
    ran = project.canary("--source", project.version("v2", "good"), code=2)
    host.root(f"umount -l {HOME}/shared/media")
    assert "is mounted, and can't be moved by a rename" in ran.err + ran.out
    assert host.root("systemctl show -P MainPID tbot").stdout == pid
