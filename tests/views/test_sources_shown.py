"""The sources of a release, where hosts have several: in plan, status and report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdeploy.core.host.host_state import HostState, StagedRelease
from botdeploy.engine.fleet.release_sources import release_sources
from botdeploy.views import plan as plan_view
from botdeploy.views.status_record import what_comes
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KINDS = [
    {"source": "folder dist/amd64", "commit": None, "tree": "a" * 64, "hosts": ["h1", "h3"]},
    {"source": "folder dist/arm64", "commit": None, "tree": "b" * 64, "hosts": ["h2"]},
]


def head(sources: list[dict[str, Any]]) -> list[str]:
    """Give the first lines of a plan of these."""
    record: dict[str, Any] = {
        "bot": "tbot",
        "release": "R1",
        "source": " and ".join(one["source"] for one in sources),
        "sources": sources,
        "quarantined": None,
        "other_environment": {},
        "rings": [],
        "hosts": [],
        "power": {"rings": {}, "traffic": None},
    }
    return [text for text, _ in plan_view.head(record)]


def test_a_plan_names_the_source_of_each_kind() -> None:
    """With its hosts and its tree; where there is one kind, as ever."""
    assert head(KINDS) == [
        "tbot → R1 (2 kinds of hosts)",
        "  h1, h3: folder dist/amd64 (tree aaaaaaaa)",
        "  h2: folder dist/arm64 (tree bbbbbbbb)",
    ]
    assert head(KINDS[:1]) == ["tbot → R1 (folder dist/amd64)"]


def test_status_names_the_source_of_each_kind() -> None:
    """Below what comes."""
    rollout = {"why": None, "unproven": [], "sources": KINDS, "next": None}
    assert list(what_comes(rollout)) == [
        "  from folder dist/amd64: h1, h3",
        "  from folder dist/arm64: h2",
    ]


class _Hosts:
    """Hosts that say where their files came from; h4 says nothing."""

    def __init__(self, inventory: object) -> None:
        self.inventory = inventory
        self.asked: list[str] = []

    def each(self, names: Iterable[str], work: Callable[[str], object]) -> dict[str, object]:
        """Do it on each."""
        return {name: work(name) for name in names}

    def acts(self, name: str) -> Any:
        """Give a host that can be asked."""
        self.asked.append(name)
        told = {"h1": "A", "h2": "B", "h3": "A"}.get(name, "")
        shown = type("Shown", (), {"source": told})
        show = staticmethod(lambda _release: shown)
        return type("Acts", (), {"release": type("Release", (), {"show": show})})


def test_only_hosts_that_have_the_release_are_asked_and_one_is_enough_for_one_kind() -> None:
    """A thousand hosts that are alike cost one question."""
    alike = Stage(5).inventory
    has = HostState(releases=(StagedRelease("R1", "d" * 64),))
    states = dict.fromkeys(("h1", "h2", "h3", "h4"), has) | {"h5": HostState()}
    one: Any = _Hosts(alike)
    assert release_sources(one, states, "R1") == {"A": ("h1", "h2", "h3", "h4")}
    assert one.asked == ["h1"]
    first, *others = alike.hosts
    differ = (replace(first, bot=replace(first.bot, source="/other")), *others)
    several: Any = _Hosts(replace(alike, hosts=differ))
    assert release_sources(several, states, "R1") == {"A": ("h1", "h3"), "B": ("h2",)}
    assert several.asked == ["h1", "h2", "h3", "h4"]
