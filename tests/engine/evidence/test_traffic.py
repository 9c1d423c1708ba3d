"""What a plan sees of a bot that runs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.lines.line import LineRules
from botdeploy.engine.evidence.traffic import states_no_level, traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Reading:
    """A fleet of which only journals are read."""

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = rows

    def each(self, names: Iterable[str], act: Callable[[str], Any]) -> dict[str, Any]:
        return {name: act(name) for name in names}

    def acts(self, _name: str) -> Any:
        read = SimpleNamespace(rows=self.rows, is_cut=False)
        return SimpleNamespace(journal=SimpleNamespace(lines=lambda _most: read))

    def host(self, _name: str) -> Any:
        return SimpleNamespace(bot=SimpleNamespace(probe=None))


@pytest.mark.parametrize(
    ("form", "many", "states_levels"),
    [
        ("handled {}", 30, False),
        ("INFO handled {}", 30, True),
        ("handled {}", 5, True),
        ("Failed to fetch {}", 30, False),
        ("ERROR failed to fetch {}", 30, True),
    ],
)
def test_a_plan_knows_whether_lines_state_a_level(
    form: str, many: int, *, states_levels: bool
) -> None:
    """Of a few lines it may be an accident that none does."""
    now_us = 1_795_557_600_000_000
    state = SimpleNamespace(running="R0001", at_us=now_us)
    rows = [
        json.dumps(
            {
                "MESSAGE": form.format(number),
                "PRIORITY": "6",
                "_PID": "7",
                "__REALTIME_TIMESTAMP": str(now_us - (many - number) * 1_000_000),
            }
        ).encode()
        for number in range(many)
    ]
    fleet, states = Reading(rows), {"h1": state}
    seen = traffic(fleet, states, LineRules(), ["h1"])  # type: ignore[arg-type]
    assert seen is not None
    assert seen.record()["states_levels"] is states_levels
    acts: Any = fleet.acts("h1")
    assert states_no_level(acts, LineRules()) is not states_levels
