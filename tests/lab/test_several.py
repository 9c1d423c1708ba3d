"""Several instances of a bot on one machine, on real hosts, by the command that users type."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import Project, Ran, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.host import Host
    from tests.lab.lab import Lab

NAMES = ("dev", "a", "b", "c")
RINGS: list[dict[str, Any]] = [
    {"name": "internal", "hosts": "dev", "soak": "4s", "settle": "1s"},
    {"name": "canary", "hosts": 1, "soak": "4s", "settle": "1s"},
    {"name": "fleet", "hosts": "all", "settle": "1s"},
]


def project_of(folder: Path, lab: Lab, rings: list[dict[str, Any]], **more: Any) -> Project:
    """Give a user's folder for one machine with four instances."""
    named = dict.fromkeys(NAMES, "h1")
    return Project(folder, lab, rollout={"rings": rings}, named=named, **more)


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give one machine with four instances, which have a first release."""
    made = project_of(tmp_path, lab, RINGS)
    made.canary()
    return made


def pids(host: Host) -> dict[str, int]:
    """Give the main process of each instance."""
    shown = host.root(
        "for n in " + " ".join(NAMES) + "; do systemctl show -P MainPID tbot@$n; done"
    ).stdout.split()
    return dict(zip(NAMES, map(int, shown), strict=True))


def release(project: Project, mode: str, *, code: int = 0, name: str = "v2") -> Ran:
    """Release something new."""
    return project.canary("--source", project.version(name, mode), code=code)


def assert_never_two(project: Project) -> None:
    """No instance ever ran twice, and each has run."""
    for name in NAMES:
        lives = project.lives("h1", name)
        assert [life for life in lives if life["event"] == "clash"] == []
        assert [life for life in lives if life["event"] == "start"]


def trees(host: Host) -> list[str]:
    """List the trees of the machine's store."""
    return host.root(
        "find /opt/tbot/trees -mindepth 1 -maxdepth 1 -name '[0-9a-f]*'"
    ).stdout.split()


def test_one_machine_goes_through_all_rings(project: Project) -> None:
    """The files come once; each instance has its own unit, process and data."""
    host = project.lab["h1"]
    assert len(trees(host)) == 1
    ran = release(project, "good")
    new = releases_of(ran)
    assert [event["host"] for event in ran.all("switched")] == list(NAMES)
    assert [event["bytes_sent"] > 3000 for event in ran.all("staged")].count(True) <= 1
    assert project.running() == [new] * len(NAMES)
    assert len(set(pids(host).values())) == len(NAMES)
    assert len(trees(host)) == 2
    assert_never_two(project)


def test_a_fail_takes_all_instances_back(project: Project) -> None:
    """The next ring is never begun, and what did not get the release keeps its process."""
    host = project.lab["h1"]
    old, before = project.running()[0], pids(host)
    ran = release(project, "errors", code=1)
    told = [(event["host"], event["by"], event["why"]) for event in ran.all("reverted")]
    assert [host for host, *_ in told] == ["dev"], (told, ran.events)
    assert project.running() == [old] * len(NAMES)
    after = pids(host)
    assert {name: after[name] for name in NAMES[1:]} == {name: before[name] for name in NAMES[1:]}
    assert after["dev"] != before["dev"]
    assert_never_two(project)


def test_a_rollback_returns_each_instance(project: Project) -> None:
    """All at once, each to its own previous release."""
    old = project.running()[0]
    release(project, "good")
    assert project.run("rollback", "prod").code == 0
    assert project.running() == [old] * len(NAMES)
    assert_never_two(project)


def test_promote_takes_the_machine_ring_by_ring(lab: Lab, tmp_path: Path) -> None:
    """Each soak is left to promote."""
    project = project_of(tmp_path, lab, RINGS)
    project.canary()
    project.write(attended_soak="1s")
    new = releases_of(release(project, "good"))
    deadline = time.monotonic() + HANG_S
    while project.running() != [new] * len(NAMES):
        assert project.run("promote", "prod").code in (0, 5)
        assert time.monotonic() < deadline
        time.sleep(1)
    assert_never_two(project)


def test_only_the_pending_instance_goes_back_when_its_controller_dies(project: Project) -> None:
    """By its lease; the others are not touched."""
    host = project.lab["h1"]
    project.write(
        rings=[{**RINGS[0], "soak": "60s"}, *RINGS[1:]], lease={"ttl": "8s", "until": "settle"}
    )
    before, old = pids(host), project.running()[0]
    process = project.canary_until_switched("--source", project.version("v2", "good"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + HANG_S
    while project.running() != [old] * len(NAMES):
        assert time.monotonic() < deadline
        time.sleep(1)
    after = pids(host)
    assert [name for name in NAMES if before[name] != after[name]] == ["dev"]
    assert_never_two(project)


def test_a_reboot_takes_back_what_is_pending_and_starts_all(project: Project) -> None:
    """Each instance runs again what it is to run."""
    host = project.lab["h1"]
    project.write(rings=[{**RINGS[0], "soak": "60s"}, *RINGS[1:]])
    old = project.running()[0]
    process = project.canary_until_switched("--source", project.version("v2", "good"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    with host.cut_power():
        pass
    deadline = time.monotonic() + HANG_S
    while project.running() != [old] * len(NAMES):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert_never_two(project)


def test_a_stop_leaves_the_others_their_folders(lab: Lab, tmp_path: Path) -> None:
    """Each has its own folder in /run."""
    bot = {"unit": {"RuntimeDirectory": "tbot@{{ instance }}"}}
    project = project_of(tmp_path, lab, RINGS, bot=bot)
    project.canary()
    host = lab["h1"]
    assert host.root("ls -d /run/tbot@*").stdout.split() == [
        f"/run/tbot@{n}" for n in sorted(NAMES)
    ]
    host.root("systemctl stop tbot@a")
    assert "/run/tbot@b" in host.root("ls -d /run/tbot@*").stdout.split()
    assert host.root("ls -d /run/tbot@a", check=False).stdout == ""


def test_a_bot_finds_its_own_data_by_every_way(lab: Lab, tmp_path: Path) -> None:
    """By the working folder, by its resolved path, and in HOME; not the other instances'."""
    project = project_of(tmp_path, lab, RINGS)
    place = project.folder / "v1/main.py"
    place.write_text(
        "import os, pathlib\n"
        "here = pathlib.Path(__file__).resolve().parent / 'data'\n"
        "(here / 'resolved').write_text(os.environ['HOME'])\n"
        "pathlib.Path('data/relative').write_text('x')\n" + place.read_text()
    )
    project.canary()
    for name in NAMES:
        shared = f"/opt/tbot/instances/{name}/shared"
        assert lab["h1"].root(f"cat {shared}/data/resolved").stdout == shared
        assert lab["h1"].root(f"cat {shared}/data/relative").stdout == "x"
    assert lab["h1"].root("find /opt/tbot/trees -name resolved").stdout == ""


def test_two_machines_with_two_each_take_turns(lab: Lab, tmp_path: Path) -> None:
    """A batch of two is one of each machine; one upload a machine."""
    names = [host.name for host in lab][:2]
    rings = [
        {"name": "canary", "hosts": f"{names[0]}/1", "soak": "2s", "settle": "1s"},
        {"name": "fleet", "hosts": "all", "batch": 2, "settle": "1s"},
    ]
    project = Project(
        tmp_path, lab, rollout={"rings": rings}, hosts=tuple(names), bot={"instances": 2}
    )
    project.canary()
    ran = release(project, "good")
    switched = [event["host"] for event in ran.all("switched")]
    assert switched[0] == f"{names[0]}/1"
    assert len(switched) == len(set(switched)) == 4
    assert len([one for one in ran.all("staged") if one["bytes_sent"] > 3000]) <= 2
    assert project.running() == [releases_of(ran)] * 4


def test_two_environments_share_a_machine_at_the_same_time(lab: Lab, tmp_path: Path) -> None:
    """One soaks for long while the other rolls; neither takes the other's trees."""
    on = "h1"
    dev = Project(
        tmp_path,
        lab,
        name="dev",
        named={"dev": on},
        rollout={"rings": [{"name": "all", "hosts": "all", "soak": "30s", "settle": "1s"}]},
    )
    prod = Project(
        tmp_path,
        lab,
        named={"main": on},
        rollout={"rings": [{"name": "all", "hosts": "all", "soak": "1s", "settle": "1s"}]},
    )
    prod.canary()
    soaking = dev.canary_until_switched("--source", dev.version("v2", "good"))
    new = releases_of(prod.canary("--source", prod.version("v3", "good")))
    assert prod.running() == [new]
    assert soaking.wait(timeout=HANG_S) == 0
    assert prod.running() == [new]
    assert dev.running() != [new]
    refused = Project(tmp_path, lab, name="other", named={"main": on})
    ran = refused.run("canary", "other")
    assert ran.code == 2
    assert "belongs to environment 'prod'" in ran.out + ran.err


@pytest.mark.parametrize("named", [False, True], ids=["plain", "several"])
def test_where_nothing_changes_nothing_is_restarted(
    lab: Lab, tmp_path: Path, *, named: bool
) -> None:
    """Only one ring's env changes: the others keep process and id, and their rings pass at once."""
    names = ("h1", "h2")
    rings = [
        {"name": "first", "hosts": names[0], "soak": "4s", "settle": "1s"},
        {"name": "second", "hosts": names[1], "soak": "4s", "settle": "1s"},
    ]
    more: dict[str, Any] = {"named": dict.fromkeys(names, "h1")} if named else {"hosts": names}
    project = Project(tmp_path, lab, rollout={"rings": rings}, **more)
    old = releases_of(project.canary())
    home = f"/opt/tbot/instances/{names[0]}" if named else "/opt/tbot"
    before = lab["h1"].root(f"ls {home}/releases").stdout
    instance = names[0] if named else ""
    lives = project.lives("h1", instance)
    project.write(rings=[rings[0], {**rings[1], "env": {"BETA": "yes"}}])
    ran = project.canary()
    new = releases_of(ran)
    assert new != old
    staged = {one["host"]: one.get("same_as") for one in ran.all("staged")}
    assert staged == {"h1": old, "h2": None}
    assert [one["host"] for one in ran.all("switched")] == ["h2"]
    assert project.running() == [old, new]
    assert project.lives("h1", instance) == lives
    assert lab["h1"].root(f"ls {home}/releases").stdout == before
    again = project.canary()
    assert again.all("switched") == []
    assert project.run("promote", "prod").summary == ""
    assert project.run("rollback", "prod").code == 0
    assert project.running() == [old, old]
    assert project.lives("h1", instance) == lives
