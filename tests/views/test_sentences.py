"""Sentences say what happened, what is wrong and what to type, in this order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.host.host_state import BotFault
from botdeploy.core.host.running import Runs
from botdeploy.core.rollout.next_step import (
    Confirm,
    Decision,
    End,
    Prove,
    Reason,
    Result,
    Revert,
    Stage,
    SwitchOver,
    Wait,
)
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.commands.promote import Due
from botdeploy.engine.outcome import Ended, hint_for
from botdeploy.errors import ExitCode, Hint, Todo
from botdeploy.views import sentences, status
from tests.views.canned import inventory

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Host

HOSTS = {host.name: host for host in inventory(["w1", "w2"]).hosts}


def said(*hints: Hint) -> str:
    """Say what may be typed after something happened."""
    return sentences.with_hints("it failed", hints, "prod", HOSTS)


@pytest.mark.parametrize(
    ("hints", "sentence"),
    [
        ((), "it failed"),
        ((Hint(Todo.PROMOTE),), "it failed; next: botdeploy promote prod"),
        (
            (Hint(Todo.APPROVE), Hint(Todo.ROLLBACK)),
            "it failed; next: botdeploy approve prod; to go back: botdeploy rollback prod",
        ),
        (
            (Hint(Todo.START_UNIT, ("w1", "w2")), Hint(Todo.PROMOTE)),
            "it failed; next: on w1, w2: systemctl start echobot; then: botdeploy promote prod",
        ),
        (
            (Hint(Todo.SHOW_UNIT, ("w1",)),),
            "it failed; next: on w1: systemctl status echobot",
        ),
        (
            (Hint(Todo.LOGS, ("w1", "w2")), Hint(Todo.ROLLBACK, ("w2",))),
            (
                "it failed; see: botdeploy logs prod --limit w1; "
                "see: botdeploy logs prod --limit w2; next: botdeploy rollback prod --limit w2"
            ),
        ),
        ((Hint(Todo.STATUS),), "it failed; see: botdeploy status prod"),
        ((Hint(Todo.UNLOCK),), "it failed; to remove the lock by hand: botdeploy unlock prod"),
        (
            (Hint(Todo.FORCE, name="R2"),),
            "it failed; to release it all the same: botdeploy canary prod --force --release R2",
        ),
        (
            (Hint(Todo.FORCE),),
            (
                "it failed; to release it all the same, with the same options: "
                "botdeploy canary prod --force"
            ),
        ),
        (
            (Hint(Todo.TAKE_OVER, name="dev"),),
            "it failed; to take it from 'dev' for good: botdeploy canary prod --take-over dev",
        ),
    ],
)
def test_each_step_has_its_command_and_its_purpose(hints: tuple[Hint, ...], sentence: str) -> None:
    """The first one is next; what only looks, or goes back, says so."""
    assert said(*hints) == sentence


def test_a_command_ends_with_what_happened_then_what_is_wrong_then_what_to_type() -> None:
    """Each host that is not well is named once."""
    fault = BotFault(Runs.LOOPING, "systemd started it 5 times", "R1")
    ended = Ended(ExitCode.HELD, "R1: done", faults={"w1": fault}, hints=(Hint(Todo.PROMOTE),))
    assert sentences.outcome(ended, "prod", HOSTS) == (
        "R1: done; w1: systemd started it 5 times; see: botdeploy logs prod --limit w1; "
        "next: botdeploy promote prod"
    )
    assert sentences.outcome(Ended(ExitCode.DONE, ""), "prod", HOSTS) == ""


AGAIN = "botdeploy rollback prod --to R1 --limit w1 --keep"


@pytest.mark.parametrize(
    ("runs", "end"),
    [
        (Runs.RUNNING, "on w1: systemctl enable /opt/echobot/current/.botdeploy/echobot.service"),
        (Runs.ENDED, f"to start it: botdeploy canary prod, or {AGAIN}"),
        (Runs.LOOPING, "see: botdeploy logs prod --limit w1"),
        (Runs.STOPPED, f"to start it: {AGAIN}"),
        (Runs.OTHER, f"to run R1: {AGAIN}"),
    ],
)
def test_a_bot_that_does_not_run_as_it_should_has_a_way_out(runs: Runs, end: str) -> None:
    """Each fault names the command that mends it, for this host alone."""
    found = status.fault_sentence(BotFault(runs, "so it is", "R1"), "prod", HOSTS["w1"])
    assert found.endswith(end)
    assert ("so it is" in found) is (runs is not Runs.RUNNING)


def shared(machine: str, *instances: str) -> dict[str, Host]:
    """Give instances on one machine."""
    plain = HOSTS["w1"]
    return {name: replace(plain, name=name, instance=name, machine=machine) for name in instances}


def test_an_instance_has_its_own_unit_in_every_command() -> None:
    """Who types it logs in on the machine: its own name is none that ssh would know."""
    hosts = shared("192.0.2.1:22", "dev", "main") | shared("192.0.2.2:22", "a")
    hints = (Hint(Todo.START_UNIT, ("dev", "a", "main")),)
    assert sentences.with_hints("it failed", hints, "prod", hosts) == (
        "it failed; next: on 192.0.2.1:22: systemctl start echobot@dev echobot@main; "
        "next: on 192.0.2.2:22: systemctl start echobot@a"
    )
    found = status.fault_sentence(BotFault(Runs.RUNNING, "", "R1"), "prod", hosts["dev"])
    assert found.endswith(
        "on 192.0.2.1:22: systemctl enable "
        "/opt/echobot/instances/dev/current/.botdeploy/echobot@dev.service"
    )


def test_a_line_of_its_own_says_the_machine_where_nothing_else_does() -> None:
    """Not for plain hosts, nor where there is one machine, nor for w1/2, which is on w1."""
    plain = inventory(["w1", "w2"])
    assert sentences.labels(plain) == {"w1": "w1", "w2": "w2"}
    first = shared("192.0.2.1:22", "dev", "main")
    one = replace(plain, hosts=tuple(first.values()))
    assert sentences.labels(one) == {"dev": "dev", "main": "main"}
    other = shared("192.0.2.2:22", "w/1")
    two = replace(plain, hosts=(*first.values(), *other.values()), several={"w": ("w/1",)})
    assert list(sentences.labels(two).values()) == [
        *("dev (192.0.2.1:22)", "main (192.0.2.1:22)", "w/1")
    ]


def test_machines_are_counted_where_there_are_fewer_than_hosts() -> None:
    """A rollout over hosts of their own says nothing of it."""
    assert sentences.on_machines({"machines": {"a": ["a"], "b": ["b"]}}) == ""
    shared_by = {"machines": {"m1": ["a", "b"], "c": ["c"]}}
    assert sentences.on_machines(shared_by) == ": 3 hosts on 2 machines"


def test_a_bot_that_systemd_gave_up_is_told_apart() -> None:
    """It had been restarted before it ended."""
    fault = BotFault(Runs.ENDED, "it ended", "R1", is_given_up=True)
    found = status.fault_sentence(fault, "prod", HOSTS["w1"])
    assert found.startswith("systemd no longer restarts it: it ended; see: ")


AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
DECISIONS: dict[str, Decision] = {
    "stage on w1, w2": Stage(("w1", "w2")),
    "switch w1 (ring canary)": SwitchOver("canary", ("w1",)),
    "confirm w1 (ring canary)": Confirm("canary", ("w1",)),
    "ring canary has passed": Prove("canary", ("w1",), Verdict(Outcome.PASS, ())),
    "revert w1: errors": Revert(("w1",), "errors"),
    "it soaks, until 2026-11-25 03:00:00 UTC": Wait(Reason.SOAK, "it soaks", "canary", AT),
    "done: every ring passed": End(Result.DONE, "every ring passed"),
}


@pytest.mark.parametrize("sentence", DECISIONS)
def test_a_decision_is_said_with_its_hosts_and_times(sentence: str) -> None:
    """As ``promote --dry-run`` and ``status`` show it."""
    assert sentences.decided(DECISIONS[sentence]) == sentence


@pytest.mark.parametrize("reason", Reason)
def test_every_wait_has_a_command_that_ends_it(reason: Reason) -> None:
    """What time alone ends is promote's."""
    step = hint_for(Wait(reason, "it waits", "canary"), "R2")
    assert step is not None
    told = sentences.command(step, "prod")
    special = {
        Reason.GATE: "botdeploy approve prod",
        Reason.HOLD: "botdeploy resume prod",
        Reason.QUARANTINE: "botdeploy canary prod --force --release R2",
        Reason.LAPSED: "botdeploy canary prod",
        Reason.RENUMBERS: "botdeploy canary prod --yes",
    }
    assert told == special.get(reason, "botdeploy promote prod")


def test_what_is_over_has_no_next_command() -> None:
    """And what is to be done is done by promote."""
    assert hint_for(End(Result.DONE, "every ring passed"), "R2") is None
    assert hint_for(Stage(("w1",)), "R2") == Hint(Todo.PROMOTE, name="R2")


def test_a_dry_run_tells_of_leftovers_and_of_the_next_step() -> None:
    """Both where there are both."""
    left = MappingProxyType({"w3": "errors"})
    found = sentences.due(Due(left, "R2", DECISIONS["stage on w1, w2"]))
    assert found == (
        "revert w3, which runs a release that failed elsewhere: errors; R2: stage on w1, w2"
    )
    assert sentences.due(Due()) == "nothing is due"


def test_hosts_that_are_left_out_are_named_by_their_reason() -> None:
    """A few by name, the rest by number."""
    names = {f"db{number}": "no variable bot" for number in range(10)}
    made = replace(inventory(["w1"]), left_out={"x": "rollout.hosts", **names})
    assert list(sentences.left_out(made)) == [
        "not part of prod: x (rollout.hosts)",
        "not part of prod: db0, db1, db2, db3, db4, db5, db6, db7 and 2 more (no variable bot)",
    ]


def test_a_check_shows_texts_and_no_values() -> None:
    """The fault of a bot becomes its message, another owner the command that takes the host."""
    made = inventory(["w1"])
    fault = BotFault(Runs.STOPPED, "a person stopped it", "R1")
    item = {"name": "running", "ok": False, "message": "", "mend": "", "fault": fault}
    assert sentences.check_item(item, made, "w1") == {
        "name": "running",
        "ok": False,
        "message": f"a person stopped it; to start it: {AGAIN}",
        "mend": "",
    }
    item = {"name": "environment", "ok": False, "message": "m", "mend": "x", "owner": "dev"}
    found = sentences.check_item(item, made, "w1")
    assert set(found) == {"name", "ok", "message", "mend"}
    assert found["mend"].splitlines()[-1] == "botdeploy canary prod --take-over dev"
