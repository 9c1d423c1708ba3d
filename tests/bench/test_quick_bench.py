"""A short form of ``python -m tests.bench.quick``: what `quick` promises, on some fleets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from botdeploy.core.verdict import Outcome
from tests.bench.quick import BAD, GOOD
from tests.bench.quick_scenarios import EVEN, ROUGH, World, runs
from tests.effort import examples

pytestmark = pytest.mark.simulation
CASES = dict((*GOOD, *BAD))


def shares(name: str, many: int, world: World = ROUGH) -> dict[Outcome, float]:
    """Give which share of the runs ended how."""
    found = Counter(
        ruled.outcome for _, ruled in runs(replace(CASES[name], world=world), name, many)
    )
    return {outcome: found[outcome] / many for outcome in Outcome}


@pytest.mark.parametrize("world", [ROUGH, EVEN], ids=["rough", "even"])
@pytest.mark.parametrize(
    "name",
    [
        "good, 4 hosts, 20 a minute",
        "good, single, 20 a minute",
        "good, start until 30 s, single",
        "good, soak 30 s, start until 10 s",
        "good, provider fails",
    ],
)
def test_good_releases_pass(name: str, world: World) -> None:
    """Hardly one is failed, and few are left to a person."""
    many = examples(100)
    ended = shares(name, many, world)
    assert ended[Outcome.FAIL] <= 0.03 + 1 / many
    assert ended[Outcome.INCONCLUSIVE] <= 0.12 + 1 / many


@pytest.mark.parametrize(
    "name",
    [
        "good, start until 30 s, unknown",
        "retried 3 times in 10 s, 4 hosts",
        "silent after 5 s, 20 a minute, 4 hosts",
        "silent after 5 s, 20 a minute, single",
        "a new trace once, single",
        "new each 20 s, seen, first deploy",
    ],
)
def test_what_is_in_doubt_does_not_pass(name: str) -> None:
    """Neither silence after the start nor any new error."""
    many = examples(60)
    assert shares(name, many)[Outcome.PASS] <= 1 / many


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("new each 20 s, twice, 4 hosts", 0.95),
        ("new each 20 s, twice, single", 0.80),
        ("new each 20 s, twice, first deploy", 0.55),
        ("silent after 5 s, 20 a minute, single", 0.60),
    ],
)
def test_bad_releases_fail(name: str, least: float) -> None:
    """As often as the page says, less what chance allows."""
    many = examples(60)
    assert shares(name, many)[Outcome.FAIL] >= least - 1.5 / many**0.5
