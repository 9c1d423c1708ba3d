"""Shards that change their numbers, on hosts in memory: one batch, one verdict, one way back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.host.running import unit_of
from botdeploy.core.model.policy import Gate, Policy, Ring, Share
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, NotAgreed, Todo, UserError
from botdeploy.hosts.acts.faults import NotRunning
from tests.engine.commands.test_canary import tick
from tests.engine.fakefleet import ControllerDied, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.engine.outcome import Ended
    from tests.engine.fakehost import FakeHost

RINGS = (
    Ring("canary", Share(count=1), soak=timedelta(seconds=60), settle=timedelta(seconds=10)),
    Ring("fleet", "all", settle=timedelta(seconds=10)),
)
MACHINES = {"m1": ("h1", "h2"), "m2": ("h3", "h4")}


def numbered(stage: Stage, count: int, first: int = 0) -> None:
    """Let the inventory give the first hosts numbers of so many, and name no others."""
    stage.inventory = replace(
        stage.inventory,
        hosts=tuple(
            replace(host, numbers=f"{(number + first) % count}/{count}", alike=None)
            for number, host in enumerate(stage.inventory.hosts)
        ),
    )
    stage.controller()


@pytest.fixture
def stage() -> Stage:
    """Give two machines with two shards each, that run, and are to be renumbered."""
    made = Stage(policy=Policy(RINGS), machines=MACHINES)
    numbered(made, 4)
    assert released(made).code is ExitCode.DONE
    numbered(made, 5, first=1)
    canary_ring, fleet = made.inventory.policy.rings
    rings = (canary_ring, replace(fleet, gate=Gate.APPROVE))
    made.inventory = replace(made.inventory, policy=replace(made.inventory.policy, rings=rings))
    made.controller()
    made.events.clear()
    return made


def released(
    stage: Stage, kind: str = "good", host: str = "*", *, is_agreed: bool = False, **options: Any
) -> Ended:
    """Let a person roll a new release out."""
    build: Any = stage.build(kind, host)
    return canary(
        stage.inventory, build, stage.dependencies(), Options(**options), is_agreed=is_agreed
    )


def test_without_a_yes_nothing_is_touched(stage: Stage) -> None:
    """Exit 5, and no host is changed."""
    before = {name: list(host.did) for name, host in stage.hosts.items()}
    with pytest.raises(NotAgreed) as caught:
        released(stage)
    assert {"host": "h1", "from": "0/4", "to": "1/5"} in caught.value.numbers
    assert {name: host.did for name, host in stage.hosts.items()} == before
    assert all(host.lock is None for host in stage.hosts.values())


def test_all_are_dead_before_the_first_one_starts(stage: Stage) -> None:
    """On each machine and on all; rings and gates do not count, and one verdict is about all."""
    order: list[tuple[str, str]] = []
    for host in stage.hosts.values():
        host.on_change = lambda its, change: order.append((change[0], its.name))
    assert released(stage, is_agreed=True).code is ExitCode.DONE
    acts = [what for what, _ in order if what in {"hold", "go", "switch"}]
    assert acts[:4] == ["hold"] * 4
    assert "hold" not in acts[4:]
    assert stage.running() == ["R0002"] * 4
    groups = {
        change[2] for host in stage.hosts.values() for change in host.did if change[0] == "go"
    }
    assert groups == {"h1 h2", "h3 h4"}
    verdicts = [event.ring for event in stage.events if event.kind is Kind.VERDICT]
    assert verdicts == ["renumbering"]
    (started,) = [event for event in stage.events if event.kind is Kind.ROLLOUT_STARTED]
    last = {"host": "h4", "from": "3/4", "to": "4/5", "ring": "fleet"}
    assert last in started.data["renumbers"]


def test_one_that_fails_takes_all_back(stage: Stage) -> None:
    """Whichever ``on_fail`` says."""
    ended = released(stage, "bad", "h3", is_agreed=True)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 4)


def test_one_that_does_not_stop_lets_none_start(stage: Stage) -> None:
    """Those that wait go back; a machine that is away is told, exit 6."""

    def cut(its: FakeHost, change: tuple[str, ...]) -> None:
        if change[0] == "hold" and its.name == "h1":
            stage.hosts["h3"].is_cut = stage.hosts["h4"].is_cut = True

    for host in stage.hosts.values():
        host.on_change = cut
    ended = released(stage, is_agreed=True)
    assert ended.code is ExitCode.UNREACHABLE
    assert stage.running() == ["R0001"] * 4
    assert all("go" not in [one[0] for one in host.did] for host in stage.hosts.values())


def test_promote_begins_none(stage: Stage) -> None:
    """One that nobody has begun waits for a person, exit 5; one that was begun goes on."""

    def die(_its: FakeHost, change: tuple[str, ...]) -> None:
        if change[0] == "hold":
            raise ControllerDied

    stage.hosts["h1"].on_change = die
    with pytest.raises(ControllerDied):
        released(stage, is_agreed=True)
    stage.hosts["h1"].on_change = lambda _host, _change: None
    stage.clock.advance(300)
    ended = tick(stage)
    assert (ended.code, stage.running()) == (ExitCode.HELD, ["R0001"] * 4)
    assert ended.hints[0].todo is Todo.RENUMBER
    stage.controller()
    again = canary(
        stage.inventory,
        None,
        stage.dependencies(),
        Options(),
        release="R0002",
        is_agreed=True,
    )
    assert (again.code, stage.running()) == (ExitCode.DONE, ["R0002"] * 4)


def test_promote_judges_one_that_was_begun(stage: Stage) -> None:
    """Its soak is left to it."""
    policy = replace(stage.inventory.policy, attended_soak=timedelta(seconds=1))
    stage.inventory = replace(stage.inventory, policy=policy)
    stage.controller()
    assert released(stage, is_agreed=True).code is ExitCode.DONE
    assert stage.running() == ["R0002"] * 4
    assert not any(host.releases["R0002"].order for host in stage.hosts.values())
    stage.clock.advance(120)
    assert tick(stage).code is ExitCode.DONE
    assert all(host.releases["R0002"].order for host in stage.hosts.values())


def test_a_rollback_of_some_is_refused(stage: Stage) -> None:
    """The others would keep their new numbers; all of them go back together."""
    assert released(stage, is_agreed=True).code is ExitCode.DONE
    stage.controller()
    with pytest.raises(UserError, match="without --limit"):
        rollback(stage.inventory, ("h1",), stage.dependencies())
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies())
    assert (ended.code, stage.running()) == (ExitCode.DONE, ["R0001"] * 4)


def _answering(stage: Stage, name: str, at: str, answer: Callable[..., Any]) -> None:
    """Let a host answer one word of a switch in its own way."""
    host = stage.hosts[name]
    switch = host.switch

    def answered(*words: Any) -> Any:
        return answer(switch, *words) if words[-1] == at else switch(*words)

    host.switch = answered  # type: ignore[method-assign,assignment]


def test_one_that_starts_before_the_others_are_dead_goes_back(stage: Stage) -> None:
    """It would run by a new number beside an old one; none of the others starts."""
    _answering(stage, "h3", "hold", lambda switch, *words: switch(*words[:-2]))
    ended = released(stage, is_agreed=True)
    assert ended.code is not ExitCode.DONE
    assert stage.running() == ["R0001"] * 4
    did = [change[0] for host in stage.hosts.values() for change in host.did]
    assert "go" not in did
    assert stage.hosts["h3"].pending is None


def test_one_that_still_waits_when_all_may_start_is_told(stage: Stage) -> None:
    """Then it does not run, so the others go back."""
    _answering(stage, "h1", "go", lambda _switch, *_words: {"stopped": True})
    ended = released(stage, is_agreed=True)
    assert ended.code is ExitCode.UNREACHABLE
    assert stage.running() == ["R0001"] * 4
    errors = [event.data["error"] for event in stage.events if event.kind is Kind.HOST_FAILED]
    assert any("says that it still waits" in error for error in errors)


@pytest.mark.parametrize("keep", [True, False])
def test_one_that_came_with_the_new_numbers_stops(stage: Stage, *, keep: bool) -> None:
    """It has no work by the old ones, and no other release; also where none is held bad."""
    alone = stage.hosts["h4"]
    alone.releases.clear()
    alone.start_release("")
    alone.previous, alone.confirmed = "", None
    assert released(stage, is_agreed=True).code is ExitCode.DONE
    stage.controller()
    ended = rollback(stage.inventory, tuple(stage.hosts), stage.dependencies(), keep=keep)
    assert stage.running() == ["R0001", "R0001", "R0001", ""]
    assert (ended.code, alone.current) == (ExitCode.DONE, "")
    assert "h4 runs nothing" in ended.summary


def test_another_one_s_end_that_refuses_a_confirmation_is_told_of_that_one(stage: Stage) -> None:
    """They are confirmed together, so the host that was asked may run well."""
    one, other = stage.hosts["h1"], stage.hosts["h2"]

    def confirm(_token: str, _run: str) -> Any:
        other.end_itself()
        raise NotRunning("h1", "confirm", "the bot does not run", unit_of(other.unit()), "h2")

    one.confirm = confirm  # type: ignore[method-assign,assignment]
    ended = released(stage, is_agreed=True)
    assert (ended.code, stage.running()) == (ExitCode.FAILED, ["R0001"] * 4)
    assert "failed: h2: the bot ended by itself" in ended.summary
