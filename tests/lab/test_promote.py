"""Promote on real hosts: gates, two machines at once, journals that were rotated away."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import Project, Ran, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.host import Host
    from tests.lab.lab import Lab

NEXT = ("promote", "prod")


def rings(soak: str, **fleet: Any) -> list[dict[str, Any]]:
    """Give a canary that soaks, and the rest."""
    return [
        {"name": "canary", "hosts": 1, "soak": soak, "settle": "1s"},
        {"name": "fleet", "hosts": "all", "batch": 3, "settle": "1s", **fleet},
    ]


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give a user's folder with a first release on every host."""
    made = Project(tmp_path, lab)
    made.write(rings=rings("1s"))
    made.canary()
    return made


def release(project: Project, mode: str = "good", *words: str) -> str:
    """Release something new, as far as its first long soak; gives its id."""
    return releases_of(project.canary("--source", project.version("v2", mode), *words))


def promote_until(project: Project, code: int, seconds: float = HANG_S) -> Ran:
    """Take steps until one ends with this code and has something to say."""
    deadline = time.monotonic() + seconds
    while True:
        ran = project.run(*NEXT)
        if ran.code == code and (ran.all("promoted") or ran.summary):
            return ran
        assert time.monotonic() < deadline, f"{ran.code}\n{ran.out}\n{ran.err}"
        time.sleep(1)


def test_gates_are_opened_by_hand(project: Project) -> None:
    """Nothing gets past a gate, or a hold, until a person says so; each says who and why."""
    project.write(rings=[{"gate": "approve", **rings("1s")[0]}, rings("1s")[1]])
    one = project.running()[0]
    waiting = project.canary("--source", project.version("v2", "good"))
    assert waiting.all("waiting")[0]["reason"] == "gate"
    assert project.running() == [one] * len(project.hosts)
    assert project.run(*NEXT).code == 5
    project.run("hold", "prod", "--message", "the fair")
    assert project.run("approve", "prod", "--message", "I looked at it").code == 0
    held = project.run(*NEXT)
    assert (held.code, "the fair" in held.summary) == (5, True)
    assert project.running() == [one] * len(project.hosts)
    assert project.run("resume", "prod").code == 0
    promote_until(project, 0)
    deadline = time.monotonic() + HANG_S
    while one in project.running():
        assert time.monotonic() < deadline
        assert project.run(*NEXT).code == 0
    history = project.run("history", "prod").events[0]["entries"]
    why = {entry["why"] for entry in history if entry["act"] == "approve"}
    assert why == {"I looked at it"}


def test_two_machines_at_once_take_one_step(project: Project) -> None:
    """One acts; the other is told who has the lock, or finds nothing left to do."""
    project.write(rings=rings("3s"), attended_soak="1s")
    new = release(project)
    time.sleep(4)
    processes = [project.command("--json", *NEXT) for _ in range(2)]
    results = [process.communicate(timeout=HANG_S) for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes in ([0, 4], [0, 0]), results
    assert project.running() == [new] * len(project.hosts)
    for host in (project.lab[name] for name in project.hosts):
        acts = [json.loads(row)["act"] for row in audit(host)]
        assert acts.count("prove") == acts.count("switch") == 2
    assert project.run(*NEXT).summary == ""


def audit(host: Any) -> list[str]:
    """Read who did what on a host."""
    text: str = host.root("cat /var/lib/botdeploy/tbot/audit.jsonl").stdout
    return [row for row in text.splitlines() if row]


def test_a_journal_that_was_rotated_away_is_told_as_a_gap(project: Project) -> None:
    """What no tick has read before it was gone is in no evidence, and the pass says so."""
    project.write(rings=rings("16s"), attended_soak="1s")
    new = release(project)
    assert project.run(*NEXT).summary == ""
    time.sleep(5)
    project.lab["h1"].root("journalctl -q --rotate && journalctl -q --vacuum-time=1us")
    passed = promote_until(project, 0)
    verdict = next(one for one in passed.all("verdict") if one["ring"] == "canary")
    assert any("could not be read" in one for one in verdict["not_excluded"]), verdict
    kept = json.loads(project.lab["h1"].root(f"cat /var/lib/botdeploy/tbot/evidence/{new}").stdout)
    spans = kept["spans"]
    gap_s = (spans[-1][0] - spans[-2][1]) / 1e6
    assert 3 <= gap_s <= 60


def test_back_to_an_older_release_through_the_rings_ends(project: Project) -> None:
    """A release that an earlier rollout has proven is proven by this one, once."""
    one = project.running()[0]
    assert one is not None
    project.write(rings=rings("2s"), attended_soak="1s")
    release(project)
    promote_until(project, 0)
    back = project.run("canary", "prod", "--release", one)
    assert back.code == 0, back.out
    promote_until(project, 0)
    assert project.running() == [one] * len(project.hosts)
    assert project.run(*NEXT).summary == ""


def test_a_controller_killed_in_its_switch_is_followed_by_cron(project: Project) -> None:
    """The canary goes back by its lease, nothing has failed, and promote tries it again."""
    one = project.running()[0]
    project.write(rings=rings("60s"), lease="8s")
    process = project.canary_until_switched("--source", project.version("v2", "good"))
    process.kill()
    process.communicate()
    deadline = time.monotonic() + HANG_S
    while project.status()["h1"]["running"] != one or project.status()["h1"]["lease_until"]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    project.write(rings=rings("2s"), attended_soak="1s")
    deadline = time.monotonic() + HANG_S
    while one in project.running():
        assert time.monotonic() < deadline
        assert project.run(*NEXT).code in (0, 4)
    assert len(set(project.running())) == 1
    starts = [life for life in project.lives("h1") if life["event"] == "start"]
    assert len(starts) == 4  # the first release, the new one, back, and the new one again
    project.assert_never_two()


def test_what_shows_itself_after_the_pass_goes_back_while_a_gate_waits(project: Project) -> None:
    """The canary passed, and the approval waits: promote fails it, and the fleet never had it."""
    one = project.running()[0]
    project.write(rings=rings("2s", gate="approve"))
    waiting = project.canary("--source", project.version("v2", "late"))
    assert waiting.all("promoted")[0]["ring"] == "canary"
    assert waiting.all("waiting")[-1]["reason"] == "gate"
    time.sleep(11)
    shown = project.run("approve", "prod", "--dry-run")
    assert "h1, passed" in shown.summary
    assert " error" in shown.summary
    failed = promote_until(project, 1)
    assert "the database is corrupt" in failed.summary
    assert failed.all("verdict")[-1]["outcome"] == "fail"
    assert project.running() == [one] * len(project.hosts)
    assert len(project.lives("h2")) == 1
    assert project.run(*NEXT).summary == ""


def test_a_controller_that_was_stopped_fails_nothing(project: Project) -> None:
    """Stopped for longer than the lease: the host went back, and the same run tries it again."""
    project.write(rings=rings("15s"), lease="8s")
    process = project.canary_until_switched("--source", project.version("v2", "good"))
    process.send_signal(signal.SIGSTOP)
    time.sleep(14)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=HANG_S)
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, out + err
    assert [one["by"] for one in events if one["event"] == "reverted"] == ["host"]
    assert [one for one in events if one["event"] == "verdict" and one["outcome"] == "fail"] == []
    assert len(set(project.running())) == 1
    assert project.lab["h1"].root("ls /var/lib/botdeploy/tbot/quarantine").stdout == ""
    project.assert_never_two()


SOON_S = 15
"""The others wait 6 s at most for a host that hangs; the rest is for the acts themselves."""


@contextmanager
def hanging(host: Host) -> Iterator[None]:
    """Let a host's sshd answer, and its shell not."""
    user = host.ssh("id -un").stdout.strip()
    shell = host.root(f"getent passwd {user} | cut -d: -f7").stdout.strip()
    place = "/usr/local/bin/hangs"
    host.root(f"printf '#!/bin/sh\\nexec sleep 600\\n' >{place} && chmod 755 {place}")
    host.root(f"usermod -s {place} {user}")
    try:
        yield
    finally:
        host.root(f"usermod -s {shell} {user}; rm {place}")


def test_a_host_that_hangs_lets_no_lease_of_another_lapse(project: Project) -> None:
    """The canary stays pending under a lease of 20 s, beside a host that is waited for longer."""
    lease = {"until": "verdict", "ttl": "20s"}
    project.write(rings=rings("10m"), attended_soak="1s", lease=lease, max_unreachable=1)
    new = release(project)
    first = int(project.lab["h1"].root("cat /run/botdeploy/tbot/lease").stdout)
    with hanging(project.lab["h3"]):
        begun = time.monotonic()
        process = project.command("--json", *NEXT)
        while int(project.lab["h1"].root("cat /run/botdeploy/tbot/lease").stdout) == first:
            assert time.monotonic() - begun < SOON_S
            time.sleep(0.2)
        out, err = process.communicate(timeout=HANG_S)
        assert time.monotonic() - begun > 30, "the host did not hang"
        assert process.returncode == 0, out + err
    assert project.status()["h1"]["running"] == new
    assert len(project.lives("h1")) == 3  # the first release began and ended, the new one began


def test_a_failed_host_goes_back_before_one_that_hangs_is_waited_for(project: Project) -> None:
    """It is back on the old release while the step still waits for the other host."""
    one = project.running()[0]
    project.write(rings=rings("2s", gate="approve"), max_unreachable=1)
    release(project, "late")
    time.sleep(13)
    with hanging(project.lab["h3"]):
        begun = time.monotonic()
        process = project.command("--json", *NEXT)
        while str(one) not in project.lab["h1"].root("readlink /opt/tbot/current").stdout:
            assert time.monotonic() - begun < SOON_S
            time.sleep(0.2)
        assert process.poll() is None, "the host did not hang"
        out, err = process.communicate(timeout=HANG_S)
        assert process.returncode == 1, out + err
    assert project.running() == [one] * len(project.hosts)
