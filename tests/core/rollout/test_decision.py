"""The decision: what is due next, given what the hosts say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.host.running import CONFIRMABLE, Runs, Seen
from botdeploy.core.model.lease import Lease, LeaseUntil
from botdeploy.core.model.policy import Gate, OnFail, Policy, Ring, Share
from botdeploy.core.rollout.decision import decide
from botdeploy.core.rollout.facts import Facts
from botdeploy.core.rollout.host_standing import UNPROVEN, HostStanding, Standing, lapsed
from botdeploy.core.rollout.next_step import (
    Blame,
    Confirm,
    Decision,
    End,
    Prove,
    Reason,
    Result,
    Revert,
    Stage,
    SwitchOver,
    Wait,
)
from botdeploy.core.rollout.requirement import Unmet
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.inventory.allowed_hours import parse_window
from tests.effort import examples

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PASSED = Verdict(Outcome.PASS, ("nothing bad was seen",))
FAILED = Verdict(Outcome.FAIL, ("a new error came back",), host="h1")


def policy(**changes: object) -> Policy:
    """Give the default rollout: a canary with a soak, then the fleet one by one."""
    rings = changes.pop(
        "rings",
        (
            Ring("canary", Share(count=1), soak=timedelta(seconds=60)),
            Ring("fleet", "all", settle=timedelta(seconds=10)),
        ),
    )
    return Policy(rings, **changes)  # type: ignore[arg-type]


def standing(view: HostStanding | Standing, age_s: float = 1000.0) -> HostStanding:
    """Give a host that stands so; one that is proven is that by this rollout."""
    if isinstance(view, HostStanding):
        return view
    return HostStanding(view, age_s, has_passed=view is Standing.PROVEN)


def facts(views: dict[str, HostStanding | Standing], **changes: object) -> Facts:
    """Give facts of a fleet whose first host is the canary."""
    hosts = {name: standing(view) for name, view in views.items()}
    names = tuple(hosts)
    return Facts(
        **{  # type: ignore[arg-type]
            "policy": policy(),
            "members": {"canary": names[:1], "fleet": names[1:]},
            "hosts": hosts,
            "now": NOW,
            **changes,
        }
    )


def test_everything_is_staged_before_anything_is_switched() -> None:
    """A host without the release is given it first, wherever it stands."""
    seen = facts({"h1": Standing.BEHIND, "h2": Standing.BEHIND, "h3": Standing.UNSTAGED})
    assert decide(seen) == Stage(("h3",))


def test_the_canary_is_switched_first_and_alone() -> None:
    """With all hosts staged, the first ring's first batch is due."""
    seen = facts({"h1": Standing.BEHIND, "h2": Standing.BEHIND})
    assert decide(seen) == SwitchOver("canary", ("h1",))


def test_a_ring_whose_hosts_keep_what_they_run_passes_at_once() -> None:
    """The first ring with a changed host is the canary then: one first, with that ring's soak."""
    rings = (
        Ring("internal", "all", soak=timedelta(days=2)),
        Ring("fleet", "all", batch=Share(count=2), soak=timedelta(seconds=60)),
    )
    members = {"internal": ("h1",), "fleet": ("h2", "h3", "h4")}
    behind = dict.fromkeys(("h2", "h3", "h4"), Standing.BEHIND)

    def now(**views: HostStanding | Standing) -> Decision:
        hosts: dict[str, HostStanding | Standing] = {"h1": Standing.SAME, **behind, **views}
        return decide(facts(hosts, policy=policy(rings=rings), members=members))

    assert now() == SwitchOver("fleet", ("h2",))
    waits = now(h2=HostStanding(Standing.CONFIRMED, 20.0))
    assert isinstance(waits, Wait)
    assert (waits.reason, waits.until) == (Reason.SOAK, NOW + timedelta(seconds=40))
    assert now(h2=HostStanding(Standing.CONFIRMED, 60.0)) == SwitchOver("fleet", ("h3", "h4"))
    passed = now(h2=Standing.PROVEN, h3=Standing.PROVEN, h4=Standing.SAME)
    assert isinstance(passed, End)
    assert passed.result is Result.DONE


@pytest.mark.parametrize("held", [("h4",), ("h4", "h5")])
def test_what_hosts_of_later_rings_have_already_is_no_try_of_the_first_changed_ring(
    held: tuple[str, ...],
) -> None:
    """They have it from an earlier rollout: one host of the ring goes first all the same."""
    rings = (
        Ring("internal", "all"),
        Ring("beta", "all", batch=Share(count=2), soak=timedelta(seconds=60)),
        Ring("fleet", "all"),
    )
    members = {"internal": ("h1",), "beta": ("h2", "h3"), "fleet": ("h4", "h5")}

    def now(beta: HostStanding | Standing, *, is_attended: bool) -> Decision:
        hosts: dict[str, HostStanding | Standing] = {"h1": Standing.SAME, "h2": beta}
        hosts |= {
            name: Standing.PROVEN if name in held else Standing.BEHIND for name in members["fleet"]
        }
        return decide(
            facts(
                {"h3": Standing.BEHIND, **hosts},
                policy=policy(rings=rings),
                members=members,
                is_attended=is_attended,
            )
        )

    for is_attended in (True, False):
        assert now(Standing.BEHIND, is_attended=is_attended) == SwitchOver("beta", ("h2",))
        waits = now(HostStanding(Standing.CONFIRMED, 20.0), is_attended=is_attended)
        assert isinstance(waits, Wait)
        assert (waits.reason, waits.until) == (Reason.SOAK, NOW + timedelta(seconds=40))
        soaked = now(HostStanding(Standing.CONFIRMED, 60.0), is_attended=is_attended)
        assert soaked == SwitchOver("beta", ("h3",))


def test_a_host_that_keeps_what_it_runs_never_goes_back() -> None:
    """It did not get the release that failed."""
    views: dict[str, HostStanding | Standing] = {"h1": Standing.SAME}
    views["h2"] = HostStanding(Standing.CONFIRMED, 20.0)
    back = decide(facts(views, verdicts={"fleet": FAILED}))
    assert isinstance(back, Revert)
    assert back.hosts == ("h2",)


def test_the_canary_soaks_under_lease() -> None:
    """An attended soak is waited for with the canary unconfirmed."""
    seen = facts({"h1": HostStanding(Standing.PENDING, 20.0), "h2": Standing.BEHIND})
    decision = decide(seen)
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.SOAK
    assert decision.until == NOW + timedelta(seconds=40)


def test_a_pass_confirms_before_it_proves() -> None:
    """The host is reached anew before its release counts as proven."""
    seen = facts(
        {"h1": HostStanding(Standing.PENDING, 61.0), "h2": Standing.BEHIND},
        verdicts={"canary": PASSED},
    )
    assert decide(seen) == Confirm("canary", ("h1",))
    seen = facts(
        {"h1": HostStanding(Standing.CONFIRMED, 61.0), "h2": Standing.BEHIND},
        verdicts={"canary": PASSED},
    )
    assert decide(seen) == Prove("canary", ("h1",), PASSED)


def test_the_fleet_follows_only_a_proven_canary() -> None:
    """The next ring begins when every host of the ring before is proven."""
    seen = facts({"h1": Standing.PROVEN, "h2": Standing.BEHIND, "h3": Standing.BEHIND})
    assert decide(seen) == SwitchOver("fleet", ("h2",))


def test_a_batch_settles_before_the_next() -> None:
    """While a batch is younger than its settle time, nothing else is switched."""
    seen = facts(
        {"h1": Standing.PROVEN, "h2": HostStanding(Standing.PENDING, 4.0), "h3": Standing.BEHIND}
    )
    decision = decide(seen)
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.SETTLE


def test_a_failed_verdict_takes_back_all_that_run_the_release() -> None:
    """With ``on_fail: fleet``, proven hosts of earlier rings go back too."""
    seen = facts(
        {"h1": Standing.PROVEN, "h2": Standing.PENDING, "h3": Standing.BEHIND},
        verdicts={"fleet": FAILED},
    )
    decision = decide(seen)
    assert isinstance(decision, Revert)
    assert decision.hosts == ("h1", "h2")
    assert decision.blame is Blame.RELEASE


def test_on_fail_ring_leaves_earlier_rings() -> None:
    """With ``on_fail: ring``, only the failing ring's hosts go back."""
    seen = facts(
        {"h1": Standing.PROVEN, "h2": Standing.PENDING, "h3": Standing.CONFIRMED},
        verdicts={"fleet": FAILED},
        policy=policy(on_fail=OnFail.RING),
    )
    decision = decide(seen)
    assert isinstance(decision, Revert)
    assert decision.hosts == ("h2", "h3")


def test_a_host_that_went_back_by_itself_fails_the_rollout() -> None:
    """A release that was not ready on one host is taken off all others."""
    seen = facts({"h1": Standing.PROVEN, "h2": HostStanding(Standing.RETURNED, why="not ready")})
    decision = decide(seen)
    assert isinstance(decision, Revert)
    assert decision.hosts == ("h1",)
    seen = facts({"h1": Standing.RETURNED, "h2": HostStanding(Standing.RETURNED, why="not ready")})
    decision = decide(seen)
    assert isinstance(decision, End)
    assert decision.result is Result.FAILED


def test_a_return_that_failed_needs_a_person() -> None:
    """A host whose old release does not run again is told as such, not as a plain failure."""
    seen = facts(
        {"h1": HostStanding(Standing.STUCK, why="old one is not ready"), "h2": Standing.BEHIND}
    )
    decision = decide(seen)
    assert isinstance(decision, End)
    assert decision.result is Result.STUCK


def test_unreachable_hosts_stop_the_rollout_and_pending_ones_go_back() -> None:
    """Beyond ``max_unreachable`` what is pending reverts; the release is not condemned."""
    seen = facts(
        {
            "h1": Standing.PROVEN,
            "h2": Standing.PENDING,
            "h3": HostStanding(Standing.AWAY, why="down"),
        }
    )
    decision = decide(seen)
    assert isinstance(decision, Revert)
    assert (decision.hosts, decision.blame) == (("h2",), Blame.NOBODY)
    seen = facts({"h1": Standing.PROVEN, "h2": Standing.BEHIND, "h3": Standing.AWAY})
    ended = decide(seen)
    assert isinstance(ended, End)
    assert ended.result is Result.UNREACHABLE


def test_allowed_absences_are_passed_over() -> None:
    """Within ``max_unreachable`` the rest goes on."""
    seen = facts(
        {"h1": Standing.PROVEN, "h2": Standing.AWAY, "h3": Standing.BEHIND},
        policy=policy(max_unreachable=Share(count=1)),
    )
    assert decide(seen) == SwitchOver("fleet", ("h3",))


def test_no_rollout_without_a_canary() -> None:
    """A ring of which no host can be reached does not count as passed."""
    seen = facts(
        {"h1": Standing.AWAY, "h2": Standing.BEHIND, "h3": Standing.BEHIND},
        policy=policy(max_unreachable=Share(count=1)),
    )
    decision = decide(seen)
    assert isinstance(decision, End)
    assert decision.result is Result.UNREACHABLE


def test_a_gate_waits_for_its_approval() -> None:
    """A ring with ``gate: approve`` begins only for a release that was approved for it."""
    rings = (
        Ring("canary", Share(count=1)),
        Ring("fleet", "all", gate=Gate.APPROVE),
    )
    views: dict[str, HostStanding | Standing] = {"h1": Standing.PROVEN, "h2": Standing.BEHIND}
    decision = decide(facts(views, policy=policy(rings=rings)))
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.GATE
    approved = facts(views, policy=policy(rings=rings), approved=frozenset({"fleet"}))
    assert decide(approved) == SwitchOver("fleet", ("h2",))


@pytest.mark.parametrize("is_attended", [True, False])
def test_a_ring_begins_only_where_what_it_requires_is_proven(is_attended: bool) -> None:  # noqa: FBT001
    """One that has begun goes to its end, and an approval that is missing is said first."""
    lack = Unmet("dev must have proven it; d1 does not have it")
    views: dict[str, HostStanding | Standing] = {"h1": Standing.PROVEN, "h2": Standing.BEHIND}
    seen = facts(views, unmet=lack, is_attended=is_attended)
    assert decide(seen) == Wait(Reason.REQUIRES, lack.why, "fleet")
    away = replace(lack, is_away=True)
    assert decide(replace(seen, unmet=away)) == End(
        Result.UNREACHABLE, lack.why, "fleet", reason=Reason.REQUIRES
    )
    begun = facts({**views, "h3": Standing.PROVEN}, unmet=lack, is_attended=is_attended)
    assert decide(begun) == SwitchOver("fleet", ("h2",))
    gated = policy(rings=(Ring("canary", Share(count=1)), Ring("fleet", "all", gate=Gate.APPROVE)))
    decision = decide(facts(views, unmet=lack, policy=gated))
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.GATE


def test_a_hold_stops_the_next_batch_but_not_a_return() -> None:
    """Held, nothing more is switched; a failure still goes back."""
    views: dict[str, HostStanding | Standing] = {"h1": Standing.PROVEN, "h2": Standing.BEHIND}
    decision = decide(facts(views, hold="ann"))
    assert isinstance(decision, Wait)
    assert decision.reason is Reason.HOLD
    failing = facts(
        {"h1": Standing.PENDING, "h2": Standing.BEHIND}, hold="ann", verdicts={"canary": FAILED}
    )
    assert isinstance(decide(failing), Revert)


def test_a_long_soak_is_confirmed_and_left_to_cron() -> None:
    """Beyond ``attended_soak`` the canary is confirmed after its settle time."""
    rings = (Ring("canary", Share(count=1), soak=timedelta(hours=2)), Ring("fleet", "all"))
    seen = facts(
        {"h1": HostStanding(Standing.PENDING, 11.0), "h2": Standing.BEHIND},
        policy=policy(rings=rings),
    )
    assert decide(seen) == Confirm("canary", ("h1",))


def test_a_lease_until_the_verdict_keeps_a_long_soak_pending() -> None:
    """``lease: {until: verdict}`` does not confirm before the soak is over."""
    rings = (Ring("canary", Share(count=1), soak=timedelta(hours=2)), Ring("fleet", "all"))
    seen = facts(
        {"h1": HostStanding(Standing.PENDING, 11.0), "h2": Standing.BEHIND},
        policy=policy(rings=rings, lease=Lease(until=LeaseUntil.VERDICT)),
    )
    assert isinstance(decide(seen), Wait)


def test_inconclusive_promotes_nothing_unless_a_person_approves() -> None:
    """An inconclusive verdict ends the run, unless a person took it on; a gate's go is not that."""
    doubt = Verdict(Outcome.INCONCLUSIVE, ("too few lines",))
    views: dict[str, HostStanding | Standing] = {"h1": Standing.CONFIRMED, "h2": Standing.BEHIND}
    decision = decide(facts(views, verdicts={"canary": doubt}))
    assert isinstance(decision, End)
    assert decision.result is Result.INCONCLUSIVE
    approved = facts(views, verdicts={"canary": doubt}, approved=frozenset({"canary"}))
    assert isinstance(decide(approved), End)
    accepted = facts(views, verdicts={"canary": doubt}, accepted=frozenset({"canary"}))
    assert isinstance(decide(accepted), Prove)


def test_a_verdict_that_does_not_come_is_left_to_cron_at_attended_soak() -> None:
    """Until then who attends waits and renews; then the canary is confirmed, whoever comes next."""
    missing = Verdict(Outcome.WAIT, ("3 times as many errors are not excluded", "12 lines"))
    rules = policy(judge={"preset": "normal"})

    def due(age_s: float, standing: Standing, *, is_attended: bool = True) -> Decision:
        views = {"h1": HostStanding(standing, age_s), "h2": HostStanding(Standing.BEHIND)}
        seen = facts(views, policy=rules, verdicts={"canary": missing}, is_attended=is_attended)  # type: ignore[arg-type]
        return decide(seen)

    wait = due(61, Standing.PENDING)
    assert isinstance(wait, Wait)
    assert (wait.reason, wait.is_left) == (Reason.VERDICT, False)
    assert wait.until == NOW + timedelta(minutes=30, seconds=-61)
    assert "not excluded; 12 lines" in wait.why
    assert due(1800, Standing.PENDING) == Confirm("canary", ("h1",))
    for is_attended in (True, False):
        left = due(1800, Standing.CONFIRMED, is_attended=is_attended)
        assert isinstance(left, Wait)
        assert (left.reason, left.is_left) == (Reason.VERDICT, True)
        assert left.until == NOW + timedelta(minutes=30)  # the judge's deadline is an hour


def test_a_verdict_that_comes_a_moment_after_a_long_soak_is_waited_for() -> None:
    """A soak as long as ``attended_soak`` is judged by whoever attended it."""
    rings = (Ring("canary", Share(count=1), soak=timedelta(minutes=30)), Ring("fleet", "all"))
    views = {"h1": HostStanding(Standing.PENDING, 1801.0), "h2": HostStanding(Standing.BEHIND)}
    wait = decide(facts(views, policy=policy(rings=rings)))  # type: ignore[arg-type]
    assert isinstance(wait, Wait)
    assert (wait.reason, wait.is_left) == (Reason.VERDICT, False)


# --- after a pass -----------------------------------------------------------------------------

LATE = Verdict(Outcome.FAIL, ("errors came late", "after it had passed"), host="h1")


def test_a_pass_that_does_not_hold_goes_back_by_on_fail() -> None:
    """While a gate waits, and while the next ring is rolled; as any other fail."""
    views: dict[str, HostStanding | Standing] = {
        "h1": Standing.PROVEN,
        "h2": Standing.PENDING,
        "h3": Standing.BEHIND,
    }
    for on_fail, hosts in (
        (OnFail.FLEET, ("h1", "h2")),
        (OnFail.RING, ("h1",)),
        (OnFail.HOST, ("h1", "h2")),
    ):
        seen = facts(views, revoked={"canary": LATE}, policy=policy(on_fail=on_fail))
        decision = decide(seen)
        assert isinstance(decision, Revert)
        assert (decision.hosts, decision.blame) == (hosts, Blame.RELEASE)
        assert "h1: errors came late" in decision.why


def test_a_pass_is_revoked_also_where_every_ring_has_passed() -> None:
    """It is no matter of a host that came late: the release failed."""
    views: dict[str, HostStanding | Standing] = dict.fromkeys(("h1", "h2", "h3"), Standing.PROVEN)
    late = Verdict(Outcome.FAIL, ("errors came late",), host="h3")
    decision = decide(facts(views, revoked={"fleet": late}))
    assert isinstance(decision, Revert)
    assert (decision.hosts, decision.blame) == (("h1", "h2", "h3"), Blame.RELEASE)
    back: dict[str, HostStanding | Standing] = dict.fromkeys(views, Standing.RETURNED)
    ended = decide(facts(back, revoked={"fleet": late}))
    assert isinstance(ended, End)
    assert ended.result is Result.FAILED


def test_the_last_ring_is_watched_for_as_long_as_asked() -> None:
    """From its pass on; then the rollout is over. Without the key it is over at once."""
    views: dict[str, HostStanding | Standing] = {
        "h1": HostStanding(Standing.PROVEN, 9000.0),
        "h2": HostStanding(Standing.PROVEN, 600.0),
        "h3": HostStanding(Standing.PROVEN, 700.0),
    }
    watched = policy(watch=timedelta(minutes=30))
    wait = decide(facts(views, policy=watched))
    assert isinstance(wait, Wait)
    assert (wait.reason, wait.ring) == (Reason.WATCH, "fleet")
    assert wait.until == NOW + timedelta(seconds=1200)
    for over in (facts(views), facts(views, policy=watched, has_ended=True)):
        ended = decide(over)
        assert isinstance(ended, End)
        assert ended.result is Result.DONE


# --- hosts that have it from an earlier rollout ----------------------------------------------

EARLIER = HostStanding(Standing.PROVEN, 9000.0)
"""Proven, and not by this rollout."""
THREE = (
    Ring("internal", "all", soak=timedelta(hours=2)),
    Ring("beta", "all", soak=timedelta(hours=1)),
    Ring("fleet", "all"),
)
OF_THREE = {"internal": ("h1",), "beta": ("h2", "h3"), "fleet": ("h4", "h5")}


def three(*views: HostStanding | Standing, **changes: object) -> Facts:
    """Give facts of three rings that nobody attends."""
    hosts = {f"h{number}": view for number, view in enumerate(views, 1)}
    rules = policy(rings=changes.pop("rings", THREE), max_unreachable=Share(count=1))
    more = {"policy": rules, "members": OF_THREE, "is_attended": False}
    return facts(hosts, **{**more, **changes})


def test_a_host_that_an_earlier_rollout_has_proven_is_no_pass_of_its_ring() -> None:
    """The soak of the others holds the next ring back; a host that came late does not."""
    soaks = HostStanding(Standing.CONFIRMED, 600.0)
    behind = (Standing.BEHIND, Standing.BEHIND)
    decision = decide(three(Standing.PROVEN, EARLIER, soaks, *behind))
    assert isinstance(decision, Wait)
    assert (decision.reason, decision.ring) == (Reason.SOAK, "beta")
    late = three(Standing.PROVEN, Standing.PROVEN, soaks, *behind)
    assert decide(late) == SwitchOver("fleet", ("h4",))
    over = three(Standing.PROVEN, EARLIER, soaks, *behind, has_ended=True)
    assert decide(over) == SwitchOver("fleet", ("h4",))


def test_a_ring_all_of_whose_hosts_are_proven_has_passed_whoever_proved_them() -> None:
    """Nothing is left to judge there; what is away comes later."""
    for beta in ((EARLIER, EARLIER), (EARLIER, Standing.AWAY), (EARLIER, Standing.SAME)):
        seen = three(Standing.PROVEN, *beta, Standing.BEHIND, Standing.BEHIND)
        assert decide(seen) == SwitchOver("fleet", ("h4",))


def test_what_a_later_ring_has_from_an_earlier_rollout_stands_for_no_ring_that_is_away() -> None:
    """Only where this rollout has come to the later ring had the ring before it passed."""
    seen = three(Standing.AWAY, EARLIER, Standing.BEHIND, Standing.BEHIND, Standing.BEHIND)
    decision = decide(seen)
    assert isinstance(decision, End)
    assert (decision.result, decision.ring) == (Result.UNREACHABLE, "internal")
    begun = three(Standing.AWAY, Standing.PROVEN, Standing.BEHIND, Standing.BEHIND, Standing.BEHIND)
    assert decide(begun) == SwitchOver("beta", ("h3",))


def test_a_release_that_fails_goes_back_though_an_earlier_rollout_has_proven_it_in_each_ring() -> (
    None
):
    """Its rings have not passed: it is no matter of the hosts that were switched last."""
    soaks = HostStanding(Standing.CONFIRMED, 600.0)
    verdict = {"beta": replace(FAILED, host="h3")}
    seen = three(Standing.PROVEN, EARLIER, soaks, EARLIER, Standing.BEHIND, verdicts=verdict)
    decision = decide(seen)
    assert isinstance(decision, Revert)
    assert (decision.blame, decision.hosts) == (Blame.RELEASE, ("h1", "h2", "h3", "h4"))


def test_a_ring_with_a_host_from_an_earlier_rollout_has_not_begun() -> None:
    """Its gate and what it requires are looked at before the first of its other hosts."""
    seen = (Standing.PROVEN, EARLIER, Standing.BEHIND, Standing.BEHIND, Standing.BEHIND)
    lack = Unmet("dev must have proven it; d1 does not have it")
    assert decide(three(*seen, unmet=lack)) == Wait(Reason.REQUIRES, lack.why, "beta")
    gated = (THREE[0], replace(THREE[1], gate=Gate.APPROVE), THREE[2])
    decision = decide(three(*seen, rings=gated))
    assert isinstance(decision, Wait)
    assert (decision.reason, decision.ring) == (Reason.GATE, "beta")


# --- hosts that refuse to be proven ----------------------------------------------------------

PROVEN_FOR_S = 300.0
RUNS_ON = HostStanding(Standing.CONFIRMED, 9000.0, up_s=9000.0, machine_up_s=99000.0)
"""It has the release for longer than the others are proven, and its bot ran at that time."""
DOWN = replace(RUNS_ON, seen=Seen(Runs.STOPPED, "a person stopped it"), up_s=0.0)
STARTING = replace(DOWN, age_s=4000.0, seen=Seen(Runs.STARTING, "it is starting or stopping"))
STARTED_AGAIN = replace(RUNS_ON, up_s=PROVEN_FOR_S - 1)
DOUBT = Verdict(Outcome.INCONCLUSIVE, ("a new error",), host="h3")


def beta_with(other: HostStanding, verdict: Verdict | None = None) -> Facts:
    """Give facts of a ring of which one host is proven by this rollout, and the other is not."""
    proven = standing(Standing.PROVEN, PROVEN_FOR_S)
    verdicts = {"beta": verdict} if verdict else {}
    behind = Standing.BEHIND
    return three(standing(Standing.PROVEN), proven, other, behind, behind, verdicts=verdicts)


@pytest.mark.parametrize(
    ("other", "verdict", "told"),
    [
        (DOWN, PASSED, End),
        (STARTING, PASSED, Wait),
        (STARTED_AGAIN, DOUBT, End),
        (STARTED_AGAIN, None, Wait),
        (replace(STARTED_AGAIN, up_s=PROVEN_FOR_S + 50), DOUBT, End),  # the other was proven later
    ],
)
def test_a_proof_that_one_host_refused_is_no_pass_of_its_ring(
    other: HostStanding, verdict: Verdict | None, told: type
) -> None:
    """Its bot is down, or was when the other was proven: the next ring waits for it."""
    decision = decide(beta_with(other, verdict))
    assert isinstance(decision, told)
    assert isinstance(decision, End | Wait)
    assert decision.ring == "beta"


@pytest.mark.parametrize("verdict", [DOUBT, None])
@pytest.mark.parametrize(
    "other",
    [
        RUNS_ON,
        replace(RUNS_ON, age_s=PROVEN_FOR_S - 1, up_s=PROVEN_FOR_S - 1),
        replace(STARTED_AGAIN, machine_up_s=PROVEN_FOR_S - 1),  # it was switched off then
        replace(DOWN, age_s=PROVEN_FOR_S - 1),
    ],
)
def test_a_host_that_was_away_when_its_ring_passed_holds_nobody_up(
    other: HostStanding, verdict: Verdict | None
) -> None:
    """It was out of reach, or came late; what it runs then is a matter of its own."""
    assert decide(beta_with(other, verdict)) == SwitchOver("fleet", ("h4",))


def test_a_host_that_refused_and_runs_again_is_proven_alone() -> None:
    """The ring has passed then."""
    assert decide(beta_with(STARTED_AGAIN, PASSED)) == Prove("beta", ("h3",), PASSED)


def test_what_ended_after_every_ring_passed_takes_back_itself_alone() -> None:
    """A host that came late is no refusal, and nothing is one when the rollout is over."""
    ended = replace(DOWN, seen=Seen(Runs.ENDED, "it ended by itself"))
    proven = standing(Standing.PROVEN, PROVEN_FOR_S)
    late = replace(ended, age_s=PROVEN_FOR_S - 1)
    for has_ended, other in ((True, ended), (True, late), (False, late)):
        seen = three(*[proven] * 2, other, *[proven] * 2, has_ended=has_ended)
        decision = decide(seen)
        assert isinstance(decision, Revert)
        assert (decision.blame, decision.hosts) == (Blame.HOST, ("h3",))


# --- invariants -----------------------------------------------------------------------------

_ORDER = [Standing.UNSTAGED, Standing.BEHIND, Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN]


@settings(deadline=None, max_examples=examples(300))
@given(data=st.data())
def test_every_rollout_ends_and_no_ring_overtakes(data: st.DataObject) -> None:
    """Whatever goes wrong where, each rollout ends, and no host gets a release before its ring."""
    count = data.draw(st.integers(2, 7))
    names = [f"h{number}" for number in range(count)]
    cut = data.draw(st.integers(1, count - 1))
    members = {"canary": tuple(names[:cut]), "fleet": tuple(names[cut:])}
    rules = policy(
        rings=(
            Ring(
                "canary",
                Share(count=cut),
                soak=timedelta(seconds=data.draw(st.sampled_from([0, 30, 7200]))),
                batch=Share(count=data.draw(st.integers(1, 3))),
            ),
            Ring("fleet", "all", batch=Share(percent=data.draw(st.sampled_from([10.0, 50.0])))),
        ),
        on_fail=data.draw(st.sampled_from(OnFail)),
        max_unreachable=Share(count=data.draw(st.integers(0, 2))),
    )
    unstaged = HostStanding(Standing.UNSTAGED)
    hosts = {name: data.draw(st.sampled_from([unstaged] * 3 + [EARLIER])) for name in names}
    is_attended = data.draw(st.booleans())
    now = NOW
    verdicts: dict[str, Verdict] = {}
    for _turn in range(200):
        decision = decide(
            Facts(rules, members, hosts, now, verdicts=verdicts, is_attended=is_attended)
        )
        match decision:
            case Stage(some):
                hosts.update(dict.fromkeys(some, HostStanding(Standing.BEHIND)))
            case SwitchOver(ring, some):
                if ring == "fleet":
                    reached = [n for n in members["canary"] if hosts[n].standing != Standing.AWAY]
                    assert all(hosts[n].standing is Standing.PROVEN for n in reached)
                for name in some:
                    assert hosts[name].standing is Standing.BEHIND
                    hosts[name] = HostStanding(
                        data.draw(
                            st.sampled_from(
                                [Standing.PENDING] * 6 + [Standing.RETURNED, Standing.AWAY]
                            )
                        ),
                        why="drawn",
                    )
            case Confirm(_, some):
                hosts.update({n: HostStanding(Standing.CONFIRMED, hosts[n].age_s) for n in some})
            case Prove(_, some):
                hosts.update(dict.fromkeys(some, standing(Standing.PROVEN, 0.0)))
            case Revert(some, _):
                assert some
                ends = st.sampled_from([Standing.RETURNED, Standing.RETURNED, Standing.STUCK])
                for name in some:
                    hosts[name] = HostStanding(data.draw(ends), why="drawn")
            case Wait(reason, _, ring, until):
                if until is not None:
                    step = (until - now).total_seconds()
                    assert step > 0
                    now = until
                    hosts = {
                        name: replace(view, age_s=view.age_s + step) for name, view in hosts.items()
                    }
                else:
                    assert reason is Reason.VERDICT
                    verdicts[ring] = data.draw(
                        st.sampled_from([PASSED, PASSED, Verdict(Outcome.FAIL, ("drawn",))])
                    )
            case End(result, _):
                if result is Result.FAILED and rules.on_fail is OnFail.FLEET:
                    left = {view.standing for view in hosts.values()}
                    assert not left & {Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN}
                return
    raise AssertionError("the rollout did not end")


def test_a_host_that_lapsed_is_tried_again_by_cron_too() -> None:
    """Nobody confirmed it in time, and that says nothing of the release."""
    views = {"h1": HostStanding(Standing.LAPSED, why="nobody came"), "h2": Standing.BEHIND}
    for is_attended in (True, False):
        seen = facts(views, is_attended=is_attended)  # type: ignore[arg-type]
        assert decide(seen) == SwitchOver("canary", ("h1",))


def test_a_host_that_lapsed_too_often_waits_for_a_person() -> None:
    """It is no failure and nobody's absence: the rollout stays open, and says what it waits for."""
    tired = HostStanding(Standing.LAPSED, why="nobody came", has_given_up=True)
    for is_attended in (True, False):
        seen = facts({"h1": tired, "h2": Standing.BEHIND}, is_attended=is_attended)
        wait = decide(seen)
        assert isinstance(wait, Wait)
        assert (wait.reason, wait.ring) == (Reason.LAPSED, "canary")
        assert "h1 reverted by itself 4 times: nobody came" in wait.why


def test_the_tries_of_a_host_are_counted_by_their_names() -> None:
    """The first and three more; the fourth name of a try is the last."""
    given_up = [
        lapsed(run, "r1", "nobody came").has_given_up for run in ("r1", "r1.2", "r1.3", "r1.4")
    ]
    assert given_up == [False, False, False, True]


SEEN = st.builds(Seen, st.sampled_from(list(Runs)), st.just("?"), st.just(0), st.booleans())


@given(
    views=st.lists(
        st.builds(
            HostStanding,
            st.sampled_from([Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN]),
            st.floats(0, 300),
            seen=SEEN,
        ),
        min_size=2,
        max_size=4,
    ),
    outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=2, max_size=2),
    is_attended=st.booleans(),
    is_accepted=st.booleans(),
)
@settings(max_examples=examples(400), deadline=None)
def test_nothing_is_proven_that_does_not_run(
    views: list[HostStanding], outcomes: list[Outcome], *, is_attended: bool, is_accepted: bool
) -> None:
    """Whatever the journals tell, and whatever a person takes on: only a loop may be taken on."""
    verdicts = {
        name: Verdict(outcome, ("so it is",))
        for name, outcome in zip(("canary", "fleet"), outcomes, strict=True)
    }
    known = facts(
        {f"h{number}": view for number, view in enumerate(views)},
        verdicts=verdicts,
        is_attended=is_attended,
        accepted=frozenset(verdicts) if is_accepted else frozenset(),
    )
    step = decide(known)
    if isinstance(step, Prove):
        seen = {known.hosts[name].seen.runs for name in step.hosts}
        assert seen <= {Runs.RUNNING, *([Runs.LOOPING] if is_accepted else [])}
    if isinstance(step, Confirm):
        assert {known.hosts[name].seen.runs for name in step.hosts} <= CONFIRMABLE
    if isinstance(step, SwitchOver):
        held = known.members[step.ring]
        assert all(
            known.hosts[name].seen.runs is Runs.RUNNING
            for name in held
            if known.hosts[name].standing in UNPROVEN
        )


def test_a_ring_that_has_begun_goes_to_its_end_whatever_an_earlier_rollout_proved() -> None:
    """Its hours are over; one of its hosts has the release from a rollout before."""
    over = f"{NOW - timedelta(hours=2):%H:%M}-{NOW - timedelta(hours=1):%H:%M} UTC"
    rings = (THREE[0], replace(THREE[1], window=parse_window(over)), THREE[2])
    young = HostStanding(Standing.CONFIRMED, 600.0)
    some = three(Standing.PROVEN, EARLIER, Standing.BEHIND, young, Standing.BEHIND, rings=rings)
    moved = replace(some, members={**OF_THREE, "beta": ("h2", "h3", "h4"), "fleet": ("h5",)})
    assert decide(moved) == SwitchOver("beta", ("h3",))
