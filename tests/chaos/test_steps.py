"""Every step of an act meets every fault, on real hosts; the promises hold each time.

BOTDEPLOY_CHAOS_LAB=NAME uses a lab that runs already (with disks); BOTDEPLOY_CHAOS_HOSTS=N asks for
another number of hosts than four. BOTDEPLOY_CHAOS_EVERY=N lets each fault meet every Nth step only,
beginning at another one each (1: all). The page docs/reliability.md is written from all rows;
BOTDEPLOY_CHAOS_ROWS=FILE also gets each of them as JSON as soon as it is there.
"""

from __future__ import annotations

import json
import os
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos import report
from tests.chaos.forms import PLAIN
from tests.chaos.lives import FAULTS, LEASE_S, LIVES, Life, Row, live_through, steps_of
from tests.chaos.stand import Stand
from tests.lab import lab as labs
from tests.lab.registry import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.forms import Form

pytestmark = [pytest.mark.chaos, pytest.mark.lab]

ENOUGH_FOR_A_PAGE = 150
EVERY = int(os.environ.get("BOTDEPLOY_CHAOS_EVERY", "2"))


@pytest.fixture(scope="module")
def stands() -> Iterator[list[Stand]]:
    """Give hosts with disks, prepared, with the stops in place."""
    yield from stands_up(int(os.environ.get("BOTDEPLOY_CHAOS_HOSTS", "4")), PLAIN)


def stands_up(count: int, form: Form) -> Iterator[list[Stand]]:
    """Start a lab of so many hosts with the bot in one of its forms, and take it down again."""
    name = os.environ.get("BOTDEPLOY_CHAOS_LAB")
    lab = (
        labs.attach(name)
        if name
        else labs.up(
            count,
            name=f"chaos-{form.instance or 'plain'}-{os.getpid()}",
            disk_mb=384,
            owner=Owner.me(),
        )
    )
    try:
        made = [Stand(host, form) for host in lab]
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(lambda stand: stand.prepare(), made))
        yield made
    finally:
        if not name:
            labs.down(lab.name)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """Collect what every test found, and write the page when it is enough for one."""
    found: list[Row] = []
    yield found
    # A worker of several has only some of the rows.
    is_whole = "PYTEST_XDIST_WORKER" not in os.environ
    if is_whole and len([row for row in found if row.is_reached]) >= ENOUGH_FOR_A_PAGE:
        report.put_steps(report.PAGE, report.write(found, LEASE_S, EVERY))


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_promises_hold_whatever_breaks_at_any_step(
    life: Life, stands: list[Stand], rows: list[Row]
) -> None:
    """After any fault before any step the host is safe by itself, and the next run goes well."""
    found = live_through_all(life, stands, life.faults or tuple(FAULTS))
    rows += found
    assert any(row.is_reached for row in found)
    assert [f"{row.fault} before {row.step}: {row.wrong}" for row in found if row.wrong] == []


def live_through_all(life: Life, stands: list[Stand], faults: Sequence[str]) -> list[Row]:
    """Let every Nth step of a life meet each fault, on all hosts at a time."""
    work: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    steps = steps_of(stands[0], life)
    for number, fault in enumerate(faults):
        for step in steps[number % EVERY :: EVERY]:
            work.put((step, fault))
    with ThreadPoolExecutor(len(stands)) as pool:
        return [
            row for part in pool.map(lambda one: _work(one, life, work), stands) for row in part
        ]


def _work(stand: Stand, life: Life, work: queue.SimpleQueue[tuple[str, str]]) -> list[Row]:
    """Live through one combination after the other, until none is left."""
    found: list[Row] = []
    while True:
        try:
            step, fault = work.get_nowait()
        except queue.Empty:
            return found
        try:
            row = live_through(stand, life, step, fault)
        except Exception as error:  # noqa: BLE001 (one host's trouble must not end the others')
            row = Row(life.name, step, fault, wrong=[f"{type(error).__name__}: {error}"[:500]])
        found.append(row)
        if keep := os.environ.get("BOTDEPLOY_CHAOS_ROWS"):
            with Path(keep).open("a", encoding="utf-8") as rows:
                rows.write(json.dumps(asdict(row)) + "\n")
        told = row.wrong or ("" if row.is_reached else "not reached")
        line = f"{row.safe_s:5.1f} s  {fault}  before  {step[:120]}  {row.between}  {told}"
        print(line, flush=True)  # noqa: T201
        if row.wrong:
            stand.prepare()
