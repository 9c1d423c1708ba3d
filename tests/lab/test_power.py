"""``plan`` says what a soak would find, by the traffic that the hosts show."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.lab.rollouts import Project
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab


def test_plan_tells_what_the_soak_finds(lab: Lab, tmp_path: Path) -> None:
    """Before there is a release nothing can be compared; then the journals' own rate counts."""
    project = Project(tmp_path, lab, hosts=tuple(host.name for host in lab)[:2])
    first = project.run("plan", "prod")
    assert first.code == 0, first.err
    power = first.events[0]["power"]
    assert power["traffic"] is None
    assert list(power["rings"]) == ["canary"]
    assert "nothing known" in power["rings"]["canary"]["text"]

    project.canary()
    time.sleep(5)
    second = project.run("plan", "prod", "--source", project.version("v2", "errors"))
    power = second.events[0]["power"]
    # the bot prints ten lines a second, but has not run for long
    assert 200 < power["traffic"]["lines_per_minute"] < 700
    assert power["traffic"]["error_rate"] == 0
    assert power["rings"]["canary"]["preset"] == "quick"
    assert power["rings"]["canary"]["text"].startswith("with about ")
    shown = project.command("plan", "prod").communicate(timeout=HANG_S)[0]
    assert "lines a minute this soak" in shown
