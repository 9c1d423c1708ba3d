"""Everything that events carry is documented, and everything documented is carried."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdeploy.cli.context import Context
from botdeploy.core.events import Event, Kind
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host
from botdeploy.core.model.policy import Gate, Policy, Ring, Share
from botdeploy.core.rollout.next_step import Reason
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.event_emitter import EventEmitter
from botdeploy.engine.outcome import Ended
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, HostError
from tests.engine.fakefleet import DEFAULT_RINGS, Stage
from tests.engine.fakehost import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

DOC = (Path(__file__).parents[2] / "docs/exit-codes.md").read_text(encoding="utf-8")
PLACE = {"host", "machine", "instance"}
COMMON = {"event", "at", "environment", "rollout", "release", "ring", *PLACE}


def _rows() -> Iterator[tuple[str, str]]:
    """List the documented events, each with the cell of its own fields."""
    table = DOC[DOC.index("| event | its own fields") :].split("\n\n")[0]
    for row in table.splitlines()[2:]:
        _, name, fields, *_ = row.split("|")
        yield name.strip().strip("`"), fields


def _names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^()]*\)", "", text)))


ALWAYS = {name: _names(fields.split(";")[0]) for name, fields in _rows()}
"""Fields that every such event has."""
SOMETIMES = {name: _names(fields.partition(";")[2]) for name, fields in _rows()}


def release(stage: Stage, kind: str = "good") -> Ended:
    """Let a person release."""
    stage.controller()
    return canary(stage.inventory, stage.build(kind), stage.dependencies(), Options())  # type: ignore[arg-type]


def gated() -> Stage:
    """Give hosts whose second ring waits for a person."""
    rings = (
        Ring("canary", Share(count=1), soak=timedelta(seconds=60)),
        Ring("fleet", "all", gate=Gate.APPROVE),
    )
    stage = Stage(policy=Policy(rings))
    release(stage)
    stage.controller()
    promote(stage.inventory, stage.dependencies(), Options())
    return stage


def told() -> list[Event]:
    """Give what is told of all that can happen."""
    good = Stage()
    release(good)
    release(good)
    rollback(good.inventory, [host.name for host in good.inventory.hosts], good.dependencies())
    bad = Stage()
    release(bad)
    release(bad, "bad")
    policy = Policy(DEFAULT_RINGS, max_unreachable=Share(count=1))
    alone = Stage(policy=policy)
    release(alone)
    alone.hosts["h4"].is_cut = True
    release(alone)
    return [*good.events, *bad.events, *alone.events, *gated().events]


def test_events_carry_what_is_documented_and_nothing_else() -> None:
    """Scripts rely on the whole of it, not on exit codes alone."""
    seen = set()
    for event in told():
        fields = set(event.as_record()) - COMMON
        name = event.kind.value
        assert fields <= ALWAYS[name] | SOMETIMES[name], name
        assert ALWAYS[name] <= fields, name
        seen.add(event.kind)
    assert seen == set(Kind) - {Kind.OUTCOME}


def test_an_event_that_names_a_host_names_its_machine_and_instance() -> None:
    """The instance is null in the plain form; an event of no host has none of the three."""
    host = Host("w1/2", Address("w1", "192.0.2.1"), Bot("b", "run", "/s"), (), "2")
    host = replace(host, machine="192.0.2.1:22")
    told: list[Event] = []
    emit = EventEmitter(told.append, FakeClock(), {"w1/2": host}.__getitem__, "prod")
    emit(Kind.HOST_FAILED, host="w1/2", error="it is away")
    emit(Kind.WAITING, why="a gate")
    about, no_host = (event.as_record() for event in told)
    assert {name: about[name] for name in PLACE} == host.place
    assert host.place == {"host": "w1/2", "machine": "192.0.2.1:22", "instance": "2"}
    assert not PLACE & set(no_host)


def test_a_rollout_names_its_machines_with_their_hosts() -> None:
    """A script that counts machines need not read the inventory."""
    stage = Stage()
    release(stage)
    (begun,) = (one for one in stage.events if one.kind is Kind.ROLLOUT_STARTED)
    assert begun.data["machines"] == {name: [name] for name in stage.hosts}


def test_every_event_is_documented() -> None:
    """The table has each kind, and no other."""
    assert set(ALWAYS) == {kind.value for kind in Kind}


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.ACT, Reason.SETTLE}))
def test_every_reason_to_wait_is_documented(reason: Reason) -> None:
    """A script may tell a missing approval from a hold."""
    (row,) = (row for row in DOC.splitlines() if row.startswith("| `waiting`"))
    assert f"`{reason.value}`" in row


def test_the_outcome_carries_what_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the last line of every command, also of one that failed."""
    context = Context(as_json=True, environment="prod")
    context.ended(Ended(ExitCode.DONE, "done"))
    context.failed(HostError("h1", "it is away"))
    for line in capsys.readouterr().out.splitlines():
        record = json.loads(line)
        assert record["event"] == "outcome"
        assert set(record) - COMMON == ALWAYS["outcome"]


def test_stages_without_a_gate_do_not_wait() -> None:
    """The example of a wait above is one for a person, and says so."""
    waits = [event for event in gated().events if event.kind is Kind.WAITING]
    assert {event.data["reason"] for event in waits} == {"gate"}
    assert {event.data["until"] for event in waits} == {None}
