"""The judge's numbers: recorded journals are judged as they were when the numbers were recorded."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.core.judge.recorded import AFTER, CASES, NUMBERS, judged, replayed, watched

if TYPE_CHECKING:
    from pathlib import Path

    from tests.core.judge.recorded import Case

pytestmark = pytest.mark.simulation
ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@cache
def recorded() -> dict[str, dict[str, Any]]:
    """Read the numbers by way of judging and case."""
    found: dict[str, dict[str, Any]] = json.loads(NUMBERS.read_text())
    return found


def compare(found: Any, kept: Any) -> None:
    """Compare two nested lists: words and lengths exactly, numbers to a millionth."""
    assert isinstance(found, list) == isinstance(kept, list)
    if not isinstance(kept, list):
        assert found == (pytest.approx(kept, rel=1e-6) if isinstance(kept, float) else kept)
        return
    assert len(found) == len(kept), (found, kept)
    for one, other in zip(found, kept, strict=True):
        compare(one, other)


@ALL
def test_a_replay_prints_the_recorded_numbers(case: Case, tmp_path: Path) -> None:
    """Exit code, and of each row the minute, the outcome and the numbers in its reasons."""
    kept = recorded()["replayed"][case.name]
    found = replayed(case, tmp_path)
    assert found["code"] == kept["code"]
    compare(found["rows"], kept["rows"])


@ALL
def test_evidence_is_worth_what_was_recorded(case: Case, tmp_path: Path) -> None:
    """Each kind of evidence, what condemns, and what is excluded, to a millionth."""
    compare(judged(case, tmp_path), recorded()["judged"][case.name])


@ALL
def test_what_was_kept_is_worth_what_was_recorded(case: Case, tmp_path: Path) -> None:
    """The same by each host's evidence, in the form that stands on hosts."""
    compare(judged(case, tmp_path, is_kept=True), recorded()["kept"][case.name])


@pytest.mark.parametrize("case", AFTER, ids=lambda case: case.name)
def test_a_watch_after_a_pass_ends_as_recorded(case: Case, tmp_path: Path) -> None:
    """The minute in which the pass is revoked and the numbers of why; or that it stays."""
    compare(watched(case, tmp_path), recorded()["after"][case.name])


def test_nothing_is_recorded_that_is_not_compared() -> None:
    """And each case is: a pass, a fail and an inconclusive one are among the outcomes."""
    names = [case.name for case in CASES]
    assert list(recorded()) == ["replayed", "judged", "kept", "after"]
    assert [list(cases) for cases in recorded().values()] == [
        *[names] * 3,
        [case.name for case in AFTER],
    ]
    last = {cases["rows"][-1][1] for cases in recorded()["replayed"].values()}
    assert last == {"pass", "fail", "inconclusive"}
