"""Under which name a release goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from botdeploy.core.host.host_state import HostState, RolloutRecord, StagedRelease, meant
from botdeploy.core.host.running import Unit
from botdeploy.core.rollout.target import named
from botdeploy.errors import UserError
from tests.engine.fakefleet import FakeBuild, Stage

FIRST, SECOND = "20261130T210512Z-307ac064", "20261130T220000Z-307ac06f"


@pytest.mark.parametrize(
    ("staged", "running", "found"),
    [
        ((FIRST, SECOND), FIRST, FIRST),
        ((FIRST, SECOND), "", SECOND),
        ((FIRST,), SECOND, FIRST),
        ((), "", None),
    ],
)
def test_a_build_that_hosts_know_goes_by_their_name(
    staged: tuple[str, ...], running: str, found: str | None
) -> None:
    """The one that runs counts first, then the newest that is staged; `plan` says the same."""
    stage = Stage()
    build = stage.build()
    releases = tuple(StagedRelease(one, build.release.digest) for one in staged)
    state = HostState(unit=Unit("active", main_pid=7, release=running), releases=releases)
    target = named(stage.inventory, {"h1": state}, build.release, None, "R9", is_forced=False)
    assert target.release == (found or build.release.id)


def of_recipe(digest: str, *ids: str) -> tuple[StagedRelease, ...]:
    """Give releases with these ids of one recipe, the last of them with ``digest``."""
    return tuple(
        StagedRelease(one, digest if one == ids[-1] else f"other-{one}", recipe="r") for one in ids
    )


def name_of(build: FakeBuild, **states: HostState) -> str:
    """Name a build whose recipe is the hosts'."""
    release = replace(build.release, recipe="r")
    return named(Stage().inventory, states, release, None, "R9", is_forced=False).release


def test_other_values_of_a_release_get_its_next_number() -> None:
    """After the highest that any host knows, whether it has it still or not."""
    build = Stage().build()
    one = HostState(releases=of_recipe("x", FIRST))
    two = HostState(releases=of_recipe("x", FIRST, f"{FIRST}+2"))
    assert name_of(build) == build.release.id
    assert name_of(build, h1=one) == f"{FIRST}+2"
    assert name_of(build, h1=one, h2=two) == f"{FIRST}+3"
    told = replace(one, rendered=(f"{FIRST}+9", f"{SECOND}+20"))
    assert name_of(build, h1=told, h2=two) == f"{FIRST}+10"
    ran = replace(one, switches=((7, f"{FIRST}+4"),))
    assert name_of(build, h1=ran) == f"{FIRST}+5"
    noted = replace(one, rollout=RolloutRecord("R1", f"{FIRST}+6", "d", same=FIRST))
    assert name_of(build, h1=noted) == f"{FIRST}+7"


def test_values_that_hosts_have_already_keep_their_number() -> None:
    """A token that goes back to its old value is the release that it was with it."""
    build = Stage().build()
    ids = (f"{FIRST}+10", FIRST, f"{FIRST}+2")
    state = HostState(releases=of_recipe(build.release.digest, *ids))
    assert name_of(build, h1=state) == f"{FIRST}+2"


def test_of_a_release_that_hosts_have_twice_the_newest_is_numbered() -> None:
    """Where a host was away for long, it may be there under two ids."""
    states = {
        "h1": HostState(releases=of_recipe("x", f"{FIRST}+8")),
        "h2": HostState(releases=of_recipe("x", SECOND)),
    }
    assert name_of(Stage().build(), **states) == f"{SECOND}+2"


def test_a_host_that_tells_no_recipe_has_none_in_common() -> None:
    """What an older version staged is another release."""
    build = Stage().build()
    release = replace(build.release, recipe="")
    state = HostState(releases=(StagedRelease(FIRST, "other"),))
    target = named(Stage().inventory, {"h1": state}, release, None, "R9", is_forced=False)
    assert target.release == build.release.id


@pytest.mark.parametrize(
    ("given", "known", "found"),
    [
        ("307ac064", (FIRST, f"{FIRST}+2"), FIRST),
        ("307ac064+2", (FIRST, f"{FIRST}+2"), f"{FIRST}+2"),
        ("307ac064", (f"{FIRST}+2", SECOND), f"{FIRST}+2"),
        (FIRST, (f"{FIRST}+2", SECOND), f"{FIRST}+2"),
        (FIRST, (FIRST, f"{FIRST}+2"), FIRST),
        ("20261130T22", (FIRST, f"{FIRST}+2", SECOND), SECOND),
        ("nothing", (FIRST,), "nothing"),
    ],
)
def test_which_rendering_is_meant(given: str, known: tuple[str, ...], found: str) -> None:
    """By its ending as `logs` prints it; without +N the one that there is."""
    state = HostState(releases=tuple(StagedRelease(one, one) for one in known))
    assert meant(given, {"h1": state}) == found


def test_what_may_mean_several_is_refused_in_their_order() -> None:
    """Nothing is guessed."""
    ids = (f"{FIRST}+10", FIRST, f"{FIRST}+2")
    state = HostState(releases=tuple(StagedRelease(one, one) for one in ids))
    with pytest.raises(UserError, match=r"064, 2.*064\+2, 2.*064\+10: give more"):
        meant("20261130", {"h1": state})
