"""A journald that is killed in a soak: what it takes with it is not the release's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give a user's folder with a bot that works."""
    return Project(tmp_path, lab)


def test_a_journald_that_is_killed_in_the_soak_fails_no_release(project: Project, lab: Lab) -> None:
    """It is judged by what came, or nobody can tell."""
    project.write(
        rings=[
            {"name": "canary", "hosts": 1, "soak": "20s", "settle": "0s"},
            {"name": "fleet", "hosts": "all", "settle": "0s"},
        ]
    )
    project.canary()
    time.sleep(8)
    process = project.canary_until_switched("--source", project.version("v2", "good"))
    time.sleep(4)
    lab["h1"].kill_journald()
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode in {0, 5}, out + err
    assert '"reverted"' not in out
