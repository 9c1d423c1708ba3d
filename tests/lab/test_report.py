"""The report and the notices of real rollouts on real hosts."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.rollouts import Project, releases_of
from tests.views.report.test_page import Seen, assert_harmless
from tests.views.servers import hook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give a user's folder with a bot that works."""
    return Project(tmp_path, lab)


def page_of(project: Project, *words: str) -> Seen:
    """Write the report as a user does, and read it as a browser does."""
    ran = project.run("report", "prod", *words)
    assert ran.code == 0, ran.err
    place = project.folder / (words[-1] if words else "botdeploy-report-prod.html")
    found = Seen(place.read_text("utf-8"))
    assert_harmless(found)
    return found


def test_a_caught_canary_is_reported_and_told(project: Project) -> None:
    """The page shows what failed and why; the team heard it, the users heard of their ring."""
    assert project.run("report", "prod").code == 2
    with hook() as team, hook() as users:
        project.write(
            notify=[team.url(), "env:NOT_SET"],
            rings=[
                {
                    "name": "canary",
                    "hosts": 1,
                    "soak": "6s",
                    "settle": "1s",
                    "announce": {"begin": "{{ hosts | join }} begins", "to": users.url()},
                },
                {"name": "fleet", "hosts": "all", "settle": "1s", "batch": "100%"},
            ],
        )
        first = project.canary("--message", "the first one")
        one = releases_of(first)
        assert "NOT_SET" in first.all("outcome")[0]["unsent_notices"][0]
        passed = page_of(project, "--out", "first.html").text
        time.sleep(1)
        bad = project.canary("--source", project.version("bad", "errors"), code=1)
    two = releases_of(bad)
    assert "passed" in passed
    assert one in passed
    text = page_of(project).text
    assert "failed and reverted" in text
    assert "KeyError: 'balance'" in text
    assert re.search(rf"previous release\s*{one}", text)
    for reason in bad.all("verdict")[-1]["reasons"]:
        assert " ".join(reason.split()) in text
    assert [line for line in users.bodies.split("\n") if line] == ["h1 begins"] * 2
    assert f"{one}: every ring passed" in team.bodies
    assert "next: botdeploy report prod" in team.bodies
    assert two in team.bodies
    entries = project.run("history", "prod").events[0]["entries"]
    switched = [entry for entry in entries if (entry["act"], entry["release"]) == ("switch", two)]
    assert [entry["host"] for entry in switched] == ["h1"]
    notes = [(entry["host"], entry["why"]) for entry in entries if entry["act"] == "note"]
    assert [host for host, _ in notes] == ["h1", "h1"]  # each command's, once
    assert all("NOT_SET is not set" in why for _, why in notes)
