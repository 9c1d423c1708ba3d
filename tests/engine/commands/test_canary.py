"""Canary on hosts in memory: what goes right, and what is left when anything goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.model.lease import Lease
from botdeploy.core.model.policy import OnFail, Policy, Ring, Share
from botdeploy.core.rollout.target import Quarantined
from botdeploy.engine.commands.canary import TooFew, canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.fleet.fleet import Interrupted
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, LockedError
from tests.engine.fakefleet import BEGIN, DEFAULT_RINGS, ControllerDied, FakeBuild, Stage
from tests.engine.sentences import sentence

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended

ACTS = ("observe", "enter", "stage", "switch", "confirm", "prove", "end")


def release(stage: Stage, build: FakeBuild | None = None, **options: object) -> Ended:
    """Let a person at a controller of their own type ``canary``."""
    stage.controller()
    return canary(
        stage.inventory,
        build or stage.build(),  # type: ignore[arg-type]
        stage.dependencies(),
        Options(**options),  # type: ignore[arg-type]
    )


def tick(stage: Stage, owner: str = "cron@box") -> Ended:
    """Let cron take a step, on a machine that knows nothing."""
    stage.controller()
    return promote(stage.inventory, stage.dependencies(owner), Options())


def kinds(stage: Stage) -> list[Kind]:
    """List what was told."""
    return [event.kind for event in stage.events]


def switches(stage: Stage, name: str) -> int:
    """Count how often a host truly switched."""
    return sum(change[0] == "switch" for change in stage.hosts[name].did)


@pytest.fixture
def stage() -> Stage:
    """Give four hosts that run a first release."""
    made = Stage()
    assert release(made).code is ExitCode.DONE
    made.events.clear()
    return made


def test_a_good_release_goes_everywhere(stage: Stage) -> None:
    """The canary first, then the others one by one; every host has it proven at the end."""
    ended = release(stage)
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0002"] * 4)
    order = [event.host for event in stage.events if event.kind is Kind.SWITCHED]
    assert order == ["h1", "h2", "h3", "h4"]
    assert all(host.releases["R0002"].order for host in stage.hosts.values())
    assert all(host.rollout["outcome"] == "passed" for host in stage.hosts.values())
    assert all(host.lock is None for host in stage.hosts.values())


def test_a_bot_that_is_slower_than_its_lease_is_kept_by_its_controller() -> None:
    """The lease counts from the switch on, and who waits for the bot renews it meanwhile."""
    stage = Stage(policy=Policy(DEFAULT_RINGS, lease=Lease(ttl=timedelta(seconds=8))))
    release(stage)
    assert release(stage, stage.build("slow")).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
    assert not any(change[0] == "back" for host in stage.hosts.values() for change in host.did)


def test_a_slow_bot_whose_controller_died_is_left_when_the_lease_ends() -> None:
    """Nobody renews any more, and the host does not wait until the bot is ready."""
    stage = Stage(policy=Policy(DEFAULT_RINGS, lease=Lease(ttl=timedelta(seconds=8))))
    release(stage)

    def die(_name: str, act: str) -> None:
        if act == "extend":
            raise ControllerDied

    build = stage.build("slow")
    stage.controller().before = die
    with pytest.raises(ControllerDied):
        canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    stage.clock.advance(8)
    assert stage.running() == ["R0001"] * 4
    assert stage.hosts["h1"].quarantine == {}


def test_a_failed_verdict_takes_the_canary_back_and_no_other_gets_it(stage: Stage) -> None:
    """The canary returns, all hosts refuse the release, and a second try is told so."""
    bad = stage.build("bad")
    ended = release(stage, bad)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 4)
    assert [switches(stage, name) for name in stage.hosts] == [2, 1, 1, 1]
    assert all(bad.release.digest in host.quarantine for host in stage.hosts.values())
    with pytest.raises(Quarantined):
        release(stage, bad)


def are_tried_again(stage: Stage) -> list[bool]:
    """Tell of each return whether it says nothing of the release."""
    return [event.is_tried_again for event in stage.events if event.kind is Kind.REVERTED]


def test_a_return_is_told_once_though_its_lease_was_renewed_meanwhile(stage: Stage) -> None:
    """The lease is over when the revert begins; only the revert's own answer tells of it."""
    build = stage.build("bad")
    stage.controller().faults["h1", "revert"].append("slow")
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.FAILED
    assert are_tried_again(stage) == [False]
    assert switches(stage, "h1") == 2


def test_a_lapse_is_told_once_by_a_renewal_and_a_confirmation(stage: Stage) -> None:
    """Both are answered that the lease is over; the host went back one time."""
    fleet = stage.controller()

    def lapse() -> None:
        stage.hosts["h1"]._go_back("host", "lease", "nobody confirmed it in time")
        for _ in range(60):
            fleet.pump(0.0)
            fleet.pause(0.5)

    fleet.faults["h1", "confirm"].append(lapse)
    canary(stage.inventory, stage.build(), stage.dependencies(), Options())  # type: ignore[arg-type]
    assert are_tried_again(stage) == [True]
    assert [change[0] for change in stage.hosts["h1"].did].count("back") == 1


def test_a_failure_in_the_fleet_takes_proven_hosts_back_too(stage: Stage) -> None:
    """With ``on_fail: fleet`` nobody keeps what failed somewhere."""
    ended = release(stage, stage.build("bad", "h3"))
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 4)


@pytest.mark.parametrize(
    ("on_fail", "left"), [(OnFail.RING, ["R0002", "R0001"]), (OnFail.HOST, ["R0002", "R0002"])]
)
def test_on_fail_says_who_goes_back(on_fail: OnFail, left: list[str]) -> None:
    """``ring`` takes the failing ring back, ``host`` the failing host alone."""
    stage = Stage(4, Policy(DEFAULT_RINGS, on_fail=on_fail))
    release(stage)
    ended = release(stage, stage.build("bad", "h3"))
    assert ended.code is ExitCode.FAILED
    assert stage.running() == [*left, "R0001", "R0001"]
    stage.clock.advance(300)
    assert tick(stage).summary == ""
    assert stage.running() == [*left, "R0001", "R0001"]


def test_a_first_deploy_that_fails_stops_the_bot() -> None:
    """With nothing to return to, nothing runs and no link is left."""
    stage = Stage()
    ended = release(stage, stage.build("unready"))
    assert (ended.code, stage.running()) == (ExitCode.FAILED, [""] * 4)
    assert stage.hosts["h1"].current == ""


def test_a_return_that_fails_needs_a_person(stage: Stage) -> None:
    """When the old release does not run again either, that is exit 7 and named."""
    stage.world.is_like("R0001", "unready", "h1")
    ended = release(stage, stage.build("bad"))
    assert ended.code is ExitCode.NEEDS_PERSON
    assert "h1" in ended.summary


@pytest.mark.parametrize("name", ["h1", "h3"])
def test_a_host_s_own_fault_is_not_held_against_the_release(stage: Stage, name: str) -> None:
    """Its journal, or a port of another's: no failure, no quarantine; mended, it goes on."""
    build = stage.build("unseen", name)
    ended = release(stage, build)
    assert ended.code in {ExitCode.UNREACHABLE, ExitCode.HELD}
    assert "journald keeps nothing" in ended.summary
    assert [host.quarantine for host in stage.hosts.values()] == [{}] * 4
    stage.world.is_like(build.release.id, "good", name)
    assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == [build.release.id] * 4


@pytest.mark.parametrize("fault", ["lost", "unheard"])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["h1", "h3"])
def test_an_answer_that_was_cut_off_is_asked_for_again(
    stage: Stage, act: str, fault: str, name: str
) -> None:
    """Whether the act was done or not, the retry finds out, and nothing is done twice."""
    build = stage.build()
    stage.controller()
    stage.fleet.faults[name, act].append(fault)
    if act == "enter":  # who could not get in is away: it is for the next run
        stage.inventory = stage.fleet.inventory = _tolerant(stage)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.DONE, ended
    if stage.running() != ["R0002"] * 4:
        stage.clock.advance(60)
        assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
    assert [switches(stage, one) for one in stage.hosts] == [2] * 4


def _tolerant(stage: Stage, count: int = 1):  # type: ignore[no-untyped-def]  # noqa: ANN202
    policy = replace(stage.inventory.policy, max_unreachable=Share(count=count))
    return replace(stage.inventory, policy=policy)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["h1", "h3"])
def test_a_host_that_dies_at_any_act_comes_back_to_a_whole_rollout(
    stage: Stage, act: str, name: str
) -> None:
    """What was unconfirmed there goes back; when it is up again, the same command goes on."""
    build = stage.build()
    stage.controller()
    stage.fleet.faults[name, act].append(stage.hosts[name].die)
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code in (ExitCode.UNREACHABLE, ExitCode.DONE), ended
    stage.hosts[name].boot()
    stage.clock.advance(120)
    assert stage.hosts[name].pending is None
    assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4


def test_a_lease_that_was_lost_is_told_and_the_same_run_tries_again(stage: Stage) -> None:
    """A controller that slept too long finds its canary gone back; the release is not to blame."""
    build = stage.build()
    stage.controller()
    stage.clock.at(30, lambda: stage.clock.advance(200))
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
    assert all(not host.quarantine for host in stage.hosts.values())
    assert Kind.REVERTED in kinds(stage)
    assert [switches(stage, name) for name in stage.hosts] == [3, 2, 2, 2]


@pytest.mark.parametrize("stopped_s", [3, 20, 55])
def test_a_controller_that_stops_for_a_while_takes_that_for_no_silence(
    stage: Stage, stopped_s: float
) -> None:
    """SIGSTOP, a lid that is closed, a machine that swaps: the lease was longer, so nothing is."""
    build = stage.build()
    stage.controller()
    stage.clock.at(30, lambda: stage.clock.advance(stopped_s))
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.DONE, ended
    assert stage.running() == ["R0002"] * 4
    assert [switches(stage, name) for name in stage.hosts] == [2] * 4


def test_what_a_host_says_after_its_lease_is_not_the_release(stage: Stage) -> None:
    """It has gone back meanwhile, and what it runs now is another: the verdict waits for its word.

    The old release is one that a judge would fail, were it the new one.
    """
    build = stage.build()
    stage.controller()

    def stops() -> None:
        stage.clock.advance(100)
        stage.world.is_like("R0001", "bad")

    stage.clock.at(30, stops)
    stage.fleet.before = lambda _name, act: (
        stage.world.is_like("R0001", "good") if act == "observe" else None
    )
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.DONE, ended
    assert stage.running() == ["R0002"] * 4
    assert all(not host.quarantine for host in stage.hosts.values())


def test_a_release_that_always_lapses_ends_with_a_word_to_a_person(stage: Stage) -> None:
    """Four switches in all, then exit 5; nothing failed, and nothing is in quarantine."""
    build = stage.build()
    stage.controller()
    host = stage.hosts["h1"]
    stage.fleet.faults["h1", "extend"] += [lambda: setattr(host, "lease", 0.0)] * 9
    ended = canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.HELD
    assert "botdeploy canary prod" in sentence(ended)
    assert "h1, h2, h3, h4: runs R0001" in ended.summary
    waiting = [event for event in stage.events if event.kind is Kind.WAITING]
    assert [(one.ring, one.data["reason"]) for one in waiting] == [("canary", "lapsed")]
    assert (switches(stage, "h1"), host.quarantine, host.current) == (1 + 4, {}, "R0001")
    stage.clock.advance(300)
    assert tick(stage).code is ExitCode.HELD
    assert switches(stage, "h1") == 1 + 4
    assert release(stage, build).code is ExitCode.DONE  # a person acts
    assert stage.running() == ["R0002"] * 4


def test_a_lock_that_is_refused_gives_back_what_was_taken(stage: Stage) -> None:
    """Held by somebody on the second host: exit 4, and the first host is free again."""
    stage.hosts["h2"].enter("f" * 32, 1000, "rollout", "tbot", "bob@desk", "mine")
    stage.clock.advance(0.1)
    with pytest.raises(LockedError, match="bob@desk"):
        release(stage)
    assert stage.hosts["h1"].lock is None
    assert stage.running() == ["R0001"] * 4


@pytest.mark.parametrize("act", ACTS)
def test_an_interrupt_leaves_no_lock_and_nothing_half_done(stage: Stage, act: str) -> None:
    """Stopped at any act, the locks are given back, and the same command ends the job."""
    build = stage.build()
    stage.controller()
    stage.fleet.faults["h2", act].append(stage.stop.set)
    with pytest.raises(Interrupted):
        canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    assert all(host.lock is None for host in stage.hosts.values())
    assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
    assert max(switches(stage, name) for name in stage.hosts) <= 3


@pytest.mark.parametrize("fuse", range(0, 60, 3))
def test_a_controller_that_dies_anywhere_leaves_a_rollout_that_ends(
    stage: Stage, fuse: int
) -> None:
    """Power cut before or after any act: leases lapse, and the same command converges."""
    build = stage.build()
    stage.controller()
    stage.fleet.fuse = fuse
    with pytest.raises(ControllerDied):
        canary(stage.inventory, build, stage.dependencies(), Options())  # type: ignore[arg-type]
    stage.clock.advance(120)
    stage.running()
    assert all(host.pending is None for host in stage.hosts.values())
    assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4


def test_a_minority_never_begins(stage: Stage) -> None:
    """With half of the hosts cut off nothing is touched, and the locks are given back."""
    stage.hosts["h3"].is_cut = stage.hosts["h4"].is_cut = True
    with pytest.raises(TooFew):
        release(stage)
    assert stage.running() == ["R0001"] * 4
    assert stage.hosts["h1"].lock is None


def test_ring_stops_there_and_stays_there(stage: Stage) -> None:
    """``--ring canary`` goes no further, neither now nor by cron, until the command comes again."""
    build = stage.build()
    ended = release(stage, build, last_ring="canary")
    assert ended.code is ExitCode.DONE
    stage.clock.advance(600)
    assert tick(stage).summary == ""
    assert stage.running() == ["R0002", "R0001", "R0001", "R0001"]
    assert release(stage, build).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4


def test_limit_leaves_the_other_hosts_alone(stage: Stage) -> None:
    """Only the chosen hosts get the release, also when cron comes afterwards."""
    policy = replace(stage.inventory.policy, only=frozenset({"h1", "h2"}))
    limited = replace(stage.inventory, policy=policy)
    stage.controller()
    ended = canary(limited, stage.build(), stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.DONE
    assert stage.running() == ["R0002", "R0002", "R0001", "R0001"]
    stage.clock.advance(600)
    assert tick(stage).summary == ""
    assert stage.running() == ["R0002", "R0002", "R0001", "R0001"]


def test_what_stands_there_already_is_switched_again_at_once(stage: Stage) -> None:
    """A staged release needs no upload: hosts are told of the rollout, and the rings begin."""
    release(stage)
    stage.controller()
    ended = canary(stage.inventory, None, stage.dependencies(), Options(), release="R0001")
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 4)
    assert all(host.rollout["outcome"] == "passed" for host in stage.hosts.values())
    stage.clock.advance(600)
    assert tick(stage).summary == ""


def test_a_hold_reaches_a_run_that_is_under_way(stage: Stage) -> None:
    """A person holds while the canary soaks: the fleet is not begun, and exit is 5."""
    stage.controller()

    def hold() -> None:
        for host in stage.hosts.values():
            host.gate("hold", "bob", "wait", "", "")

    stage.clock.at(30, hold)
    ended = canary(stage.inventory, stage.build(), stage.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.HELD
    assert "bob" in ended.summary
    assert stage.running() == ["R0002", "R0001", "R0001", "R0001"]


def test_a_verdict_that_does_not_come_is_told_and_left_to_cron(stage: Stage) -> None:
    """What proof is missing is said within seconds; at ``attended_soak`` the run ends with 0."""
    build = stage.build("unproven")
    rules = replace(stage.inventory.policy, judge={"preset": "normal"})
    stage.inventory = replace(stage.inventory, policy=rules)
    begun = stage.clock.mono
    ended = release(stage, build)
    assert ended.code is ExitCode.DONE
    assert "not excluded" in ended.summary
    assert "botdeploy promote prod" in sentence(ended)
    assert 1800 < stage.clock.mono - begun < 1900
    assert stage.hosts["h1"].pending is None  # confirmed: it needs no controller any more
    assert stage.running() == ["R0002", "R0001", "R0001", "R0001"]
    waiting = [event for event in stage.events if event.kind is Kind.WAITING]
    assert [one.data["reason"] for one in waiting] == ["verdict", "verdict"]
    told_s = (waiting[0].at - BEGIN).total_seconds() - begun
    assert told_s < 90
    assert all("not excluded" in one.data["why"] and one.data["until"] for one in waiting)
    stage.clock.advance(300)
    left = tick(stage)
    assert left.summary == ""
    assert "not excluded" in left.waits_for  # for promote -v
    stage.world.is_like("R0002", "good")
    stage.clock.advance(300)
    assert tick(stage).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4


def test_rings_wait_in_their_order(stage: Stage) -> None:
    """A soak longer than ``attended_soak`` ends the run with 0 and says when it is due."""
    rings = (
        Ring("canary", Share(count=1), soak=timedelta(hours=2), settle=timedelta(seconds=10)),
        Ring("fleet", "all", hosts=tuple(stage.hosts)),
    )
    stage.inventory = replace(stage.inventory, policy=Policy(rings))
    ended = release(stage)
    assert ended.code is ExitCode.DONE
    assert "promote prod" in sentence(ended)
    assert stage.running() == ["R0002", "R0001", "R0001", "R0001"]
    assert stage.hosts["h1"].pending is None
    waiting = next(event for event in stage.events if event.kind is Kind.WAITING)
    assert (waiting.ring, waiting.data["reason"]) == ("canary", "soak")
