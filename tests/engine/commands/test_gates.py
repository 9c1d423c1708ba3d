"""What a person is told who holds, or ends a hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from botdeploy.engine.commands import gates
from botdeploy.engine.commands.gates import Signed
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended


def gate(stage: Stage, act: str) -> Ended:
    """Hold or resume, as ``botdeploy hold`` and ``resume`` do."""
    fleet = cast("Any", stage.controller())
    return cast("Ended", getattr(gates, act)(stage.inventory, fleet, Signed("ann"), is_dry=False))


def test_a_hold_that_is_none_is_not_ended() -> None:
    """Who resumes what nobody holds is told so, and no host writes it down."""
    stage = Stage()
    assert gate(stage, "hold").summary == "prod is held by ann"
    assert gate(stage, "resume").summary == "prod was resumed by ann"
    again = gate(stage, "resume")
    assert (int(again.code), again.summary) == (0, "prod is not held")


def test_a_host_that_is_away_may_hold() -> None:
    """Then the others are told all the same."""
    stage = Stage()
    stage.hosts["h4"].is_cut = True
    assert "prod was resumed by ann" in gate(stage, "resume").summary
