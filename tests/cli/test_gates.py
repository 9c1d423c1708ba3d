"""What a person is told who holds, or ends a hold."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botdeploy.cli import gates
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended


def gate(stage: Stage, act: str) -> Ended:
    """Hold or resume, as ``botdeploy hold`` and ``resume`` do."""
    told: list[Ended] = []
    context = SimpleNamespace(
        load=lambda _environment: stage.inventory,
        fleet=lambda _inventory: nullcontext(stage.controller()),
        environ={},
        say=lambda *_text: None,
        ended=told.append,
    )
    getattr(gates, act)(cast("Any", context), "prod", "", dry_run=False)
    return told[-1]


def test_a_hold_that_is_none_is_not_ended() -> None:
    """Who resumes what nobody holds is told so, and no host writes it down."""
    stage = Stage()
    assert "prod held by" in gate(stage, "hold").summary
    assert "prod resumed by" in gate(stage, "resume").summary
    again = gate(stage, "resume")
    assert (int(again.code), again.summary) == (0, "nobody holds prod")


def test_a_host_that_is_away_may_hold() -> None:
    """Then the others are told all the same."""
    stage = Stage()
    stage.hosts["h4"].is_cut = True
    assert "prod resumed by" in gate(stage, "resume").summary
