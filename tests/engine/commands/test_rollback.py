"""Rollback on hosts in memory: each host goes back as soon as it can."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.fleet.fleet import Fleet, StillAtWork
from botdeploy.engine.fleet.lock import PATIENCE_S
from botdeploy.errors import ActFailed, ExitCode, Todo, UserError
from tests.engine.commands.test_canary import release, tick
from tests.engine.fakefleet import ControllerDied, Stage, inventory_of

if TYPE_CHECKING:
    from botdeploy.hosts.ssh.connector import Connector
    from tests.engine.fakehost import FakeHost


@pytest.mark.parametrize("name", ["h1", "h3"])
def test_a_host_that_hangs_keeps_no_other_waiting(name: str) -> None:
    """Its sshd answers and its shell does not: the others are back at once, it is told later."""
    stage = Stage()
    release(stage)
    release(stage)
    assert stage.running() == ["R0002"] * 4
    stage.controller()
    stage.fleet.hangs[name] = stage.clock.mono + 60
    begun, back = stage.clock.mono, {}

    def note(host: FakeHost, change: tuple[str, ...]) -> None:
        if change[0] == "revert":
            back[host.name] = stage.clock.mono - begun

    for host in stage.hosts.values():
        host.on_change = note
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 4)
    assert max(at for one, at in back.items() if one != name) < PATIENCE_S + 5
    assert back[name] >= 60
    assert all(one.lock is None for one in stage.hosts.values())
    assert {one.rollout["outcome"] for one in stage.hosts.values()} == {"failed"}
    stage.clock.advance(300)
    assert tick(stage).summary == ""


def test_a_host_that_hangs_for_good_is_told_with_what_is_left_to_do() -> None:
    """The others are back; its own error stands in the summary, with exit 6."""
    stage = Stage()
    release(stage)
    release(stage)
    stage.controller()
    stage.fleet.hangs["h2"] = stage.clock.mono + 60
    stage.clock.at(30, stage.hosts["h2"].die)
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert ended.code is ExitCode.UNREACHABLE
    assert [host.current for host in stage.hosts.values()] == ["R0001", "R0002", "R0001", "R0001"]
    assert "h2" in ended.summary


def test_the_real_fleet_does_not_wait_beyond_its_patience() -> None:
    """Who has not answered by then goes on, and tells how it went when it is asked."""
    stage = Stage(2)
    fleet = Fleet(
        inventory_of(("w1", "w2"), stage.inventory.policy), cast("Connector", _NoConnector())
    )
    released = threading.Event()

    def work(name: str) -> str:
        if name == "w2":
            released.wait(20)
        return name

    begun = time.monotonic()
    try:
        results = fleet.each(("w1", "w2"), work, patience_s=0.1)
        assert time.monotonic() - begun < 10
        assert results["w1"] == "w1"
        late = results["w2"]
        assert isinstance(late, StillAtWork)
        released.set()
        assert late.answer.result(20) == "w2"
    finally:
        released.set()
        fleet.close()


class _NoConnector:
    """Connects to nobody."""

    def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("is_everywhere", [True, False])
def test_a_bot_in_its_other_form_is_a_fault_of_the_inventory(
    monkeypatch: pytest.MonkeyPatch, *, is_everywhere: bool
) -> None:
    """Exit 2, nothing is changed; where only one host has it, the others go back all the same."""
    stage = Stage()
    release(stage)
    release(stage)

    def refuse(*_: object) -> None:
        raise ActFailed("h2", "enter", "bot@1.service has taken its place", code="form")

    for name in stage.hosts if is_everywhere else ("h2",):
        monkeypatch.setattr(stage.hosts[name], "enter", refuse)
    stage.controller()
    if is_everywhere:
        with pytest.raises(UserError, match=r"has taken its place.*Nothing was changed"):
            rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
        assert stage.running() == ["R0002"] * 4
        return
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert ended.code is ExitCode.UNREACHABLE
    assert "bot@1.service has taken its place" in ended.summary
    assert stage.running() == ["R0001", "R0002", "R0001", "R0001"]


def _heard(host: FakeHost) -> list[tuple[str, ...]]:
    """Let a host write down what it is told when it is to go back: run, target, why, digest …."""
    heard: list[tuple[str, ...]] = []
    revert = host.revert

    def hear(token: str, *words: str) -> Any:
        heard.append(words)
        return revert(token, *words)

    host.revert = hear  # type: ignore[method-assign,assignment]
    return heard


@pytest.mark.parametrize(("to", "told"), [(None, "-"), ("R0001", "R0001")])
def test_a_host_is_told_a_release_only_where_a_person_names_it(to: str | None, told: str) -> None:
    """Instances that go back together have each a release of their own to go back to."""
    stage = Stage()
    release(stage)
    release(stage)
    heard = [_heard(host) for host in stage.hosts.values()]
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies(), to=to)
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 4)
    assert [words[1] for (words,) in heard] == [told] * 4


@pytest.mark.parametrize(
    "answer",
    [
        {"reverted": {"old": "", "runs": True}},
        {"reverted": {"old": "R0003", "runs": True}},
        {"unchanged": {"release": "R0003"}},
    ],
)
def test_a_host_that_went_elsewhere_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]
) -> None:
    """It says that it is back, and runs something else: exit 7, with what and where."""
    stage = Stage()
    release(stage)
    release(stage)
    monkeypatch.setattr(stage.hosts["h2"], "revert", lambda *_: answer)
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert ended.code is ExitCode.NEEDS_PERSON
    runs = "R0003" if "R0003" in str(answer) else "nothing"
    assert f"h2 runs {runs}, and was to go back to R0001" in ended.summary
    assert "h1 runs R0001" in ended.summary
    assert [hint.todo for hint in ended.hints] == [Todo.STATUS]


def test_a_host_whose_answer_is_cut_off_goes_back_once() -> None:
    """With --keep nothing tells it which release is bad: it knows the name of its own switch."""
    stage = Stage()
    release(stage)
    release(stage)

    def die(_host: FakeHost, change: tuple[str, ...]) -> None:
        if change[0] == "switch":
            raise ControllerDied

    stage.hosts["h1"].on_change = die
    with pytest.raises(ControllerDied):
        release(stage)
    assert stage.hosts["h1"].state().is_switching
    stage.controller()
    stage.fleet.faults["h1", "revert"].append("unheard")
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies(), keep=True)
    assert ended.code is ExitCode.DONE
    assert stage.fleet.calls.count(("h1", "revert")) == 2
    assert stage.running() == ["R0002"] * 4
