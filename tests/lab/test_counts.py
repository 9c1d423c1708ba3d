"""What a whole rollout costs its hosts: connections, programs and bytes, one by one."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.dependencies import Dependencies
from botdeploy.engine.fleet.clock import SystemClock
from botdeploy.engine.fleet.fleet import Fleet
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.manifest_cache import ManifestCache
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode
from botdeploy.hosts import host_program
from botdeploy.inventory import load
from botdeploy.sources.build import build
from botdeploy.sources.host_trees import HostTrees
from botdeploy.sources.read import read
from tests.lab.counts import CountingConnector
from tests.lab.rollouts import Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdeploy.core.model.inventory import Inventory
    from tests.lab.lab import Lab

NOW = {"soak": "0s", "settle": "0s"}


INSTALL = ["enter", "install"]
"""The program of this version is not there: it is told by the first try, and put there."""
RELEASE = [
    "enter",  # takes the lock, prepares the host, says what stands there, and holds the lock
    "follow",  # reads the journal from an hour back on: what was usual, then the evidence
    "stage",  # takes what changed, copies the rest, verifies all of it
    "switch",  # starts what stops, links and starts on the host itself, and waits for it
]
AFTERWARDS = [
    "confirm",  # over a connection opened after the switch: the host can still be reached
    "prove",  # after the verdict: the release may be returned to; old ones go
    "end",  # notes how the rollout ended, for whoever asks the host later
]
MOST_BYTES = 10_000
"""Of command lines, metadata and a bot of 2 kB; without ssh's own."""


@contextmanager
def dependencies(project: Project) -> Iterator[tuple[Inventory, Dependencies]]:
    """Give what a command of this process needs, with a connector that counts."""
    inventory = load(project.name, project.folder / "inventories", os.environ)
    fleet = Fleet(inventory, CountingConnector(os.environ))
    try:
        yield (
            inventory,
            Dependencies(
                fleet=fleet,
                clock=SystemClock(),
                emit=lambda _event: None,
                manifests=ManifestCache({"HOME": str(project.folder)}),
                owner="test",
                stop=threading.Event(),
            ),
        )
    finally:
        fleet.close()


def roll(project: Project, source: str) -> CountingConnector:
    """Take a source through all rings, and give what went over the network."""
    with dependencies(project) as (inventory, made):
        trees = HostTrees.same(inventory, read(source, os.environ))
        release = build(inventory, trees, now=made.clock.now(), who="test", environ={})
        ended = canary(inventory, release, made, Options())
        went = made.fleet.connector
    assert ended.code is ExitCode.DONE, ended.summary
    assert isinstance(went, CountingConnector)
    return went


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give two hosts, one after the other, without soaks."""
    rings = [{"name": "canary", "hosts": 1, **NOW}, {"name": "fleet", "hosts": "all", **NOW}]
    return Project(tmp_path, lab, rollout={"rings": rings}, hosts=("h1", "h2"))


def test_the_first_deploy_takes_two_connections_and_nine_programs(project: Project) -> None:
    """A host that never saw botdeploy gets its program, and nothing more than the next time."""
    went = roll(project, project.version("v1", "good"))
    for host in project.hosts:
        first, fresh = went.acts(host)
        assert Counter(first) == Counter(INSTALL + RELEASE), host
        assert fresh == AFTERWARDS, host
        assert went.bytes_sent(host) < len(host_program.PROGRAM) + MOST_BYTES + 3_000


def test_the_next_release_takes_two_connections_and_seven_programs(project: Project) -> None:
    """Each has its reason, and one more is a round trip more on every host of every rollout."""
    roll(project, project.version("v1", "good"))
    went = roll(project, project.version("v2", "good"))
    assert went.connections == 2 * len(project.hosts)
    for host in project.hosts:
        first, fresh = went.acts(host)
        assert Counter(first) == Counter(RELEASE), host
        assert fresh == AFTERWARDS, host
        assert went.bytes_sent(host) < MOST_BYTES


def test_a_controller_that_never_saw_the_release_asks_one_host_what_it_holds(
    project: Project,
) -> None:
    """Only what changed is sent; what the old release holds is read once, not on every host."""
    roll(project, project.version("v1", "good"))
    shutil.rmtree(project.folder / ".cache")
    went = roll(project, project.version("v2", "good"))
    asked = [host for host in project.hosts if "manifest" in went.acts(host)[0]]
    assert len(asked) == 1


def test_a_release_that_runs_everywhere_costs_one_program(project: Project) -> None:
    """The same command again only looks."""
    source = project.version("v1", "good")
    roll(project, source)
    went = roll(project, source)
    assert [went.acts(host) for host in project.hosts] == [[["enter"]]] * 2


def test_a_rollback_takes_one_connection_and_three_programs(project: Project) -> None:
    """The lock with what the host says, the note that the rollout is over, and the way back."""
    roll(project, project.version("v1", "good"))
    roll(project, project.version("v2", "good"))
    with dependencies(project) as (inventory, made):
        ended = rollback(inventory, project.hosts, made)
        went = made.fleet.connector
        assert isinstance(went, CountingConnector)
    assert ended.code is ExitCode.DONE, ended.summary
    assert [went.acts(host) for host in project.hosts] == [[["enter", "end", "revert"]]] * 2


@pytest.fixture
def one_machine(lab: Lab, tmp_path: Path) -> Project:
    """Give one machine with three instances, without soaks: a canary, then both others at once."""
    rings = [
        {"name": "canary", "hosts": 1, **NOW},
        {"name": "fleet", "hosts": "all", "batch": "100%", **NOW},
    ]
    return Project(tmp_path, lab, bot={"instances": 3}, rollout={"rings": rings}, hosts=("h1",))


OF_THREE = {
    "enter": 1,  # one session holds the lock of all, and gives it back
    **dict.fromkeys(("follow", "stage", "switch", "confirm", "prove", "end"), 3),
}


def counted(went: CountingConnector) -> list[Counter[str]]:
    """Count the programs of each connection to the machine, whichever instance they are of."""
    return [Counter(act.partition("@")[0] for act in one) for one in went.acts("h1")]


def test_three_instances_take_one_connection_and_a_new_one_a_batch(one_machine: Project) -> None:
    """The lock is one session; each batch is confirmed over a connection opened after it."""
    roll(one_machine, one_machine.version("v1", "good"))
    went = roll(one_machine, one_machine.version("v2", "good"))
    first, canary_, fleet = counted(went)
    assert first + canary_ + fleet == Counter(OF_THREE)
    assert first == Counter(enter=1, follow=3, stage=3, switch=1)
    assert canary_ == Counter(confirm=1, prove=1, switch=2)
    assert fleet == Counter(confirm=2, prove=2, end=3)


def test_the_files_reach_a_machine_once(one_machine: Project) -> None:
    """What its instances have beside them is small; a file that can't be packed is sent once."""
    source = one_machine.version("v1", "good")
    roll(one_machine, source)
    size = 300_000
    (Path(source) / "model.bin").write_bytes(os.urandom(size))
    went = roll(one_machine, source)
    assert size < went.bytes_sent("h1") < size + 4 * MOST_BYTES
    stored = one_machine.lab["h1"].root("find /opt/tbot/trees -name model.bin").stdout
    assert len(stored.splitlines()) == 1


def test_looking_at_three_instances_takes_one_program(one_machine: Project) -> None:
    """Also for the same command again, and for the way back one session of the lock."""
    source = one_machine.version("v1", "good")
    roll(one_machine, source)
    assert counted(roll(one_machine, source)) == [Counter(enter=1)]
    roll(one_machine, one_machine.version("v2", "good"))
    with dependencies(one_machine) as (inventory, made):
        names = [host.name for host in inventory.hosts]
        states, away = observe(made.fleet, names)
        assert (set(states), away) == ({"h1/1", "h1/2", "h1/3"}, {})
        ended = rollback(inventory, names, made)
        went = made.fleet.connector
        assert isinstance(went, CountingConnector)
    assert ended.code is ExitCode.DONE, ended.summary
    assert counted(went) == [Counter(observe=1, enter=1, end=3, revert=3)]


CHANGED = 300_000
"""Bytes that a release changes, and that can't be packed."""
RINGS: list[dict[str, Any]] = [
    {"name": "internal", "hosts": "dev", **NOW},
    {"name": "canary", "hosts": 1, **NOW},
    {"name": "fleet", "hosts": "all", "batch": "100%", **NOW},
]


class Cost(NamedTuple):
    """What one release took, on all machines together."""

    connections: int
    programs: Counter[str]
    kilobytes: int
    builds: int


def cost_of(project: Project, machines: Sequence[str]) -> Cost:
    """Roll a release with a build, then one that changes a large file; give what that took."""
    source = project.version("v1", "good")
    roll(project, source)
    built = "journalctl -q _PID=1 -o cat | grep -c 'Started botdeploy-build-' || true"
    before = sum(int(project.lab[name].root(built).stdout) for name in machines)
    (Path(source) / "model.bin").write_bytes(os.urandom(CHANGED))
    went = roll(project, source)
    acts = [act for some in went.made.values() for one in some for act in one.acts]
    return Cost(
        went.connections,
        Counter(act.partition("@")[0] for act in acts),
        round(sum(map(went.bytes_sent, went.made)) / 1000),
        sum(int(project.lab[name].root(built).stdout) for name in machines) - before,
    )


def test_four_instances_of_one_machine_cost_less_than_four_machines(
    lab: Lab, tmp_path: Path
) -> None:
    """Dev and three workers: files and build once instead of four times, half the connections."""
    names = ("dev", "w1", "w2", "w3")
    bot = {"name": "one", "build": "ls >built"}
    together = Project(tmp_path / "1", lab, bot, {"rings": RINGS}, named=dict.fromkeys(names, "h1"))
    machines = tuple(host.name for host in lab)
    (first, *others) = machines
    rings = [{**RINGS[0], "hosts": first}, *RINGS[1:]]
    apart = Project(tmp_path / "4", lab, {**bot, "name": "four"}, {"rings": rings}, hosts=machines)
    one, four = cost_of(together, (first,)), cost_of(apart, (first, *others))
    print(one, four, sep="\n")  # noqa: T201 (docs/performance.md has the figures)
    for cost, locks in ((one, 1), (four, 4)):
        for act in ("observe", "manifest"):  # asked where something takes long, or was built
            del cost.programs[act]
        each = dict.fromkeys(("follow", "stage", "switch", "confirm", "prove", "end"), 4)
        assert cost.programs == Counter({"enter": locks, **each})
    assert (one.connections, one.builds) == (4, 1)
    assert (four.connections, four.builds) == (8, 4)
    size = CHANGED / 1000
    assert size < one.kilobytes < size + 5 * MOST_BYTES / 1000
    assert 4 * size < four.kilobytes < 4 * (size + 2 * MOST_BYTES / 1000)
