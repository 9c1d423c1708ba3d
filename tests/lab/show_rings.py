"""Show rings and cron: ``python -m tests.lab.show_rings`` starts seven hosts and takes ten minutes.

Two releases go through four rings, each step taken by a real cron on a host of its own. What is
printed stands in docs/promote.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.lab import lab as labs
from tests.lab.controller import Controller, why_not
from tests.lab.registry import Owner
from tests.lab.ringed import CONTROLLER, HOSTS, project_of, version_that_breaks_in_beta
from tests.lab.rollouts import Project, releases_of

MOST_S = 900.0


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def follow(project: Project, controller: Controller, until: list[str | None]) -> None:
    """Print what cron says as it comes, until each host runs what it should."""
    shown = len(controller.said_to_cron())
    deadline = time.monotonic() + MOST_S
    while time.monotonic() < deadline:
        lines = controller.said_to_cron()
        for line in lines[shown:]:
            say(f"  {line}")
        shown = len(lines)
        if project.running() == until and "over" in is_over(controller):
            for line in controller.said_to_cron()[shown:]:
                say(f"  {line}")
            return
        time.sleep(2)
    raise SystemExit("cron did not get there")


def is_over(controller: Controller) -> str:
    """Tell whether the hosts say that the rollout is over."""
    return "over" if controller.run("-v promote prod --dry-run") == "nothing is due\n" else ""


def main() -> None:
    """Show one release that gets to the end, and one that does not."""
    lab = labs.up(len(HOSTS) + 1, name=f"show-{os.getpid()}", owner=Owner.me())
    try:
        if reason := why_not(lab[CONTROLLER]):
            raise SystemExit(reason)
        with tempfile.TemporaryDirectory() as folder:
            show(project_of(Path(folder), lab, soak="30s"), lab)
    finally:
        labs.down(lab.name)


def show(project: Project, lab: labs.Lab) -> None:
    """Release twice, and print what happens."""
    controller = Controller(lab[CONTROLLER], project)
    controller.start_cron()
    say("$ botdeploy canary prod")
    first = project.canary()
    say(f"  {first.summary}")
    good = releases_of(first)
    follow(project, controller, [good] * len(HOSTS))
    source = version_that_breaks_in_beta(project, "breaks")
    say(f"$ botdeploy canary prod --source {Path(source).name}")
    second = project.canary("--source", source)
    say(f"  {second.summary}")
    time.sleep(1)
    follow(project, controller, [good] * len(HOSTS))
    say("$ botdeploy history prod")
    say(controller.run("history prod"))


if __name__ == "__main__":
    main()
