"""What a run knows of its hosts is by its own clock, whoever switched them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from botdeploy.core.rollout.target import Target
from botdeploy.engine.fleet.lock import EnvironmentLock
from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
from tests.engine.fakefleet import Stage

TOKEN = "t" * 32
SECOND_US = 1_000_000


@pytest.mark.parametrize("hours", [-2, 0, 1])
def test_a_switch_is_by_our_clock_also_where_it_is_taken_over(hours: int) -> None:
    """A host's clock is wrong by hours, and another machine goes on with its rollout."""
    stage = Stage(1)
    host = stage.hosts["h1"]
    host.jump = timedelta(hours=hours)
    host.enter(TOKEN, 10**6, "rollout", "tbot", "ann", "test")
    meta = json.dumps({"digest": "d" * 64}).encode()
    host.stage(TOKEN, "R0001", "-", len(meta), 0, 0, "roll", "canary", stdin=meta)
    host.switch(TOKEN, "roll", "R0001", 10**6)
    switched_us = int(stage.clock.now().timestamp() * 1e6)
    by_host_us = int(host.wall().timestamp() * 1e6)
    stage.clock.advance(40)
    state = host.state()
    assert state.switch is not None
    state = replace(state, switch=replace(state.switch, armed_us=by_host_us))
    members = RolloutHosts(
        stage.inventory,
        Target("roll", "R0001", "d" * 64),
        EnvironmentLock(TOKEN, stage.fleet, states={"h1": state}),  # type: ignore[arg-type]
        stage.clock,
        lambda *_args, **_more: None,  # type: ignore[arg-type]
    )
    taken_over_us = members["h1"].switched_at_us
    assert abs(taken_over_us - switched_us) < 10 * SECOND_US
    assert members.by_host_clock("h1", taken_over_us) == by_host_us
