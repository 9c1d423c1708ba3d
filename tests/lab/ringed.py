"""Six hosts in four rings, for tests and to be shown: internal, beta, canary, fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lab.rollouts import BOT, Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

HOSTS = ("h1", "h2", "h3", "h4", "h5", "h6")
CONTROLLER = "h7"

BREAKS_IN_BETA = """\
import os

DEFAULT_MODE = "errors" if os.environ.get("BETA_GUILDS") else "good"
"""


def rings(soak: str) -> list[dict[str, Any]]:
    """Give the rings of the inventory; each but the last soaks for so long."""
    return [
        {"name": "internal", "hosts": "h1", "soak": soak, "settle": "1s"},
        {
            "name": "beta",
            "hosts": "h2:h3",
            "batch": 2,
            "soak": soak,
            "settle": "1s",
            "env": {"BETA_GUILDS": "111111111111111111"},
        },
        {"name": "canary", "hosts": 1, "soak": soak, "settle": "1s"},
        {"name": "fleet", "hosts": "all", "batch": 2, "settle": "1s"},
    ]


def project_of(folder: Path, lab: Lab, soak: str = "6s", **rollout: Any) -> Project:
    """Give a user's folder for the six hosts; ``canary`` there leaves every soak to promote."""
    made = {"rings": rings(soak), "attended_soak": "1s", **rollout}
    return Project(folder, lab, rollout=made, hosts=HOSTS)


def version_that_breaks_in_beta(project: Project, name: str) -> str:
    """Write a version of the bot that goes wrong where ``BETA_GUILDS`` is set; gives its path."""
    place = project.folder / name
    place.mkdir()
    (place / "main.py").write_text(f"{BREAKS_IN_BETA}VERSION = {name!r}\n" + BOT)
    return str(place)
