"""What a rollout will stumble over is told by check before it begins, and each remedy is true."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.release.required_programs import encoded
from botdeploy.hosts import host_program
from botdeploy.hosts.host_program import How
from tests.core.release.test_required_programs import bot
from tests.hosts.acts.actkit import BOT, Actor, parse, unit_text
from tests.lab.rollouts import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab

Items = dict[str, dict[str, Any]]


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give the host that is looked at."""
    return lab["h1"]


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give an environment of that host."""
    rings = [{"name": "canary", "hosts": 1, "soak": "0s", "settle": "0s"}]
    return Project(tmp_path, lab, rollout={"rings": rings}, hosts=("h1",))


def faults(project: Project) -> list[dict[str, Any]]:
    """Give what check finds wrong with the host."""
    ran = project.run("check", "prod")
    assert ran.out, ran.err
    wrong = [item for item in ran.events[0]["hosts"][0]["checks"] if not item["ok"]]
    assert (ran.code == 6) == bool(wrong), ran.out
    return wrong


def drop_in(host: BreakableHost, text: str) -> str:
    """Give the bot's unit settings of an administrator's; answers the file."""
    place = "/etc/systemd/system/tbot.service.d/mine.conf"
    host.root(
        f"mkdir -p {place.rpartition('/')[0]}; cat >{place}; systemctl daemon-reload", stdin=text
    )
    return place


def test_nothing_is_found_and_nothing_is_left_where_all_is_well(
    project: Project, host: BreakableHost
) -> None:
    """Before the first deploy and after it; a .bashrc that prints hides nothing."""
    host.root(
        "printf 'printf hello\\n' >/home/deploy/.bashrc.new; cat /home/deploy/.bashrc"
        " >>/home/deploy/.bashrc.new; mv /home/deploy/.bashrc.new /home/deploy/.bashrc"
    )
    assert host.ssh("true").stdout == "hello"
    assert faults(project) == []
    project.canary()
    ran = project.run("check", "prod")
    assert ran.code == 0, ran.out
    items = {item["name"]: item for item in ran.events[0]["hosts"][0]["checks"]}
    assert {"root", "systemd", "sandbox", "rate-limit", "user"} <= set(items)
    assert "settings work here" in items["sandbox"]["message"]
    left = host.root(
        "ls -A /run/systemd/system /run | grep botdeploy-check;"
        " systemctl list-units --all --no-legend 'botdeploy-check*'",
        check=False,
    )
    assert left.stdout == ""


def test_settings_that_fail_are_named_one_by_one(project: Project, host: BreakableHost) -> None:
    """An administrator's and the inventory's own, each with what to do; then all is well."""
    place = drop_in(host, "[Service]\nReadWritePaths=/nowhere\nInaccessiblePaths=/opt\n")
    project.bot["unit"] = {"NoExecPaths": "/", "MemoryMax": "1G"}
    project.write()
    wrong = faults(project)
    assert [item["name"] for item in wrong] == ["sandbox"] * 3
    told = [item["message"] for item in wrong]
    assert "NoExecPaths=/ (status 203, EXEC: Permission denied)" in told[0]
    assert "ReadWritePaths=/nowhere (status 226, NAMESPACE: No such file or directory)" in told[1]
    assert "InaccessiblePaths=/opt (status 200, CHDIR: Permission denied)" in told[2]
    assert "bot: {unit: {NoExecPaths: null}}" in wrong[0]["mend"]
    assert wrong[1]["mend"] == f"take it out of {place}, then: systemctl daemon-reload"
    del project.bot["unit"]
    project.write()
    host.root(f"rm {place}; systemctl daemon-reload")
    assert faults(project) == []


def test_opt_below_home_is_told_with_the_setting(project: Project, host: BreakableHost) -> None:
    """The remedy that is told is tried: the bot then runs."""
    host.root("mv /opt /home/opt && ln -s /home/opt /opt")
    try:
        (wrong,) = faults(project)
        assert "ProtectHome=yes (status 200, CHDIR" in wrong["message"]
        assert "bot: {unit: {ProtectHome: null}}" in wrong["mend"]
        refused = project.run("canary", "prod")
        assert refused.code in {5, 6}
        assert "botdeploy check" in refused.summary
        project.bot["unit"] = {"ProtectHome": None}
        project.write()
        assert faults(project) == []
        project.canary()
    finally:
        host.root("systemctl stop tbot; rm /opt && mv /home/opt /opt")


def test_what_a_build_needs_is_tried(project: Project, host: BreakableHost) -> None:
    """A /tmp that runs nothing, or is small; programs and modules; each remedy is done."""
    project.bot["build"] = [
        "python3 -m venv --without-pip .venv",
        "python3 -m nothing",
        "cargo build",
    ]
    project.write()
    host.root("mount -t tmpfs -o size=50m,noexec lab /tmp && echo /tmp >>/run/lab-mounts")
    wrong = {item["message"]: item["mend"] for item in faults(project)}
    assert len(wrong) == 4
    assert "/tmp is mounted noexec: what a build unpacks there can't run" in wrong
    assert "python3 has no module nothing, which the build runs" in wrong
    assert "cargo, which the build runs, is not on this host" in wrong
    for mend in wrong.values():
        if mend.startswith("mount "):
            host.root(mend.partition(", and")[0])
    project.bot["build"] = ["python3 -m venv --without-pip .venv"]
    project.write()
    assert faults(project) == []
    project.canary()


def test_what_the_bot_needs_is_tried(project: Project, host: BreakableHost) -> None:
    """The program of its command, where its user may run it, and what asks whether it is ready."""
    host.root(
        "mkdir -m 0700 /srv/mine; cp /bin/true /srv/mine/; mv /usr/bin/curl /usr/bin/curl.away"
    )
    try:
        project.bot |= {"command": "nodejs main.js", "ready": {"http": "http://localhost:8080/"}}
        project.write()
        wrong = faults(project)
        assert {item["name"] for item in wrong} == {"curl", "program", "command"}
        told = " ".join(item["message"] for item in wrong)
        assert "nodejs, which the bot's command runs, is not on this host" in told
        assert "the source holds no main.js" in told
        project.bot |= {"command": "/srv/mine/true", "ready": {"pattern": "x"}}
        project.write()
        (wrong_one,) = faults(project)
        assert "/srv/mine/true is there, but nobody may not run it" in wrong_one["message"]
        project.bot["command"] = "/home/plain/true"
        project.write()
        host.root("cp /bin/true /home/plain/; chmod 755 /home/plain")
        (wrong_one,) = faults(project)
        assert "/home/plain/true can't start here with ProtectHome=yes" in wrong_one["message"]
    finally:
        host.root("mv /usr/bin/curl.away /usr/bin/curl")


ELSEWHERE = {
    "LogNamespace=apart": "LogNamespace=apart",
    "StandardOutput=append:/var/log/tbot.log": "StandardOutput=append",
    "LogLevelMax=warning": "LogLevelMax=4",
    "LogRateLimitBurst=50\nLogRateLimitIntervalSec=30s": "beyond 50 lines in 30s",
}


def test_lines_that_go_elsewhere_are_told(project: Project, host: BreakableHost) -> None:
    """By an administrator's drop-in: with its file; without it all is well."""
    for setting, told in ELSEWHERE.items():
        place = drop_in(host, f"[Service]\n{setting}\n")
        (wrong,) = faults(project)
        assert told in wrong["message"]
        assert place in wrong["mend"]
    host.root(f"rm {place}; systemctl daemon-reload")
    assert faults(project) == []


@pytest.mark.parametrize("setting", ["Storage=none", "MaxLevelStore=warning"])
def test_a_journal_that_keeps_nothing_is_told(
    setting: str, project: Project, host: BreakableHost
) -> None:
    """With the file that says so, and what to type then."""
    place = "/etc/systemd/journald.conf.d/mine.conf"
    host.root(
        f"mkdir -p {place.rpartition('/')[0]}; printf '[Journal]\\n{setting}\\n' >{place};"
        " systemctl restart systemd-journald"
    )
    try:
        (wrong,) = faults(project)
        assert setting.partition("=")[0] in wrong["message"]
        assert wrong["mend"].startswith(f"take that out of {place}, then: ")
        host.root(f"rm {place}; {wrong['mend'].partition('then: ')[2]}")
        assert faults(project) == []
    finally:
        host.root(f"rm -f {place}; systemctl restart systemd-journald")


def test_every_volume_that_is_used_is_looked_at(project: Project, host: BreakableHost) -> None:
    """Releases on a volume of their own: full is told; a build that fills it leaves nothing."""
    one = project.canary()
    host.small_disk("/opt/tbot/releases", size="48m")
    with host.fill_disk("/opt/tbot/releases"):
        (wrong,) = faults(project)
        assert wrong["name"] == "/opt/tbot/releases"
        assert "less than a tenth" in wrong["message"]
    assert faults(project) == []
    project.bot["build"] = ["head -c 90000000 /dev/zero >big"]
    project.write()
    failed = project.canary(code=6)
    assert "the volume /opt/tbot/releases is full" in failed.summary
    listed = host.root("ls -A /opt/tbot/releases; ls -A /opt/tbot").stdout.split()
    assert ".incoming" not in listed
    assert ".partial" not in listed
    assert faults(project) == []
    project.bot["build"] = ["head -c 9000 /dev/zero >big"]
    project.write()
    two = project.canary()
    assert one.out != two.out
    assert host.root("stat -c %s /opt/tbot/current/big").stdout == "9000\n"


def test_without_rights_it_says_what_it_could_not_try(host: BreakableHost) -> None:
    """Programs can be looked for; a unit can't be tried."""
    wanted = encoded(bot("gone-program x"), unit_text("R1"), None)
    command = host_program.call(BOT, "n1", "check", ["", wanted], how=How.UNPRIVILEGED)
    said = host.ssh(command, user="plain", stdin=host_program.PROGRAM).stdout
    wrong = {
        one["check"]["name"]: one["check"]["message"]
        for one in parse("n1", said)
        if "check" in one and not one["check"]["ok"]
    }
    assert "gone-program is not on this host" in wrong["program"]
    assert "were not tried" in wrong["sandbox"]
    assert "root" in wrong


def test_a_deployer_gets_nothing_run_by_what_is_to_be_tried(host: BreakableHost) -> None:
    """The unit that is tried is one that could be staged, and nothing of its commands runs."""
    actor = Actor(host)
    actor.install()
    good = unit_text("R1").replace("/releases/R1", "/current")
    refused = (
        good.replace(f"User={BOT}", "User=root"),
        good.replace("[Install]", "BindPaths=/root:/opt\n[Install]"),
        good.replace("[Install]", "StandardOutput=file:/run/was-here\n[Install]"),
    )
    allowed = (
        good,
        good.replace("[Install]", "ExecStartPre=/bin/touch /dev/shm/was-here\n[Install]"),
        good.replace("[Install]", "RuntimeDirectory=echobot\n[Install]"),
    )
    for unit in (*refused, *allowed):
        wanted = encoded(bot("python3 x"), unit, None)
        said = actor("check", BOT, wanted, stdin=b"arrived\n")
        (sandbox,) = [
            one["check"] for one in said.records if one.get("check", {}).get("name") == "sandbox"
        ]
        assert sandbox["ok"] is (unit in allowed), sandbox
    odd = "program=x;touch /dev/shm/was-here\nprogram=$(touch /dev/shm/was-here)\n"
    rows = f"ready=port\n{odd}{odd.replace('program', 'build')}\n{good}"
    actor("check", BOT, base64.b64encode(rows.encode()).decode(), stdin=b"arrived\n")
    left = host.root("ls -d /dev/shm/was-here /run/was-here /run/echobot", check=False)
    assert left.stdout == ""
    lost = actor("check", BOT, stdin=b"")
    assert [one["check"]["ok"] for one in lost.records if "input" in str(one)] == [False]
