"""Two controllers begin at the same instant: exactly one wins, on all hosts, every time.

BOTDEPLOY_RACES=N asks for another number of rounds at the same instant than a hundred; there are
half as many of those a few milliseconds apart. With a hundred or more, what came of them is written
into docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.chaos import report
from tests.lab.rollouts import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.lab import Lab

pytestmark = pytest.mark.chaos

ROUNDS = int(os.environ.get("BOTDEPLOY_RACES", "100"))
ENOUGH_FOR_THE_PAGE = 100
#: How much later the second one begins in the others, in milliseconds, round after round.
LATER_MS = (1, -1, 3, -3, 10, -10)
ROOT = Path(__file__).parents[2]


class Racer:
    """One of the two controllers, a process of its own."""

    def __init__(self, project: Project, owner: str) -> None:
        """Start it, and wait until it has its connections."""
        self.owner = owner
        folder = str(project.folder / "inventories")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.racer", folder, project.name, owner],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": str(project.folder)},
        )

    def __enter__(self) -> Self:
        assert self.hear() == {"ready": True}
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def say(self, line: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for what it tells next."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@dataclass
class Round:
    """What came of one race."""

    later_ms: int
    winners: tuple[str, ...]
    held: dict[str, str]
    """Who had each host's lock, as the host says."""
    left: list[str]
    """Locks that stood when both had ended."""
    told: list[dict[str, Any]]

    @property
    def is_fair(self) -> bool:
        """Exactly one won, and had every host that it can reach; the other had none, and ended."""
        won = [one for one in self.told if one["won"]]
        lost = [one for one in self.told if not one["won"]]
        return (
            len(won) == 1
            and {host for host, owner in self.held.items() if owner} == set(won[0]["hosts"])
            and set(self.held.values()) - {""} == set(self.winners)
            and [one["code"] for one in lost] == [4]
            and f"by {self.winners[0]}" in lost[0]["said"]
            and not self.left
        )


def race(racers: list[Racer], lab: Lab, hosts: tuple[str, ...], later_ms: int) -> Round:
    """Let both begin, and look on the hosts who has what."""
    instant = time.monotonic_ns() + 50_000_000
    racers[0].say(f"at {instant}")
    racers[1].say(f"at {instant + later_ms * 1_000_000}")
    told = [racer.hear() for racer in racers]
    look = "sed -n s/^owner=//p /run/botdeploy/tbot/lock 2>/dev/null"
    held = {name: lab[name].root(look, check=False).stdout.strip() for name in hosts}
    for racer in racers:
        racer.say("leave")
    for racer in racers:
        assert racer.hear() == {"left": True}
    left = [name for name in hosts if lab[name].root(look, check=False).stdout.strip()]
    winners = tuple(racer.owner for racer, one in zip(racers, told, strict=True) if one["won"])
    return Round(later_ms, winners, held, left, told)


@pytest.fixture
def projects(lab: Lab, tmp_path: Path) -> list[Project]:
    """Give two controllers' folders, of the same four hosts."""
    hosts = tuple(host.name for host in lab)
    made = [Project(tmp_path / name, lab, hosts=hosts) for name in ("ada", "ben")]
    # The first command prepares the hosts and brings the program there.
    made[0].canary()
    return made


def raced(projects: list[Project], lab: Lab, rounds: int) -> list[Round]:
    """Race again and again, and then half as often a few milliseconds apart."""
    apart = [LATER_MS[number % len(LATER_MS)] for number in range(rounds // 2)]
    with ExitStack() as stack:
        racers = [stack.enter_context(Racer(project, project.folder.name)) for project in projects]
        return [race(racers, lab, projects[0].hosts, later_ms) for later_ms in [0] * rounds + apart]


@pytest.fixture(scope="module")
def page() -> Iterator[list[str]]:
    """Collect what is to be told, and write it when there is enough of it."""
    told: list[str] = []
    yield told
    if ROUNDS >= ENOUGH_FOR_THE_PAGE:
        report.put_races(report.PAGE, "\n".join(told))


def test_of_two_at_the_same_instant_exactly_one_wins(
    projects: list[Project], lab: Lab, page: list[str]
) -> None:
    """On all hosts, every time; the other ends with 4, names the winner and holds nothing."""
    found = raced(projects, lab, ROUNDS)
    page.append(told(found, len(projects[0].hosts)))
    assert [one for one in found if not one.is_fair] == []


def test_who_is_blind_to_the_other_s_first_host_crosses_it(
    projects: list[Project], lab: Lab, page: list[str]
) -> None:
    """Each has a host before they meet: one gives way, and gives back what it had."""
    for project, away in zip(projects, (projects[0].hosts[0], projects[0].hosts[-1]), strict=True):
        project.host_vars = {away: {"ansible_port": 9}}
        project.write()
    found = raced(projects, lab, max(2, ROUNDS // 10))
    fair = sum(one.is_fair for one in found)
    page.append(
        "If neither can reach the host that the other begins with, they meet only when each\n"
        f"has one host's lock already. Then exactly one went on, {fair} times of {len(found)}.\n"
    )
    assert [one for one in found if not one.is_fair] == []


def told(found: list[Round], hosts: int) -> str:
    """Say it for the page."""
    same = [one for one in found if one.later_ms == 0]
    apart = [one for one in found if one.later_ms]
    took = {
        won: statistics.median(
            one["took_s"] for race in same for one in race.told if one["won"] is won
        )
        for won in (True, False)
    }
    fair, first = sum(one.is_fair for one in same), sum(one.winners == ("ada",) for one in same)
    return f"""
## Two controllers at the same instant

Two processes, each with its own engine and connections, take the lock of one environment
of {hosts} hosts. Each time the hosts are asked who has it.

**At the same instant exactly one won, on all hosts, {fair} times of {len(same)}** ({first} times
the first of them). 1, 3 or 10 ms apart: {sum(one.is_fair for one in apart)} times of {len(apart)}.
The other ended with exit 4, named the winner, and held nothing. Half of the winners had all locks
within {took[True] * 1000:.0f} ms, half of the others knew within {took[False] * 1000:.0f} ms that
they had lost.
"""
