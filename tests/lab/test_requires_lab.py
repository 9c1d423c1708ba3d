"""Two environments of one bot, dev and prod, each on hosts of its own: prod requires dev."""

from __future__ import annotations

import json
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.lab.rollouts import Project, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

RINGS = [
    {"name": "canary", "hosts": 1, "soak": "4s", "settle": "0s"},
    {"name": "fleet", "hosts": "all", "settle": "0s"},
]


def pair(lab: Lab, folder: Path) -> tuple[Project, Project]:
    """Write dev for h1 and prod for h2 and h3; each has a variable of its own."""
    one = [{"name": "all", "hosts": "all", "soak": "4s", "settle": "0s"}]
    dev = Project(
        folder, lab, name="dev", hosts=("h1",), bot={"env": {"IN": "dev"}}, rollout={"rings": one}
    )
    prod = Project(
        folder, lab, hosts=("h2", "h3"), bot={"env": {"IN": "prod"}}, rollout={"rings": RINGS}
    )
    return dev, prod


def test_prod_gets_what_dev_has_proven(lab: Lab, tmp_path: Path) -> None:
    """From a release that dev never had over one that it has for too short to one that it has."""
    dev, prod = pair(lab, tmp_path)
    first = releases_of(prod.canary())
    prod.write(requires={"environment": "dev", "proven_for": "1h"})
    second = prod.version("v2", "good")

    # Dev has nothing at all, and then something else.
    held = prod.canary("--source", second, code=5)
    assert [one["reason"] for one in held.all("waiting")] == ["requires"], held.out
    assert "no release on its hosts has the same files and build (h1)" in held.summary
    dev.canary()
    held = prod.canary("--source", second, code=5)
    assert "no release on its hosts has the same files and build (h1)" in held.summary
    assert prod.running() == [first] * 2

    # Dev proves it. What is proven for too short a time is due at a time, and cron takes it on.
    new = releases_of(dev.canary("--source", second))
    planned = prod.run("plan", "prod", "--source", second)
    required = planned.events[0]["requires"]
    assert (planned.code, required["met"], required["missing_platforms"]) == (0, False, [])
    assert "h1 has for" in required["why"]
    checked = prod.run("check", "prod")  # of the inventory's source, which dev does not run now
    assert (checked.code, checked.events[0]["requires"]["met"]) == (0, False), checked.out
    held = prod.canary("--source", second, code=5)
    waiting = held.all("waiting")[-1]
    assert waiting["reason"] == "requires"
    assert waiting["until"]
    assert f"botdeploy canary prod --force --release {waiting['release']}" in held.summary
    assert prod.run("promote", "prod").code == 5
    assert "dev must have proven it" in prod.run("promote", "prod", "--dry-run").summary

    # While dev can't be reached nothing begins either.
    dev.host_vars = {"h1": {"ansible_port": 1}}
    dev.write()
    away = prod.run("promote", "prod")
    assert away.code == 6, away.out + away.err
    assert "could not be asked: h1: " in away.summary
    assert "take a host that is gone for good out of the inventory of dev" in away.summary
    forced = f"botdeploy canary prod --force --release {waiting['release']}"
    assert f"to release it all the same: {forced}" in away.summary
    dev.host_vars = {}
    dev.write()

    prod.write(requires={"environment": "dev", "proven_for": "1s"})
    end = time.monotonic() + HANG_S
    while len(set(prod.running())) > 1 or prod.running()[0] == first:
        assert time.monotonic() < end
        ran = prod.run("promote", "prod")
        assert ran.code == 0, ran.out + ran.err
    released = prod.running()
    assert len(set(released)) == 1
    assert released[0] not in (first, new)
    assert dev.running() == [new]

    # Dev goes back: the same is not proven any more, and only a person's word goes past that.
    assert dev.run("rollback", "dev").code == 0
    third = prod.version("v3", "good")
    held = prod.canary("--source", third, code=5)
    refused = prod.run("canary", "prod", "--source", third, "--force")
    assert refused.code == 2, refused.out
    assert "or dev has not proven it" in refused.err
    prod.canary("--source", third, "--force", "--yes")
    entries = prod.run("history", "prod").events[0]["entries"]
    assert [one for one in entries if "whether dev has proven it was not asked" in one["why"]]


def test_commands_without_a_name_look_at_both(lab: Lab, tmp_path: Path) -> None:
    """Status, history and logs; new lines of both come as they are written."""
    dev, prod = pair(lab, tmp_path)
    dev.canary()
    prod.canary()
    for command in ("status", "history"):
        ran = dev.run(command)
        assert (ran.code, [one["environment"] for one in ran.events]) == (0, ["dev", "prod"])
    lines = dev.run("logs", "-n", "3").events
    assert [one["environment"] for one in lines] == ["dev"] * 3 + ["prod"] * 6
    assert {(one["environment"], one["host"]) for one in lines} == {
        ("dev", "h1"),
        ("prod", "h2"),
        ("prod", "h3"),
    }

    process = dev.command("--json", "logs", "-f", "-n", "0")
    assert process.stdout is not None
    seen: set[str] = set()
    for host in ("h1", "h3"):
        lab[host].root("systemctl restart tbot")
    for line in process.stdout:
        seen.add(json.loads(line)["environment"])
        if seen == {"dev", "prod"}:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=HANG_S)
    assert (seen, process.returncode) == ({"dev", "prod"}, 130)

    (tmp_path / "inventories/broken.yml").write_text("all: {hosts: [}\n")
    shutil.copy(tmp_path / "inventories/dev.yml", tmp_path / "inventories/dev.yml~")
    ran = dev.run("status")
    records: list[dict[str, Any]] = ran.events
    assert ran.code == 2
    assert [one["environment"] for one in records] == ["broken", "dev", "prod"]
    assert "broken.yml:1" in records[0]["error"]


def test_an_instance_may_require_its_neighbour(lab: Lab, tmp_path: Path) -> None:
    """Both environments on one machine: it is asked while its own lock is held for prod."""
    rings = {"rings": [{"name": "all", "hosts": "all", "soak": "4s", "settle": "0s"}]}
    dev = Project(tmp_path, lab, name="dev", hosts=("h1",), bot={"instance": "dev"}, rollout=rings)
    prod = Project(tmp_path, lab, hosts=("h1",), bot={"instance": "prod"}, rollout=rings)
    prod.write(requires={"environment": "dev"})
    held = prod.canary(code=5)
    assert "no release on its hosts has the same files and build (h1)" in held.summary
    dev.canary()
    planned = prod.run("plan", "prod").events[0]["requires"]
    assert (planned["met"], planned["why"]) == (True, None)
    ran = prod.run("promote", "prod")
    assert ran.code == 0, ran.out + ran.err
    assert prod.running()[0]
    assert dev.running()[0] != prod.running()[0]
