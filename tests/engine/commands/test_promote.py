"""Promote on hosts in memory: one step for cron, the same from every machine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.model.lease import Lease, LeaseUntil
from botdeploy.core.model.policy import Gate, OnFail, Policy, Ring, Share
from botdeploy.core.rollout.target import Quarantined
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import due, promote
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.fleet.lock import PATIENCE_S
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, Hint, LockedError, Todo
from botdeploy.inventory.allowed_hours import parse_window
from botdeploy.views import sentences
from tests.engine.commands.test_canary import release, switches, tick
from tests.engine.fakefleet import HANGS_S, ControllerDied, FakeBuild, FakeWatch, Stage
from tests.engine.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.outcome import Ended

HOUR = timedelta(hours=1)
RINGS = (
    Ring("internal", "internal", soak=2 * HOUR, settle=timedelta(seconds=10)),
    Ring("beta", "beta", soak=HOUR, settle=timedelta(seconds=10)),
    Ring("fleet", "all", settle=timedelta(seconds=10), batch=Share(count=2)),
)
GROUPS = {"internal": ("h1",), "beta": ("h2",)}


def stage_of(
    rings: tuple[Ring, ...] = RINGS,
    *,
    groups: Mapping[str, tuple[str, ...]] = GROUPS,
    **policy: Any,
) -> Stage:
    """Give five hosts in three rings that run a first release; the others' soaks take hours."""
    stage = Stage(5, Policy(rings, **policy), groups=groups, tick_s=1.0)
    quick = tuple(replace(ring, soak=timedelta(0), gate=Gate.NONE, window=None) for ring in rings)
    rules = replace(stage.inventory.policy, rings=_hosts_of(stage, quick))
    whole = stage.inventory
    stage.inventory = replace(whole, policy=rules)
    assert release(stage).code is ExitCode.DONE
    assert stage.running() == ["R0001"] * 5
    stage.inventory = whole
    stage.events.clear()
    stage.clock.advance(600)
    return stage


def _hosts_of(stage: Stage, rings: tuple[Ring, ...]) -> tuple[Ring, ...]:
    known = {ring.name: ring.hosts for ring in stage.inventory.policy.rings}
    return tuple(replace(ring, hosts=known[ring.name]) for ring in rings)


def wait(stage: Stage, hours: float) -> list[tuple[int, str]]:
    """Let cron come every five minutes for some hours; gives what was not silent."""
    said = []
    for _ in range(int(hours * 12)):
        stage.clock.advance(300)
        ended = tick(stage)
        if ended.summary or ended.code is not ExitCode.DONE:
            said.append((int(ended.code), sentence(ended)))
    return said


# --- nothing is due ---------------------------------------------------------------------------


def test_nothing_under_way_is_silent() -> None:
    """Exit 0, no word, no lock, no event."""
    stage = stage_of()
    ended = tick(stage)
    assert (ended.code, ended.summary, stage.events) == (ExitCode.DONE, "", [])
    assert {act for _, act in stage.fleet.calls} == {"observe"}


def test_a_soak_is_silent_also_with_a_host_away() -> None:
    """While a ring soaks there is nothing to tell, and no host within ``max_unreachable`` is."""
    stage = stage_of(max_unreachable=Share(count=1))
    release(stage)
    stage.hosts["h5"].die()
    stage.events.clear()
    assert wait(stage, 1) == []
    assert stage.events == []


# --- one step further -------------------------------------------------------------------------


def test_a_release_goes_through_its_rings_by_cron_alone() -> None:
    """Each ring begins when the one before has soaked and passed, in whoever's hands."""
    stage = stage_of()
    release(stage)
    assert wait(stage, 1.9) == []
    assert stage.running() == ["R0002", *["R0001"] * 4]
    assert len(wait(stage, 0.2)) == 1
    assert stage.running() == ["R0002", "R0002", *["R0001"] * 3]
    assert len(wait(stage, 1.1)) == 1
    assert stage.running() == ["R0002"] * 5
    assert wait(stage, 2) == []
    assert [switches(stage, name) for name in stage.hosts] == [2] * 5


def test_a_release_that_fails_in_beta_leaves_every_host() -> None:
    """The tick that sees it takes internal and beta back; the fleet never had it."""
    stage = stage_of()
    release(stage, stage.build("bad", "h2"))
    said = wait(stage, 4)
    assert [code for code, _ in said] == [1]
    assert stage.running() == ["R0001"] * 5
    assert [switches(stage, name) for name in ("h3", "h4", "h5")] == [1, 1, 1]


def test_two_controllers_at_once_take_one_step() -> None:
    """The second finds the lock held, and that is exit 4; nothing is done twice."""
    stage = stage_of()
    release(stage)
    stage.clock.advance(2 * 3600)
    first = stage.controller()
    refused: list[LockedError] = []

    def second(name: str, act: str) -> None:
        if act == "switch" and not refused:
            other = Stage.controller(stage)
            with pytest.raises(LockedError) as error:
                promote(stage.inventory, stage.dependencies("laptop"), Options())
            refused.append(error.value)
            stage.fleet = first
            del name, other

    first.before = second
    promote(stage.inventory, stage.dependencies("cron"), Options())
    assert refused[0].exit_code is ExitCode.LOCKED
    assert switches(stage, "h2") == 2


@pytest.mark.parametrize("fuse", range(0, 40, 3))
def test_another_controller_goes_on_wherever_the_first_one_died(fuse: int) -> None:
    """A step that was cut anywhere is taken to its end by the next ones, and never twice."""
    stage = stage_of()
    release(stage)
    stage.clock.advance(2 * 3600)
    stage.controller()
    stage.fleet.fuse = fuse
    with suppress(ControllerDied):
        promote(stage.inventory, stage.dependencies(), Options())
    stage.clock.advance(120)
    wait(stage, 2.5)
    assert stage.running() == ["R0002"] * 5
    assert switches(stage, "h2") <= 3


def test_dry_run_says_what_is_due() -> None:
    """``--dry-run`` names the step in words and changes nothing."""
    stage = stage_of()
    assert sentences.due(due(stage.inventory, stage.dependencies())) == "nothing is due"
    release(stage)
    stage.controller()
    assert "ring internal soaks" in sentences.due(due(stage.inventory, stage.dependencies()))
    assert {act for _, act in stage.fleet.calls} == {"observe"}


# --- hosts that have it from an earlier rollout ------------------------------------------------


def test_one_of_a_ring_goes_first_where_hosts_before_it_stay_and_one_behind_it_has_it() -> None:
    """h1 keeps what it runs, h3 has it from a limited rollout; no step of any command fails."""
    stage = stage_of()
    build = stage.build()
    stage.world.is_made_of("R0001", "one", "h1")
    stage.world.is_made_of("R0002", "one", "h1")
    stage.controller()
    canary(limited(stage, "h3"), build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert stage.running() == ["R0001", "R0001", "R0002", "R0001", "R0001"]
    stage.clock.advance(60)
    ended = release(stage, build)
    assert (ended.code, ended.waits_for) == (ExitCode.DONE, "")
    assert "ring beta soaks" in ended.summary
    assert stage.running() == ["R0001", "R0002", "R0002", "R0001", "R0001"]
    assert "ring beta soaks" in sentences.due(due(stage.inventory, stage.dependencies()))
    assert len(wait(stage, 1.2)) == 1
    assert stage.running() == ["R0001", *["R0002"] * 4]


def test_a_host_that_a_limited_rollout_has_proven_is_no_pass_of_its_ring() -> None:
    """The fleet waits for the soak of the ring's other host."""
    stage = stage_of()
    rings = stage.inventory.policy.rings
    beta = replace(rings[1], hosts=("h2", "h3"))
    groups = (rings[0], beta, rings[2])
    stage.inventory = replace(stage.inventory, policy=replace(stage.inventory.policy, rings=groups))
    build = stage.build()
    stage.controller()
    canary(limited(stage, "h2"), build, stage.dependencies(), Options())  # type: ignore[arg-type]
    stage.clock.advance(3660)
    stage.controller()
    promote(limited(stage, "h2"), stage.dependencies(), Options())
    assert stage.hosts["h2"].releases["R0002"].order
    release(stage, build)
    started = next(one for one in reversed(stage.events) if one.kind is Kind.ROLLOUT_STARTED)
    assert [one["passed"] for one in started.data["rings"]] == [False] * 3
    wait(stage, 2.1)
    assert stage.running() == ["R0002", "R0002", "R0002", "R0001", "R0001"]
    assert wait(stage, 0.8) == []
    assert stage.running() == ["R0002", "R0002", "R0002", "R0001", "R0001"]
    wait(stage, 0.3)
    assert stage.running() == ["R0002"] * 5
    assert [switches(stage, name) for name in stage.hosts] == [2] * 5


# --- hosts that refuse to be proven -------------------------------------------------------------


def two_internal() -> Stage:
    """Give hosts of which two are internal and one is beta, at the end of the first soak."""
    stage = stage_of()
    internal, beta, fleet = stage.inventory.policy.rings
    rings = (replace(internal, hosts=("h1", "h2")), replace(beta, hosts=("h3",)), fleet)
    stage.inventory = replace(stage.inventory, policy=replace(stage.inventory.policy, rings=rings))
    release(stage)
    stage.clock.advance(2 * 3600)
    return stage


def proven(stage: Stage) -> list[str]:
    """Name the hosts on which the second release is proven."""
    return [name for name, host in stage.hosts.items() if host.releases["R0002"].order]


@pytest.mark.parametrize("how", ["stopped", "loops", "crashes once"])
def test_a_proof_that_one_host_refused_is_no_pass_of_its_ring(how: str) -> None:
    """Its bot goes down in the last instant; the next ring waits until it is proven, too."""
    stage = two_internal()
    h2 = stage.hosts["h2"]

    def go_down(_host: str, act: str) -> None:
        if act == "prove" and not h2.is_stopped:
            match how:
                case "stopped":
                    h2.stop_by_hand()
                case "loops":
                    h2.end_itself(again_in=1e9)
                case _:
                    h2.end_itself(again_in=5)
                    stage.world.is_like("R0002", "doubtful", "h2")

    stage.controller().before = go_down
    ended = promote(stage.inventory, stage.dependencies(), Options())
    assert ended.code is (ExitCode.HELD if how == "stopped" else ExitCode.DONE)
    assert proven(stage) == ["h1"]
    said = wait(stage, 1)
    assert {code for code, _ in said} == {int(ExitCode.HELD)}
    assert all("h2" in why or "too few lines" in why for _, why in said)
    assert [switches(stage, name) for name in ("h3", "h4", "h5")] == [1, 1, 1]
    assert not any(event.kind is Kind.PROMOTED for event in stage.events)
    h2.start_by_hand()
    stage.world.is_like("R0002", "good", "h2")
    wait(stage, 3)
    assert stage.running()[:3] == ["R0002"] * 3
    assert proven(stage)[:2] == ["h1", "h2"]


class ReadBefore(FakeWatch):
    """Has read the journals before a bot ends, so that they tell nothing of it."""

    def fallen(self) -> frozenset[str]:
        """Know of no end."""
        return frozenset()


def test_nobody_is_proven_where_a_bot_went_down_while_journals_were_read() -> None:
    """The hosts are asked once more right before the proof."""
    stage = two_internal()

    def read_slowly(host: str, act: str) -> None:
        if (host, act) == ("h5", "entries"):
            stage.clock.advance(20)
            stage.hosts["h2"].stop_by_hand()

    stage.controller().before = read_slowly
    its = replace(stage.dependencies(), make_watch=ReadBefore)  # type: ignore[arg-type]
    ended = promote(stage.inventory, its, Options())
    assert (ended.code, proven(stage)) == (ExitCode.HELD, [])
    assert "h2: a person stopped the bot" in ended.summary
    stage.hosts["h2"].start_by_hand()
    wait(stage, 2.1)
    assert (proven(stage), stage.running()[2]) == (["h1", "h2"], "R0002")


# --- gates ------------------------------------------------------------------------------------


def approve(stage: Stage, ring: str, name: str = "R0002") -> None:
    """Let a person approve a ring of a release."""
    for host in stage.hosts.values():
        host.gate("approve", "ann", "looks good", name, ring)


def test_a_gate_on_the_first_ring_waits_from_the_beginning() -> None:
    """``canary`` stages and ends with 0; cron says 5 until a person approves, then begins."""
    stage = stage_of((replace(RINGS[0], gate=Gate.APPROVE), *RINGS[1:]))
    ended = release(stage)
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 5)
    assert "approve prod" in sentence(ended)
    assert tick(stage).code is ExitCode.HELD
    approve(stage, "internal")
    tick(stage)
    assert stage.running()[0] == "R0002"


def test_an_approval_is_for_one_release_and_one_ring() -> None:
    """What was approved for one release or ring opens no other."""
    stage = stage_of((RINGS[0], replace(RINGS[1], gate=Gate.APPROVE), RINGS[2]))
    release(stage)
    approve(stage, "fleet")
    approve(stage, "beta", "R0001")
    assert {code for code, _ in wait(stage, 2.5)} == {5}
    assert stage.running()[1] == "R0001"
    approve(stage, "beta")
    tick(stage)
    assert stage.running()[1] == "R0002"


def test_the_approval_of_a_ring_is_not_that_of_its_verdict() -> None:
    """A gate that was opened before the ring began takes on no inconclusive verdict."""
    stage = stage_of((RINGS[0], replace(RINGS[1], gate=Gate.APPROVE), RINGS[2]))
    release(stage, stage.build("doubtful", "h2"))
    approve(stage, "beta")
    said = wait(stage, 4)
    assert said[-1][0] == 5
    assert "inconclusive" in said[-1][1]
    assert stage.running()[2:] == ["R0001"] * 3
    approve(stage, "beta")
    tick(stage)
    assert stage.running() == ["R0002"] * 5


def test_a_hold_that_one_host_did_not_hear_the_end_of_holds_nobody() -> None:
    """A host that was away when the hold ended still has it, and that holds nobody up."""
    stage = stage_of(max_unreachable=Share(count=1))
    release(stage)
    for host in stage.hosts.values():
        host.gate("hold", "bob", "fair", "", "")
    stage.clock.advance(2 * 3600)
    assert tick(stage).code is ExitCode.HELD
    assert stage.running()[1] == "R0001"
    stage.hosts["h5"].die()
    stage.clock.advance(10)
    for name in ("h1", "h2", "h3", "h4"):
        stage.hosts[name].gate("resume", "bob", "over", "", "")
    stage.hosts["h5"].boot()
    tick(stage)
    assert stage.running()[1] == "R0002"


def test_a_ring_begins_in_its_hours() -> None:
    """Outside of the window cron says once what it waits for; inside, the ring begins."""
    stage = stage_of(
        (RINGS[0], replace(RINGS[1], window=parse_window("Mo-Fr 09:00-17:00 UTC")), RINGS[2])
    )
    stage.clock.advance(7 * 3600)  # it is past four in the afternoon
    release(stage)
    assert [code for code, _ in wait(stage, 14)] == [0]
    assert stage.running()[1] == "R0001"
    wait(stage, 3)
    assert stage.running()[1] == "R0002"


def test_cron_never_switches_a_host_to_what_is_in_quarantine() -> None:
    """What a person forced on goes on by that person's hand alone."""
    stage = stage_of()
    bad = stage.build("bad")
    release(stage, bad)
    wait(stage, 0.5)
    stage.world.is_like("R0002", "good")
    stage.controller()
    forced = canary(stage.inventory, bad, stage.dependencies(), Options(), is_forced=True)  # type: ignore[arg-type]
    assert forced.code is ExitCode.DONE
    assert stage.running()[0] == "R0002"
    said = wait(stage, 2.5)
    assert {code for code, _ in said[1:]} == {5}
    assert "quarantine" in said[-1][1]
    assert stage.running()[1:] == ["R0001"] * 4


def test_what_was_forced_and_never_switched_is_over() -> None:
    """Its controller died before the first switch: no step takes it on, or waits for ever."""
    stage = stage_of()
    bad = stage.build("bad")
    release(stage, bad)
    wait(stage, 0.5)
    stage.controller()
    stage.fleet.fuse = 17
    with pytest.raises(ControllerDied):
        canary(stage.inventory, bad, stage.dependencies(), Options(), is_forced=True)  # type: ignore[arg-type]
    assert stage.running() == ["R0001"] * 5
    stage.clock.advance(300)
    first, *later = wait(stage, 1)
    assert first[0] == 5
    assert "quarantine" in first[1]
    assert later == []
    last = max((host.rollout for host in stage.hosts.values()), key=lambda one: one["id"])
    assert last["outcome"] == "abandoned"


# --- a newer one comes ------------------------------------------------------------------------


def test_a_newer_release_replaces_the_older_from_the_first_ring_on() -> None:
    """The one that was in the middle of its soak is never promoted further."""
    stage = stage_of()
    release(stage)
    wait(stage, 2.1)
    assert stage.running() == ["R0002", "R0002", *["R0001"] * 3]
    release(stage)
    assert stage.running() == ["R0003", "R0002", *["R0001"] * 3]
    wait(stage, 1)
    assert stage.running() == ["R0003", "R0002", *["R0001"] * 3]
    wait(stage, 4)
    assert stage.running() == ["R0003"] * 5


def test_the_order_of_rollouts_does_not_hang_on_any_clock() -> None:
    """A controller whose clock is a day behind still releases something newer."""
    stage = stage_of()
    stage.clock.jump = timedelta(days=1)
    release(stage)
    stage.clock.jump = timedelta(0)
    release(stage)
    assert stage.running()[0] == "R0003"
    wait(stage, 4)
    assert stage.running() == ["R0003"] * 5


def test_an_old_command_repeated_is_a_new_rollout() -> None:
    """The older release, asked for again after a newer one, begins at the first ring."""
    stage = stage_of()
    older = stage.build()
    release(stage, older)
    wait(stage, 2.1)
    release(stage)
    release(stage, older)
    assert stage.running() == ["R0002", "R0002", *["R0001"] * 3]
    ids = {host.rollout["id"] for host in stage.hosts.values()}
    assert len(ids) == 1
    wait(stage, 4)
    assert stage.running() == ["R0002"] * 5


# --- hosts that were away ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["boot", "reinstall"])
def test_a_host_that_was_away_is_caught_up(how: str) -> None:
    """Down or reinstalled meanwhile: the next tick gives it the release, judged alone."""
    stage = stage_of(max_unreachable=Share(count=1))
    stage.hosts["h4"].die()
    release(stage)
    wait(stage, 4)
    assert stage.running() == ["R0002", "R0002", "R0002", "R0001", "R0002"]
    stage.hosts["h4"].is_up = False
    if how == "boot":
        stage.hosts["h4"].boot()
    else:
        stage.hosts["h4"].reinstall()
    ended = tick(stage)
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0002"] * 5)
    assert [switches(stage, name) for name in ("h1", "h2", "h3", "h5")] == [2] * 4
    assert wait(stage, 1) == []


def test_a_host_that_comes_late_and_fails_goes_back_alone() -> None:
    """What passed every ring is not taken off the fleet for one host's sake; that one keeps off."""
    stage = stage_of(max_unreachable=Share(count=1))
    stage.hosts["h4"].die()
    release(stage, stage.build("unready", "h4"))
    wait(stage, 4)
    stage.hosts["h4"].boot()
    ended = tick(stage)
    assert ended.code is ExitCode.FAILED
    assert stage.running() == ["R0002", "R0002", "R0002", "R0001", "R0002"]
    assert wait(stage, 2) == []
    assert switches(stage, "h4") == 2


def test_a_host_of_a_passed_ring_holds_nobody_up() -> None:
    """One that returns to an early ring soaks beside the rings that go on."""
    stage = stage_of(max_unreachable=Share(count=1))
    stage.hosts["h2"].die()
    rings = stage.inventory.policy.rings
    beta = replace(rings[1], hosts=("h2", "h3"))
    groups = (rings[0], beta, replace(rings[2], gate=Gate.APPROVE))
    stage.inventory = replace(stage.inventory, policy=replace(stage.inventory.policy, rings=groups))
    release(stage)
    wait(stage, 3.2)
    assert stage.running() == ["R0002", "R0001", "R0002", "R0001", "R0001"]
    stage.hosts["h2"].boot()
    wait(stage, 0.3)
    assert stage.running() == ["R0002", "R0002", "R0002", "R0001", "R0001"]
    approve(stage, "fleet")
    wait(stage, 0.1)
    assert stage.running() == ["R0002"] * 5
    assert not stage.hosts["h2"].releases["R0002"].order
    wait(stage, 1.2)
    assert stage.hosts["h2"].releases["R0002"].order


def test_a_host_that_was_away_when_it_failed_is_taken_back() -> None:
    """The release failed meanwhile: the next tick takes the host back, and says so with 1."""
    stage = stage_of(max_unreachable=Share(count=1))
    release(stage)
    stage.clock.advance(2 * 3600)
    tick(stage)
    stage.hosts["h1"].is_cut = True
    stage.world.is_like("R0002", "bad", "h2")
    stage.clock.advance(300)
    ended = tick(stage)
    assert (ended.code, stage.running()) == (ExitCode.UNREACHABLE, ["R0002", *["R0001"] * 4])
    stage.hosts["h1"].is_cut = False
    stage.clock.advance(300)
    ended = tick(stage)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 5)
    assert wait(stage, 1) == []


def test_it_is_taken_back_also_when_a_newer_release_came_first() -> None:
    """A newer rollout on the way does not make the failed one's hosts wait for their ring."""
    stage = stage_of(max_unreachable=Share(count=1))
    rings = stage.inventory.policy.rings
    quick = tuple(replace(ring, soak=timedelta(0)) for ring in rings)
    whole = stage.inventory
    stage.inventory = replace(whole, policy=replace(whole.policy, rings=quick))
    bad = stage.build("bad", "h5")
    stage.controller()
    stage.fleet.faults["h5", "switch"].append(lambda: setattr(stage.hosts["h2"], "is_cut", True))
    canary(stage.inventory, bad, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert stage.hosts["h2"].current == bad.release.id
    stage.inventory = whole
    release(stage)
    stage.hosts["h2"].is_cut = False
    ended = tick(stage)
    assert ended.code is ExitCode.FAILED
    assert stage.hosts["h2"].current != bad.release.id
    assert bad.release.digest in stage.hosts["h2"].quarantine


def test_a_host_that_restarts_while_it_is_taken_back_is_its_own_fault() -> None:
    """Its lock went with the restart, not to somebody else; the next tick takes it back."""
    stage = stage_of(max_unreachable=Share(count=1))
    release(stage)
    stage.hosts["h1"].is_cut = True
    release(stage, stage.build())
    stage.hosts["h1"].is_cut = False
    host = stage.hosts["h1"]
    bad = host.releases[host.current].digest
    for name in ("h2", "h3"):
        stage.hosts[name].quarantine[bad] = "it failed"

    def restart() -> None:
        host.die()
        host.boot()

    stage.controller()
    stage.fleet.faults["h1", "revert"].append(restart)
    ended = promote(stage.inventory, stage.dependencies(), Options())
    assert ended.code is ExitCode.UNREACHABLE
    assert "h1: it restarted during the rollout" in ended.summary
    assert tick(stage).code is ExitCode.FAILED
    assert host.current != "R0002"


def test_a_canary_that_is_gone_is_stood_in_for() -> None:
    """When the one host of a counted ring is away, a healthy one of the same kind takes over."""
    rings = (Ring("canary", Share(count=1), soak=HOUR), RINGS[2])
    stage = stage_of(rings, max_unreachable=Share(count=1))
    release(stage)
    stage.hosts["h1"].die()
    wait(stage, 1.5)
    assert stage.running()[1] == "R0002"
    wait(stage, 2)
    stage.hosts["h1"].boot()
    wait(stage, 1.5)
    assert stage.running() == ["R0002"] * 5


# --- leases -----------------------------------------------------------------------------------


def until_verdict(ttl: timedelta) -> Stage:
    """Give hosts that stay under lease for their whole soak."""
    return stage_of(lease=Lease(ttl, LeaseUntil.VERDICT))


def test_each_tick_renews_a_lease_that_lasts_until_the_verdict() -> None:
    """Cron keeps the canary pending for hours, and then the ring passes."""
    stage = until_verdict(timedelta(minutes=6))
    release(stage)
    assert stage.hosts["h1"].pending is not None
    wait(stage, 1.9)
    assert stage.hosts["h1"].pending is not None
    wait(stage, 3)
    assert stage.running() == ["R0002"] * 5
    assert [switches(stage, name) for name in stage.hosts] == [2] * 5


def test_a_cron_that_stops_means_a_return_and_one_that_comes_again_another_try() -> None:
    """Nobody renews: the host goes back. Nothing failed, so the next tick tries it again."""
    stage = until_verdict(timedelta(minutes=6))
    release(stage)
    wait(stage, 1)
    stage.clock.advance(3600)
    assert stage.running() == ["R0001"] * 5
    assert tick(stage).code is ExitCode.DONE
    assert stage.running() == ["R0002", *["R0001"] * 4]
    wait(stage, 4)
    assert stage.running() == ["R0002"] * 5


def test_a_cron_that_always_comes_too_late_stops_trying() -> None:
    """After three more tries a person is asked, at every tick, with 5; nothing is condemned."""
    stage = until_verdict(timedelta(minutes=4))
    release(stage)
    said = wait(stage, 2)
    assert {code for code, _ in said[3:]} == {5}
    assert "reverted by itself 4 times" in said[-1][1]
    assert "botdeploy canary prod" in said[-1][1]
    assert switches(stage, "h1") == 1 + 4
    assert (stage.running(), stage.hosts["h1"].quarantine) == (["R0001"] * 5, {})
    assert stage.hosts["h1"].rollout.get("outcome", "") == ""


# --- hosts that hang --------------------------------------------------------------------------

SOON_S = 2 * PATIENCE_S + 3
"""The others are acted on within this, and the acts themselves."""


def step_beside(stage: Stage, **hangs: float) -> tuple[Ended, dict[tuple[str, str], float]]:
    """Let cron take a step while hosts hang for so many seconds; gives when which act was done."""
    stage.controller()
    begun = stage.clock.mono
    stage.fleet.hangs = {name: begun + seconds for name, seconds in hangs.items()}
    done: dict[tuple[str, str], float] = {}

    def note(host: str, act: str) -> None:
        done.setdefault((host, act), stage.clock.mono - begun)

    stage.fleet.before = note
    return promote(stage.inventory, stage.dependencies("cron@box"), Options()), done


@pytest.mark.parametrize("name", ["h2", "h5"])
@pytest.mark.parametrize("seconds", [20.0, 1000.0])
def test_a_host_that_hangs_lets_no_lease_of_another_lapse(name: str, seconds: float) -> None:
    """Renewed within the two short waits; the one that hangs counts when its own time is over."""
    stage = stage_of(
        lease=Lease(timedelta(seconds=330), LeaseUntil.VERDICT), max_unreachable=Share(count=1)
    )
    release(stage)
    stage.clock.advance(315)
    ended, done = step_beside(stage, **{name: seconds})
    assert done["h1", "extend"] < SOON_S
    assert stage.hosts["h1"].pending is not None
    assert ended.code is ExitCode.DONE
    assert stage.running() == ["R0002", *["R0001"] * 4]
    assert all(host.lock is None for host in stage.hosts.values())
    wait(stage, 5)
    assert stage.running() == ["R0002"] * 5


@pytest.mark.parametrize("seconds", [20.0, 1000.0])
def test_a_failed_host_goes_back_before_one_that_hangs_is_waited_for(seconds: float) -> None:
    """The release is condemned on all that answer, and the step says that it failed."""
    stage = stage_of(max_unreachable=Share(count=1))
    release(stage)
    assert stage.running()[0] == "R0002"
    stage.world.is_like("R0002", "bad")
    stage.events.clear()
    ended, done = step_beside(stage, h4=seconds)
    assert done["h1", "revert"] < SOON_S
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 5)
    told = [event.kind for event in stage.events]
    assert [told.count(kind) for kind in (Kind.ROLLOUT_STARTED, Kind.REVERTED)] == [1, 1]
    unreached = [event.host for event in stage.events if event.kind is Kind.HOST_FAILED]
    assert unreached == (["h4"] if seconds > HANGS_S else [])
    refusing = [name for name, host in stage.hosts.items() if host.quarantine]
    assert refusing == [name for name in stage.hosts if name != "h4" or seconds < HANGS_S]
    assert wait(stage, 1) == []


def test_a_host_that_hangs_and_comes_back_goes_back_with_the_others() -> None:
    """It runs the release that failed elsewhere, and answers when the others are back."""
    stage = stage_of((replace(RINGS[0], selector="all"),))
    release(stage)
    assert stage.running() == ["R0002"] * 5
    stage.world.is_like("R0002", "bad", "h1")
    ended, done = step_beside(stage, h3=20)
    assert max(done[name, "revert"] for name in ("h1", "h2", "h4", "h5")) < SOON_S
    assert done["h3", "revert"] >= 20
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 5)


def test_a_canary_that_hangs_is_not_stood_in_for_before_its_time_is_over() -> None:
    """Nothing else is decided until it is known where it stands."""
    stage = stage_of((Ring("canary", Share(count=1), soak=2 * HOUR), RINGS[2]))
    release(stage)
    assert stage.running() == ["R0002", *["R0001"] * 4]
    ended, done = step_beside(stage, h1=30)
    assert (ended.code, ended.summary) == (ExitCode.DONE, "")
    assert not [act for act in done if act[1] == "switch"]
    assert stage.running() == ["R0002", *["R0001"] * 4]
    wait(stage, 3)
    assert [switches(stage, name) for name in stage.hosts] == [2] * 5


def test_a_host_that_hangs_is_away_only_when_its_time_is_over() -> None:
    """Beyond ``max_unreachable`` what is pending goes back, but not a second before."""
    stage = until_verdict(timedelta(minutes=10))
    release(stage)
    stage.clock.advance(60)
    ended, done = step_beside(stage, h4=1000)
    assert done["h1", "revert"] >= HANGS_S
    assert ended.code is ExitCode.UNREACHABLE
    assert "h4: it did not answer" in ended.summary
    assert stage.running() == ["R0001"] * 5


@pytest.mark.parametrize("names", [("h1",), ("h1", "h2", "h3")])
def test_where_nothing_is_due_or_too_few_answer_all_are_waited_for(names: tuple[str, ...]) -> None:
    """A host that hangs may be the one that knows more, and most have to be asked."""
    stage = stage_of()
    ended, done = step_beside(stage, **dict.fromkeys(names, 20.0))
    assert (ended.code, ended.summary) == (ExitCode.DONE, "")
    assert {name for name, _ in done} == {*stage.hosts}
    assert {act for _, act in done} == {"observe"}


def test_a_host_that_missed_a_failure_is_taken_back_while_another_hangs() -> None:
    """It was away when the release failed; now it is there, and another one hangs."""
    stage = stage_of(max_unreachable=Share(count=1))
    release(stage)
    bad = stage.hosts["h1"]
    bad.is_cut = True
    release(stage)
    bad.is_cut = False
    for name in ("h2", "h3"):
        stage.hosts[name].quarantine[bad.releases[bad.current].digest] = "it failed"
    ended, done = step_beside(stage, h4=1000)
    assert done["h1", "revert"] < SOON_S
    assert ended.code is ExitCode.FAILED
    assert bad.current != "R0002"


def test_a_lease_that_is_too_short_for_cron_is_told() -> None:
    """Renewed at its last gasp, it says so while there is time to mend it."""
    stage = until_verdict(timedelta(seconds=330))
    release(stage)
    said = wait(stage, 0.5)
    assert {code for code, _ in said} == {0}
    assert "lease" in said[-1][1]


def test_a_lost_laptop_means_a_return_and_cron_goes_on() -> None:
    """The attended canary goes back by its lease; cron tries it again."""
    rings = (Ring("canary", Share(count=1), soak=timedelta(minutes=20)), RINGS[2])
    stage = stage_of(rings)
    stage.controller()
    stage.fleet.fuse = 50
    with pytest.raises(ControllerDied):
        canary(stage.inventory, stage.build(), stage.dependencies(), Options())  # type: ignore[arg-type]
    assert stage.hosts["h1"].pending is not None
    said = wait(stage, 2)
    assert {code for code, _ in said} == {0}
    assert stage.running() == ["R0002"] * 5
    assert switches(stage, "h1") == 3


def test_a_promote_that_dies_in_the_middle_of_a_switch_is_followed_by_others() -> None:
    """Each is killed as its host has switched; the host goes back, and the next tick tries it."""
    stage = stage_of()
    release(stage)
    stage.clock.advance(2 * 3600)

    def dies(name: str, act: str) -> None:
        if (name, act) == ("h2", "confirm"):
            stage.fleet.is_dead = True
            raise ControllerDied

    for _ in range(4):
        stage.controller()
        stage.fleet.before = dies
        with pytest.raises(ControllerDied):
            promote(stage.inventory, stage.dependencies(), Options())
        stage.clock.advance(300)
    assert switches(stage, "h2") == 1 + 4
    assert stage.running() == ["R0002", *["R0001"] * 4]
    said = wait(stage, 1)
    assert {code for code, _ in said} == {5}
    assert all("h2 reverted by itself 4 times" in why for _, why in said)
    waiting = [event for event in stage.events if event.kind is Kind.WAITING]
    assert {(one.ring, one.data["reason"]) for one in waiting[-12:]} == {("beta", "lapsed")}
    assert stage.hosts["h2"].quarantine == {}
    release(stage, FakeBuild("R0002", f"{2:064x}"))  # a person acts
    wait(stage, 2)
    assert stage.running() == ["R0002"] * 5


def test_a_controller_lost_before_the_first_switch_is_taken_over() -> None:
    """Staged and nothing more: cron begins the first ring."""
    stage = stage_of()
    stage.controller()
    stage.fleet.faults["h5", "stage"].append(stage.stop.set)
    with pytest.raises(Exception, match="interrupted"):
        canary(stage.inventory, stage.build(), stage.dependencies(), Options())  # type: ignore[arg-type]
    wait(stage, 4)
    assert stage.running() == ["R0002"] * 5


# --- a person goes back -----------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
def test_a_rollback_ends_the_rollout_for_cron_too(keep: bool) -> None:  # noqa: FBT001
    """What a person took back is not promoted again, with ``--keep`` or without."""
    stage = stage_of()
    release(stage)
    wait(stage, 2.1)
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies(), keep=keep)
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 5)
    assert wait(stage, 3) == []
    assert stage.running() == ["R0001"] * 5


def test_a_host_that_missed_a_rollback_is_taken_back_by_cron() -> None:
    """It was away when everything else went back; the next tick sees to it."""
    stage = stage_of()
    release(stage)
    wait(stage, 4)
    assert stage.running() == ["R0002"] * 5
    stage.hosts["h3"].is_cut = True
    stage.controller()
    rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    stage.hosts["h3"].is_cut = False
    assert tick(stage).code is ExitCode.FAILED
    assert stage.running() == ["R0001"] * 5


def missed_rollback(rings: tuple[Ring, ...] = RINGS, old: str = "unready") -> Stage:
    """Give hosts of which h5 is back with a release that was taken back; ``old``: how R1 is now."""
    stage = stage_of(max_unreachable=Share(count=1))
    whole = stage.inventory
    quick = _hosts_of(stage, tuple(replace(ring, soak=timedelta(0)) for ring in RINGS))
    stage.inventory = replace(whole, policy=replace(whole.policy, rings=quick))
    release(stage)
    stage.hosts["h5"].die()
    stage.controller()
    rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    rules = replace(whole.policy, rings=_hosts_of(stage, rings))
    stage.inventory = replace(whole, policy=rules)
    stage.world.is_like("R0001", old, "h5")
    return stage


def is_back(stage: Stage) -> None:
    stage.hosts["h5"].boot()
    stage.clock.advance(60)


GATED = (RINGS[0], replace(RINGS[1], gate=Gate.APPROVE), RINGS[2])
STUCK = "see: botdeploy logs prod --limit h5"


@pytest.mark.parametrize(("old", "code"), [("unready", 7), ("good", 1)])
def test_what_became_of_a_leftover_is_not_hidden_by_a_gate(old: str, code: int) -> None:
    """It is reverted beside a rollout that waits for a person; what is worse is the exit code."""
    stage = missed_rollback(GATED, old)
    release(stage)
    stage.clock.advance(2 * 3600 + 600)
    assert int(tick(stage).code) == 5
    is_back(stage)
    ended = tick(stage)
    assert int(ended.code) == code
    assert (STUCK in sentence(ended)) == (code == 7)
    assert "ring beta needs an approval" in ended.summary
    assert "botdeploy approve prod" in sentence(ended)


@pytest.mark.parametrize(("rings", "code"), [(RINGS, 7), ((replace(RINGS[2], soak=HOUR * 0),), 0)])
def test_a_canary_tells_a_leftover_that_is_stuck_unless_it_mends_it(
    rings: tuple[Ring, ...], code: int
) -> None:
    """One host is left without a bot that is ready; or it has the new release at the end."""
    stage = missed_rollback(rings)
    release(stage)
    is_back(stage)
    ended = release(stage)
    assert int(ended.code) == code
    assert (STUCK in sentence(ended)) == (code == 7)
    assert ("h5: R0001 did not become ready after the revert" in ended.summary) == (code == 7)


# --- clocks -----------------------------------------------------------------------------------


def test_a_host_clock_that_jumps_ahead_ends_no_soak() -> None:
    """The host says that hours went by; the controller's clock does not agree."""
    stage = stage_of()
    release(stage)
    stage.hosts["h1"].jump = timedelta(hours=5)
    assert wait(stage, 1.5) == []
    assert stage.running()[1] == "R0001"
    wait(stage, 1)
    assert stage.running()[1] == "R0002"


def test_a_host_whose_clock_was_always_ahead_soaks_no_longer() -> None:
    """Its error at the staging counts as its own."""
    stage = stage_of()
    stage.hosts["h1"].jump = timedelta(hours=30)
    release(stage)
    wait(stage, 2.1)
    assert stage.running()[1] == "R0002"


# --- what else a step must not do -------------------------------------------------------------


def test_a_bot_that_is_down_for_a_moment_is_not_switched_again() -> None:
    """Its crash is the judge's matter; the host still has the release."""
    stage = stage_of()
    release(stage)
    stage.hosts["h1"].is_stopped = True
    wait(stage, 1)
    assert switches(stage, "h1") == 2


def test_a_release_that_was_proven_before_is_proven_again_once() -> None:
    """Back to an older release through the rings: it ends, and says so once."""
    stage = stage_of()
    release(stage)
    wait(stage, 4)
    stage.controller()
    canary(stage.inventory, None, stage.dependencies(), Options(), release="R0001")
    wait(stage, 4)
    assert stage.running() == ["R0001"] * 5
    assert wait(stage, 1) == []
    promoted = [event for event in stage.events if event.kind is Kind.PROMOTED]
    assert [event.ring for event in promoted][-3:] == ["internal", "beta", "fleet"]


# --- what a fail, a limit or a start left half done --------------------------------------------


@pytest.mark.parametrize("on_fail", list(OnFail))
def test_a_failed_host_that_was_out_of_reach_is_reverted_when_it_is_back(
    on_fail: OnFail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else goes back: that host failed, and no cron may stay silent about it."""
    monkeypatch.setattr(FakeWatch, "SHOWS_AFTER_S", 400)
    stage = failing_in_beta(on_fail=on_fail, max_unreachable=Share(count=1))
    fleet = stage.controller()

    def cut(name: str, act: str) -> None:
        if (name, act) == ("h2", "revert"):
            stage.hosts["h2"].become(is_cut=True)

    fleet.before = cut
    ended = promote(stage.inventory, stage.dependencies(), Options())
    assert (ended.code, stage.running()[1]) == (ExitCode.NEEDS_PERSON, "R0002")
    stage.hosts["h2"].is_cut = False
    said = wait(stage, 0.5)
    assert [code for code, _ in said] == [1]
    assert said[0][1].startswith("R0002 failed: h2: a new error came again and again")
    assert stage.running()[1] == "R0001"


def failing_in_beta(**policy: Any) -> Stage:
    """Give a rollout whose second host fails ten minutes after its switch, which are over."""
    stage = stage_of(**policy)
    release(stage, stage.build("bad", "h2"))
    stage.clock.advance(2 * 3600 + 60)
    assert tick(stage).code is ExitCode.DONE
    assert stage.running()[1] == "R0002"
    stage.clock.advance(600)
    return stage


def test_a_failed_host_goes_back_also_when_the_controller_died_behind_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only ``on_fail: host`` tells the others, and none of them goes back."""
    monkeypatch.setattr(FakeWatch, "SHOWS_AFTER_S", 400)
    stage = failing_in_beta(on_fail=OnFail.HOST)
    fleet = stage.controller()
    for name in stage.hosts:  # as far as they came
        if name != "h2":
            stage.hosts[name].rollout |= {"outcome": "failed", "ended_why": "h2: a new error"}
    fleet.calls.clear()
    said = wait(stage, 0.5)
    assert [code for code, _ in said] == [1]
    assert stage.running() == ["R0002", *["R0001"] * 4]


def test_a_fail_that_a_later_run_finishes_names_the_host_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that only goes back with it has no part in the reason."""
    monkeypatch.setattr(FakeWatch, "SHOWS_AFTER_S", 400)
    stage = failing_in_beta(max_unreachable=Share(count=1))
    stage.hosts["h1"].die()
    first = sentence(tick(stage))
    stage.hosts["h1"].boot()
    stage.clock.advance(60)
    second = sentence(tick(stage))
    assert stage.running() == ["R0001"] * 5
    for told in (first, second):
        assert told.startswith("R0002 failed: h2: a new error came again and again. ")
        assert told.endswith("see: botdeploy logs prod --limit h2")


def limited(stage: Stage, *names: str) -> Inventory:
    """Give the inventory as ``--limit`` has it."""
    whole = stage.inventory
    return replace(whole, policy=replace(whole.policy, only=frozenset(names)))


def test_a_limited_step_leaves_the_rollout_to_go_on() -> None:
    """Only a rollout that knew these hosts alone is over with them."""
    stage = stage_of()
    release(stage)
    stage.clock.advance(2 * 3600 + 60)
    stage.controller()
    ended = promote(limited(stage, "h1"), stage.dependencies(), Options())
    assert sentence(ended) == (
        "R0002: the chosen hosts have passed; the rollout goes on with h2, h3, h4, h5; "
        "next: botdeploy promote prod"
    )
    stage.controller()
    again = promote(limited(stage, "h1"), stage.dependencies(), Options())
    assert (again.code, again.summary) == (ExitCode.DONE, "")
    wait(stage, 2)
    assert stage.running() == ["R0002"] * 5


def test_starting_a_bot_again_leaves_the_rollout_to_go_on() -> None:
    """``status`` prints this command for a bot that is down: nothing is taken from the release."""
    stage = stage_of()
    release(stage)
    stage.clock.advance(600)
    stage.hosts["h5"].stop_by_hand()
    stage.controller()
    ended = rollback(stage.inventory, ("h5",), stage.dependencies(), to="R0001", keep=True)
    assert (ended.code, ended.summary) == (ExitCode.DONE, "h5 runs R0001")
    wait(stage, 4)
    assert stage.running() == ["R0002"] * 5


def test_a_partial_rollback_says_that_the_rollout_is_over() -> None:
    """What others run stays as it is, and is no more promoted."""
    stage = stage_of()
    release(stage)
    stage.clock.advance(2 * 3600 + 60)
    tick(stage)
    stage.controller()
    ended = rollback(stage.inventory, ("h2",), stage.dependencies())
    over = "the rollout of R0002 is over, and other hosts keep what they run"
    assert (ended.code, ended.summary) == (ExitCode.DONE, f"h2 runs R0001; {over}")
    assert wait(stage, 4) == []
    assert stage.running() == ["R0002", *["R0001"] * 4]


def test_a_quarantined_release_that_no_host_has_any_more_is_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``--release`` would find nothing."""
    monkeypatch.setattr(FakeWatch, "SHOWS_AFTER_S", 2)
    stage = stage_of()
    bad = stage.build("bad", "h1")
    assert release(stage, bad).code is ExitCode.FAILED
    with pytest.raises(Quarantined) as kept:
        release(stage, bad)
    assert kept.value.hints == (Hint(Todo.FORCE, name="R0002"),)
    for host in stage.hosts.values():
        host.releases.pop("R0002", None)
    with pytest.raises(Quarantined) as gone:
        release(stage, bad)
    assert gone.value.hints == (Hint(Todo.FORCE),)


@pytest.mark.parametrize("how", ["network", "power"])
def test_a_machine_that_was_off_when_its_ring_passed_holds_nobody_up(how: str) -> None:
    """It was never asked for its proof: the next rings begin, whatever it runs when it is back."""
    groups = {"internal": ("h1", "h2"), "beta": ("h3",)}
    stage = stage_of(groups=groups, max_unreachable=Share(count=1))
    release(stage)
    stage.clock.advance(2 * 3600 - 300)
    away = stage.hosts["h2"]
    if how == "power":
        away.die()
    else:
        away.is_cut = True
    wait(stage, 0.5)
    assert stage.running() == ["R0002", "R0002", "R0002", "R0001", "R0001"]
    stage.world.is_like("R0002", "unproven", "h2")
    if how == "power":
        away.boot()
    else:
        away.is_cut = False
    wait(stage, 1.5)
    assert stage.running() == ["R0002"] * 5


def test_a_limited_rollout_ends_with_its_hosts() -> None:
    """Others were never told of it: no promote may lead it to them."""
    stage = stage_of()
    whole = stage.inventory
    stage.inventory = limited(stage, "h1", "h2")
    release(stage)
    stage.clock.advance(2 * 3600 + 60)
    stage.inventory = whole
    stage.controller()
    ended = promote(limited(stage, "h1"), stage.dependencies(), Options())
    assert "goes on" not in ended.summary
    assert wait(stage, 3) == []
    assert stage.running() == ["R0002", *["R0001"] * 4]


def test_a_ring_of_which_an_earlier_rollout_has_a_host_is_announced_as_it_begins() -> None:
    """Its users hear of this rollout, and the record of its start tells them apart by that."""
    stage = stage_of(tuple(replace(one, soak=timedelta(seconds=60)) for one in RINGS))
    whole, build = stage.inventory, stage.build("two")
    stage.inventory = limited(stage, "h3")
    release(stage, build)
    stage.inventory = whole
    stage.events.clear()
    release(stage, build)
    (began,) = (event for event in stage.events if event.kind is Kind.ROLLOUT_STARTED)
    told = {one["name"]: (one["begun"], one["passed"]) for one in began.data["rings"]}
    assert told["fleet"] == (False, False)


@pytest.mark.parametrize("on_fail", list(OnFail))
def test_a_host_that_was_away_in_a_rollback_goes_back_from_it_later(on_fail: OnFail) -> None:
    """A person took the release from all hosts, whatever a fail would take back."""
    stage = stage_of(on_fail=on_fail, max_unreachable=Share(count=1))
    release(stage)
    wait(stage, 4)
    assert stage.running() == ["R0002"] * 5
    stage.hosts["h4"].die()
    stage.clock.advance(60)
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert ended.code is ExitCode.UNREACHABLE
    stage.hosts["h4"].boot()
    (said,) = wait(stage, 0.5)
    assert said[0] == ExitCode.FAILED
    assert "rolled back: rollback" in said[1]
    assert stage.running() == ["R0001"] * 5
