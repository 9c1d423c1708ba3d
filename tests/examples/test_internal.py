"""The example `internal`: dev for two days, an approval, and cron's promote to main."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.examples.playing import Example, long
from tests.lab.controller import Controller, why_not

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

DAY_S = long(60, 10)
"""A day of the example, in seconds: clocks are not moved."""
CRON_S = long(60, 10)
"""How often cron calls promote."""
PATIENCE_S = 240.0


class Team:
    """The team's laptop, the machine with both bots, and one whose cron calls promote."""

    def __init__(self, lab: Lab, played: Example) -> None:
        """Start cron: it runs before the first release, as it does anywhere."""
        self.host, self.played = lab["h1"], played
        self.cron = Controller(lab["h2"], played)
        self.cron.start_cron(CRON_S)
        played.tell(f"a day is {DAY_S} s here; cron on another machine promotes every {CRON_S} s")
        self.asked = 0

    def switches(self, instance: str) -> list[dict[str, str]]:
        """List what an instance has written down of its switches, in order."""
        place = f"/var/lib/botdeploy/assistant/instances/{instance}/audit.jsonl"
        text = self.host.root(f"cat {place} 2>/dev/null", check=False).stdout
        rows = [json.loads(line) for line in text.splitlines() if line]
        return [row for row in rows if row["act"] == "switch"]

    def release(self, version: str) -> str:
        """Release a version to dev, and give its id."""
        self.played.type(f"canary prod --source {version}")
        return self.switches("dev")[-1]["release"]

    def await_question(self) -> None:
        """Wait until the soak is over, and cron's run says that an approval is missing."""

        def is_asked() -> bool:
            said = self.cron.said_to_cron()
            return sum("needs an approval" in line for line in said) > self.asked

        self.played.wait_until(is_asked, "cron's run asks for an approval", PATIENCE_S)
        self.asked += 1

    def await_end(self, ended: str, running: str, what: str) -> None:
        """Wait until cron's run has ended a rollout, and check what both instances run."""

        def has_ended() -> bool:
            return any(line.startswith(ended) for line in self.cron.said_to_cron())

        self.played.wait_until(has_ended, what, PATIENCE_S)
        assert self.played.running() == [running] * 2
        self.played.tell(what)


@pytest.fixture
def team(lab: Lab, tmp_path: Path) -> Team:
    """Give the example on one machine, with days of some seconds."""
    if reason := why_not(lab["h2"]):
        pytest.skip(reason)
    played = Example(
        tmp_path,
        lab,
        example="internal",
        machines={"192.0.2.10": "h1"},
        secrets={"TOKEN_DEV": "t-dev", "TOKEN_MAIN": "t-main"},
        bot={"env": {"DAY_S": str(DAY_S)}},
    )
    internal, users = played.original("rollout")["rings"]
    settle = {"settle": f"{long(10, 1)}s"}
    rings = [{**internal, **settle, "soak": f"{2 * DAY_S}s"}, {**users, **settle}]
    played.write(rings=rings, attended_soak="1s")
    return Team(lab, played)


def test_what_breaks_on_the_teams_second_day_never_reaches_the_users(team: Team) -> None:
    """Version 2 reaches main by an approval and cron; version 3 breaks on dev, and goes back."""
    played = team.played
    one = team.release("v1")
    team.await_question()
    played.type("approve prod --message 'the first one'")
    team.await_end(f"{one}: every ring passed", one, "cron has taken version 1 to main")

    two = team.release("v2")
    team.await_question()
    assert played.running() == [two, one]
    played.type("approve prod --message 'the team has used it for two days'")
    team.await_end(f"{two}: every ring passed", two, "cron has taken version 2 to main")

    three = team.release("v3")
    team.await_end(f"{three} failed", two, "cron has taken dev back to version 2")
    team.cron.stop_cron()
    back = played.seconds_until_back("h1", "assistant@dev", "the session has expired")
    played.tell(f"version 2 ran again on dev {back:.1f} s after the first failed answer")
    played.note("\n".join(["(what cron's runs have said)", *team.cron.said_to_cron()]))
    assert [row["release"] for row in team.switches("main")] == [one, two]
    assert {row["claimed"] for row in team.switches("main")} == {"deploy@h2"}
    assert three in {row["release"] for row in team.switches("dev")}
    assert any("the session has expired" in line for line in team.cron.said_to_cron())
    played.type("canary prod --source v3", code=5)
    played.type("approve prod", code=2)
    played.type("status prod")
