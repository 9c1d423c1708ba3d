"""The main path on Debian 13: OpenSSH 10, systemd 257, and sudo-rs in the place of sudo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project, releases_of
from tests.lab.shell import HANG_S

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
    deadline = time.monotonic() + HANG_S
    while project.running() != [three] * 2:
        assert time.monotonic() < deadline
        stepped = project.run("promote", "prod")
        assert stepped.code == 0, stepped.out + stepped.err
    project.assert_never_two()


def test_what_a_password_of_sudo_rs_does_is_told(debian13: Lab, tmp_path: Path) -> None:
    """sudo-rs 0.2.5 takes what follows the password for itself; without one all is well."""
    host = debian13["h1"]
    host.use_sudo_rs()
    host.root("echo 'plain:pass word' | chpasswd")
    host.root("echo 'plain ALL=(ALL:ALL) ALL' >/etc/sudoers.d/zz-plain")
    user = {"h1": {"ansible_user": "plain", "ansible_become_password": "pass word"}}
    project = Project(tmp_path, debian13, host_vars=user, hosts=("h1",))
    ran = project.run("check", "prod")
    wrong = {one["name"]: one for one in ran.events[0]["hosts"][0]["checks"] if not one["ok"]}
    assert ran.code == 6
    assert "the beginning is missing" in wrong["input"]["message"]
    assert "botdeploy setup prod --user root" in wrong["input"]["mend"]
    host.root("rm /etc/sudoers.d/zz-plain")
    assert project.run("setup", "prod", "--user", "root").code == 0
    assert project.run("check", "prod").code == 0
