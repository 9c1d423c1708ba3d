"""The main job on real hosts: canary, verdict, return, rollback."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.inspection import look_at
from tests.lab.rollouts import Project, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give a user's folder with a bot that works."""
    return Project(tmp_path, lab)


def test_the_first_deploy_and_the_next(project: Project) -> None:
    """Two releases go through canary and fleet; each host keeps the first to return to."""
    first = project.canary()
    one = releases_of(first)
    assert project.running() == [one] * 3
    assert first.all("switched")[0]["host"] == "h1"
    two = releases_of(project.canary("--source", project.version("v2", "good")))
    assert two != one
    status = project.status()
    assert {host["current"] for host in status.values()} == {two}
    assert {host["previous"] for host in status.values()} == {one}
    again = project.canary("--source", project.version("v2", "good"))
    assert "nothing to do" in again.summary
    project.assert_never_two()


@pytest.mark.parametrize("mode", ["crash", "errors", "never-ready", "import-error", "silent"])
def test_a_bad_release_is_caught_on_the_canary(project: Project, mode: str) -> None:
    """Whatever is wrong with it, the canary goes back and no other host ever runs it."""
    if mode == "silent":
        project.write(
            rings=[
                {"name": "canary", "hosts": 1, "soak": "12s", "settle": "0s"},
                {"name": "fleet", "hosts": "all", "settle": "0s"},
            ]
        )
    one = releases_of(project.canary())
    time.sleep(8 if mode == "silent" else 0)
    bad = project.canary("--source", project.version("bad", mode), code=1)
    assert project.running() == [one] * 3, bad.out
    two = releases_of(bad)
    for name in ("h2", "h3"):
        assert two not in {life["release"] for life in project.lives(name)}
    assert two in {life["release"] for life in project.lives("h1")}
    assert bad.all("outcome")[-1]["code"] == 1
    refused = project.run("canary", "prod", "--source", str(project.folder / "bad"))
    assert refused.code == 5
    assert "quarantine" in refused.summary
    project.assert_never_two()


def test_a_first_deploy_that_fails_leaves_the_bot_stopped(project: Project) -> None:
    """With nothing to return to, the bot is stopped and no link is left."""
    bad = project.canary("--source", project.version("bad", "never-ready"), code=1)
    assert project.running() == [None] * 3
    assert project.status()["h1"]["current"] is None
    assert "h1" in bad.summary
    assert (
        not project.lab["h1"]
        .root("ls -A /etc/systemd/system | grep -x tbot.service", check=False)
        .stdout
    )


def test_a_failure_in_the_fleet_takes_everything_back(project: Project) -> None:
    """One host's failure late in the rollout returns the hosts that passed before it."""
    one = releases_of(project.canary())
    project.host_vars["h3"] = {
        "bot": {
            "name": "tbot",
            "source": "../v1",
            "command": "/usr/bin/python3 main.py",
            "shared": ["data"],
            "ready": {"pattern": "^READY", "timeout": "5s"},
            "env": {"MODE": "never-ready"},
        }
    }
    project.bot["env"] = {"ROUND": "2"}
    project.write()
    bad = project.canary(code=1)
    assert project.running() == [one] * 3
    assert {event["host"] for event in bad.all("reverted")} == {"h1", "h2", "h3"}
    project.assert_never_two()


def test_rollback_takes_all_hosts_back_once(project: Project) -> None:
    """Everything goes back at once; a second rollback changes nothing and ends with 0."""
    one = releases_of(project.canary())
    nothing = project.run("rollback", "prod")
    assert nothing.code == 2, nothing.out
    project.canary("--source", project.version("v2", "good"))
    assert project.run("rollback", "prod", "--check").code == 0
    back = project.run("rollback")
    assert back.code == 0, back.out + back.err
    assert project.running() == [one] * 3
    second = project.run("rollback", "prod")
    assert second.code == 0
    assert "nothing to revert" in second.summary
    assert project.running() == [one] * 3
    project.assert_never_two()


def test_a_host_that_is_down_stops_the_rollout_before_anything_is_touched(
    project: Project,
) -> None:
    """With ``max_unreachable`` 0 nothing is staged; with 1 the rest goes on."""
    with project.lab["h3"].cut_network():
        ran = project.canary(code=6)
        assert "h3" in ran.summary
        assert ran.all("switched") == []
        project.write(max_unreachable=1)
        ran = project.canary()
        assert "behind: h3" in ran.summary
    assert project.running()[2] is None


def test_hosts_that_cannot_take_part_are_named_with_the_reason(project: Project) -> None:
    """No sudo and a changed host key are told as that, by host."""
    with project.lab["h2"].deny_sudo(), project.lab["h3"].change_host_key():
        ran = project.canary(code=6)
    told = {event["host"]: event["error"] for event in ran.all("host_failed")}
    assert "sudo" in told["h2"]
    assert "key" in told["h3"]
    assert ran.all("switched") == []


def test_a_controller_that_dies_leaves_the_canary_to_go_back(project: Project) -> None:
    """Killed during the soak, the canary reverts when its lease ends; the next run goes on."""
    one = releases_of(project.canary())
    project.write(
        rings=[
            {"name": "canary", "hosts": 1, "soak": "25s", "settle": "0s"},
            {"name": "fleet", "hosts": "all", "settle": "0s"},
        ],
        lease="8s",
    )
    source = project.version("v2", "good")
    process = project.canary_until_switched("--source", source)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + HANG_S
    while project.status()["h1"]["running"] != one or project.status()["h1"]["lease_until"]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    project.write(
        rings=[
            {"name": "canary", "hosts": 1, "soak": "3s", "settle": "0s"},
            {"name": "fleet", "hosts": "all", "settle": "0s"},
        ]
    )
    deadline = time.monotonic() + HANG_S
    while (ran := project.run("canary", "prod", "--source", source)).code == 4:
        assert time.monotonic() < deadline
        time.sleep(1)
    assert ran.code == 0, ran.out + ran.err
    assert set(project.running()) == {releases_of(ran)}
    project.assert_never_two()


def test_an_interrupt_ends_quickly_and_gives_the_lock_back(project: Project) -> None:
    """SIGTERM ends with 130; the same command takes the pending canary on."""
    project.canary()
    project.write(
        rings=[
            {"name": "canary", "hosts": 1, "soak": "8s", "settle": "0s"},
            {"name": "fleet", "hosts": "all", "settle": "0s"},
        ],
        lease="120s",
    )
    source = project.version("v2", "good")
    process = project.canary_until_switched("--source", source)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    ran = project.canary("--source", source)
    assert [event["host"] for event in ran.all("switched")] == ["h2", "h3"]
    assert len([life for life in project.lives("h1") if life["event"] == "start"]) == 2
    project.assert_never_two()


def test_of_two_rollouts_at_once_one_wins(project: Project) -> None:
    """The other ends with 4 and names who has the lock."""
    processes = [project.command("--json", "canary", "prod") for _ in range(2)]
    results = [process.communicate(timeout=HANG_S) for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes == [0, 4], results
    loser = next(r for p, r in zip(processes, results, strict=True) if p.returncode == 4)
    assert "locked" in loser[0]
    assert len(set(project.running())) == 1


def test_a_change_of_environment_is_a_release_of_its_own(project: Project) -> None:
    """``--set`` alone makes a release that can be judged and rolled back."""
    one = releases_of(project.canary())
    two = releases_of(project.canary("--set", 'GREETING=it\'s "50%" $HOME'))
    assert one != two
    environ = project.lab["h1"].root(
        "tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID tbot.service)/environ"
    )
    assert 'GREETING=it\'s "50%" $HOME' in environ.stdout.splitlines()


def test_ring_stops_after_it_and_the_same_command_goes_on(project: Project) -> None:
    """``--ring canary`` leaves the fleet on the old release until the next run."""
    one = releases_of(project.canary())
    source = project.version("v2", "good")
    two = releases_of(project.canary("--ring", "canary", "--source", source))
    assert project.running() == [two, one, one]
    project.canary("--source", source)
    assert project.running() == [two] * 3


def test_a_bot_that_hangs_on_stop_is_killed_before_the_next_starts(project: Project) -> None:
    """A deaf old copy costs its stop timeout, never a second copy."""
    project.canary("--source", project.version("deaf", "deaf"))
    project.canary("--source", project.version("v2", "good"))
    project.assert_never_two()


def test_what_stands_on_a_host(project: Project, lab: Lab) -> None:
    """Seen from outside: links, owners, modes and the unit are as the documentation says."""
    release = releases_of(project.canary(env={}))
    host = look_at(lab["h2"], sudo=True)
    home = host.file("/opt/tbot/current")
    assert home.is_symlink
    assert home.linked_to == f"/opt/tbot/releases/{release}"
    main = host.file(f"/opt/tbot/releases/{release}/main.py")
    assert (main.user, main.group, main.mode) == ("root", "root", 0o644)
    environment = host.file(f"/opt/tbot/releases/{release}/.botdeploy/environment")
    assert (environment.user, environment.mode) == ("root", 0o600)
    state = host.file("/var/lib/botdeploy/tbot")
    assert (state.user, state.mode) == ("root", 0o700)
    shared = host.file("/opt/tbot/shared")
    assert shared.user == "tbot"
    service = host.service("tbot")
    assert service.is_running
    assert service.is_enabled
    assert host.user("tbot").shell.endswith("nologin")


def test_a_cut_network_is_not_taken_for_a_silent_bot(project: Project, lab: Lab) -> None:
    """While the canary cannot be heard nothing is held against it, and nothing gets lost."""
    project.canary()
    project.write(
        rings=[
            {"name": "canary", "hosts": 1, "soak": "30s", "settle": "0s"},
            {"name": "fleet", "hosts": "all", "settle": "0s"},
        ],
        lease="60s",
    )
    time.sleep(8)
    source = project.version("v2", "good")
    process = project.canary_until_switched("--source", source)
    with lab["h1"].cut_network():
        time.sleep(9)
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, out + err
    verdict = next(json.loads(line) for line in out.splitlines() if '"verdict"' in line)
    assert verdict["outcome"] == "pass"
    assert "silent" not in " ".join(verdict["reasons"])


def test_a_bot_that_systemd_gave_up_is_told_with_the_command_that_starts_it(
    project: Project, lab: Lab
) -> None:
    """Nothing was pending, so no host may act: status says failed, why, and what to type."""
    one = releases_of(project.canary())
    lab["h2"].root(
        "chmod 000 /opt/tbot/shared/data && systemctl kill -s KILL tbot;"
        " while [ $(systemctl show -P ActiveState tbot) != failed ]; do sleep 0.2; done",
        timeout=120,
    )
    lab["h2"].root("chmod 750 /opt/tbot/shared/data")
    told = project.status()
    assert (told["h1"]["error"], told["h3"]["error"]) == (None, None)
    assert told["h2"]["active_state"] == "failed"
    assert "systemd no longer restarts it" in told["h2"]["error"]
    typed = told["h2"]["error"].rpartition(", or botdeploy ")[2]
    assert typed == f"rollback prod --to {one} --limit h2 --keep"
    started = project.run(*typed.split())
    assert started.code == 0, started.out + started.err
    assert project.running() == [one] * 3
    assert project.status()["h2"]["error"] is None
    nothing = project.run("canary", "prod").summary
    assert nothing == f"{one} is on every host already; nothing to do"
    project.assert_never_two()
