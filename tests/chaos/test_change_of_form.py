"""Every step of a change of form meets faults: the data is never without its bot, nor two with it.

BOTDEPLOY_CHAOS_HOSTS=N asks for another number of hosts than two, BOTDEPLOY_CHAOS_EVERY=N for every
Nth step of each fault only (default 2; 1: all).
"""

from __future__ import annotations

import os
import queue
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos import report
from tests.chaos.lives import kill_act
from tests.chaos.stand import Stand
from tests.hosts.acts.actkit import BOT, Actor
from tests.hosts.acts.formkit import Plain, copies, data_of, lives_of, of, plain, until
from tests.hosts.acts.instancekit import HOME, STATE, Instance
from tests.lab import lab as labs
from tests.lab.registry import Owner
from tests.lab.shell import looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hosts.acts.actkit import Reply
    from tests.lab.faults import BreakableHost

pytestmark = [pytest.mark.chaos, pytest.mark.lab]

EVERY = int(os.environ.get("BOTDEPLOY_CHAOS_EVERY", "2"))
ENOUGH_FOR_A_PAGE = 100
LEASE_S = 6
RECORDED_LEASE_S = 25
"""Writing down each step takes time: the change must be ready before its lease is over."""
AT_LEAST = 3
"""An act has few steps: so many are tried in the shortest run."""
FORMS = {"plain to several": ("-", "1"), "several to plain": ("1", "-")}


class FormStand:
    """A host where one form stands, and the release of the other waits to take its place."""

    def __init__(self, host: BreakableHost, old: str, new: str) -> None:
        """Take the host; ``old`` and ``new`` are names of instances, "-" the plain form."""
        self.stand = Stand(host)
        self.host, self.old_name, self.new_name = host, old, new
        self.numbers = count(1)
        self.run = ""

    def actor(self, name: str) -> Plain | Instance:
        """Give a new controller of a form."""
        return Plain(self.host) if name == "-" else Instance(self.host, name, environment="prod")

    def prepare(self) -> None:
        """Put the program, the stops and the old form there."""
        self.host.reset()
        assert "installed" in Actor(self.host).install()
        self.stand.put_stops()
        self.host.root("rm -f /dev/shm/echobot-*")
        self.old = self.actor(self.old_name)
        assert "state" in self.old.enter()
        self.deploy_old()
        folder = HOME if self.old_name == "-" else f"{HOME}/instances/{self.old_name}"
        self.host.root(f"cd {folder}/shared/data; echo precious >mark; chown {BOT}: mark; sync")
        self.new = self.actor(self.new_name)
        self.back_to_old()

    def deploy_old(self) -> None:
        """Have the old form run."""
        if isinstance(self.old, Plain):
            self.old.deploy(plain("OLD"), "first")
        else:
            self.old.deploy(of(self.old_name, "OLD"), "first")
        self.old("leave", self.old.token)

    def back_to_old(self) -> None:
        """Be where every life begins: the old form runs, the new one is staged and has the lock."""
        self.host.root("rm -rf /run/chaos; mkdir -p /run/chaos")
        self.new("leave", self.new.token)
        self.new = self.actor(self.new_name)
        said = self.new.enter(ttl=600, form=self.new_name)
        assert "state" in said, said.records
        self.stage("NEW")

    def stage(self, name: str) -> None:
        """Send a release of the new form."""
        made = (
            self.new.stage(plain(name))
            if isinstance(self.new, Plain)
            else self.new.send(of(self.new_name, name))
        )
        assert not made.fault, made.records

    def switch(self, lease_s: int = LEASE_S, *, over_ssh: bool = False) -> None:
        """Begin the change, and leave it to itself."""
        self.run = f"run{next(self.numbers)}x"
        words = (self.new.token, self.run, "NEW", lease_s)
        self.stand.call(self.act("switch"), *words, over_ssh=over_ssh)

    def act(self, name: str) -> str:
        """Name an act of the new form."""
        return name if self.new_name == "-" else f"{name}@{self.new_name}"

    def confirm(self) -> None:
        """Change the form, and have a later release run that is to be proven."""
        self.stage("LATER")
        for name in ("NEW", "LATER"):
            run = f"run{next(self.numbers)}x"
            assert "switched" in self.new.switch(run, name)
            assert "confirmed" in self.new("confirm", self.new.token, run)
            if name == "NEW":
                assert "proven" in self.new("prove", self.new.token, name, 5, "roll1")

    def prove(self) -> Reply:
        """Prove the later release, which takes away what stood there before."""
        return self.new("prove", self.new.token, "LATER", 5, "roll2")

    def steps(self, act: str = "") -> list[str]:
        """Find the steps of a change that nobody confirms, there and back; or of an act's own."""

        def live() -> None:
            self.switch(RECORDED_LEASE_S)
            until(self.new, "NEW", is_pending=True)
            self.safe()

        if act == "prove":
            self.confirm()
            found = self.stand.record("act", f" {self.act(act)} ", self.prove)
            self.prepare()
            return found
        return self.stand.record(*(("act", f" {self.act(act)} ") if act else ("guard", "-")), live)

    def safe(self, *, is_armed: bool = True) -> None:
        """Wait until the old form runs, and the change is over; where it was armed at all."""
        phase: dict[str, Any] = {}
        for _ in looks(120):
            try:
                phase = self.new.state()["phase"] or {}
            except (StopIteration, subprocess.TimeoutExpired):
                phase = {"phase": "not told"}
            if not phase and not is_armed:
                break
            if phase.get("phase") == "reverted" and (phase["run"] == self.run or not is_armed):
                break
        else:
            raise AssertionError(phase)
        until(self.old, "OLD", 30)

    def wrong(self) -> list[str]:
        """List what does not hold when the host is safe."""
        found = copies(self.host)
        if data_of(self.host, self.old_name) != "precious":
            found.append("the data is not where its bot is")
        try:
            lives_of(self.host)
        except AssertionError as error:
            found.append(str(error))
        names = " -o ".join(
            f"-name '{one}'" for one in ("*.left", ".trial", "*.new.*", "successor")
        )
        place = f"{HOME} {STATE} /etc/systemd/system"
        found += self.host.root(f"sleep 0.5; find {place} {names}").stdout.split()
        if not self.old.state()["enabled"]:
            found.append("it is not enabled")
        return found

    def wrong_for_good(self) -> list[str]:
        """List what does not hold where the new form is there to stay."""
        state = until(self.new, "LATER", 30)
        found = copies(self.host)
        if data_of(self.host, self.new_name) != "precious" or not state["enabled"]:
            found.append("the new form is without the data, or not enabled")
        try:
            lives_of(self.host)
        except AssertionError as error:
            found.append(str(error))
        return found

    def live_through_act(self, step: str, act: str) -> list[str]:
        """Kill an act before one of its own steps, and see what comes of it."""
        if act == "switch":
            self.back_to_old()
        else:
            self.prepare()
            self.confirm()
        self.stand.plan("act", f" {self.act(act)} ", step)
        if act == "switch":
            self.switch()
        else:
            self.stand.call(self.act(act), self.new.token, "LATER", 5, "roll2")
        if self.stand.await_stop(30):
            kill_act(self.host)
        self.stand.go_on()
        if act == "switch":
            self.safe(is_armed=False)
            self.back_to_old()  # what was left half written goes with the next one
            self.switch()
            self.safe()
            return self.wrong()
        found = self.wrong_for_good()
        if "proven" not in (said := self.prove()):
            found.append(f"the same again: {said.records}")
        unit = BOT if self.old_name == "-" else f"{BOT}@{self.old_name}"
        found += self.host.root(
            f"ls -d /etc/systemd/system/{unit}.service {self.left} 2>/dev/null; true"
        ).stdout.split()
        return found + self.wrong_for_good()

    @property
    def left(self) -> str:
        """Name what of the old form must be gone when the new one is proven."""
        if self.old_name == "-":
            return f"{HOME}/releases {HOME}/current"
        return f"{HOME}/instances/{self.old_name}/releases"

    def live_through(self, step: str, fault: str) -> list[str]:
        """Break something before one step, and see what comes of it."""
        self.back_to_old()
        self.stand.plan("guard", "-", step)
        self.switch(over_ssh=fault == "reboot")  # a visitor would not let the host go down
        if not self.stand.await_stop(30):
            self.stand.go_on()
            self.safe()
            return []
        FAULTS[fault](self)
        self.stand.go_on()
        # The guard is there before the mark: what has ended the act then has ended the change.
        self.safe(is_armed=fault == "SIGKILL")
        if fault != "SIGKILL":
            self.back_to_old()  # what was left half written goes when the next controller comes
        return self.wrong()


def _kill(made: FormStand) -> None:
    guards = f"systemctl kill -s KILL --kill-who=all 'botdeploy-guard-{BOT}*.service'"
    made.host.root(guards, check=False)


def _cut_power(made: FormStand) -> None:
    made.host.cut_power().end()


def _reboot(made: FormStand) -> None:
    made.stand.go_on()
    made.host.reboot(seconds=120)


FAULTS = {"SIGKILL": _kill, "power cut": _cut_power, "reboot": _reboot}


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[BreakableHost]]:
    """Give hosts with disks."""
    number = int(os.environ.get("BOTDEPLOY_CHAOS_HOSTS", "2"))
    lab = labs.up(number, name=f"form-{os.getpid()}", disk_mb=384, owner=Owner.me())
    try:
        yield list(lab)
    finally:
        labs.down(lab.name)


@pytest.fixture(scope="module")
def told() -> Iterator[list[tuple[str, str, int]]]:
    """Collect what each test found, and write it to the page when all have."""
    found: list[tuple[str, str, int]] = []
    yield found
    is_whole = len(found) == (len(FAULTS) + len(("switch", "prove"))) * len(FORMS)
    if is_whole and sum(many for *_, many in found) >= ENOUGH_FOR_A_PAGE:
        report.put_forms(report.PAGE, report.of_forms(found, LEASE_S))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", FORMS)
def test_a_change_of_form_survives_a_fault_before_any_step(
    form: str,
    fault: str,
    hosts: list[BreakableHost],
    told: list[tuple[str, str, int]],
) -> None:
    """The old form runs again by itself, with its data, enabled, and was never there twice."""
    made = [FormStand(host, *FORMS[form]) for host in hosts]
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(lambda one: one.prepare(), made))
    steps = made[0].steps()
    assert any("mv -T" in step and "shared" in step for step in steps)
    work: queue.SimpleQueue[str] = queue.SimpleQueue()
    for step in steps[list(FAULTS).index(fault) % EVERY :: EVERY]:
        work.put(step)

    many = work.qsize()
    assert broken_at(made, work, lambda one, step: one.live_through(step, fault)) == []
    told.append((form, fault, many))


@pytest.mark.parametrize("act", ["switch", "prove"])
@pytest.mark.parametrize("form", FORMS)
def test_an_act_of_a_change_of_form_may_be_killed_before_any_of_its_steps(
    form: str, act: str, hosts: list[BreakableHost], told: list[tuple[str, str, int]]
) -> None:
    """The switch ends in the old form by itself; a proof that is repeated takes the rest away."""
    made = [FormStand(host, *FORMS[form]) for host in hosts]
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(lambda one: one.prepare(), made))
    work: queue.SimpleQueue[str] = queue.SimpleQueue()
    steps = made[0].steps(act)
    for step in steps[:: min(EVERY, max(1, len(steps) // AT_LEAST))]:
        work.put(step)
    many = work.qsize()
    assert broken_at(made, work, lambda one, step: one.live_through_act(step, act)) == []
    told.append((form, f"SIGKILL of the act `{act}`", many))


def broken_at(
    made: list[FormStand],
    work: queue.SimpleQueue[str],
    live: Callable[[FormStand, str], list[str]],
) -> list[str]:
    """Live through one step after the other on all hosts; give those that broke something."""

    def go(one: FormStand) -> list[str]:
        found: list[str] = []
        while True:
            try:
                step = work.get_nowait()
            except queue.Empty:
                return found
            try:
                wrong = live(one, step)
            except AssertionError as error:
                wrong = [str(error)[:400]]
            print(f"before  {step[:140]}  {wrong}", flush=True)  # noqa: T201
            if wrong:
                found.append(f"{step}: {wrong}")
                one.prepare()

    with ThreadPoolExecutor(len(made)) as pool:
        return [row for rows in pool.map(go, made) for row in rows]
