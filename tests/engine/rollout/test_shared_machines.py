"""Instances beside each other on a machine: what hits all of them fails and passes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.host.running import Runs, Seen, judged
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.rollout.ring_watch import one_of_each
from botdeploy.engine.watch import following
from botdeploy.errors import ExitCode
from tests.engine import fakefleet
from tests.engine.evidence.test_proven_past import Bots, Reader, bots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MACHINE = "192.0.2.10:22"


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watch read journals in memory."""

    def follower(
        _name: str, connect: Callable[[], Any], deliver: Any, *, maker: Any, **_more: Any
    ) -> Reader:
        return Reader(connect()._caller.its, deliver, maker)

    monkeypatch.setattr(following, "Follower", follower)


def put_together(bots: Bots, names: Sequence[str]) -> None:
    """Let some hosts be instances of one machine."""
    fakefleet.share([bots.stage.hosts[name] for name in names], MACHINE)
    hosts = tuple(
        replace(one, machine=MACHINE, instance=one.name) if one.name in names else one
        for one in bots.stage.inventory.hosts
    )
    bots.stage.inventory = replace(bots.stage.inventory, hosts=hosts)


def fills_the_disk(bots: Bots, names: Sequence[str]) -> None:
    """Let these hosts have an error that nobody had, as long as the next release runs on one."""
    stage = bots.stage
    new = f"R{stage.made + 1:04d}"

    def tick() -> None:
        if stage.hosts["h1"].current == new:
            for name in names:
                stage.hosts[name].write("ERROR cannot write: no space left on device")
        stage.clock.at(6.0, tick)

    stage.clock.at(6.0, tick)


@pytest.mark.parametrize("is_kept", [False, True], ids=["canary", "promote"])
@pytest.mark.parametrize("machine", [("h1", "h2"), ("h1", "h2", "h3")], ids=["two", "one"])
def test_a_canary_that_fills_the_disk_of_its_neighbours_is_never_promoted(
    machine: Sequence[str], *, is_kept: bool
) -> None:
    """Nothing is reverted and nothing is promoted: a person decides, and is told why."""
    bots = bots_of("quick", is_kept=is_kept, hosts=3)
    put_together(bots, machine)
    running = [host.current for host in bots.stage.hosts.values()]
    fills_the_disk(bots, machine)
    ended = bots.release()
    assert ended.code is ExitCode.HELD, ended.summary
    assert "the release may be the cause, or the machine" in ended.summary
    assert MACHINE in ended.summary
    assert [host.current for host in bots.stage.hosts.values()] == ["R0002", *running[1:]]


@pytest.mark.parametrize("is_kept", [False, True], ids=["canary", "promote"])
def test_what_all_machines_show_is_not_put_down_to_one(*, is_kept: bool) -> None:
    """The same on hosts of machines of their own: it is the world's, and the release passes."""
    bots = bots_of("quick", is_kept=is_kept, hosts=3)
    put_together(bots, ("h1", "h2"))
    fills_the_disk(bots, ("h1", "h2", "h3"))
    ended = bots.release()
    assert ended.code is ExitCode.DONE, ended.summary
    assert bots.is_over()


def test_a_ring_without_a_soak_does_not_pass_with_it() -> None:
    """Hosts that are ready and healthy are no pass where the whole machine has errors."""
    bots = bots_of("quick", hosts=3)
    put_together(bots, ("h1", "h2"))
    rings = tuple(replace(one, soak=one.settle * 0) for one in bots.stage.inventory.policy.rings)
    slow = replace(rings[0], settle=rings[0].settle * 12)
    policy = replace(bots.stage.inventory.policy, rings=(slow, *rings[1:]))
    bots.stage.inventory = replace(bots.stage.inventory, policy=policy)
    fills_the_disk(bots, ("h1", "h2"))
    ended = bots.release()
    assert ended.code is ExitCode.HELD, ended.summary
    told = [one for one in bots.stage.events if one.kind is Kind.VERDICT]
    assert all(one.data["outcome"] != "pass" for one in told[-1:])


def test_an_end_that_the_whole_machine_shares_is_the_verdict_of_its_journals() -> None:
    """A bot that is down is no fail for it, and never a pass."""
    down = {"h1": Seen(Runs.ENDED, "it ended", is_excused=True)}
    for outcome in (Outcome.WAIT, Outcome.INCONCLUSIVE):
        told = judged(Verdict(outcome, ("all instances",), machine=MACHINE), down, over_s=1.0)
        assert told == Verdict(outcome, ("h1: it ended", "all instances"), "h1", machine=MACHINE)
    alone = {"h1": Seen(Runs.ENDED, "it ended")}
    waits = Verdict(Outcome.WAIT, ("all instances",), machine=MACHINE)
    told = judged(waits, alone, over_s=-1.0)
    assert told is not None
    assert told.outcome is Outcome.FAIL


def test_each_machine_is_heard_first_by_one_host() -> None:
    """Where not all hosts can be read, none of many neighbours takes another machine's place."""
    names = [f"a/{n}" for n in range(5)] + ["b/0", "b/1", "c"]
    machines = {name: name[0] for name in names}
    ordered = one_of_each(names, machines, {"b"})
    assert ordered == ("b/0", "a/0", "c", "b/1", "a/1", "a/2", "a/3", "a/4")
    plain = {name: name for name in names}
    assert one_of_each(names, plain, set()) == tuple(names)
