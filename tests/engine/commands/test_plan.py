"""A plan is asked of all hosts at once, and tells what would change there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.host.host_state import HostState, StagedRelease
from botdeploy.core.release.manifest import Manifest
from botdeploy.engine.commands.plan import plan
from botdeploy.errors import HostError, OutcomeUnknown
from botdeploy.views.plan import changes, head
from tests.engine.fakefleet import FakeBuild, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OLD = HostState(current="R0001", releases=(StagedRelease("R0001", "a" * 64),))


class Build(FakeBuild):
    """A release whose unit restarts the bot."""

    def under(self, release: str) -> Build:
        """Give it under another name."""
        return Build(release, self.release.digest)

    def unit(self, _host: object, _ring: object) -> str:
        """Give the unit."""
        return "a\nb\nRestart=always\n"

    def masked_environment(self, _host: object, _ring: object) -> str:
        """Give what is set."""
        return f"BOTDEPLOY_RELEASE={self.release.id}\n"


class Hosts:
    """Hosts that tell of a release once both are asked; h2 may lose its connection then."""

    def __init__(self, *, breaks: bool = False, count: int = 2) -> None:
        """Let all be asked."""
        self.both = threading.Barrier(count, timeout=5)
        self.breaks = breaks
        self.state = OLD
        self.shown = SimpleNamespace(unit="a\nb\n", environment="BOTDEPLOY_RELEASE=R0001\n")

    def each(
        self,
        names: Iterable[str],
        work: Callable[[str], object],
        *,
        pump: object = None,
        patience_s: float | None = None,
    ) -> dict[str, object | HostError]:
        """Do it on all at once."""
        del pump
        assert patience_s is None, "a plan waits for every host"
        given = list(names)

        def attempt(name: str) -> object | HostError:
            try:
                return work(name)
            except HostError as error:
                return error

        with ThreadPoolExecutor() as pool:
            return dict(zip(given, pool.map(attempt, given), strict=True))

    def host(self, name: str) -> Any:
        """Give a host of the plain form."""
        return SimpleNamespace(on_machine=name, instance=None)

    def acts(self, name: str) -> Any:
        """Give a host's acts."""

        def manifest(_release: str) -> Manifest:
            self.both.wait()
            if self.breaks and name == "h2":
                raise OutcomeUnknown(name, "the connection broke")
            return Manifest("", "", 0)

        return SimpleNamespace(
            state=SimpleNamespace(observe=lambda: self.state),
            release=SimpleNamespace(manifest=manifest, show=lambda _release: self.shown),
        )


def planned(hosts: Hosts) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Plan a release; gives the warnings and what it says of each host."""
    stage = Stage(2)
    build: Any = Build("R0002", "b" * 64)
    fleet: Any = hosts
    found = plan(stage.inventory, fleet, build, None, stage.clock, is_forced=False)
    return found.warnings, found.record()["hosts"]


def test_hosts_are_asked_at_the_same_time() -> None:
    """Each diff is a person's change: the release's own id is none."""
    warnings, hosts = planned(Hosts())
    assert warnings == ()
    assert [one["host"] for one in hosts] == ["h1", "h2"]
    for one in hosts:
        assert (one["machine"], one["instance"]) == (one["host"], None)
        assert one["unit_diff"][1:] == [" b", "+Restart=always"]
        assert one["environment_diff"] == []


@pytest.mark.parametrize(
    ("environment", "secrets", "told"),
    [
        ("LEVEL=info\nTOKEN='********'\n", {"TOKEN": "env:TOKEN"}, "; values of secrets changed"),
        ("LEVEL=info\n", {}, ""),
        ("LEVEL=debug\nMORE=1\n", {"TOKEN": "env:T"}, "; values changed: env LEVEL, MORE, TOKEN"),
    ],
)
def test_other_values_of_what_runs_are_told_by_their_names(
    environment: str, secrets: dict[str, str], told: str
) -> None:
    """Where a variable has another value, it is not known of secrets; where none has, it is."""

    class Valued(Build):
        def under(self, release: str) -> Valued:
            return Valued(release, self.release.digest, self.release.recipe)

        def unit(self, _host: object, _ring: object) -> str:
            return "a\nb\n"

        def masked_environment(self, _host: object, _ring: object) -> str:
            return f"BOTDEPLOY_RELEASE={self.release.id}\n{environment}"

    stage, recipe = Stage(2), "c" * 64
    bot = replace(stage.inventory.hosts[0].bot, secrets=secrets)
    of = tuple(replace(host, bot=bot) for host in stage.inventory.hosts)
    fleet: Any = Hosts()
    was = "BOTDEPLOY_RELEASE=R0001\nLEVEL=info\n" + ("TOKEN='********'\n" if secrets else "")
    fleet.shown = SimpleNamespace(unit="a\nb\n", environment=was)
    fleet.state = replace(OLD, releases=(StagedRelease("R0001", "a" * 64, recipe=recipe),))
    build: Any = Valued("R0002", "b" * 64, recipe)
    inventory = replace(stage.inventory, hosts=of)
    record = plan(inventory, fleet, build, None, stage.clock, is_forced=False).record()
    assert record["release"] == "R0001+2"
    assert f"  the files of R0001{told}" in [text for text, _ in head(record)]


def test_a_host_that_does_not_tell_what_it_has_is_planned_as_if_it_had_nothing() -> None:
    """And it is said why."""
    warnings, (first, second) = planned(Hosts(breaks=True))
    assert warnings == ("h2: the connection broke",)
    assert second["unit_diff"][1:] == ["+a", "+b", "+Restart=always"]
    assert (first["error"], second["error"]) == (None, None)


def test_a_tree_is_sent_once_to_a_machine() -> None:
    """The second instance there gets what is its own alone; a host of its own gets everything."""
    stage = Stage(3, machines={"m1": ("h1", "h2")})
    fleet: Any = Hosts(count=3)
    build: Any = Build("R0002", "b" * 64)
    found = plan(stage.inventory, fleet, build, None, stage.clock, is_forced=False)
    rings = {ring.name: ring for ring in stage.inventory.policy.rings}
    files = {}
    for one in found.record()["hosts"]:
        own = len(build.meta(stage.inventory.host(one["host"]), rings[one["ring"]]))
        files[one["host"]] = one["bytes"] - own
    assert files == {"h1": len(b"files"), "h2": 0, "h3": len(b"files")}


def test_a_diff_that_differs_in_the_instance_alone_is_shown_once() -> None:
    """Of its unit and its folder; a value of its own is shown."""

    def host(name: str, line: str) -> dict[str, Any]:
        return {"host": name, "instance": name, "unit_diff": [line]}

    alike = [host(one, f"+x=/opt/b/instances/{one}/current b@{one}") for one in ("dev", "main")]
    record = {"hosts": [*alike, host("de", "+x=/opt/b/instances/dev/current b@dev")]}
    assert [text for text, _ in changes(record)][::2] == ["unit on dev:", "unit on de:"]
