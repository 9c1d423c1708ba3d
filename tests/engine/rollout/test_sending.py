"""The files of a release reach a machine once, however many instances use them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.rollout.options import Options
from botdeploy.engine.rollout.staging import BuildFailed
from botdeploy.errors import ActFailed, ExitCode
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended
    from tests.engine.fakefleet import FakeBuild

FILES = len(b"files")


def tree(build: FakeBuild, source: str = "/src") -> str:
    """Name a build's tree on hosts with this source."""
    return f"{source}-{build.release.digest}"


@pytest.fixture
def stage() -> Stage:
    """Give a machine with three instances, one with two, and a plain host."""
    machines = {"m1": ("h1", "h2", "h3"), "m2": ("h4", "h5")}
    rings = (Ring("fleet", "all", batch=Share(percent=100.0)),)
    return Stage(6, Policy(rings, max_unreachable=Share(count=2)), machines=machines)


def rolled(stage: Stage, build: FakeBuild) -> Ended:
    """Let another controller roll a release out."""
    stage.controller()
    given: Any = build
    return canary(stage.inventory, given, stage.dependencies(), Options())


def arrived(stage: Stage) -> dict[str, list[str]]:
    """Give the trees whose files each host was sent."""
    return {name: host.arrived for name, host in stage.hosts.items() if host.arrived}


def staged(stage: Stage) -> dict[str, int]:
    """Give the bytes that each host was told to have been sent last."""
    return {
        str(one.host): int(one.data["bytes_sent"])
        for one in stage.events
        if one.kind is Kind.STAGED
    }


def test_a_tree_is_sent_once_a_machine(stage: Stage) -> None:
    """The first instance gets the files, the others what is theirs; the events say so."""
    build = stage.build()
    assert rolled(stage, build).code is ExitCode.DONE
    assert arrived(stage) == {"h1": [tree(build)], "h4": [tree(build)]}
    assert stage.running() == ["R0001"] * 6
    sent = staged(stage)
    assert sent["h1"] == sent["h2"] + FILES == sent["h3"] + FILES
    assert sent["h4"] == sent["h5"] + FILES
    assert sent["h6"] == sent["h1"]


def test_another_kind_on_the_same_machine_is_another_tree(stage: Stage) -> None:
    """Each is sent once."""
    hosts = list(stage.inventory.hosts)
    hosts[1] = replace(hosts[1], bot=replace(hosts[1].bot, source="/other"))
    hosts[2] = replace(hosts[2], bot=replace(hosts[2].bot, source="/other"))
    stage.inventory = replace(stage.inventory, hosts=tuple(hosts))
    build = stage.build()
    assert rolled(stage, build).code is ExitCode.DONE
    assert arrived(stage) == {
        "h1": [tree(build)],
        "h2": [tree(build, "/other")],
        "h4": [tree(build)],
    }


def test_a_tree_that_stands_is_not_sent_again(stage: Stage) -> None:
    """Another instance of the machine has it from before."""
    build = stage.build()
    for name in ("h1", "h2", "h3"):
        stage.hosts[name].trees.add(tree(build))
    assert rolled(stage, build).code is ExitCode.DONE
    assert arrived(stage) == {"h4": [tree(build)]}


def test_a_tree_that_went_meanwhile_is_sent_whole(stage: Stage) -> None:
    """What the machine said when it was locked is not believed for ever."""
    build = stage.build()
    for name in ("h1", "h2", "h3"):
        stage.hosts[name].trees.add(tree(build))

    def prune() -> None:
        for name in ("h1", "h2", "h3"):
            stage.hosts[name].trees.clear()

    stage.controller()
    stage.fleet.faults["h1", "stage"].append(prune)
    given: Any = build
    ended = canary(stage.inventory, given, stage.dependencies(), Options())
    assert ended.code is ExitCode.DONE, ended
    assert arrived(stage) == {"h1": [tree(build)], "h4": [tree(build)]}
    sent = staged(stage)
    assert sent["h1"] > sent["h2"] + FILES  # both ways were tried


def test_a_machine_that_can_not_be_reached_is_tried_for_one_instance(stage: Stage) -> None:
    """What the others would be told is the same, and each try costs its time."""
    build = stage.build()
    stage.controller()
    stage.fleet.faults["h1", "stage"].append(stage.hosts["h1"].die)
    given: Any = build
    ended = canary(stage.inventory, given, stage.dependencies(), Options())
    assert ended.code is ExitCode.DONE, ended
    assert "behind: h1, h2, h3" in ended.summary
    tried = {name for name, act in stage.fleet.calls if act == "stage"}
    assert tried == {"h1", "h4", "h5", "h6"}
    stage.hosts["h1"].boot()
    stage.controller()
    options = Options(is_attended=False)
    assert promote(stage.inventory, stage.dependencies(), options).code is ExitCode.DONE
    assert stage.running() == ["R0001"] * 6
    assert arrived(stage) == {"h1": [tree(build)], "h4": [tree(build)]}


def test_a_build_that_fails_is_tried_once_a_machine(stage: Stage) -> None:
    """It would fail for its other instances as well, after as long a time."""
    tried = []
    for host in stage.hosts.values():

        def fail(*_words: object, name: str = host.name, **_sent: object) -> None:
            tried.append(name)
            raise ActFailed(name, "stage", "the build ended with 1", code="build")

        host.stage = fail  # type: ignore[assignment, method-assign]
    with pytest.raises(BuildFailed, match=r"^h1: stage: the build ended with 1\. Nothing was"):
        rolled(stage, stage.build())
    assert tried == ["h1", "h4", "h6"]


def test_a_new_instance_begins_with_what_its_neighbour_has(stage: Stage) -> None:
    """Of the next release the machine lacks the same files, whoever asks for it first."""
    assert rolled(stage, stage.build()).code is ExitCode.DONE
    new = stage.hosts["h1"]
    new.current, new.releases, new.rollout, new.is_stopped = "", {}, {}, True
    bases: list[str] = []
    real = new.stage

    def stage_(token: str, release: str, base: str, *more: Any, stdin: bytes) -> object:
        bases.append(base)
        return real(token, release, base, *more, stdin=stdin)

    new.stage = stage_  # type: ignore[assignment, method-assign]
    build = stage.build()
    assert rolled(stage, build).code is ExitCode.DONE
    old = stage.hosts["h2"].releases["R0001"].tree
    assert bases == [f"tree:{old}"]
