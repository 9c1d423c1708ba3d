"""Two environments of one bot on the same hosts; what logs, history and status say of releases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.lab.rollouts import Project, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab


def test_environments_are_told_apart_and_releases_by_their_lines(lab: Lab, tmp_path: Path) -> None:
    """From a good release over a failed one to another environment that takes the hosts."""
    prod = Project(tmp_path, lab, hosts=("h1", "h2"))
    one = releases_of(prod.canary())
    bad = releases_of(prod.canary("--source", prod.version("v2", "crash"), code=1))

    # Each line has the mark of who wrote it, also of the release that is gone.
    lines = [event for event in prod.run("logs", "prod", "-n", "400").events if "message" in event]
    marks = {line["release"] for line in lines if line["host"] == "h1"}
    assert {one, bad} <= marks
    said = [line["release"] for line in lines if "READY" in line["message"]]
    assert None not in said

    # A return to a release that is named by its ending; history is one line an entry.
    back = prod.run("rollback", "prod", "--to", one[-8:])
    assert (back.code, prod.running()) == (0, [one] * 2), back.out + back.err
    process = prod.command("history", "prod", "-n", "3")
    shown = process.communicate(timeout=HANG_S)[0].splitlines()
    assert len([line for line in shown if line.startswith("20")]) == 3, shown

    # Another environment is refused with both names, whatever it wants.
    slow = replace(prod, name="slow", rollout={})
    for words in (("canary", "slow"), ("promote", "slow"), ("approve", "slow"), ("hold", "slow")):
        refused = slow.run(*words)
        assert refused.code == 2, refused.out + refused.err
        assert "belongs to environment 'prod'; this is 'slow'" in refused.err.replace("; h2", "\n")
        assert prod.run("status", "prod").events[0]["hosts"][0]["environment"] == "prod"
    assert slow.run("rollback", "slow").code == 2
    checked = slow.run("check", "slow")
    faults = [
        (one["name"], one["message"])
        for host in checked.events[0]["hosts"]
        for one in host["checks"]
        if not one["ok"]
    ]
    told = "this host belongs to environment 'prod'; this is 'slow'"
    assert (checked.code, faults) == (2, [("environment", told)] * 2)
    assert prod.run("check", "prod").code == 0
    assert prod.running() == [one] * 2

    # A person may take the hosts over; then the first one is refused.
    slow.canary("--take-over", "prod", "--yes", "--source", slow.version("v3", "good"))
    assert {host["environment"] for host in slow.status().values()} == {"slow"}
    entries = slow.run("history", "slow").events[0]["entries"]
    taken = [entry["why"] for entry in entries if entry["act"] == "take-over"]
    assert taken == ["environment slow took it over from prod"] * 2
    assert prod.run("promote", "prod").code == 2
