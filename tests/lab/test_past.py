"""What the past is, on real journals: the newest lines of a busy bot, and no failed release's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import Project, Ran, releases_of

if TYPE_CHECKING:
    from tests.lab.lab import Lab

CHATTY = """\
import threading, time

for number in range(6000):
    print("caught up with message", number)


def moan():
    while True:
        print("ERROR invoice has no lines", flush=True)
        time.sleep(1)


threading.Thread(target=moan, daemon=True).start()
"""
LONG = """\
for number in range(500):
    print("replayed", number, "x" * 40_000)
"""
RINGS = [{"name": "all", "hosts": 1, "soak": "6s", "settle": "0s"}]


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give one host with a bot that writes much, and among it an error that is usual."""
    made = Project(tmp_path, lab, hosts=("h1",))
    made.write(rings=RINGS)
    for name in ("v1", "v2"):
        version(made, name, "good", CHATTY)
    return made


def version(project: Project, name: str, mode: str, before: str = CHATTY) -> str:
    """Write a version of the bot that does something before it begins to work."""
    place = Path(project.version(name, mode)) / "main.py"
    head, rest = place.read_text().split('"""A bot for tests', 1)
    place.write_text(f'{head}{before}"""A bot for tests{rest}')
    return str(place.parent)


def accepted(project: Project, *words: str) -> Ran:
    """Deploy a first release whose errors nobody can judge yet; a person looks and accepts it."""
    ran = project.canary(*words, code=5)
    assert "nothing is known of an older release" in ran.all("verdict")[-1]["reasons"][0]
    assert project.run("approve", project.name).code == 0
    assert project.run("promote", project.name).code == 0
    return ran


def test_the_past_is_the_newest_of_what_proven_releases_wrote(project: Project) -> None:
    """A usual error is known behind thousands of lines; a failed release's is never usual."""
    one = releases_of(accepted(project))
    time.sleep(6)
    two = releases_of(project.canary("--source", str(project.folder / "v2")))
    assert project.running() == [two] != [one]
    time.sleep(3)
    bad = releases_of(project.canary("--source", version(project, "v3", "errors"), code=1))
    again = project.canary("--source", version(project, "v4", "errors", CHATTY + "# v4\n"), code=1)
    told = " ".join(again.all("verdict")[-1]["reasons"])
    assert f"the error that failed {bad} is back" in told
    assert "KeyError: 'balance'" in told
    assert project.running() == [two]
    state = "/var/lib/botdeploy/tbot"
    kept = project.lab["h1"].root(f"tail -q -n +2 {state}/quarantine/*").stdout.splitlines()
    assert {json.loads(one)["release"] for one in kept} == {bad, releases_of(again)}
    ran = project.lab["h1"].root(f"cut -d ' ' -f 2 {state}/switches").stdout.split()
    assert ran == [one, two, bad, two, releases_of(again), two]
    # What an older botdeploy wrote has one line, and is read.
    project.lab["h1"].root(f"for one in {state}/quarantine/*; do sed -i 2,\\$d $one; done")
    good = project.canary("--source", version(project, "v5", "good", CHATTY + "# v5\n"))
    assert project.running() == [releases_of(good)]


def test_where_the_past_was_too_long_an_unknown_error_alone_is_no_fail(project: Project) -> None:
    """Lines of 40 kB push the usual error out of what can be read: that is doubt, and is said."""
    accepted(
        project,
        "--source",
        version(
            project,
            "v1",
            "good",
            CHATTY.replace("while True:", "for _ in range(3):"),
        ),
    )
    time.sleep(2)
    # Behind what is read of a start, and far before what is read of the past.
    quiet = "for one in range(900):\n    print('caught up', one)\n"
    quiet += "print('ERROR invoice has no lines', flush=True)\n"
    project.canary("--source", version(project, "v6", "good", quiet + LONG))
    time.sleep(1)
    begun = time.monotonic()
    doubt = project.canary("--source", str(project.folder / "v2"), code=5)
    assert time.monotonic() - begun < 60
    reasons = " ".join(doubt.all("verdict")[-1]["reasons"])
    assert "there was more" in reasons
    assert "invoice has no lines" in reasons


RAISES = """\
import logging, sys
logging.basicConfig(stream=sys.stdout)
try:
    {}["guild"]
except KeyError:
    logging.exception("cannot load the replies")
    sys.exit(1)
"""
DIES = """\
import threading, os, time, traceback


def fail():
    time.sleep(2)
    try:
        raise ValueError("no such guild")
    except ValueError:
        traceback.print_exc()
        os._exit(1)


threading.Thread(target=fail).start()
"""


def test_a_failure_quotes_the_line_that_tells_why(project: Project) -> None:
    """Before and after it was ready, of a program that is not there, of a step before the start."""
    accepted(project)
    told = {}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "raises": (version(project, "r", "good", RAISES), {}),
        "dies": (version(project, "d", "good", DIES), {}),
        "absent": (project.version("a", "good"), {"command": "nodejs main.py"}),
        "before": (
            project.version("b", "good"),
            {"unit": {"ExecStartPre": "/bin/sh -c 'echo the schema is of version 7; exit 3'"}},
        ),
    }
    for name, (source, bot) in cases.items():
        project.bot = bot
        project.write()
        failed = project.canary("--source", source, code=1)
        told[name] = failed.summary
        assert "see: botdeploy logs prod --limit h1" in failed.summary
        assert "status 0" not in failed.summary
    assert "cannot load the replies: KeyError: 'guild' (in main.py" in told["raises"]
    assert "ValueError: no such guild" in told["dies"]
    assert "No such file or directory" in told["absent"]
    assert "status=3" in told["before"]
    assert "the schema is of version 7" in told["before"]
