"""What another environment lacks, by what its hosts say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from botdeploy.core.host.host_state import HostState, Phase, StagedRelease, Switch
from botdeploy.core.host.running import Unit
from botdeploy.core.model.policy import Requires
from botdeploy.core.rollout.next_step import End, Reason, Result, Wait
from botdeploy.core.rollout.requirement import (
    Contents,
    Other,
    Unmet,
    missing_platforms,
    unmet,
)

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY = timedelta(days=1)
TWO_DAYS = Requires("dev", 2 * DAY)
WANTED = {"c": ("p1",)}


def made(ago: timedelta, name: str = "a") -> str:
    """Give the id of a release that was made so long ago."""
    return f"{NOW - ago:%Y%m%dT%H%M%SZ}-{name}"


def proven(ago: timedelta, name: str = "a") -> StagedRelease:
    """Give a release that was made and proven so long ago."""
    return StagedRelease(made(ago, name), f"digest-{name}", is_proven=True, proven_at=NOW - ago)


def host(*releases: StagedRelease, current: str = "", **more: object) -> HostState:
    """Give a host that runs the last of these releases, or ``current``."""
    runs = current or releases[-1].id
    unit = Unit("active", "running", main_pid=1, release=runs, is_enabled=True)
    return HostState(current=runs, unit=unit, releases=releases, at=NOW, **more)  # type: ignore[arg-type]


def other(*states: HostState, same: str = "a") -> Other:
    """Give an environment of such hosts, where releases named ``same`` have the wanted content."""
    named = {f"d{number + 1}": state for number, state in enumerate(states)}
    contents = {
        name: Contents(
            {one.id: "c" if one.id.endswith(f"-{same}") else one.id for one in state.releases}
        )
        for name, state in named.items()
    }
    return Other("dev", named, contents, {})


def lacks(its: Other, now: datetime = NOW, requires: Requires = TWO_DAYS) -> str:
    """Say what it lacks; empty for nothing."""
    found = unmet(requires, WANTED, its, now)
    return found.why if found is not None else ""


def test_only_time_that_lacks_has_an_end() -> None:
    """The longest of all hosts'."""
    found = unmet(TWO_DAYS, WANTED, other(host(proven(DAY)), host(proven(DAY / 2))), NOW)
    assert found is not None
    assert found.until == NOW + 1.5 * DAY
    assert found.step("canary") == Wait(Reason.REQUIRES, found.why, "canary", found.until)
    mixed = unmet(TWO_DAYS, WANTED, other(host(proven(DAY)), host(proven(DAY, "b"))), NOW)
    assert mixed is not None
    assert mixed.until is None


def test_who_could_not_be_asked_is_out_of_reach() -> None:
    """And ends the run, not the rollout."""
    assert Unmet("d1 is away", is_away=True).step("canary") == End(
        Result.UNREACHABLE, "d1 is away", "canary", reason=Reason.REQUIRES
    )


def test_a_pending_or_unproven_release_has_no_verdict_yet() -> None:
    """It may fail."""
    staged = replace(proven(3 * DAY), is_proven=False)
    assert "d1 has no verdict for it yet" in lacks(other(host(staged)))


def test_a_bot_whose_unit_is_not_enabled_runs_all_the_same() -> None:
    """It would not start at the next boot, which is no word about the release."""
    state = host(proven(3 * DAY))
    loose = replace(state, unit=replace(state.unit, is_enabled=False))
    assert lacks(other(loose)) == ""
    down = replace(state, unit=Unit("failed", "failed", is_enabled=True))
    assert "d1 does not run it: " in lacks(other(down))


def test_a_return_that_is_under_way_is_no_proof() -> None:
    """Nothing is final there."""
    new = proven(3 * DAY)
    back = Switch(Phase.REVERTING, "r", new.id, "old")
    assert "is being reverted" in lacks(other(host(new, switch=back)))


def test_a_clock_that_jumped_ahead_proves_nothing() -> None:
    """The host says that it is next week; by our clock a day has passed."""
    state = replace(host(proven(DAY)), at=NOW + 7 * DAY)
    assert "has for 24 h" in lacks(other(state))


def test_a_failed_newer_release_ends_no_proof() -> None:
    """It was switched to, failed, and the host went back to what is asked about."""
    tried = replace(proven(DAY, "b"), is_proven=False)
    good = proven(3 * DAY)
    state = host(good, tried, current=good.id, quarantine={tried.digest: "it failed"})
    assert lacks(other(state)) == ""


def test_the_number_of_what_an_instance_rendered_is_not_compared() -> None:
    """ID+1 on one instance and ID+3 on another are one release."""
    good = proven(3 * DAY)
    first, third = (replace(good, id=f"{good.id}+{number}") for number in (1, 3))
    contents = {"d1": Contents({first.id: "c"}), "d2": Contents({third.id: "c"})}
    its = Other("dev", {"d1": host(first), "d2": host(third)}, contents, {})
    assert lacks(its) == ""


def test_platforms_that_the_other_one_lacks_are_named() -> None:
    """What is not known is not named."""
    own = {"p1": Contents({}, "aarch64"), "p2": Contents({}, "x86_64"), "p3": Contents({})}
    assert missing_platforms(own, {"d1": Contents({}, "x86_64")}) == ("aarch64",)


def test_what_came_back_after_a_newer_one_counts_from_then_on() -> None:
    """It ran for a day, another for three, and it for two again."""
    good, newer = proven(6 * DAY), proven(5 * DAY, "b")
    back_us = int((NOW - 2 * DAY).timestamp() * 1e6)
    state = host(good, newer, current=good.id, switches=((back_us, good.id),))
    assert lacks(other(state)) == ""
    assert "d1 has for 47 h 59 min" in lacks(
        other(replace(state, switches=((back_us + 60_000_000, good.id),)))
    )


def test_a_newer_release_that_soaks_ends_the_time_too() -> None:
    """It has no verdict yet, but what ran before does not run any more."""
    good = proven(2 * DAY)
    soaking = replace(proven(DAY, "b"), is_proven=False)
    found = unmet(TWO_DAYS, WANTED, other(host(good, soaking)), NOW)
    assert found is not None
    assert "d1 had for 24 h, then a newer release came" in found.why
    assert found.until is None


hours = st.integers(0, 24 * 7)
histories = st.dictionaries(hours, st.sampled_from("ab"), min_size=1, max_size=5)
"""How many hours ago a release was switched to and proven, and which of two contents it has."""


def state_of(history: dict[int, str]) -> HostState:
    """Give a host with this history."""
    return host(*(proven(timedelta(hours=ago), history[ago]) for ago in sorted(history)[::-1]))


def ran_h(history: dict[int, str]) -> float:
    """Say for how many hours the host had the wanted content without a break, at the best."""
    best, since = -1.0, None
    for ago, name in [*((ago, history[ago]) for ago in sorted(history)[::-1]), (0, "end")]:
        if name == "a" and since is None:
            since = ago
        elif name != "a" and since is not None:
            best, since = max(best, since - ago), None
    return best


@given(histories, hours)
def test_a_host_counts_for_as_long_as_it_had_the_content(
    history: dict[int, str], wanted: int
) -> None:
    """Whatever came before and after."""
    requires = Requires("dev", timedelta(hours=wanted))
    assert bool(lacks(other(state_of(history)), requires=requires)) == (ran_h(history) < wanted)


@given(st.lists(histories, min_size=1, max_size=4), hours)
def test_all_hosts_must_have_proven_it(hosts: list[dict[int, str]], wanted: int) -> None:
    """What one lacks, all lack."""
    requires = Requires("dev", timedelta(hours=wanted))
    each = [bool(lacks(other(state_of(one)), requires=requires)) for one in hosts]
    assert bool(lacks(other(*map(state_of, hosts)), requires=requires)) == any(each)


@given(st.lists(histories, min_size=1, max_size=3), hours)
@example([{0: "a", 1: "b", 2: "a"}], 2)
def test_what_is_due_comes_when_it_is_due(hosts: list[dict[int, str]], wanted: int) -> None:
    """And not a minute before; nothing but time has to pass."""
    its, requires = other(*map(state_of, hosts)), Requires("dev", timedelta(hours=wanted))
    found = unmet(requires, WANTED, its, NOW)
    if found is None or found.until is None:
        return
    for at, is_met in ((found.until, True), (found.until - timedelta(minutes=1), False)):
        states = {name: replace(state, at=at) for name, state in its.states.items()}
        assert (lacks(replace(its, states=states), at, requires) == "") is is_met


def numbered(ago: timedelta, number: int, of: timedelta) -> StagedRelease:
    """Give other values, proven so long ago, of the release ``a`` that was made ``of`` ago."""
    return StagedRelease(
        f"{made(of)}+{number}", f"digest-{number}", is_proven=True, proven_at=NOW - ago
    )


def its(state: HostState) -> Other:
    """Give an environment of this host, where all renderings of ``a`` have the wanted content."""
    of = {
        one.id: "c" if one.id.partition("+")[0].endswith("-a") else one.id for one in state.releases
    }
    return Other("dev", {"d1": state}, {"d1": Contents(of)}, {})


def test_what_was_proven_between_two_renderings_is_not_newer_than_the_second() -> None:
    """By their ids ID+2 stands before it, by their verdicts behind it."""
    first, other_one = proven(5 * DAY), proven(4 * DAY, "b")
    second = numbered(3 * DAY, 2, 5 * DAY)
    assert lacks(its(host(first, other_one, second))) == ""
    assert lacks(its(host(first, other_one, numbered(DAY, 2, 5 * DAY)))) != ""
    back = its(host(first, other_one, second, current=other_one.id))
    assert f"went back to {other_one.id}" in lacks(back)
