"""What a host says of instances: which one this is, on which machine, and what stands beside it."""

from __future__ import annotations

from typing import Any

from botdeploy.core.host.host_state import StandingInstance
from botdeploy.core.host.state_record import from_record

PLAIN: dict[str, Any] = {"current": "R1", "releases": [{"id": "R1", "digest": "ab"}]}
NAMED: dict[str, Any] = {
    "instance": "dev",
    "machine": "6b1f",
    "trees": ["cd", "ef"],
    "standing": [{"instance": "dev", "environment": "prod"}, {"instance": "", "environment": ""}],
    "releases": [{"id": "R1", "digest": "ab", "tree": "cd"}],
}


def test_an_instance_says_which_it_is_and_what_its_machine_has() -> None:
    """Trees need not be sent again; what an inventory no longer names still stands."""
    state = from_record(NAMED)
    assert (state.instance, state.machine, state.trees) == ("dev", "6b1f", ("cd", "ef"))
    assert state.standing == (StandingInstance("dev", "prod"), StandingInstance("", ""))
    assert [one.tree for one in state.releases] == ["cd"]


def test_the_plain_form_says_nothing_of_it() -> None:
    """A record of before there were instances is read as that of a bot alone on its machine."""
    state = from_record(PLAIN)
    assert (state.instance, state.trees, state.standing) == ("", (), ())
    assert [one.tree for one in state.releases] == [""]
