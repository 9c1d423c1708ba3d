"""Shards that change their numbers, on real hosts, by the command that users type."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import BOT, Project, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

#: Two names in the kernel, which go with the process and are seen by all of a machine: two of one
#: index can't live, and one of another count beside it is a mix.
LOCKS = """\
import os, socket
INDEX, COUNT = os.environ["SHARD"].split("/")
index, number = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
number.bind(f"\\0tbot-count-{COUNT}-{INDEX}")
with open("data/shards.log", "a") as log:
    try:
        index.bind("\\0tbot-index-" + INDEX)
    except OSError:
        log.write("two of one index\\n")
    for row in open("/proc/net/unix"):
        if "@tbot-count-" in row and f"@tbot-count-{COUNT}-" not in row:
            log.write("two numberings\\n")
    log.write(f"{INDEX}/{COUNT}\\n")
"""
RINGS: list[dict[str, Any]] = [
    {"name": "canary", "hosts": 1, "soak": "4s", "settle": "1s"},
    {"name": "fleet", "hosts": "all", "settle": "1s", "gate": "approve"},
]


def shards(project: Project, names: list[str]) -> None:
    """Let each machine have these instances."""
    project.bot["instances"] = names
    project.write()


def version(project: Project, name: str, mode: str) -> str:
    """Write a version of the bot that holds its numbers; gives its path."""
    place = project.folder / name
    place.mkdir(parents=True, exist_ok=True)
    text = f"DEFAULT_MODE = {mode!r}\nVERSION = {name!r}\n{LOCKS}{BOT}"
    (place / "main.py").write_text(text)
    return str(place)


def project_of(folder: Path, lab: Lab, names: list[str], machines: int = 1) -> Project:
    """Give a user's folder for machines with shards, which run a first release."""
    hosts = tuple(host.name for host in lab)[:machines]
    shard = {"SHARD": "{{ instance_index }}/{{ instance_count }}"}
    rollout = {"rings": [{"name": "all", "hosts": "all", "batch": "100%", "settle": "1s"}]}
    made = Project(folder, lab, bot={"env": shard}, rollout=rollout, hosts=hosts)
    version(made, "v1", "good")
    if names:
        shards(made, names)
    made.canary()
    made.write(rings=RINGS)
    return made


def numbers(project: Project) -> dict[str, str]:
    """Read by which numbers each instance ran last; none ever met another one's."""
    found = {}
    for name in project.hosts:
        where = "/opt/tbot/instances"
        listed = project.lab[name].root(f"cd {where}; tail -n 50 */shared/data/shards.log").stdout
        instance = ""
        for row in listed.split("\n"):
            if row.startswith("==>"):
                instance = f"{name}/{row.split()[1].split('/')[0]}"
            elif row:
                assert "two" not in row, listed
                found[instance] = row
    return found


def pids(project: Project) -> str:
    """Give the main process of each instance."""
    units = "systemctl show -P MainPID 'tbot@*.service'"
    return "".join(project.lab[name].root(units).stdout for name in project.hosts)


def until_all_run(project: Project, release: str, seconds: float = HANG_S) -> None:
    """Wait until every instance runs a release, or nothing where it is a new one."""
    deadline = time.monotonic() + seconds
    while {*project.running()} - {None} != {release}:
        assert time.monotonic() < deadline, project.running()
        time.sleep(0.5)


def test_one_more_shard_needs_a_yes_and_is_one_batch(lab: Lab, tmp_path: Path) -> None:
    """Rings and their gates are ignored; a fail, a lost controller and a rollback take all back."""
    project = project_of(tmp_path, lab, ["a", "b", "c"])
    old, before = project.running()[0] or "", pids(project)
    shards(project, ["z", "a", "b", "c"])
    ran = project.canary("--source", version(project, "v2", "good"), code=5)
    assert "h1/a 0/3 → 1/4" in ran.summary
    assert "botdeploy canary prod --yes" in ran.summary
    told = project.run("plan", "prod").events[0]
    (new_one,) = [one for one in told["renumbers"] if one["host"] == "h1/z"]
    assert (new_one["from"], new_one["to"]) == (None, "0/4")
    assert [one["name"] for one in told["rings"]] == ["renumbering"]
    assert (pids(project), project.running()) == (before, [None, old, old, old])

    bad = version(project, "v3", "crash")
    ran = project.canary("--source", bad, "--yes", code=1)
    assert len(ran.all("switched")) == len(ran.all("reverted")) == 4
    assert [one["ring"] for one in ran.all("verdict")] == ["renumbering"]
    assert project.running() == [None, old, old, old]
    assert numbers(project)["h1/a"] == "0/3"

    project.write(
        rings=[{**RINGS[0], "soak": "60s"}, RINGS[1]], lease={"ttl": "8s", "until": "settle"}
    )
    process = project.canary_until_switched("--source", version(project, "v4", "good"), "--yes")
    process.send_signal(signal.SIGKILL)
    process.wait()
    until_all_run(project, old)
    assert project.run("unlock", "prod").code == 0, "its controller is dead"
    project.write(rings=RINGS, lease="20s")

    ran = project.canary("--source", version(project, "v2", "good"), "--yes")
    new = releases_of(ran)
    assert project.running() == [new] * 4
    assert numbers(project) == {"h1/z": "0/4", "h1/a": "1/4", "h1/b": "2/4", "h1/c": "3/4"}
    ran = project.canary("--source", version(project, "v5", "good"))
    assert [one["ring"] for one in ran.all("verdict")] == ["canary"], (
        "the numbers stay: rings again"
    )
    back = project.run("rollback", "prod")
    assert back.code == 0, back.out
    back = project.run("rollback", "prod", "--to", old)
    assert back.code in {0, 7}, back.out
    numbers(project)


def test_promote_goes_on_with_one_that_was_begun(lab: Lab, tmp_path: Path) -> None:
    """It begins none; its verdict is about all."""
    project = project_of(tmp_path, lab, ["a", "b"])
    shards(project, ["z", "a", "b"])
    project.write(attended_soak="1s")
    ran = project.canary("--source", version(project, "v2", "good"), "--yes")
    new = releases_of(ran)
    assert project.running() == [new] * 3
    deadline = time.monotonic() + HANG_S
    while project.run("status", "prod").events[0]["rollout"]["state"] != "done":
        ran = project.run("promote", "prod")
        assert ran.code == 0, ran.out
        assert time.monotonic() < deadline
        time.sleep(1)
    numbers(project)


@pytest.mark.parametrize("mode", ["good", "errors"])
def test_two_machines_stop_all_before_the_first_one_starts(
    mode: str, lab: Lab, tmp_path: Path
) -> None:
    """By the journals: no start of the new release before the last end of the old one."""
    project = project_of(tmp_path, lab, ["a", "b"], machines=2)
    old = project.running()[0]
    shards(project, ["z", "a", "b"])
    source = version(project, "v2", mode)
    ran = project.canary("--source", source, "--yes", code=0 if mode == "good" else 1)
    new = releases_of(ran)
    lives = [
        life
        for name in project.hosts
        for instance in ("z", "a", "b")
        for life in project.lives(name, instance)
    ]
    ends = [life["ns"] for life in lives if life["release"] == old and life["event"] == "end"]
    starts = [life["ns"] for life in lives if life["release"] == new and life["event"] == "start"]
    assert (len(ends), len(starts)) == (4, 6)
    assert max(ends) < min(starts), "they share the kernel's clock"
    if mode == "good":
        assert project.running() == [new] * 6
        assert numbers(project)["h2/b"] == "5/6"
    else:
        assert project.running() == [None, old, old] * 2
        assert numbers(project)["h2/b"] == "3/4"


def test_two_plain_shards_become_four_and_go_back(lab: Lab, tmp_path: Path) -> None:
    """A change of form with other numbers is one batch: no two numberings on any machine."""
    project = project_of(tmp_path, lab, [], machines=2)
    old = project.running()[0] or ""
    project.bot["instances"] = 2
    project.write()
    source = version(project, "v2", "good")
    ran = project.canary("--source", source, code=5)
    assert "h1/1 0/2 → 0/4, h1/2 none → 1/4, h2/1 1/2 → 2/4" in ran.summary
    text, _ = project.command("plan", "prod", "--source", source).communicate(timeout=HANG_S)
    assert "h2/1 takes the place of the plain bot on" in text
    assert "They are switched in one batch" in text

    ran = project.canary("--source", version(project, "v3", "crash"), "--yes", code=1)
    assert {one["host"] for one in ran.all("reverted")} == {"h1/1", "h1/2", "h2/1", "h2/2"}
    assert plain_runs(project, old)

    new = releases_of(project.canary("--source", source, "--yes"))
    assert project.running() == [new] * 4
    told = numbers(project)
    assert (told["h1/2"], told["h2/2"]) == ("1/4", "3/4")
    refused = project.run("rollback", "prod", "--limit", "h1")
    assert refused.code == 2, refused.out
    assert "without --limit" in refused.summary
    ran = project.run("rollback", "prod")
    assert ran.code == 0, ran.out
    assert plain_runs(project, old)
    for name in project.hosts:
        rows = lab[name].root("cat /opt/tbot/shared/data/shards.log").stdout
        assert "two" not in rows


def plain_runs(project: Project, release: str) -> bool:
    """Tell whether the plain bot runs a release on each machine, and nothing beside it."""
    units = "systemctl list-units --plain --no-legend --state=active 'tbot*.service'"
    links = {project.lab[name].root("readlink /opt/tbot/current").stdout for name in project.hosts}
    active = [project.lab[name].root(units).stdout.splitlines() for name in project.hosts]
    units_of = [[row.split()[0] for row in rows] for rows in active]
    return links == {f"releases/{release}\n"} and units_of == [["tbot.service"]] * len(active)
