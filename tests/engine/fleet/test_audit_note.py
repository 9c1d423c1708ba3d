"""A note in the history costs nothing where it can't be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.engine.fleet.audit_note import MOST_ASKED, note
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from tests.engine.fakehost import FakeHost


def noted(host: FakeHost) -> list[tuple[str, str]]:
    return [(change[1], change[2]) for change in host.did if change[0] == "note"]


def test_one_host_writes_it_down() -> None:
    """The history is all hosts' together: the first that can be asked has it, and no other."""
    stage = Stage(4)
    stage.hosts["h1"].is_cut = True
    assert note(stage.fleet, list(stage.hosts), "ann@laptop", "no notice") == "h2"  # type: ignore[arg-type]
    told = {name: noted(host) for name, host in stage.hosts.items()}
    assert told == {"h1": [], "h2": [("ann@laptop", "no notice")], "h3": [], "h4": []}


def test_a_host_that_fails_leaves_it_to_the_next() -> None:
    """A host that goes away while it is asked is passed over."""
    stage = Stage(2)
    stage.fleet.faults["h1", "note"].append(stage.hosts["h1"].die)
    assert note(stage.fleet, list(stage.hosts), "ann", "no notice") == "h2"  # type: ignore[arg-type]


def test_where_no_host_takes_it_nothing_fails() -> None:
    """Neither without any connection nor where every host that is asked fails; a few are asked."""
    stage = Stage(MOST_ASKED + 1)
    names = list(stage.hosts)
    for name in names[:MOST_ASKED]:
        stage.fleet.faults[name, "note"].append(stage.hosts[name].die)
    assert note(stage.fleet, names, "ann", "no notice") is None  # type: ignore[arg-type]
    assert noted(stage.hosts[names[-1]]) == []
    for host in stage.hosts.values():
        host.is_cut = True
    assert note(stage.fleet, names, "ann", "no notice") is None  # type: ignore[arg-type]
