"""Hosts of two kinds on real machines: one release, with the files of each host's own source."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import BOT, Project, Ran, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

KINDS = {"h1": "arm64", "h2": "amd64", "h3": "amd64"}
BALLAST_BYTES = 300_000


def dist(project: Project, name: str) -> None:
    """Write what a compiler would: a folder for each kind, with much that stays the same."""
    for kind in ("amd64", "arm64"):
        place = project.folder / "dist" / kind
        place.mkdir(parents=True, exist_ok=True)
        head = f"DEFAULT_MODE = 'good'\nVERSION = {name!r}\nKIND = {kind!r}\n"
        (place / "main.py").write_text(head + BOT)
        if not (place / "library.so").exists():
            (place / "library.so").write_bytes(os.urandom(BALLAST_BYTES))


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give a user's folder whose hosts are of two kinds, with a first release on each."""
    made = Project(
        tmp_path,
        lab,
        bot={"source": "../dist/{{ arch }}"},
        rollout={"attended_soak": "1s", "max_unreachable": 1},
        host_vars={name: {"arch": kind} for name, kind in KINDS.items()},
    )
    made.write(rings=rings("0s"))
    dist(made, "one")
    made.canary()
    return made


def rings(soak: str) -> list[dict[str, Any]]:
    """Give a canary of each kind, and the rest."""
    return [
        {"name": "canary", "hosts": "h1:h2", "soak": soak, "settle": "1s", "batch": 2},
        {"name": "fleet", "hosts": "all", "settle": "1s"},
    ]


def files(project: Project) -> dict[str, str]:
    """Read which version of which kind runs on each host; all its files are there."""
    found = {}
    for name in project.hosts:
        place = "/opt/tbot/current"
        host = project.lab[name]
        host.root(f"cd {place} && sha256sum -c --quiet --strict .botdeploy/sums")
        head = host.root(f"sed -n '2,3s/.*= //p' {place}/main.py").stdout
        found[name] = " ".join(head.replace("'", "").split())
    return found


def sent(ran: Ran) -> dict[str, int]:
    """Give the bytes that each host was sent."""
    return {event["host"]: event["bytes_sent"] for event in ran.all("staged")}


def test_a_release_of_two_kinds_goes_out_is_copied_and_goes_back(project: Project) -> None:
    """Each host has its own kind's files, after canary, a copy by promote, and a rollback."""
    assert files(project) == {name: f"one {kind}" for name, kind in KINDS.items()}
    one = project.running()[0]
    assert project.running() == [one] * 3

    dist(project, "two")
    project.write(rings=rings("4s"))
    plan = project.run("plan", "prod").events[0]
    assert {tuple(one["hosts"]): one["source"].rpartition("/")[2] for one in plan["sources"]} == {
        ("h1",): "arm64",
        ("h2", "h3"): "amd64",
    }
    assert all(host["files"] == 1 for host in plan["hosts"])
    with project.lab["h3"].stop_sshd():
        began = project.canary()
    two = releases_of(began)
    assert project.running() == [two, two, one]
    assert set(sent(began)) == {"h1", "h2"}
    assert all(size < BALLAST_BYTES / 10 for size in sent(began).values())

    deadline = time.monotonic() + HANG_S
    ran = began
    while project.running() != [two] * 3:
        assert time.monotonic() < deadline, f"{ran.out}\n{ran.err}"
        time.sleep(1)
        ran = project.run("promote", "prod")
    assert files(project) == {name: f"two {kind}" for name, kind in KINDS.items()}
    status = project.run("status", "prod").events[0]
    told = {tuple(one["hosts"]): one["source"] for one in status["rollout"]["sources"]}
    assert {hosts: source.rpartition("/")[2] for hosts, source in told.items()} == {
        ("h1",): "arm64",
        ("h2", "h3"): "amd64",
    }

    assert project.run("rollback", "prod").code == 0
    assert files(project) == {name: f"one {kind}" for name, kind in KINDS.items()}
    project.assert_never_two()


def test_a_controller_that_knows_nothing_sends_each_kind_only_what_changed(
    project: Project,
) -> None:
    """What a host has is asked of one of its kind; a host that changes its kind gets all of it."""
    project.write(rings=rings("0s"))
    shutil.rmtree(project.folder / ".cache")
    dist(project, "two")
    went = sent(project.canary())
    assert set(went) == set(KINDS)
    assert all(size < BALLAST_BYTES / 10 for size in went.values())
    assert files(project) == {name: f"two {kind}" for name, kind in KINDS.items()}

    now = {**KINDS, "h3": "arm64"}
    project.host_vars["h3"]["arch"] = "arm64"
    project.write()
    moved = project.canary()
    assert files(project) == {name: f"two {kind}" for name, kind in now.items()}
    assert releases_of(moved) in project.running()
    assert sent(moved)["h3"] > BALLAST_BYTES


def test_a_machine_that_was_given_the_wrong_kind_is_mended_by_the_inventory(
    project: Project,
) -> None:
    """The release that failed is in quarantine; with the right kind it is another one."""
    project.write(rings=rings("0s"))
    dist(project, "two")
    (project.folder / "dist/arm64/main.py").write_text("raise SystemExit('exec format error')\n")
    project.host_vars["h1"]["arch"] = "amd64"
    project.host_vars["h2"]["arch"] = "arm64"
    project.write()
    failed = releases_of(project.canary(code=1))
    project.host_vars["h2"]["arch"] = "amd64"
    project.host_vars["h3"]["arch"] = "arm64"
    project.write()
    mended = releases_of(project.canary("--ring", "canary"))
    assert mended != failed
    found = files(project)
    assert (found["h1"], found["h2"]) == ("two amd64", "two amd64")
