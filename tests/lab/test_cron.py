"""Rollouts that go on by themselves: a timer or cron on one host takes each step."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.lab import lab as labs
from tests.lab.controller import Controller, why_not
from tests.lab.registry import Owner
from tests.lab.ringed import CONTROLLER, HOSTS, project_of, version_that_breaks_in_beta
from tests.lab.rollouts import releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.lab import Lab
    from tests.lab.rollouts import Project

pytestmark = pytest.mark.lab


@dataclass
class Site:
    """Six hosts in four rings, a laptop that releases, and a host whose timer promotes."""

    lab: Lab
    project: Project
    controller: Controller

    def wait_for(self, running: list[str | None]) -> None:
        """Wait until each host runs what it should."""
        deadline = time.monotonic() + HANG_S
        while (now := self.project.running()) != running:
            assert time.monotonic() < deadline, f"{now}\n" + "\n".join(self.controller.said())
            time.sleep(1)

    def acts(self, name: str, act: str) -> list[dict[str, str]]:
        """List what a host has written down of one kind of act."""
        text = self.lab[name].root("cat /var/lib/botdeploy/tbot/audit.jsonl").stdout
        rows = [json.loads(row) for row in text.splitlines() if row]
        return [row for row in rows if row["act"] == act]

    def environ(self, name: str) -> list[str]:
        """List the variables of the bot's process on a host."""
        shown = "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID tbot.service)/environ"
        return self.lab[name].root(shown).stdout.splitlines()

    @contextmanager
    def promoting(self) -> Iterator[None]:
        """Let the timer run, two seconds after each end of a step."""
        self.controller.start_timer(2)
        try:
            yield
        finally:
            self.controller.stop_timer()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start seven hosts, and make the last one the controller."""
    lab = labs.up(len(HOSTS) + 1, name=f"cron-{os.getpid()}", owner=Owner.me())
    try:
        if reason := why_not(lab[CONTROLLER]):
            pytest.skip(reason)
        project = project_of(tmp_path_factory.mktemp("site"), lab, soak="4s")
        yield Site(lab, project, Controller(lab[CONTROLLER], project))
    finally:
        labs.down(lab.name)


def deployed(site: Site) -> str:
    """Have a release everywhere, by the timer alone; gives its id."""
    running = site.project.running()
    if len(set(running)) == 1 and running[0]:
        return running[0]
    release = releases_of(site.project.canary())
    assert site.project.running() == [release, *[None] * 5]
    with site.promoting():
        site.wait_for([release] * 6)
    return release


def test_a_timer_takes_a_release_through_all_rings(site: Site) -> None:
    """A controller that never saw the rollout promotes it ring by ring, and is else silent."""
    deployed(site)
    for name in HOSTS:
        assert [row["claimed"] for row in site.acts(name, "prove")] == ["deploy@h7"]
        assert len(site.acts(name, "switch")) == 1
    proven = {name: site.acts(name, "prove")[0]["at"] for name in HOSTS}
    begun = {name: site.acts(name, "switch")[0]["at"] for name in HOSTS}
    assert proven["h1"] < min(begun["h2"], begun["h3"])
    assert max(proven["h2"], proven["h3"]) < begun["h4"]
    assert proven["h4"] < min(begun["h5"], begun["h6"])
    guilds = "BETA_GUILDS=111111111111111111"
    assert [name for name in HOSTS if guilds in site.environ(name)] == ["h2", "h3"]
    assert site.controller.run("promote prod") == ""
    history = site.controller.run("history prod")
    assert "every ring passed" in history


def test_a_cron_daemon_takes_the_next_step(site: Site) -> None:
    """The starter's line works with the environment that cron gives, and says what it did."""
    deployed(site)
    release = releases_of(site.project.canary("--source", site.project.version("v2", "good")))
    site.controller.start_cron()
    try:
        deadline = time.monotonic() + HANG_S
        while site.project.running()[1] != release:
            assert time.monotonic() < deadline, site.controller.said_to_cron()
            time.sleep(2)
    finally:
        site.controller.stop_cron()
    with site.promoting():
        site.wait_for([release] * 6)
    assert any("passed" in line and "internal" in line for line in site.controller.said_to_cron())
    switched = [row["claimed"] for row in site.acts("h2", "switch") if row["release"] == release]
    assert switched == ["deploy@h7"]


def test_a_host_that_was_reinstalled_is_caught_up_by_the_timer(site: Site) -> None:
    """It gets the release from a host like it, with its ring's environment, and is judged."""
    release = deployed(site)
    site.lab["h3"].reset()
    assert site.project.running()[2] is None
    with site.promoting():
        site.wait_for([release] * 6)
        deadline = time.monotonic() + HANG_S
        while not site.acts("h3", "prove"):
            assert time.monotonic() < deadline
            time.sleep(1)
    assert "BETA_GUILDS=111111111111111111" in site.environ("h3")
    assert len(site.acts("h2", "switch")) == len(site.acts("h2", "prove"))


def test_a_release_that_fails_in_the_beta_ring_goes_no_further(site: Site) -> None:
    """The timer takes internal and beta back by itself; the other rings never had it."""
    release = deployed(site)
    source = version_that_breaks_in_beta(site.project, "breaks")
    bad = releases_of(site.project.canary("--source", source))
    with site.promoting():
        deadline = time.monotonic() + HANG_S
        while not any(row["outcome"] == "failed" for row in site.acts("h6", "end")):
            assert time.monotonic() < deadline, site.controller.said()
            time.sleep(1)
        site.wait_for([release] * 6)
    for name in ("h4", "h5", "h6"):
        assert bad not in {life["release"] for life in site.project.lives(name)}
    assert bad in {life["release"] for life in site.project.lives("h2")}
    assert any("failed" in line and "h2" in line for line in site.controller.said())
    assert site.controller.run("promote prod") == ""
    refused = site.project.run("canary", "prod", "--source", source)
    assert refused.code == 5, refused.out
    site.project.assert_never_two()
