"""The reasons of a failing verdict convince."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from botdeploy.core.judge.count_table import WEIGHED, WORK
from botdeploy.core.judge.evidence_text import EvidenceText
from botdeploy.core.judge.fleet_tally import FleetTally
from botdeploy.core.judge.host_tally import MINUTE_US


def against(
    parts: dict[str, float], errors: tuple[float, float], slow: tuple[float, float]
) -> tuple[str, ...]:
    """Word evidence with an interval of the errors' ratio, and (log-ratio, error) of work."""
    comparison = SimpleNamespace(
        parts=lambda: {kind: (1.0, value) for kind, value in parts.items()},
        weighed=SimpleNamespace(interval=lambda: errors),
        slow=SimpleNamespace(middle=slow),
        traffic=None,
        errors=12,
        errors_expected=5.0,
        minutes=9,
    )
    fleet = FleetTally(["w1"], [], {"w1": 0}, MINUTE_US)
    return EvidenceText(fleet, cast("Any", comparison)).against()


def test_a_reason_states_the_interval_of_its_ratio() -> None:
    """Where it lies above 1."""
    said = " ".join(against({WEIGHED: 20.0, WORK: 19.0}, (1.5, 4.0), (0.5, 0.1)))
    assert "ratio of rates 1.5 to 4" in said
    assert "95 % interval 1.36 to 2.01" in said


@pytest.mark.parametrize("first", [WEIGHED, WORK])
def test_no_reason_of_a_fail_states_an_interval_that_includes_1(first: str) -> None:
    """Of two such reasons the weightier is told without it, the other not at all."""
    parts = {WEIGHED: 20.0, WORK: 20.0} | {first: 30.0}
    said = " ".join(against(parts, (0.8, 4.0), (0.1, 0.1)))
    assert "interval" not in said
    assert "ratio of rates" not in said
    assert ("12 errors in 9 minutes, where 5 were expected" in said) == (first == WEIGHED)
    assert ("work takes 1.11 times as long" in said) == (first == WORK)
