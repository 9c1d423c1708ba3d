"""A pass means that it runs, on real hosts: bots that end, are stopped, restart, or are unheard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project, Ran, releases_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

ENDS = 'import time; print("READY", flush=True); time.sleep({seconds})\n'
RESTARTS = """\
import os, sys, time
print("READY", flush=True)
is_second = os.path.exists("data/was-here")
open("data/was-here", "w").close()
for _ in range(10000 if is_second else 20):
    print("handled a message", flush=True)
    time.sleep(0.1)
"""
SHELL = """\
import subprocess, sys, os
child = subprocess.run([sys.executable, "-u", "-c", '''
import time
print("READY")
for _ in range(60):
    print("handled a message")
    time.sleep(0.1)
'''])
print("app crashed", flush=True)
os.execvp("sleep", ["sleep", "infinity"])
"""
SOAK = [{"name": "canary", "hosts": "all", "soak": "8s", "settle": "1s"}]
BRIEF = [{**SOAK[0], "soak": "1s"}]
"""For the good release that a test begins with."""


def source(project: Project, name: str, text: str) -> str:
    """Write a version of the bot that is not the usual one."""
    place = project.folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "main.py").write_text(f"VERSION = {name!r}\n{text}")
    return str(place)


def ends(project: Project, name: str, seconds: float) -> str:
    return source(project, name, ENDS.format(seconds=seconds))


def failed(project: Project, ran: Ran, runs: list[str | None]) -> None:
    """Check that it failed for that, that all hosts are back, and that nothing passed."""
    assert "ended by itself" in ran.summary, ran.out
    assert project.running() == runs
    assert ran.all("promoted") == []


def test_a_bot_that_ends_by_itself_fails_whenever_it_is_asked(lab: Lab, tmp_path: Path) -> None:
    """As first deploy, as upgrade, in the first of two batches, by promote under lease."""
    project = Project(tmp_path, lab, hosts=("h1", "h2"), rollout={"rings": SOAK})
    first = project.canary("--source", ends(project, "e1", 4), code=1)
    failed(project, first, [None, None])
    project.write(rings=BRIEF)
    one = releases_of(project.canary())
    project.write(rings=SOAK)
    failed(project, project.canary("--source", ends(project, "e2", 4), code=1), [one, one])
    batches = [{"name": "fleet", "hosts": "all", "batch": 1, "settle": "4s"}]
    project.write(rings=batches)
    bad = project.canary("--source", ends(project, "e3", 2), code=1)
    failed(project, bad, [one, one])
    assert [event["host"] for event in bad.all("switched")] == ["h1"]
    later = [{"name": "canary", "hosts": "all", "soak": "20s", "settle": "1s"}]
    project.write(rings=later, attended_soak="5s", lease={"until": "verdict", "ttl": "60s"})
    waits = project.canary("--source", ends(project, "e4", 6))
    assert waits.all("waiting")[-1]["reason"] == "soak"
    project.lab["h1"].root("while systemctl is-active -q tbot; do sleep 0.1; done")
    failed(project, project.run("promote", project.name), [one, one])


@pytest.fixture
def running(lab: Lab, tmp_path: Path) -> Project:
    """Give two hosts that run a good release."""
    project = Project(tmp_path, lab, hosts=("h1", "h2"), rollout={"rings": BRIEF})
    project.canary()
    project.write(rings=SOAK)
    return project


def test_canary_again_starts_what_ended_and_names_what_a_person_stopped(running: Project) -> None:
    """Status and check name both, and a link that is gone, also while the bot still runs."""
    release = running.running()[0]
    running.lab["h1"].root("systemctl kill -s TERM tbot; sleep 0.5")
    status = running.status()
    assert "ended by itself" in status["h1"]["error"]
    again = running.canary()
    assert [event["host"] for event in again.all("switched")] == ["h1"]
    assert running.running() == [release] * 2
    running.assert_never_two()
    running.lab["h1"].root("systemctl stop tbot")
    running.lab["h2"].root("rm /etc/systemd/system/multi-user.target.wants/tbot.service")
    status = running.status()
    assert "a person stopped" in status["h1"]["error"]
    assert "next boot" in status["h2"]["error"]
    checks = running.run("check", running.name)
    faults = {
        host["host"]: [item["message"] for item in host["checks"] if not item["ok"]]
        for host in checks.events[0]["hosts"]
    }
    assert any("a person stopped" in one for one in faults["h1"]), faults
    assert any("next boot" in one for one in faults["h2"]), faults
    held = running.canary(code=5)
    typed = f"botdeploy rollback {running.name} --to {release} --limit h1 --keep"
    assert typed in held.summary
    assert running.running() == [None, release]
    assert running.run(*typed.split()[1:]).code == 0
    assert running.running() == [release] * 2


def test_what_the_journal_does_not_tell_systemd_does(running: Project) -> None:
    """A restart without fault passes; a writer that is gone, or a mute journal, does not."""
    one = running.running()[0]
    running.bot["unit"] = {"Restart": "always"}
    running.write()
    (running.folder / "v1" / "main.py").write_text(RESTARTS)
    passed = running.canary()
    two = releases_of(passed)
    assert 0 < passed.all("verdict")[-1]["uptime"] < 1
    assert running.running() == [two] * 2
    running.bot["unit"] = {}
    # Its lines end after six seconds; what is quiet for five is told.
    running.write(rings=[{**SOAK[0], "soak": "15s"}])
    doubt = running.canary("--source", source(running, "shell", SHELL), code=5)
    assert "has left the unit" in doubt.summary
    assert running.run("rollback", running.name).code == 0
    for name in running.hosts:
        running.lab[name].root(
            "mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\\nStorage=none\\n' "
            ">/etc/systemd/journald.conf.d/mute.conf && systemctl restart systemd-journald"
        )
    running.bot["ready"] = None
    running.write()
    checks = running.run("check", running.name)
    told = [item["message"] for item in checks.events[0]["hosts"][0]["checks"] if not item["ok"]]
    assert any("Storage=none" in one for one in told), told
    crashes = source(running, "dies", "import sys, time; time.sleep(3); sys.exit(1)\n")
    bad = running.canary("--source", crashes, code=1)
    assert "unreadable" in bad.summary or "restarted" in bad.summary
    assert one != two


HANDS_OVER = """\
import os, socket, sys, time
def tell(text):
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    place = os.environ["NOTIFY_SOCKET"]
    there.sendto(text.encode(), "\\0" + place[1:] if place[0] == "@" else place)
if len(sys.argv) == 1:
    child = os.fork()
    if child:
        for number in range(40):
            print("handled", number, flush=True)
            time.sleep(0.1)
        tell(f"MAINPID={child}\\nREADY=1")
        time.sleep(0.5)
        sys.exit(0)
    os.execve(sys.executable, [sys.executable, "-u", "main.py", "child"], {})
while True:
    print("handled a message", flush=True)
    time.sleep(0.1)
"""
RESTS = RESTARTS.replace("was-here", "was-there")


def test_main_processes_change_and_lives_lie_apart(running: Project) -> None:
    """A bot hands its unit over to a child without environment; one rests; one is not there."""
    running.bot.update(ready={"notify": True}, unit={"NotifyAccess": "all"})
    running.write()
    two = releases_of(running.canary("--source", source(running, "hands-over", HANDS_OVER)))
    assert running.running() == [two] * 2
    running.bot.update(ready={"pattern": "READY"}, unit={"Restart": "always", "RestartSec": "7"})
    running.write(rings=[{**SOAK[0], "soak": "14s"}])
    passed = running.canary("--source", source(running, "rests", RESTS))
    assert 0.3 < passed.all("verdict")[-1]["uptime"] < 0.8
    assert running.running() == [releases_of(passed)] * 2
    # What can't be executed is told as that, and at once.
    running.bot.update(command="./none", unit={"Type": "exec"})
    running.write()
    bad = running.canary(code=1)
    assert "203" in bad.summary or "No such file" in bad.summary, bad.summary
    running.assert_never_two()
