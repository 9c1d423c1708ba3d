"""The team hears what matters once, the bot's users hear of their ring, a rollout never waits."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer

from botdeploy.cli.context import Context
from botdeploy.cli.fault import Fault
from botdeploy.cli.finish import finish
from botdeploy.cli.team_notices import notices_of
from botdeploy.core.events import Event, Kind
from botdeploy.core.text.secret_mask import Mask
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, LockedError, UserError
from botdeploy.inventory import load
from botdeploy.views.notices.channel import Timing
from botdeploy.views.notices.notices import NotedRun, Notices
from botdeploy.views.notices.repeat_filter import RepeatFilter
from tests.views.servers import hanging, hook, nobody

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from botdeploy.core.model.inventory import Inventory

pytestmark = pytest.mark.programs

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
RELEASE = "20261122T210500Z-3f9c2ab1"
QUICK = Timing(gather_s=0.0, first_pause_s=0.001, longest_pause_s=0.002, last_s=30.0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


def inventory(folder: Path, notify: str, announce: str = "{}") -> Inventory:
    path = folder / "prod.yml"
    path.write_text(
        "all:\n  vars:\n"
        "    bot: {name: echobot, source: ., command: run, env: {GUILDS: one}}\n"
        f"    rollout:\n      notify: {notify}\n      rings:\n"
        f"        - {{name: canary, hosts: 1, soak: 1m, announce: {announce}}}\n"
        "        - {name: fleet, hosts: all}\n"
        "  hosts: {w1: {}, w2: {}, w3: {}}\n",
        encoding="utf-8",
    )
    return load(str(path), folder, os.environ)


def notices(
    of: Inventory,
    folder: Path,
    *,
    is_attended: bool = True,
    environ: dict[str, str] | None = None,
    timing: Timing = QUICK,
    changes: dict[str, str] | None = None,
    is_rollback: bool = False,
) -> Notices:
    told = RepeatFilter(
        {"XDG_CACHE_HOME": str(folder)} if environ is None else environ, "prod", of.path
    )
    return Notices(
        of,
        lambda value: value,
        Mask(["hunter2"]),
        told,
        NotedRun(is_attended, "ann@laptop", changes or {}, is_rollback),
        timing=timing,
    )


def event(
    kind: Kind,
    ring: str | None = None,
    host: str | None = None,
    *,
    at: datetime = NOW,
    **data: Any,
) -> Event:
    return Event(kind, at, "prod", "20261122T210500Z-0001", RELEASE, ring, host, data)


def outcome(code: ExitCode, summary: str = "", at: datetime = NOW) -> Event:
    return Event(Kind.OUTCOME, at, "prod", data={"code": int(code), "summary": summary})


def started(
    *, begun: bool = False, passed: bool = False, hosts: tuple[str, ...] = ("w1",)
) -> Event:
    rings = [
        {"name": "canary", "hosts": list(hosts), "begun": begun, "passed": passed},
        {"name": "fleet", "hosts": ["w2", "w3"], "begun": False, "passed": False},
    ]
    return event(Kind.ROLLOUT_STARTED, rings=rings, message="", by="ann@laptop")


PASSED = (
    event(Kind.VERDICT, "canary", outcome="pass", reasons=["no new errors"]),
    event(Kind.PROMOTED, "canary", hosts=["w1"]),
)
GATE = (
    event(Kind.WAITING, "fleet", until=None, why="ring fleet needs an approval", reason="gate"),
    outcome(ExitCode.HELD, "ring fleet needs an approval; next: botdeploy approve prod"),
)


def bodies(taken: list[dict[str, Any]]) -> str:
    return "\n".join(f"{one['title']}\n{one['message']}" for one in taken)


# --- a run with a person in front of it ----------------------------------------------------------


def test_a_rollout_is_told_from_start_to_end(tmp_path: Path) -> None:
    """Start, verdict, promotion, return and outcome all arrive, in order, with secrets masked."""
    with hook() as server:
        one = notices(inventory(tmp_path, server.url()), tmp_path)
        one(started())
        for each in PASSED:
            one(each)
        one(event(Kind.VERDICT, "fleet", "w2", outcome="fail", reasons=["hunter2 refused"]))
        one(event(Kind.REVERTED, "fleet", "w2", by="controller", to="R1", seconds=1, why="worse"))
        one(outcome(ExitCode.FAILED, "failed: hunter2 refused"))
        assert one.close() == []
    said = bodies(server.taken)
    places = [
        said.index(text)
        for text in (
            "begins, by ann@laptop",
            "ring canary passed: no new errors",
            "ring canary passed on w1",
            "w2: ring fleet failed: ******** refused",
            "w2: back on R1, reverted by controller",
            "next: botdeploy report prod",
        )
    ]
    assert places == sorted(places)
    assert "hunter2" not in said


def test_a_command_that_touched_nothing_tells_nobody(tmp_path: Path) -> None:
    """A lock that somebody else has, and a release that runs already, are between two people."""
    with hook() as server:
        one = notices(inventory(tmp_path, server.url()), tmp_path)
        one(event(Kind.HOST_FAILED, host="w3", error="away"))
        one(outcome(ExitCode.LOCKED, "locked by bob"))
        assert one.close() == []
    assert server.taken == []


def test_a_gate_is_told_with_the_command(tmp_path: Path) -> None:
    """The team learns which ring needs an approval, once."""
    with hook() as server:
        one = notices(inventory(tmp_path, server.url()), tmp_path)
        for each in (started(), *PASSED, *GATE):
            one(each)
        one.close()
    said = bodies(server.taken)
    assert "echobot prod: ring fleet needs an approval" in said
    assert said.count("next: botdeploy approve prod") == 1


def test_a_rollback_is_told_with_who_did_it(tmp_path: Path) -> None:
    """It has no start event; what came back and by whom is told."""
    with hook() as server:
        one = notices(inventory(tmp_path, server.url()), tmp_path)
        one(event(Kind.REVERTED, host="w1", by="controller", to="R1", seconds=1.0))
        one(outcome(ExitCode.DONE, "w1 runs R1"))
        one.close()
    assert "echobot prod: rolled back by ann@laptop" in bodies(server.taken)


def test_every_url_is_told(tmp_path: Path) -> None:
    """One that fails does not keep the others from hearing."""
    with hook() as first, hook() as second:
        urls = f"['{first.url()}', '{nobody()}', '{second.url()}']"
        one = notices(inventory(tmp_path, urls), tmp_path)
        one(started())
        one(outcome(ExitCode.DONE, "every ring passed"))
        (failure,) = one.close()
    assert failure.startswith("rollout.notify[1] (json): ")
    for server in (first, second):
        assert "every ring passed" in server.bodies


def test_a_url_that_hangs_holds_up_neither_the_rollout_nor_the_others(tmp_path: Path) -> None:
    """Events are taken at once; only the end waits, and not for long."""
    with hanging() as url, hook() as server:
        timing = Timing(gather_s=0.0, last_s=0.5)
        one = notices(inventory(tmp_path, f"['{url}', '{server.url()}']"), tmp_path, timing=timing)
        one(started())
        server.wait_for(1)
        one(outcome(ExitCode.DONE, "every ring passed"))
        server.wait_for(2)
        assert [each.rpartition(": ")[2] for each in one.close()] == ["it did not answer in time"]


# --- cron ----------------------------------------------------------------------------------------


def tick(of: Inventory, folder: Path, *events: Event, **options: Any) -> list[str]:
    one = notices(of, folder, is_attended=False, **options)
    one(started())
    for each in events:
        one(each)
    return one.close()


def test_a_tick_that_does_nothing_is_silent(tmp_path: Path) -> None:
    """A soak of two days is 576 ticks and no notice."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        soaks = event(Kind.WAITING, "canary", until="later", why="ring canary soaks", reason="soak")
        for _ in range(3):
            tick(of, tmp_path, soaks, outcome(ExitCode.DONE, "ring canary soaks, due later"))
    assert server.taken == []


def test_a_missing_approval_is_told_once_a_day(tmp_path: Path) -> None:
    """Every tick of cron finds the same gate; the team hears of it once, and is reminded."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        tick(of, tmp_path, *PASSED, *GATE)
        assert server.bodies.count("botdeploy approve prod") == 1
        for _ in range(3):
            tick(of, tmp_path, *GATE)
        assert server.bodies.count("botdeploy approve prod") == 1
        later = NOW + timedelta(days=1, minutes=5)
        tick(of, tmp_path, GATE[0], outcome(ExitCode.HELD, "next: botdeploy approve prod", later))
        assert server.bodies.count("botdeploy approve prod") == 2


def test_a_gate_that_canary_told_is_not_told_by_cron(tmp_path: Path) -> None:
    """The exit codes differ, the trouble is the same."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        one = notices(of, tmp_path)
        for each in (started(), *PASSED, GATE[0], outcome(ExitCode.DONE, "botdeploy approve prod")):
            one(each)
        one.close()
        tick(of, tmp_path, *GATE)
    assert server.bodies.count("botdeploy approve prod") == 1


def test_trouble_that_came_again_is_news(tmp_path: Path) -> None:
    """Hosts out of reach, then all well, then out of reach again: two notices."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        away = outcome(ExitCode.UNREACHABLE, "w3 is away")
        for each in (away, away, outcome(ExitCode.DONE), away, away):
            tick(of, tmp_path, each)
    assert len(server.taken) == 2


def test_without_a_memory_what_waits_is_told_only_when_it_begins(tmp_path: Path) -> None:
    """Cron without HOME tells of a gate in the tick that came to it, and no more."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        tick(of, tmp_path, *PASSED, *GATE, environ={})
        for _ in range(3):
            tick(of, tmp_path, *GATE, environ={})
    assert server.bodies.count("botdeploy approve prod") == 1


def test_a_tick_that_acts_tells_what_it_did(tmp_path: Path) -> None:
    """Verdict, promotion, hosts that are away and the outcome; not that a tick began."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        away = event(Kind.HOST_FAILED, host="w3", error="no route")
        tick(of, tmp_path, away, *PASSED, outcome(ExitCode.DONE, "every ring passed"))
    said = bodies(server.taken)
    assert "w3: failed: no route" in said
    assert "ring canary passed on" in said
    assert "every ring passed" in said
    assert "begins" not in said


def test_two_jobs_that_meet_are_no_news(tmp_path: Path) -> None:
    """A lock that another cron job has is told to nobody."""
    with hook() as server:
        tick(inventory(tmp_path, server.url()), tmp_path, outcome(ExitCode.LOCKED, "locked"))
    assert server.taken == []


# --- the bot's users -----------------------------------------------------------------------------

TEXTS = "begin: 'Updating {{ hosts|join }} to {{ release }}, {{ env.GUILDS }}', end: 'Done'"


def test_users_are_told_when_their_ring_begins_and_has_passed(tmp_path: Path) -> None:
    """Once each, at their own URL, whatever the number of hosts; the team's has no part of it."""
    with hook() as team, hook() as users:
        announce = f"{{{TEXTS}, to: '{users.url()}'}}"
        of = inventory(tmp_path, team.url(), announce)
        one = notices(of, tmp_path, changes={"GUILDS": "two"})
        one(started())
        for host in ("w1", "w1"):
            one(event(Kind.SWITCHED, "canary", host, downtime_s=1.0))
        one(event(Kind.SWITCHED, "fleet", "w2", downtime_s=1.0))
        for each in (*PASSED, *PASSED):
            one(each)
        assert one.close() == []
    assert users.bodies.split() == f"Updating w1 to {RELEASE}, two Done".split()
    assert "Updating" not in team.bodies


def test_what_an_earlier_run_announced_is_not_announced_again(tmp_path: Path) -> None:
    """A tick that goes on with a ring, or catches a host up, is nothing to its users."""
    with hook() as users:
        of = inventory(tmp_path, "[]", f"{{{TEXTS}, to: '{users.url()}'}}")
        one = notices(of, tmp_path)
        one(started(begun=True, passed=True))
        one(event(Kind.SWITCHED, "canary", "w1", downtime_s=1.0))
        for each in PASSED:
            one(each)
        assert one.close() == []
    assert users.taken == []


def test_users_hear_of_instances_that_change_their_numbers_from_their_own_ring(
    tmp_path: Path,
) -> None:
    """These are one batch behind the rings, and a ring has passed when they have."""
    with hook() as users:
        of = inventory(tmp_path, "[]", f"{{{TEXTS}, to: '{users.url()}'}}")
        one = notices(of, tmp_path)
        rings = [
            {"name": "canary", "hosts": ["w1"], "begun": False, "passed": False},
            {"name": "renumbering", "hosts": ["w2", "w3"], "begun": False, "passed": False},
        ]
        rows = [{"host": "w2", "ring": "canary"}, {"host": "w3", "ring": "fleet"}]
        one(event(Kind.ROLLOUT_STARTED, rings=rings, message="", by="ann", renumbers=rows))
        one(event(Kind.PROMOTED, "canary", hosts=["w1"]))
        assert users.taken == []
        for host in ("w3", "w2"):
            one(event(Kind.SWITCHED, "renumbering", host, downtime_s=1.0))
        one(event(Kind.PROMOTED, "renumbering", hosts=["w2", "w3"]))
        assert one.close() == []
    assert users.bodies.split() == f"Updating w1w2 to {RELEASE}, one Done".split()


def went_back(
    host: str, ring: str | None, *, by: str = "controller", to: str = "R0", again: bool = False
) -> Event:
    told = event(Kind.REVERTED, ring, host, by=by, seconds=1.0, to=to)
    return replace(told, is_tried_again=again)


def test_users_hear_once_that_the_release_of_their_ring_was_taken_back(tmp_path: Path) -> None:
    """When the command ends with the fail: a ring that it never reached hears nothing."""
    with hook() as users:
        texts = f"{{{TEXTS}, failed: 'Back from {{{{ release }}}}', to: '{users.url()}'}}"
        one = notices(inventory(tmp_path, "[]", texts), tmp_path)
        one(started())
        one(event(Kind.SWITCHED, "canary", "w1", downtime_s=1.0))
        one(event(Kind.VERDICT, "canary", outcome="fail", reasons=["a crash"]))
        one(went_back("w1", "canary"))
        one(went_back("w2", "fleet"))
        one(outcome(ExitCode.FAILED))
        assert one.close() == []
    assert users.bodies.splitlines()[-1].endswith(f"Back from {RELEASE}")
    assert users.bodies.count("Back from") == 1


def test_users_hear_of_a_fail_whose_host_had_gone_back_by_itself(tmp_path: Path) -> None:
    """An earlier run began their ring; nothing goes back in the one that finds the fail."""
    with hook() as users:
        texts = f"{{failed: 'Back from it', to: '{users.url()}'}}"
        one = notices(inventory(tmp_path, "[]", texts), tmp_path, is_attended=False)
        one(started(begun=True))
        one(event(Kind.VERDICT, "canary", outcome="fail", reasons=["a crash"]))
        one(outcome(ExitCode.FAILED))
        assert one.close() == []
    assert users.bodies.count("Back from it") == 1


def test_users_hear_nothing_of_a_host_that_is_tried_again(tmp_path: Path) -> None:
    """A lease took it back, which says nothing of the release."""
    with hook() as users:
        texts = f"{{failed: 'Back from it', to: '{users.url()}'}}"
        one = notices(inventory(tmp_path, "[]", texts), tmp_path)
        one(started())
        one(event(Kind.SWITCHED, "canary", "w1", downtime_s=1.0))
        one(went_back("w1", "canary", by="host", again=True))
        one(outcome(ExitCode.HELD))
        assert one.close() == []
    assert users.taken == []


def test_users_hear_of_a_rollback_in_the_ring_that_their_host_is_in(tmp_path: Path) -> None:
    """Its events name no ring."""
    with hook() as users:
        texts = f"{{failed: '{{{{ ring }}}}: back', to: '{users.url()}'}}"
        one = notices(inventory(tmp_path, "[]", texts), tmp_path, is_rollback=True)
        for host in ("w1", "w2"):
            one(went_back(host, None))
        one(outcome(ExitCode.DONE))
        assert one.close() == []
    assert users.bodies.count("canary: back") == 1
    assert "fleet" not in users.bodies


@dataclass(frozen=True)
class Run:
    """A command, and whether it tells the users of ring canary that a release was taken back."""

    events: tuple[Event, ...]
    is_told: bool
    is_rollback: bool = False


FAIL = event(Kind.VERDICT, "canary", outcome="fail", reasons=["a crash"])
BEGUN = started(begun=True)
RUNS = {
    "a host of another ring is away when it fails": Run(
        (BEGUN, FAIL, went_back("w1", "canary"), outcome(ExitCode.UNREACHABLE)), is_told=True
    ),
    "it is not ready on the second host": Run(
        (BEGUN, went_back("w1", "canary", by="host"), outcome(ExitCode.UNREACHABLE)), is_told=True
    ),
    "all hosts were away when it failed": Run(
        (BEGUN, went_back("w1", "canary"), outcome(ExitCode.FAILED)), is_told=True
    ),
    "an earlier run told it, and one host was away": Run(
        (
            started(begun=True, hosts=("w1", "w4")),
            went_back("w1", "canary"),
            outcome(ExitCode.FAILED),
        ),
        is_told=False,
    ),
    "too many are away, so a host that is tried again goes back": Run(
        (BEGUN, went_back("w1", "canary", again=True), outcome(ExitCode.UNREACHABLE)),
        is_told=False,
    ),
    "a lease beside a leftover that is stuck": Run(
        (
            replace(went_back("w1", None), rollout=None, release="R0"),
            BEGUN,
            went_back("w1", "canary", by="host", again=True),
            outcome(ExitCode.NEEDS_PERSON),
        ),
        is_told=False,
    ),
    "interrupted before anything went back: the next command tells it": Run(
        (BEGUN, FAIL, outcome(ExitCode.INTERRUPTED)), is_told=False
    ),
    "a rollback that only starts the bot again": Run(
        (went_back("w1", None, to=RELEASE), outcome(ExitCode.DONE)),
        is_told=False,
        is_rollback=True,
    ),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_users_hear_of_a_return_by_what_happened_and_not_by_the_exit_code(
    tmp_path: Path, run: Run
) -> None:
    """Once, where a release was taken back for good."""
    with hook() as users:
        texts = f"{{failed: 'Back from {{{{ release }}}}', to: '{users.url()}'}}"
        of = inventory(tmp_path, "[]", texts)
        one = notices(of, tmp_path, is_attended=False, is_rollback=run.is_rollback)
        for each in run.events:
            one(each)
        assert one.close() == []
    assert users.bodies.count(f"Back from {RELEASE}") == run.is_told
    assert "Back from R0" not in users.bodies


def test_announcements_without_a_place_of_their_own_go_to_the_team(tmp_path: Path) -> None:
    """They need no second URL."""
    with hook() as server:
        one = notices(inventory(tmp_path, server.url(), "{end: 'Done, all of you'}"), tmp_path)
        for each in (started(), *PASSED):
            one(each)
        one.close()
    assert "Done, all of you" in server.bodies


def test_an_announcement_that_fails_after_all_is_a_failure_and_no_more(tmp_path: Path) -> None:
    """What --set takes away is not caught at load; the rollout goes on."""
    with hook() as server:
        text = '{begin: \'{{ env.GUILDS.split(",")[1] if env.GUILDS != "one" else 1 }}\'}'
        one = notices(inventory(tmp_path, server.url(), text), tmp_path, changes={"GUILDS": "x"})
        one(started())
        one(event(Kind.SWITCHED, "canary", "w1", downtime_s=1.0))
        (failure,) = one.close()
    assert failure.startswith("announce.begin of ring canary: can't be filled in")


# --- the command line ----------------------------------------------------------------------------


def context(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, as_json: bool = False, **environ: str
) -> Context:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return Context(
        inventory_dir=folder,
        as_json=as_json,
        environ={"XDG_CACHE_HOME": str(folder), "USER": "ann", **environ},
    )


def printed(stream: Any) -> str:
    return str(stream.getvalue())


def test_events_go_to_the_view_and_to_the_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--json`` prints every event and the outcome last; the team is told by reference."""
    with hook() as server:
        of = inventory(tmp_path, "env:TEAM")
        here = context(tmp_path, monkeypatch, as_json=True, TEAM=server.url("secret-path"))
        made = notices_of(here, of, is_attended=True)
        with here.listening(made) as listener:
            listener(started())
        assert here.ended(Ended(ExitCode.DONE, "every ring passed")) == 0
        assert here.ended(Ended(ExitCode.DONE, "again")) == 0
    lines = [json.loads(line) for line in printed(sys.stdout).splitlines()]
    assert [line["event"] for line in lines] == ["rollout_started", "outcome", "outcome"]
    assert "unsent_notices" not in lines[1]
    assert server.bodies.count("every ring passed") == 1
    assert printed(sys.stderr) == ""


def test_what_could_not_be_told_is_told_here_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error and in the outcome; the exit code is the rollout's own."""
    of = inventory(tmp_path, "[env:TEAM_CHAT]")
    here = context(tmp_path, monkeypatch, as_json=True)
    with here.listening(notices_of(here, of, is_attended=True)) as listener:
        listener(started())
    assert here.ended(Ended(ExitCode.DONE, "every ring passed")) == 0
    last = json.loads(printed(sys.stdout).splitlines()[-1])
    (failure,) = last["unsent_notices"]
    assert "TEAM_CHAT is not set" in failure
    assert printed(sys.stderr) == f"botdeploy: could not be told: {failure}\n"


@dataclass
class Noted:
    """A fleet of which somebody may write a note down, until it is closed."""

    inventory: Inventory
    did: list[str] = field(default_factory=list)
    host: str = "w1"

    @property
    def state(self) -> Noted:
        return self

    def open_acts(self, _name: str) -> Noted:
        return self

    def note(self, who: str, what: str) -> None:
        self.did.append(f"{who}: {what}")

    def submit(self, work: Callable[[], None]) -> Future[None]:
        work()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def close(self) -> None:
        self.did.append("closed")


@pytest.mark.parametrize("error", [None, LockedError("a rollback has the lock"), KeyError("a bug")])
def test_what_could_not_be_told_is_in_the_history_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """A host notes it before the connections are closed, however the command ends."""
    of = inventory(tmp_path, "[env:TEAM_CHAT]")
    here = context(tmp_path, monkeypatch, BOTDEPLOY_OWNER="ann@ci")
    hosts = Noted(of)
    monkeypatch.setattr("botdeploy.engine.fleet.fleet.Fleet", lambda *_args, **_options: hosts)

    def work(context: Context) -> int:
        with (
            context.fleet(of),
            context.listening(notices_of(context, of, is_attended=True)) as tell,
        ):
            tell(started())
            if error is not None:
                raise error
            return context.ended(Ended(ExitCode.DONE, "every ring passed"))

    ctx: Any = SimpleNamespace(find_object=lambda _: here)
    with pytest.raises(Fault if isinstance(error, KeyError) else typer.Exit):
        finish(ctx, work)
    noted, closed = hosts.did
    assert noted.startswith("ann@ci: could not be told: ")
    assert noted.count("TEAM_CHAT is not set") == 1
    assert closed == "closed"


def test_a_command_that_told_everything_leaves_no_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history is not for what went well."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        here = context(tmp_path, monkeypatch)
        hosts = Noted(of)
        monkeypatch.setattr("botdeploy.engine.fleet.fleet.Fleet", lambda *_args, **_options: hosts)
        with (
            here.fleet(of),
            here.listening(notices_of(here, of, is_attended=True)) as listener,
        ):
            listener(started())
            here.ended(Ended(ExitCode.DONE, "every ring passed"))
    assert hosts.did == ["closed"]


def test_an_error_that_ends_a_rollout_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that was lost in the middle ends the rollout, and the team hears of it."""
    with hook() as server:
        of = inventory(tmp_path, server.url())
        here = context(tmp_path, monkeypatch)
        with here.listening(notices_of(here, of, is_attended=True)) as listener:
            listener(started())
        assert here.failed(LockedError("a rollback has the lock")) == 4
    assert "another command has the lock" in bodies(server.taken)
    assert "a rollback has the lock" in server.bodies


def test_an_inventory_without_notices_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is imported and no thread begins."""
    here = context(tmp_path, monkeypatch)
    before = threading.active_count()
    assert notices_of(here, inventory(tmp_path, "[]"), is_attended=True) is None
    with here.listening() as listener:
        listener(event(Kind.PROMOTED, "canary", hosts=["w1"]))
    here.ended(Ended(ExitCode.DONE, "done"))
    assert threading.active_count() == before


def test_a_broken_listener_costs_a_notice_and_not_the_rollout(tmp_path: Path) -> None:
    """An event that lacks what its notice needs is a failure that is told."""
    with hook() as server:
        one = notices(inventory(tmp_path, server.url()), tmp_path)
        one(event(Kind.ROLLOUT_STARTED))
        assert any("rollout_started" in failure or "KeyError" in failure for failure in one.close())


def test_a_url_that_raises_is_a_failure(tmp_path: Path) -> None:
    """What reading a reference says is told, never raised."""

    def refuse(_value: str) -> str:
        raise UserError("secret URL (file:x): no such file")

    one = Notices(
        inventory(tmp_path, "file:x"),
        refuse,
        Mask(),
        RepeatFilter({}, "prod", "prod.yml"),
        NotedRun(is_attended=True),
        timing=QUICK,
    )
    one(started())
    assert one.close() == ["rollout.notify[0]: secret URL (file:x): no such file"]
