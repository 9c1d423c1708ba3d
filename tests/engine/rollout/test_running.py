"""A pass means that it runs: bots that die, are stopped, or loop, at any instant of a rollout."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.events import Kind
from botdeploy.core.model.lease import Lease, LeaseUntil
from botdeploy.core.model.policy import Gate, Policy, Ring, Share
from botdeploy.engine.commands.rollback import rollback
from botdeploy.errors import ExitCode
from tests.effort import examples
from tests.engine.commands.test_canary import release, tick
from tests.engine.fakefleet import FakeBuild, Stage
from tests.engine.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

SOAK = timedelta(seconds=30)
ALONE = (Ring("canary", "all", soak=SOAK, settle=timedelta(seconds=2)),)
BATCHES = (Ring("fleet", "all", settle=timedelta(seconds=10), batch=Share(count=1)),)


def stage_of(count: int = 1, rings: tuple[Ring, ...] = ALONE, **policy: object) -> Stage:
    """Give hosts that run a first, proven release."""
    stage = Stage(count, Policy(rings, **policy))  # type: ignore[arg-type]
    assert release(stage).code is ExitCode.DONE
    assert stage.running() == ["R0001"] * count
    stage.events.clear()
    return stage


def dying(stage: Stage, after_s: float, host: str = "*", **more: float) -> object:
    """Make a release whose process ends by itself."""
    build = stage.build()
    stage.world.dies_like(build.release.id, after_s, host=host, **more)
    return build


def proven(stage: Stage) -> list[str]:
    """Name the hosts on which the newest release was proven."""
    name = f"R{stage.made:04d}"
    return [
        host.name for host in stage.hosts.values() if (one := host.releases.get(name)) and one.order
    ]


# --- it ended by itself -----------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [1.0, 8.0, 29.0, 29.95])
@pytest.mark.parametrize("is_unread", [False, True])
def test_a_bot_that_ends_by_itself_fails(after_s: float, *, is_unread: bool) -> None:
    """Before the settle's end, in the soak, in its last instant; also where no journal tells."""
    stage = stage_of()
    stage.hosts["h1"].is_unread = is_unread
    ended = release(stage, dying(stage, after_s))  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"]), ended.summary
    assert "ended by itself" in ended.summary
    assert proven(stage) == []
    assert stage.events[-1].kind is not Kind.PROMOTED


def test_a_first_deploy_that_ends_by_itself_fails() -> None:
    """There is nothing to return to: it is stopped, and leaves no link."""
    stage = Stage(1, Policy(ALONE))
    ended = release(stage, dying(stage, 8.0))  # type: ignore[arg-type]
    assert (ended.code, stage.hosts["h1"].current) == (ExitCode.FAILED, "")


@pytest.mark.parametrize("until", [LeaseUntil.SETTLE, LeaseUntil.VERDICT])
@pytest.mark.parametrize("after_s", [100.0, 7000.0])
def test_promote_sees_that_it_ended(until: LeaseUntil, after_s: float) -> None:
    """Whether the host is confirmed or under lease, the next step fails the release."""
    long = (replace(ALONE[0], soak=timedelta(hours=2)),)
    stage = Stage(1, Policy(long, lease=Lease(timedelta(seconds=900), until)), tick_s=1.0)
    whole = stage.inventory
    quick = tuple(replace(ring, soak=SOAK) for ring in whole.policy.rings)
    stage.inventory = replace(whole, policy=replace(whole.policy, rings=quick))
    assert release(stage).code is ExitCode.DONE
    stage.inventory = whole
    assert release(stage, dying(stage, after_s)).code is ExitCode.DONE  # type: ignore[arg-type]
    codes = []
    for _ in range(26):
        stage.clock.advance(300)
        codes.append(tick(stage).code)
    assert ExitCode.FAILED in codes
    assert (stage.running(), proven(stage)) == (["R0001"], [])


def test_the_first_batch_fails_before_the_second_is_switched() -> None:
    """What is dead at the end of its settle ends the ring."""
    stage = stage_of(2, BATCHES)
    ended = release(stage, dying(stage, 4.0))  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 2)
    assert [change[0] for change in stage.hosts["h2"].did].count("switch") == 1


@pytest.mark.parametrize("is_unread", [False, True])
@pytest.mark.parametrize("rings", [BATCHES, (replace(BATCHES[0], soak=SOAK),)])
def test_an_earlier_batch_that_dies_later_fails_the_ring(
    rings: tuple[Ring, ...], *, is_unread: bool
) -> None:
    """It was healthy for its settle, and ends while the next batch settles: nobody keeps it."""
    stage = stage_of(2, rings)
    stage.hosts["h1"].is_unread = is_unread
    ended = release(stage, dying(stage, 14.0, host="h1"))  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 2), ended.summary
    assert stage.hosts["h2"].quarantine


def test_a_death_between_asking_and_acting_makes_nobody_proven() -> None:
    """The host itself refuses to note that a bot passed which does not run."""
    stage = stage_of(2, BATCHES)
    build = stage.build()

    def die_at_prove(name: str, act: str) -> None:
        if (name, act) == ("h1", "prove"):
            stage.hosts["h1"].end_itself()

    stage.controller()
    stage.fleet.before = die_at_prove
    made = stage.controller

    def controller() -> object:
        fleet = made()
        fleet.before = die_at_prove
        return fleet

    stage.controller = controller  # type: ignore[method-assign, assignment]
    ended = release(stage, build)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 2), ended.summary
    assert not any(event.kind is Kind.PROMOTED for event in stage.events)
    assert all(build.release.digest in host.quarantine for host in stage.hosts.values())


# --- what is not the release's doing ----------------------------------------------------------


def test_a_restart_is_waited_for() -> None:
    """Between two lives nothing is said; the second one is judged."""
    stage = stage_of()
    ended = release(stage, dying(stage, 29.0, again_in=4.0))  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0002"]), ended.summary


def by_hand(stage: Stage, after_s: float, act: Callable[[], None]) -> None:
    """Let a person do something on a host so long after the next release was switched to."""
    host = stage.hosts["h1"]

    def wait(_host: object, change: tuple[str, ...]) -> None:
        if change[0] == "switch":
            stage.clock.at(after_s, act)

    host.on_change = wait


def test_a_bot_that_a_person_stopped_is_inconclusive() -> None:
    """It is said and not started; nothing is quarantined, and the host does not go back."""
    stage = stage_of()
    by_hand(stage, 10.0, stage.hosts["h1"].stop_by_hand)
    ended = release(stage)
    assert ended.code is ExitCode.HELD
    assert "a person stopped the bot" in ended.summary
    assert "systemctl start tbot" in sentence(ended)
    stage.clock.advance(3600)
    assert (stage.running(), stage.hosts["h1"].quarantine) == ([""], {})
    stage.hosts["h1"].start_by_hand()
    stage.clock.advance(60)
    assert tick(stage).code is ExitCode.DONE
    assert proven(stage) == ["h1"]


def test_a_bot_that_a_person_stopped_and_started_passes() -> None:
    """Only what runs at the verdict counts."""
    stage = stage_of()
    host = stage.hosts["h1"]
    by_hand(stage, 5.0, host.stop_by_hand)
    stage.clock.at(18.0, host.start_by_hand)
    assert release(stage).code is ExitCode.DONE
    assert proven(stage) == ["h1"]


def test_a_person_can_not_approve_a_bot_that_is_down() -> None:
    """An inconclusive verdict may be taken on; that it does not run may not."""
    stage = stage_of()
    by_hand(stage, 10.0, stage.hosts["h1"].stop_by_hand)
    release(stage)
    stage.hosts["h1"].gate("approve", "ann", "", "R0002", "canary")
    assert tick(stage).code is ExitCode.HELD
    assert proven(stage) == []


def test_a_stop_by_hand_in_an_earlier_batch_ends_the_run() -> None:
    """The next batch is not switched while nobody knows why the first one is down."""
    stage = stage_of(2, BATCHES)
    by_hand(stage, 5.0, stage.hosts["h1"].stop_by_hand)
    assert release(stage).code is ExitCode.HELD
    assert stage.running() == ["", "R0001"]


def test_a_systemd_that_does_not_answer_is_inconclusive() -> None:
    """After a while; what nobody can tell is neither passed nor failed."""
    stage = stage_of()
    host = stage.hosts["h1"]
    by_hand(stage, 10.0, partial(host.become, is_mute=True))
    ended = release(stage)
    assert ended.code is ExitCode.HELD, ended.summary
    assert "on h1: systemctl status tbot" in sentence(ended)
    assert (proven(stage), host.quarantine) == ([], {})


def test_an_unread_journal_is_inconclusive_and_its_crashes_fail() -> None:
    """What systemd counts is read all the same."""
    stage = stage_of()
    stage.hosts["h1"].is_unread = True
    ended = release(stage)
    assert ended.code is ExitCode.HELD
    assert "unread" in ended.summary
    stage = stage_of()
    stage.hosts["h1"].is_unread = True
    ended = release(stage, dying(stage, 6.0, again_in=2.0))  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"]), ended.summary


@pytest.mark.parametrize("is_unread", [False, True])
def test_a_bot_that_the_world_ended_is_inconclusive(*, is_unread: bool) -> None:
    """It passes no more than any other that is down, and is not quarantined for it."""
    stage = stage_of()
    host = stage.hosts["h1"]
    host.is_end_external, host.is_unread = True, is_unread
    ended = release(stage, dying(stage, 8.0))  # type: ignore[arg-type]
    assert ended.code is ExitCode.HELD, ended.summary
    assert "external cause" in ended.summary
    assert (proven(stage), host.quarantine) == ([], {})
    stage.clock.advance(300)
    assert stage.running() == ["R0001"]  # its lease is over


# --- whatever happens -------------------------------------------------------------------------

HAPPENINGS = ("end", "restart", "stop", "start", "mute", "heard", "unread", "read")


@given(
    happenings=st.lists(
        st.tuples(st.floats(0.0, 60.0), st.sampled_from(["h1", "h2"]), st.sampled_from(HAPPENINGS)),
        max_size=6,
    ),
    rings=st.sampled_from([ALONE, BATCHES, (replace(BATCHES[0], soak=SOAK),)]),
    ticks=st.integers(0, 2),
)
@settings(max_examples=examples(60), deadline=None)
def test_no_sequence_of_states_proves_a_bot_that_does_not_run(
    happenings: list[tuple[float, str, str]], rings: tuple[Ring, ...], ticks: int
) -> None:
    """At the instant of each proof the bot runs, whatever happened when."""
    stage = stage_of(2, rings)

    def check(host: object, change: tuple[str, ...]) -> None:
        if change[0] == "prove":
            assert not host.is_stopped  # type: ignore[attr-defined]
            assert not host.is_mute  # type: ignore[attr-defined]

    for host in stage.hosts.values():
        host.on_change = check
    for at_s, name, what in happenings:
        host = stage.hosts[name]
        acts: dict[str, Callable[[], None]] = {
            "end": host.end_itself,
            "restart": partial(host.end_itself, again_in=3.0),
            "stop": host.stop_by_hand,
            "start": host.start_by_hand,
            "mute": partial(host.become, is_mute=True),
            "heard": partial(host.become, is_mute=False),
            "unread": partial(host.become, is_unread=True),
            "read": partial(host.become, is_unread=False),
        }
        stage.clock.at(at_s, acts[what])
    ended = release(stage)
    for _ in range(ticks):
        stage.clock.advance(60)
        ended = tick(stage)
    told = [event for event in stage.events if event.kind is Kind.PROMOTED]
    if ended.code is ExitCode.FAILED:
        assert not told


def test_a_gate_in_between_changes_nothing() -> None:
    """A ring that waits for a person has passed only where its bots ran."""
    rings = (ALONE[0], Ring("rest", "all", gate=Gate.APPROVE, settle=timedelta(0)))
    stage = Stage(2, Policy((replace(rings[0], selector=Share(count=1)), rings[1])))
    ended = release(stage, dying(stage, 8.0))  # type: ignore[arg-type]
    assert (ended.code, proven(stage)) == (ExitCode.FAILED, [])


# --- canary again -----------------------------------------------------------------------------


def test_canary_again_starts_a_bot_that_ended_by_itself() -> None:
    """Through the usual switch: the other hosts keep their process, and it is proven again."""
    stage = stage_of(2)
    stage.hosts["h1"].end_itself()
    lives = stage.hosts["h2"].lives
    build = FakeBuild("R0001", f"{1:064x}")
    ended = release(stage, build)
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 2), ended.summary
    assert stage.hosts["h2"].lives == lives
    again = release(stage, build)
    assert "nothing to do" in again.summary


def test_canary_again_does_not_start_what_a_person_stopped() -> None:
    """Exit 5, with the command that starts it; what ended by itself elsewhere is started."""
    stage = stage_of(2)
    build = FakeBuild("R0001", f"{1:064x}")
    stage.hosts["h1"].stop_by_hand()
    ended = release(stage, build)
    assert (ended.code, stage.running()) == (ExitCode.HELD, ["", "R0001"])
    assert "botdeploy rollback prod --to R0001 --limit h1 --keep" in sentence(ended)
    stage.hosts["h2"].end_itself()
    ended = release(stage, build)
    assert (ended.code, stage.running()) == (ExitCode.HELD, ["", "R0001"])
    stage.controller()
    back = rollback(stage.inventory, ["h1"], stage.dependencies(), to="R0001", keep=True)
    assert (back.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 2)


def test_a_link_that_is_gone_is_said_while_the_bot_runs() -> None:
    """It would not start at the next boot; nothing else is wrong, so that is exit 0."""
    stage = stage_of()
    stage.hosts["h1"].is_enabled = False
    ended = release(stage, FakeBuild("R0001", f"{1:064x}"))
    assert ended.code is ExitCode.DONE
    assert "systemctl enable /opt/tbot/current/.botdeploy/tbot.service" in sentence(ended)


@pytest.mark.parametrize("command", ["first deploy", "canary", "promote"])
def test_a_link_that_goes_in_a_rollout_is_said_at_its_end(command: str) -> None:
    """In the soak of a canary, and between two steps of promote; it passes, for it runs."""
    by_promote = command == "promote"
    rings = (replace(ALONE[0], soak=timedelta(hours=2)),) if by_promote else ALONE
    stage = stage_of() if command == "canary" else Stage(1, Policy(rings))
    by_hand(stage, 15.0, partial(stage.hosts["h1"].become, is_enabled=False))
    ended = release(stage)
    if by_promote:
        stage.clock.advance(7300)
        ended = tick(stage)
    assert (ended.code, proven(stage)) == (ExitCode.DONE, ["h1"])
    assert "systemctl enable /opt/tbot/current/.botdeploy/tbot.service" in sentence(ended)


def test_promote_starts_nothing_that_is_down() -> None:
    """A cron job that starts what a person or the bot itself ended would do so for ever."""
    stage = stage_of()
    stage.hosts["h1"].end_itself()
    assert tick(stage).code is ExitCode.DONE
    assert stage.running() == [""]


def test_a_new_release_starts_a_bot_that_was_down() -> None:
    """Whoever deploys another release wants it to run."""
    stage = stage_of(2)
    stage.hosts["h1"].stop_by_hand()
    stage.hosts["h2"].end_itself()
    assert release(stage).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 2


def test_a_rollback_tells_of_a_bot_that_stays_down() -> None:
    """Nothing newer runs there, and neither does anything else."""
    stage = stage_of(2)
    release(stage)
    stage.controller()
    assert rollback(stage.inventory, ["h1", "h2"], stage.dependencies()).code is ExitCode.DONE
    stage.hosts["h1"].end_itself()
    stage.controller()
    again = rollback(stage.inventory, ["h1", "h2"], stage.dependencies())
    assert (again.code, stage.running()) == (ExitCode.NEEDS_PERSON, ["", "R0001"])
    assert "ended by itself" in sentence(again)
    assert "botdeploy rollback prod --to R0001 --limit h1 --keep" in sentence(again)


# --- a host that goes back by itself ------------------------------------------------------------


def test_what_goes_back_by_itself_is_waited_for_however_long_the_run_took() -> None:
    """The wait counts from when it was seen, not from when the run began."""
    long = (replace(ALONE[0], soak=timedelta(minutes=25)),)
    stage = Stage(1, Policy(long), tick_s=1.0)
    assert release(stage).code is ExitCode.DONE
    host = stage.hosts["h1"]

    def stall() -> None:
        host.lease, host.slow_return_s = 0.0, 8.0

    by_hand(stage, 1200.0, stall)
    ended = release(stage)
    assert ended.code is not ExitCode.NEEDS_PERSON, ended.summary
    assert not any(event.kind is Kind.HOST_FAILED for event in stage.events)
    assert stage.running() != [""]


@pytest.mark.parametrize("rings", [ALONE, BATCHES])
def test_a_long_wait_for_the_next_life_is_waited_for_but_not_for_ever(
    rings: tuple[Ring, ...],
) -> None:
    """RestartSec=60 is passed; where no start comes, nobody says that it passed or failed."""
    stage = stage_of(2, rings)
    ended = release(stage, dying(stage, 8.0, again_in=60.0))  # type: ignore[arg-type]
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0002"] * 2), ended.summary
    stage = stage_of(2, rings)
    begun = stage.clock.mono
    ended = release(stage, dying(stage, 8.0, again_in=1e9))  # type: ignore[arg-type]
    assert ended.code in {ExitCode.HELD, ExitCode.DONE}, ended.summary
    assert stage.clock.mono - begun < 3600
    stage.clock.advance(3600)
    assert proven(stage) == []
    assert not any(host.quarantine for host in stage.hosts.values())
