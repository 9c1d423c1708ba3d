"""systemd reads its units again only when the bot's own has changed, and then it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project, releases_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.host import Host
    from tests.lab.lab import Lab

NOW = {"soak": "0s", "settle": "0s"}


@pytest.fixture
def host(lab: Lab) -> Host:
    """Give the host that is deployed to."""
    return lab["h1"]


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give an environment of one host."""
    rings = [{"name": "canary", "hosts": 1, **NOW}]
    return Project(tmp_path, lab, rollout={"rings": rings}, hosts=("h1",))


def reloads(host: Host) -> int:
    """Count how often systemd has read its units again."""
    said = host.root("journalctl -q -b _PID=1 -o cat").stdout.splitlines()
    return sum(line.startswith("Reloading") for line in said)


def shown(host: Host, name: str) -> str:
    """Read what systemd itself has for a setting of the bot's unit."""
    return host.root(f"systemctl show -p {name} --value tbot").stdout.strip()


def test_a_release_with_the_same_unit_reloads_nothing(project: Project, host: Host) -> None:
    """A reload takes longer than the rest of a switch, and the bot would be away for it."""
    project.canary()
    before = reloads(host)
    assert before > 0
    two = releases_of(project.canary("--source", project.version("v2", "good")))
    assert reloads(host) == before
    assert project.running() == [two]
    assert project.run("rollback", project.name).code == 0
    assert reloads(host) == before
    assert shown(host, "NeedDaemonReload") == "no"


def test_a_changed_unit_is_in_force_at_once_and_goes_back_with_its_release(
    project: Project, host: Host
) -> None:
    """What runs has the unit of its own release, forward and back."""
    project.canary()
    was = shown(host, "TasksMax")
    project.bot["unit"] = {"TasksMax": "77"}
    project.write()
    project.canary()
    assert shown(host, "TasksMax") == "77"
    assert project.run("rollback", project.name).code == 0
    assert shown(host, "TasksMax") == was


def test_an_administrator_s_drop_in_comes_into_force_with_the_next_release(
    project: Project, host: Host
) -> None:
    """What a person put beside the unit and systemd has not read yet is read."""
    project.canary()
    host.root(
        "mkdir -p /etc/systemd/system/tbot.service.d && "
        "printf '[Service]\\nTasksMax=88\\n' >/etc/systemd/system/tbot.service.d/more.conf"
    )
    project.canary("--source", project.version("v2", "good"))
    assert shown(host, "TasksMax") == "88"


def test_a_unit_that_somebody_made_systemd_forget_is_read_again(
    project: Project, host: Host
) -> None:
    """After a restart of the host nothing is remembered of what systemd was told."""
    project.canary()
    host.root("rm -f /run/botdeploy/tbot/loaded")
    before = reloads(host)
    project.canary("--source", project.version("v2", "good"))
    assert reloads(host) == before + 1
