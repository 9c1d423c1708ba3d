"""What keeps people out on real hosts: few sessions, no shell, a wrong password, a lockout."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.lab import Lab
    from tests.lab.plugin import NewLab
    from tests.lab.rollouts import Ran

RINGS = [{"name": "canary", "hosts": 1, "soak": "1s", "settle": "0s"}]
SETTING = "/etc/ssh/sshd_config.d/00-way-in.conf"


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Iterator[Project]:
    """Give a project with one host, whose sshd is put back afterwards."""
    yield Project(tmp_path, lab, hosts=("h1",), rollout={"rings": RINGS})
    lab["h1"].root(f"rm -f {SETTING}; systemctl reload ssh; usermod -s /bin/bash plain")


def items(ran: Ran) -> dict[str, dict[str, object]]:
    """Give a check's items by name."""
    return {item["name"]: item for item in ran.events[0]["hosts"][0]["checks"]}


@pytest.mark.parametrize("limit", [1, 2])
def test_few_sessions_are_enough(project: Project, lab: Lab, limit: int) -> None:
    """With MaxSessions 1 a rollout runs over further connections, and check says so."""
    lab["h1"].root(f"echo MaxSessions {limit} >{SETTING}; systemctl reload ssh")
    seen = project.run("check", "prod")
    assert seen.code == 0, seen.out
    assert f"allows {limit} sessions per connection" in str(items(seen)["sessions"]["message"])
    project.canary()
    assert len(project.lives("h1")) == 1


def test_login_without_a_shell_and_wrong_password_are_told(project: Project, lab: Lab) -> None:
    """What nologin says, who logged in, and sudo's words are shown by check and canary."""
    host = lab["h1"]
    project.host_vars["h1"] = {"ansible_user": "plain", "ansible_become_password": "guess"}
    project.write()
    host.root("echo 'plain:pass word' | chpasswd")
    host.root("echo 'plain ALL=(ALL:ALL) ALL' >/etc/sudoers.d/zz-plain")
    seen = project.run("check", "prod")
    assert "1 incorrect password attempt" in str(items(seen)["sudo"]["message"])
    assert items(seen)["sudo"]["mend"] == "correct ansible_become_password"
    ran = project.run("canary", "prod")
    assert (ran.code, "1 incorrect password attempt" in ran.out) == (6, True), ran.out
    host.root("rm /etc/sudoers.d/zz-plain; usermod -s /usr/sbin/nologin plain")
    for command in ("check", "canary"):
        ran = project.run(command, "prod")
        assert ran.code == 6
        assert "as plain: This account is currently not available." in ran.out


def test_lockout_is_quoted_and_not_made_longer(new_lab: NewLab, tmp_path: Path) -> None:
    """OpenSSH 10's own lockout after refused logins is told in its words."""
    lab = new_lab(1, suite="trixie")
    host = lab["h1"]
    setting = "PerSourcePenalties authfail:120s min:60s max:600s"
    host.root(f"echo '{setting}' >{SETTING}; systemctl restart ssh")
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    stranger = {"h1": {"ansible_ssh_private_key_file": str(key)}}
    project = Project(tmp_path, lab, hosts=("h1",), host_vars=stranger, rollout={"rings": RINGS})
    first = project.run("check", "prod", env={"SSH_AUTH_SOCK": ""})
    assert "authentication failed" in first.out, first.out
    project.host_vars.clear()
    project.write()
    locked = project.run("check", "prod")
    assert locked.code == 6
    assert "'Not allowed at this time'" in locked.out
    assert "PerSourcePenalties" in locked.out
    host.root(f"rm {SETTING}; systemctl restart ssh")
    assert project.run("check", "prod").code == 0
