"""A repeatable act whose answer was cut off is asked again, however long it was at work."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from botdeploy.engine.fleet.locked_fleet import LockedFleet
from botdeploy.errors import OutcomeUnknown, Unreachable
from botdeploy.hosts.acts.faults import NoAnswer
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.errors import HostError


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OutcomeUnknown("h1", "cut off"), 2),
        (Unreachable("h1", "cut off"), 2),
        (NoAnswer("h1", "silent"), 1),
    ],
)
def test_a_long_act_that_was_cut_off_is_asked_once_more(error: HostError, tries: int) -> None:
    """One that gave no answer in time has had its time."""
    stage = Stage()
    tried: list[str] = []

    def act() -> str:
        tried.append("")
        if len(tried) == 1:
            stage.clock.advance(300)
            raise error
        return "done"

    lock = cast("EnvironmentLock", SimpleNamespace(renew=lambda _now: None))
    locked_fleet = LockedFleet(cast("Fleet", stage.fleet), lock, stage.clock, threading.Event())
    if tries == 1:
        with pytest.raises(NoAnswer):
            locked_fleet.again(act)
    else:
        assert locked_fleet.again(act) == "done"
    assert len(tried) == tries
