"""Renumbering: no rollout runs two numberings of the instances side by side."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.host.host_state import (
    HostState,
    Phase,
    Predecessor,
    StagedRelease,
    StandingInstance,
    Switch,
)
from botdeploy.core.host.running import Unit
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Gate, Policy, Ring, Share
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.batch import batches
from botdeploy.core.rollout.decision import decide
from botdeploy.core.rollout.facts import Facts
from botdeploy.core.rollout.host_standing import HOLDING, UNPROVEN, HostStanding, Standing
from botdeploy.core.rollout.next_step import (
    Blame,
    Confirm,
    End,
    Reason,
    Result,
    Revert,
    SwitchOver,
    Wait,
)
from botdeploy.core.rollout.renumbering import (
    RING,
    as_one_batch,
    refuse_renumbering,
    renumbered,
)
from botdeploy.core.rollout.rollback_target import WayBack, renumbers, way_back
from botdeploy.errors import ExitCode, NotAgreed, Todo, UserError

BOT = Bot("echobot", "run", "/src")
RINGS = (
    Ring(
        "canary",
        Share(count=1),
        soak=timedelta(hours=2),
        settle=timedelta(seconds=5),
        env={"MODE": "trial"},
    ),
    Ring("fleet", "all", settle=timedelta(seconds=30), gate=Gate.APPROVE),
)


def inventory(*numbers: str) -> Inventory:
    """Give an environment of as many instances, three to a machine."""
    hosts = tuple(
        Host(f"w/{n}", Address("w", "w"), BOT, instance=str(n), numbers=one, machine=f"m{n // 3}")
        for n, one in enumerate(numbers)
    )
    names = tuple(host.name for host in hosts)
    rings = tuple(replace(ring, hosts=names) for ring in RINGS)
    return Inventory("prod", "prod.yml", hosts, Policy(rings))


def state(
    numbers: str,
    *,
    runs: bool = True,
    staged: str | None = None,
    switched: bool = False,
    stands: str = "",
) -> HostState:
    """Say what an instance runs, and what is staged beside it, or was switched to."""
    releases = [StagedRelease("R1", "d1", numbers=numbers)]
    releases += [StagedRelease("R2", "d2", numbers=staged)] if staged is not None else []
    now = "R2" if switched else "R1"
    return HostState(
        current=now,
        unit=Unit(release=now if runs else ""),
        releases=tuple(releases),
        switch=Switch(Phase.PENDING, "r", "R2", "R1") if switched else None,
        standing=(StandingInstance(stands, "prod", "R1"),) if stands else (),
    )


def test_one_more_instance_changes_the_count_of_those_that_run() -> None:
    """The new one has no number yet, and comes with them."""
    states = {"w/0": state("0/2"), "w/1": state("1/2"), "w/2": HostState()}
    found = renumbered(inventory("0/3", "1/3", "2/3"), states, "R2")
    assert found == {"w/0": ("0/2", "0/3"), "w/1": ("1/2", "1/3"), "w/2": ("", "2/3")}


def test_one_that_can_t_be_asked_comes_with_them() -> None:
    """Also where it is to have no number: it may run by an old one."""
    of = inventory("0/3", "1/3", "")
    states = {"w/0": state("0/2"), "w/1": state("1/2")}
    assert renumbered(of, states, "R2")["w/2"] == ("", "")
    assert renumbered(of, {"w/0": state("0/3"), "w/1": state("1/3")}, "R2") == {}


@pytest.mark.parametrize(
    ("had", "has", "is_same"),
    [
        ("0/2", "0", True),
        ("0", "0", True),
        ("0", "0/2", False),
        ("1/2", "0", False),
        ("10/12", "1", False),
        ("0/2", "", False),
        ("/2", "", False),
        ("/2", "/3", False),
        ("/2", "0", False),
    ],
)
def test_a_count_that_nobody_asks_for_any_more_changes_no_number(
    had: str, has: str, *, is_same: bool
) -> None:
    """One that asks for its index alone keeps its share as long as that stays."""
    assert (renumbered(inventory(has), {"w/0": state(had)}, "R2") == {}) is is_same


def test_what_is_staged_counts_before_the_inventory() -> None:
    """A rollout that goes on starts what was staged."""
    assert renumbered(inventory("0/3"), {"w/0": state("0/2", staged="0/2")}, "R2") == {}


def test_it_is_the_same_after_the_switch_as_before() -> None:
    """Who comes later, with the same release, sees what they were."""
    before = {"w/0": state("0/2", staged="0/3"), "w/1": state("1/2", staged="1/3")}
    after = {**before, "w/0": state("0/2", staged="0/3", switched=True)}
    of = inventory("0/3", "1/3")
    assert renumbered(of, before, "R2") == renumbered(of, after, "R2") != {}


def test_a_bot_that_does_not_run_has_the_number_that_it_would_start_by() -> None:
    """Its unit is enabled: the next boot starts it."""
    found = renumbered(inventory("0/3"), {"w/0": state("0/2", runs=False)}, "R2")
    assert found == {"w/0": ("0/2", "0/3")}


@pytest.mark.parametrize(("had", "has"), [("", ""), ("0/1", "0/1"), ("", "0/1")])
def test_nothing_is_refused(had: str, has: str) -> None:
    """Where nothing is numbered, or no number changes."""
    refuse_renumbering(inventory(has), {"w/0": state(had)}, "R2", is_agreed=False)
    assert RING not in [
        ring.name for ring in as_one_batch(inventory(has), {"w/0": state(had)}, "R2").policy.rings
    ]


def test_a_person_must_agree() -> None:
    """Exit 5, with each number that changes; one that was begun goes on without."""
    states = {"w/0": state("0/2"), "w/1": state("1/2")}
    with pytest.raises(NotAgreed) as caught:
        refuse_renumbering(inventory("0/3", "1/3"), states, "R2", is_agreed=False)
    assert caught.value.exit_code is ExitCode.HELD
    assert caught.value.numbers[0] == {"host": "w/0", "from": "0/2", "to": "0/3"}
    assert caught.value.hints[0].todo is Todo.RENUMBER
    refuse_renumbering(inventory("0/3", "1/3"), states, "R2", is_agreed=True)
    begun = {**states, "w/0": state("0/2", staged="0/3", switched=True)}
    refuse_renumbering(inventory("0/3", "1/3"), begun, "R2", is_agreed=False)


def test_a_part_of_them_is_refused() -> None:
    """By --ring, by --limit, and where an instance that nobody names may run by an old number."""
    states = {"w/0": state("0/2"), "w/1": state("1/2")}
    of = inventory("0/3", "1/3")
    with pytest.raises(UserError, match="without --ring"):
        refuse_renumbering(of, states, "R2", is_agreed=True, last_ring="canary")
    limited = replace(of, policy=replace(of.policy, only=frozenset({"w/0"})))
    with pytest.raises(UserError, match="without --limit"):
        refuse_renumbering(limited, states, "R2", is_agreed=True)
    left = {**states, "w/0": state("0/2", stands="9")}
    left["w/0"] = replace(
        left["w/0"], standing=(*left["w/0"].standing, StandingInstance("0", "prod", "R1"))
    )
    with pytest.raises(UserError, match="w/9") as caught:
        refuse_renumbering(of, left, "R2", is_agreed=True)
    assert caught.value.hints[0].todo is Todo.RETIRE


def plain_bots(*numbers: str) -> dict[str, HostState]:
    """Say what six instances on two machines see where these have the plain bot as yet."""
    stands = [(StandingInstance("", "prod", "P1", numbers=one),) for one in numbers]
    return {f"w/{n}": HostState(standing=stands[n // 3]) for n in range(6)}


def taken(before: str, after: str) -> HostState:
    """Say what an instance has that has taken the place of a plain bot."""
    of = Predecessor("echobot.service", "P1", before)
    switch = Switch(Phase.PENDING, "r", "R2", "", unit=of.unit, release="P1", numbers=before)
    return replace(state("", staged=after, switched=True), before=of, switch=switch)


SIX = tuple(f"{n}/6" for n in range(6))


def test_who_takes_a_place_changes_the_number_that_its_predecessor_has() -> None:
    """Before the switch as after it; those that come along have none before."""
    for states in (
        plain_bots("0/2", "1/2"),
        {**plain_bots("0/2", "1/2"), "w/0": taken("0/2", "0/6"), "w/3": taken("1/2", "3/6")},
    ):
        found = renumbered(inventory(*SIX), states, "R2")
        assert found["w/0"] == ("0/2", "0/6")
        assert found["w/3"] == ("1/2", "3/6")
        assert (len(found), found["w/1"]) == (6, ("", "1/6"))
    with pytest.raises(NotAgreed):
        refuse_renumbering(inventory(*SIX), plain_bots("0/2", "1/2"), "R2", is_agreed=False)
    refuse_renumbering(inventory(*SIX), plain_bots("0/2", "1/2"), "R2", is_agreed=True)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.REVERTING])
def test_a_release_that_follows_an_open_renumbering_is_one_batch_as_well(phase: Phase) -> None:
    """The open one goes back first, so the old numbers are those before it."""
    opened = replace(
        state("0/2", staged="0/3"), switch=Switch(phase, "r", "R2", "R1"), current="R2"
    )
    states = {"w/0": opened, "w/1": state("1/2", staged="1/3")}
    assert renumbered(inventory("0/3", "1/3"), states, "R3")["w/0"] == ("0/2", "0/3")
    with pytest.raises(NotAgreed):
        refuse_renumbering(inventory("0/3", "1/3"), states, "R3", is_agreed=False)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.REVERTING])
def test_a_predecessor_has_its_numbers_while_its_place_is_claimed_or_given_back(
    phase: Phase,
) -> None:
    """Neither form stands then, and the mark of the change alone tells them."""
    claimed = HostState(
        releases=(StagedRelease("R2", "d2", numbers="0/6"),),
        switch=Switch(phase, "r", "R2", "", unit="echobot.service", numbers="0/2"),
    )
    for release in ("R2", "R3"):
        assert renumbered(inventory("0/6"), {"w/0": claimed}, release) == {"w/0": ("0/2", "0/6")}


def test_a_change_of_form_that_keeps_all_numbers_is_an_ordinary_rollout() -> None:
    """Also where nothing was numbered before: then nobody's share becomes another's."""
    keeps = inventory("0", "", "", "1", "", "")
    assert renumbered(keeps, plain_bots("0/2", "1/2"), "R2") == {}
    assert renumbered(inventory(*SIX), plain_bots("", ""), "R2") == {}
    refuse_renumbering(inventory(*SIX), plain_bots("", ""), "R2", is_agreed=False)


def test_one_that_would_take_the_place_of_several_gets_no_other_number() -> None:
    """The others run on until a person retires them."""
    instances = (
        StandingInstance("1", "prod", "R1", numbers="0/2"),
        StandingInstance("2", "prod", "R1", numbers="1/2"),
    )
    one = Host("w", Address("w", "w"), BOT, numbers="0/1", machine="m0")
    of, states = replace(inventory(), hosts=(one,)), {"w": HostState(standing=instances)}
    with pytest.raises(UserError, match=r"on m0, and 2 would run beside it") as caught:
        refuse_renumbering(of, states, "R2", is_agreed=True)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("before", "runs", "changes"),
    [("0/2", "0/6", True), ("0/2", "0/2", False), ("", "0/6", False), ("0", "0/6", True)],
)
def test_a_way_back_to_the_other_form_changes_numbers_too(
    before: str, runs: str, *, changes: bool
) -> None:
    """Where the predecessor has one; without, nobody's share becomes another's."""
    way = WayBack("w", "R2", "", before=Predecessor("echobot.service", "P1", before))
    assert renumbers({"w": taken(before, runs)}, {"w": way}) is changes


def test_their_ring_is_the_last_one_and_takes_the_longest_times() -> None:
    """Each host gets its own ring's variables; the gate is not theirs."""
    states = {"w/0": state("0/2"), "w/1": state("1/2"), "w/2": state("")}
    made = as_one_batch(inventory("0/3", "1/3", ""), states, "R2")
    ring = made.policy.rings[-1]
    assert (ring.name, ring.hosts, ring.gate) == (RING, ("w/0", "w/1"), Gate.NONE)
    assert (ring.soak, ring.settle) == (timedelta(hours=2), timedelta(seconds=30))
    assert ring.of("w/0").env == {"MODE": "trial"}
    assert ring.of("w/1").env == {}
    assert ring_members.members(made, states) == {
        "canary": ("w/2",),
        "fleet": (),
        RING: ("w/0", "w/1"),
    }


NUMBERS = st.sampled_from(["", "0/1", "0/2", "1/2", "0/3", "1/3", "2/3"])


@given(pairs=st.lists(st.tuples(st.none() | NUMBERS, NUMBERS), min_size=1, max_size=7))
def test_no_batch_has_only_a_part_of_the_numbers_that_change(
    pairs: list[tuple[str | None, str]],
) -> None:
    """Whatever ran and whatever is to run; each host is in one ring."""
    of = inventory(*(new for _, new in pairs))
    states = {
        f"w/{n}": HostState() if old is None else state(old) for n, (old, _) in enumerate(pairs)
    }
    changed = set(renumbered(of, states, "R2"))
    made = as_one_batch(of, states, "R2")
    rings = ring_members.members(made, states, release="R2")
    assert sorted(n for names in rings.values() for n in names) == sorted(states)
    for ring in made.policy.rings:
        for batch in batches(ring, rings[ring.name], made.machine_of):
            assert not changed & set(batch) or changed == set(batch)


STANDINGS = (
    *UNPROVEN,
    *(Standing.BEHIND, Standing.LAPSED, Standing.AWAY, Standing.RETURNED, Standing.SAME),
)


@given(
    standings=st.lists(st.sampled_from(STANDINGS), min_size=2, max_size=5),
    is_attended=st.booleans(),
    age_s=st.sampled_from([0.0, 60.0, 1e6]),
)
def test_numbers_that_change_stay_together(
    standings: list[Standing], *, is_attended: bool, age_s: float
) -> None:
    """What lapsed or failed takes the rest back; nobody begins it unattended, or in part."""
    views = {f"w/{n}": HostStanding(one, age_s) for n, one in enumerate(standings)}
    ring = Ring(
        RING,
        "",
        hosts=tuple(views),
        soak=timedelta(minutes=1),
        batch=Share(percent=100),
        renumbers=dict.fromkeys(views, ("0/1", "0/2")),
    )
    facts = Facts(
        policy=Policy((ring,), max_unreachable=Share(count=9)),
        members={RING: tuple(views)},
        hosts=views,
        now=datetime(2026, 11, 20, tzinfo=UTC),
        is_attended=is_attended,
    )
    step = decide(facts)
    seen = set(standings)
    holding = {name for name, view in views.items() if view.standing in HOLDING}
    match step:
        case SwitchOver(_, hosts):
            assert holding or is_attended
            assert not seen & {Standing.LAPSED, Standing.RETURNED} or not holding
            assert Standing.AWAY not in seen or Standing.PENDING not in seen
            waiting = {Standing.BEHIND, Standing.LAPSED}
            assert {*hosts} == {n for n, view in views.items() if view.standing in waiting}
        case Revert(hosts, _, blame):
            assert {*hosts} == holding
            assert (blame is Blame.NOBODY) is (Standing.RETURNED not in seen)
        case Confirm():
            assert Standing.PENDING in seen
            assert not seen & {Standing.LAPSED, Standing.AWAY, Standing.RETURNED}
        case Wait(Reason.RENUMBERS):
            assert not is_attended
            assert not holding
        case End(Result.UNREACHABLE):
            assert Standing.AWAY in seen
        case _:
            pass


@pytest.mark.parametrize(
    ("runs", "target", "changes"),
    [
        ("0", "0/2", False),  # what runs knows no count: nobody's share becomes another's
        ("1", "0/2", True),
        ("0/3", "0/2", True),
        ("0/2", "0", True),  # what comes back knows none, and others may count two still
        ("", "", False),
    ],
)
def test_a_way_back_changes_numbers_by_the_rule_of_the_way_there(
    runs: str, target: str, *, changes: bool
) -> None:
    """As the host tells it: one that knows no count keeps its share where its index stays."""
    back = replace(
        state(target),
        releases=(StagedRelease("R1", "a", numbers=target), StagedRelease("R2", "b", numbers=runs)),
    )
    assert renumbers({"w": back}, {"w": WayBack("w", "R2", "R1")}) is changes


@pytest.mark.parametrize(
    ("old", "unit", "aim", "aims_at"),
    [
        ("R1", "", "R1", "R1"),
        ("", "echobot.service", "P1 of echobot.service", "P1"),
        ("", "", "nothing", ""),
    ],
)
def test_a_switch_that_is_armed_and_not_done_is_called_back(
    old: str, unit: str, aim: str, aims_at: str
) -> None:
    """What goes is the release that was to come, whatever runs or stands there now."""
    place = "P1" if unit else ""
    armed = replace(
        state("0/2", staged="0/3"),
        current=old,
        switch=Switch(Phase.PENDING, "r", "R2", old, unit=unit, release=place, numbers="0/1"),
    )
    way = way_back("w/0", armed, newest="R2")
    assert (way.goes, way.running, way.aim, way.aims_at) == (True, "R2", aim, aims_at)
