"""Every step of a renumbering meets faults: never two numberings, and never a shard of each.

BOTDEPLOY_CHAOS_HOSTS=N asks for another number of hosts than two, BOTDEPLOY_CHAOS_EVERY=N for every
Nth step of each fault only (default 3; 1: all).
"""

from __future__ import annotations

import os
import queue
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.chaos.stand import Stand
from tests.hosts.acts.actkit import BOT
from tests.hosts.acts.formkit import Plain, until
from tests.hosts.acts.groupkit import Group, mixed, plain_shard, prepared
from tests.hosts.acts.instancekit import RUN, STATE
from tests.lab import lab as labs
from tests.lab.registry import Owner
from tests.lab.shell import looks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.faults import BreakableHost

pytestmark = [pytest.mark.chaos, pytest.mark.lab]

EVERY = int(os.environ.get("BOTDEPLOY_CHAOS_EVERY", "3"))
LEASE_S = 20
OLD = {"1": "0/2", "2": "1/2"}
NEW = {"1": "1/3", "2": "2/3", "0": "0/3"}
WERE = {"1": "R1", "2": "R1", "0": ""}
STARTS = ("two shards", "plain")
"""The latter changes its form with its numbers."""


class GroupStand:
    """A host with shards that run, and a release that makes three of them."""

    def __init__(self, host: BreakableHost, start: str) -> None:
        """Take the host as it comes; what runs there before is one of ``STARTS``."""
        self.host, self.stand, self.numbers = host, Stand(host), count(1)
        self.start, self.is_plain = start, start == "plain"
        self.form = "1" if self.is_plain else ""
        self.were = dict.fromkeys(NEW, "") if self.is_plain else WERE

    def prepare(self) -> None:
        """Put the program, the stops and the old release there."""
        self.host.reset()
        prepared(self.host)
        self.stand.put_stops()
        if self.is_plain:
            old = Plain(self.host)
            assert "state" in old.enter()
            old.deploy(plain_shard("P1", "0/1"), "first")
            old("leave", old.token)
            self.group = Group(self.host, tuple(NEW), self.form)
        else:
            self.group = Group(self.host, tuple(NEW))
            self.group.deploy("R1", "first", OLD)
        self.back_to_old()

    def settled(self, seconds: float) -> None:
        """Wait until the old numbers run again, and nothing is open."""
        self.group.until(self.were, seconds)
        if self.is_plain:
            until(Plain(self.host), "P1", seconds)

    def back_to_old(self) -> None:
        """Be where every life begins: the old numbers run, and the new ones are staged."""
        self.host.root("rm -rf /run/chaos; mkdir -p /run/chaos; rm -f /dev/shm/echobot-*")
        for one in self.group.of.values():
            one("leave", one.token)
        self.group = Group(self.host, tuple(NEW), self.form)
        self.group.send("R2", NEW)
        self.host.root("sync")

    def switch(self, *, over_ssh: bool = False) -> None:
        """Begin it, and leave it to itself."""
        one, run = self.group.of["1"], f"run{next(self.numbers)}x"
        words = (one.token, run, "R2", LEASE_S, self.group.word)
        self.stand.call("switch@1", *words, over_ssh=over_ssh)

    def steps(self) -> list[str]:
        """Find the steps of one that nobody confirms, there and back."""

        def live() -> None:
            self.switch()
            self.await_end()

        return self.stand.record("guard", "-", live)

    def await_end(self) -> None:
        """Wait until it has begun, and is over."""
        for _ in looks(60):
            if any(is_open for _, is_open in self.group.running().values()):
                return self.settled(120)
        raise AssertionError("it never began")

    def live_through(self, step: str, fault: str) -> list[str]:
        """Break something before one step, and see what comes of it."""
        self.back_to_old()
        self.stand.plan("guard", "-", step)
        self.switch(over_ssh=fault == "reboot")  # a visitor would not let the host go down
        if not self.stand.await_stop(40):
            self.stand.go_on()
            self.settled(90)
            return []
        wrong = mixed(self.host)
        FAULTS[fault](self)
        self.stand.go_on()
        self.settled(120)
        wrong += mixed(self.host)
        self.back_to_old()  # what was left half written goes when the next controller comes
        left = f"find {STATE}/together {RUN}/barriers {STATE} -name 'run*' -o -name '*.new.*'"
        return wrong + self.host.root(left, check=False).stdout.split()


def _kill(made: GroupStand) -> None:
    guards = f"systemctl kill -s KILL --kill-who=all 'botdeploy-guard-{BOT}*.service'"
    made.host.root(guards, check=False)


def _kill_one(made: GroupStand) -> None:
    guard = f"systemctl kill -s KILL --kill-who=all botdeploy-guard-{BOT}@2.service"
    made.host.root(guard, check=False)


def _cut_power(made: GroupStand) -> None:
    made.host.cut_power().end()


def _reboot(made: GroupStand) -> None:
    made.stand.go_on()
    made.host.reboot(seconds=120)


FAULTS = {
    "SIGKILL": _kill,
    "SIGKILL of one": _kill_one,
    "power cut": _cut_power,
    "reboot": _reboot,
}


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[BreakableHost]]:
    """Give hosts with disks."""
    number = int(os.environ.get("BOTDEPLOY_CHAOS_HOSTS", "2"))
    lab = labs.up(number, name=f"group-{os.getpid()}", disk_mb=384, owner=Owner.me())
    try:
        yield list(lab)
    finally:
        labs.down(lab.name)


@pytest.fixture(scope="module")
def recorded(
    request: pytest.FixtureRequest, hosts: list[BreakableHost]
) -> tuple[list[GroupStand], list[str]]:
    """Give the hosts where the old numbers run, and the steps of a renumbering there."""
    made = [GroupStand(host, request.param) for host in hosts]
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(lambda one: one.prepare(), made))
    return made, made[0].steps()


@pytest.mark.parametrize(
    ("recorded", "fault"),
    [*((STARTS[0], fault) for fault in FAULTS), ("plain", "SIGKILL"), ("plain", "power cut")],
    indirect=["recorded"],
)
def test_a_renumbering_survives_a_fault_before_any_step(
    fault: str, recorded: tuple[list[GroupStand], list[str]]
) -> None:
    """The old numbers run again by themselves, and no process of the two numberings met."""
    made, steps = recorded
    assert any("barriers" in step for step in steps)
    work: queue.SimpleQueue[str] = queue.SimpleQueue()
    for step in steps[list(FAULTS).index(fault) % EVERY :: EVERY]:
        work.put(step)

    def go(one: GroupStand) -> list[str]:
        found: list[str] = []
        while True:
            try:
                step = work.get_nowait()
            except queue.Empty:
                return found
            try:
                wrong = one.live_through(step, fault)
            except AssertionError as error:
                wrong = [str(error)[:400]]
            print(f"{one.start}: {fault}  before  {step[:140]}  {wrong}", flush=True)  # noqa: T201
            if wrong:
                found.append(f"{step}: {wrong}")
                one.prepare()

    with ThreadPoolExecutor(len(made)) as pool:
        assert [row for rows in pool.map(go, made) for row in rows] == []
