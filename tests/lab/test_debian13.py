"""The main path on Debian 13: OpenSSH 10, systemd 257, and sudo-rs in the place of sudo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project, releases_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab
    from tests.lab.plugin import NewLab


@pytest.fixture
def debian13(new_lab: NewLab) -> Lab:
    """Start two hosts of Debian 13."""
    return new_lab(2, suite="trixie")


@pytest.mark.parametrize("sudo", ["sudo", "sudo-rs"])
def test_the_main_path(sudo: str, debian13: Lab, tmp_path: Path) -> None:
    """A user with the rights that setup grants deploys, fails, goes back and promotes."""
    host = debian13["h1"]
    if sudo == "sudo-rs":
        for each in debian13:
            each.use_sudo_rs()
    assert ("sudo-rs" in host.ssh("sudo -V 2>&1").stdout) == (sudo == "sudo-rs")
    assert "257" in host.root("systemctl --version").stdout
    user = {each.name: {"ansible_user": "plain"} for each in debian13}
    project = Project(tmp_path, debian13, host_vars=user)
    assert project.run("check", "prod").code == 6
    prepared = project.run("setup", "prod", "--user", "deploy")
    assert prepared.code == 0, prepared.out + prepared.err
    seen = project.run("check", "prod")
    assert seen.code == 0, seen.out
    one = releases_of(project.canary())
    assert project.running() == [one] * 2
    bad = project.canary("--source", project.version("bad", "crash"), code=1)
    assert "crash" in bad.summary or "status 3" in bad.summary
    assert project.running() == [one] * 2
    two = releases_of(project.canary("--source", project.version("v2", "good")))
    assert project.running() == [two] * 2
    assert project.run("rollback", "prod").code == 0
    assert project.running() == [one] * 2
    soaking = {"name": "canary", "hosts": 1, "soak": "3s", "settle": "0s"}
    project.write(rings=[soaking, {"name": "fleet", "hosts": "all"}], attended_soak="1s")
    three = releases_of(project.canary("--source", project.version("v3", "good")))
    deadline = time.monotonic() + 90
    while project.running() != [three] * 2:
        assert time.monotonic() < deadline
        stepped = project.run("promote", "prod")
        assert stepped.code == 0, stepped.out + stepped.err
    project.assert_never_two()
