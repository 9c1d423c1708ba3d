"""What ``status`` says of a rollout that is under way: what waits, until when, and what to type."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.host.host_state import HostState, StandingInstance
from botdeploy.core.model.policy import Gate, Policy, Ring, Share
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.commands.status import status
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode
from botdeploy.views.status_record import record as record_of
from botdeploy.views.status_record import releases, what_comes
from tests.core.rollout.test_unnamed import COUNTED
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended

RINGS = (
    Ring("canary", Share(count=1), soak=timedelta(hours=2)),
    Ring("fleet", "all", gate=Gate.APPROVE),
)


def release(stage: Stage) -> Ended:
    """Let a person release."""
    stage.controller()
    return canary(stage.inventory, stage.build(), stage.dependencies(), Options())  # type: ignore[arg-type]


def tick(stage: Stage) -> Ended:
    """Let cron take a step."""
    stage.controller()
    return promote(stage.inventory, stage.dependencies("cron@box"), Options())


def told(stage: Stage) -> dict[str, Any]:
    """Give the rollout as ``status --json`` has it."""
    names = tuple(host.name for host in stage.inventory.hosts)
    fleet = stage.controller()
    states, away = observe(fleet, names)  # type: ignore[arg-type]
    now = stage.dependencies().clock.now()
    found = record_of(status(stage.inventory, names, states, away, now))["rollout"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def stage() -> Stage:
    """Give a rollout whose first ring soaks for two hours."""
    made = Stage(policy=Policy(RINGS))
    assert release(made).code is ExitCode.DONE
    return made


def test_a_soak_has_its_due_time_and_says_whose_verdict_is_missing(stage: Stage) -> None:
    """The next command is cron's."""
    found = told(stage)
    assert (found["state"], found["reason"], found["ring"]) == ("soaking", "soak", "canary")
    assert found["until"] is not None
    assert found["unproven"] == ["h1"]
    assert found["next"] == "botdeploy promote prod"
    assert list(what_comes(found))[-1] == "botdeploy promote prod"


def test_a_gate_names_the_ring_and_the_command(stage: Stage) -> None:
    """Nothing is due by itself."""
    stage.clock.mono += 7300
    tick(stage)
    found = told(stage)
    assert (found["state"], found["reason"], found["until"]) == ("waiting", "gate", None)
    assert "fleet" in found["why"]
    assert found["unproven"] == []
    assert found["next"] == "botdeploy approve prod"


def test_a_soak_that_is_over_is_due_now(stage: Stage) -> None:
    """Whose verdict is missing is told; the next step knows what proof it lacks."""
    stage.clock.mono += 7300
    found = told(stage)
    assert found["reason"] == "verdict"
    assert "the next promote judges it" in found["why"]
    assert found["unproven"] == ["h1"]
    assert found["next"] == "botdeploy promote prod"


def test_an_interrupted_run_says_how_it_goes_on(stage: Stage) -> None:
    """A host that was not switched yet is named with what comes next."""
    stage.clock.mono += 7300
    tick(stage)
    names = [host.name for host in stage.inventory.hosts]
    for name in names:
        stage.hosts[name].gate("approve", "ann", "", "R0001", "fleet")
    found = told(stage)
    assert (found["state"], found["reason"]) == ("under way", None)
    assert found["why"].startswith("switch h2")
    assert found["next"] == "botdeploy promote prod"


def test_a_rollout_that_is_over_waits_for_nothing(stage: Stage) -> None:
    """There is no next command."""
    stage.clock.mono += 7300
    tick(stage)
    for host in stage.hosts.values():
        host.gate("approve", "ann", "", "R0001", "fleet")
    tick(stage)
    found = told(stage)
    assert found["state"] == "done"
    assert (found["reason"], found["until"], found["next"]) == (None, None, None)
    assert list(what_comes(found)) == []


def test_the_last_rollout_is_told_by_its_name_and_not_by_a_hosts_clock(stage: Stage) -> None:
    """A host whose clock is a year ahead took part in an older one, and was away since."""
    stage.clock.mono += 7300
    tick(stage)
    for host in stage.hosts.values():
        host.gate("approve", "ann", "", "R0001", "fleet")
    tick(stage)
    names = tuple(host.name for host in stage.inventory.hosts)
    states, away = observe(stage.controller(), names)  # type: ignore[arg-type]
    last = states["h2"].rollout
    assert last is not None
    older = replace(last, id="20200101T000000Z-0000", since="2099-01-01T00:00:00Z", release="R0000")
    now = stage.dependencies().clock.now()
    for who in ("h1", "h3"):
        seen = {**states, who: replace(states[who], rollout=replace(older, outcome="passed"))}
        record = record_of(status(stage.inventory, names, seen, away, now))
        assert record["rollout"]["id"] == last.id


def test_status_has_the_documented_keys_and_no_others(stage: Stage) -> None:
    """Of the whole, of its rollout and of each host; a host that is away has them too."""
    doc = (Path(__file__).parents[2] / "docs/exit-codes.md").read_text(encoding="utf-8")
    example = json.loads(doc[doc.index('{"environment": "prod"') :].split("```")[0])
    stage.hosts["h3"].is_cut = True
    names = tuple(host.name for host in stage.inventory.hosts)
    states, away = observe(stage.controller(), names)  # type: ignore[arg-type]
    now = stage.dependencies().clock.now()
    record = record_of(status(stage.inventory, names, states, away, now))
    assert set(record) == set(example)
    assert set(record["rollout"]) == set(example["rollout"])
    assert [set(host) for host in record["hosts"]] == [set(example["hosts"][0])] * 4


def test_a_limit_has_nobody_retire_whose_place_is_still_to_be_taken(stage: Stage) -> None:
    """The machine's first host takes it, which may not be among those that are shown."""
    plain, second = StandingInstance("", "prod", "R1"), StandingInstance("2", "prod", "R1")
    state = HostState(standing=(plain, second))
    states = {"w1/1": state, "w1/2": replace(state, current="R1")}
    now = stage.dependencies().clock.now()
    record = record_of(status(COUNTED, ("w1/2",), states, {}, now))
    assert record["not_in_inventory"] == []
    assert [one["host"] for one in record["changes_of_form"]] == ["w1/1"]


def test_whatever_is_about_a_host_says_which_machine_and_instance() -> None:
    """Status and releases; a host that is away has them too, and in the plain form one is null."""
    stage = Stage(policy=Policy(RINGS), machines={"m1": ("h1", "h2")})
    stage.hosts["h3"].is_cut = True
    inventory, fleet = stage.inventory, stage.controller()
    names = tuple(host.name for host in inventory.hosts)
    states, away = observe(fleet, names)  # type: ignore[arg-type]
    now = stage.dependencies().clock.now()
    for records in (
        record_of(status(inventory, names, states, away, now))["hosts"],
        releases(inventory, names, states, away)["hosts"],
    ):
        found = [(one["host"], one["machine"], one["instance"]) for one in records]
        assert found == [
            ("h1", "m1", "h1"),
            ("h2", "m1", "h2"),
            ("h3", "h3", None),
            ("h4", "h4", None),
        ]
