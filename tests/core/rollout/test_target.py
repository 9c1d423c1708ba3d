"""Under which name a release goes."""

from __future__ import annotations

import pytest

from botdeploy.core.host.host_state import HostState, StagedRelease
from botdeploy.core.host.running import Unit
from botdeploy.core.rollout.target import named
from tests.engine.fakefleet import Stage

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
