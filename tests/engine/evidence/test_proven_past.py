"""The past that releases are compared with, through several releases, on hosts in memory.

The judge is the real one, and so is what reads journals; only the connection is not there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.evidence.proven_past import HISTORY_S
from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import promote
from botdeploy.engine.fleet import ticker
from botdeploy.engine.rollout.options import Options
from botdeploy.engine.watch import following
from botdeploy.engine.watch.watch import Watch
from botdeploy.errors import ExitCode
from botdeploy.hosts.follower import Delivery
from tests.engine.fakefleet import FakeFleet, Stage
from tests.engine.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from botdeploy.engine.outcome import Ended
    from tests.engine.fakehost import FakeHost

SOAKS = {"quick": 60.0, "normal": 1200.0, "careful": 1200.0}
TRACE = (
    "ERROR handler failed",
    "Traceback (most recent call last):",
    '  File "/opt/tbot/current/bot.py", line {line}, in handle',
    "    reply = table[key]",
    "KeyError: 'guild'",
)


def good(second: int) -> list[str]:
    """Work, with an error now and then that is usual."""
    said = [f"handled message {second} in {20 + second % 7} ms"]
    return [*said, "ERROR invoice has no lines"] if second % 31 == 0 else said


def broken(line: int) -> Callable[[int], list[str]]:
    """Fail at every tenth message, by a fault at this line of the source."""

    def says(second: int) -> list[str]:
        trace = [one.format(line=line) for one in TRACE] if second % 10 == 5 else []
        return [*good(second), *trace]

    return says


@dataclass
class Reader:
    """Reads a journal in memory whenever the watch takes in what came."""

    host: FakeHost
    deliver: Callable[[Delivery], None]
    assembler: Any
    at: int = 0
    has_caught_up: bool = True
    cut_us: int | None = None

    def start(self) -> None:
        """Begin a day back, with no more than can be read at once."""
        day_us = int(self.host.wall().timestamp() * 1e6) - HISTORY_S * 1_000_000
        journal = self.host.journal
        known = next(
            (n for n, one in enumerate(journal) if int(str(one["__REALTIME_TIMESTAMP"])) >= day_us),
            len(journal),
        )
        self.at = max(known, len(journal) - self.host.most_entries)
        if self.at > known:
            self.cut_us = int(str(journal[self.at]["__REALTIME_TIMESTAMP"]))
        self.poll()

    def poll(self) -> None:
        """Hand over what came."""
        held_up = HELD_UP.get(self.host.name)
        most = held_up(self.host.clock.mono) if held_up is not None else None
        new = self.host.journal[self.at :][:most]
        self.at += len(new)
        lines = [line for entry in new for line in self.assembler.feed(entry)]
        lines += self.assembler.flush(int(self.host.wall().timestamp() * 1e6))
        self.deliver(Delivery(self.host.name, tuple(lines)))

    def stop(self) -> None:
        """Stop reading."""


HELD_UP: dict[str, Callable[[float], int | None]] = {}
"""How many entries a host's stream brings at a look, by the clock; all where it is not held up."""


class MemoryWatch(Watch):
    """The real watch, over journals in memory."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        take = self.following.pump

        def pump(in_doubt: Collection[str] = ()) -> bool:
            for host in self.following.hosts.values():
                host.follower.poll()  # type: ignore[attr-defined]
            return take(in_doubt)

        self.following.pump = pump  # type: ignore[method-assign]


class Bots:
    """Hosts on which every release says what it is told to, a second at a time."""

    def __init__(self, stage: Stage) -> None:
        """Let every bot be good until something else is said."""
        self.stage = stage
        self.voices: dict[str, Callable[[int], list[str]]] = {}
        for host in stage.hosts.values():
            host.on_change = self._started
        self._tick()

    def _started(self, host: FakeHost, change: tuple[str, ...]) -> None:
        if change[0] in ("switch", "back", "revert") and host.current:
            host.write(
                "Started tbot.service.",
                MESSAGE_ID="39f53479d3a045ac8e11786248231fbf",
                _PID="1",
                INVOCATION_ID=host.invocation,
            )

    def _tick(self) -> None:
        second = int(self.stage.clock.mono)
        for host in self.stage.hosts.values():
            if host.is_up and host.current and not host.is_stopped:
                for line in self.voices.get(host.current, good)(second):
                    host.write(line)
        self.stage.clock.at(1.0, self._tick)

    def release(self, voice: Callable[[int], list[str]] = good) -> Ended:
        """Let a person type ``canary``; where the soak is long, cron goes on."""
        stage = self.stage
        stage.controller()
        build = stage.build()
        self.voices[f"R{stage.made:04d}"] = voice
        ended = canary(stage.inventory, build, self._tools(), Options())  # type: ignore[arg-type]
        for _ in range(60):
            if ended.code is not ExitCode.DONE or self.is_over():
                break
            stage.clock.advance(300)
            ended = self.promote()
        return ended

    def promote(self) -> Ended:
        """Let cron take a step, on a machine that knows nothing."""
        self.stage.controller()
        return promote(self.stage.inventory, self._tools(), Options())

    def is_over(self) -> bool:
        """Tell whether every host has the last release, proven, or has it no more."""
        last = f"R{self.stage.made:04d}"
        hosts = self.stage.hosts.values()
        return all(one.current == last and one.releases[last].order for one in hosts)

    def _tools(self) -> Any:
        return replace(self.stage.dependencies(), make_watch=MemoryWatch)


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watch read journals in memory."""

    def follower(
        _name: str, connect: Callable[[], Any], deliver: Any, *, maker: Any, **_more: Any
    ) -> Reader:
        return Reader(connect()._caller.its, deliver, maker)

    monkeypatch.setattr(following, "Follower", follower)


def bots_of(preset: str, *, is_kept: bool = False, hosts: int = 2, hours: float = 2.0) -> Bots:
    """Give hosts on which a first release runs for some hours, and passed."""
    soak = timedelta(seconds=SOAKS[preset])
    attended = timedelta(0) if is_kept else timedelta(hours=2)
    rings = (
        Ring("canary", Share(count=1), soak=soak, settle=timedelta(seconds=5)),
        Ring("fleet", "all", settle=timedelta(seconds=5)),
    )
    policy = Policy(rings, judge={"preset": preset}, attended_soak=attended)
    stage = Stage(hosts, policy, tick_s=1.0 if preset == "quick" else 10.0)
    whole = stage.inventory
    quick = tuple(replace(one, soak=timedelta(0)) for one in whole.policy.rings)
    stage.inventory = replace(whole, policy=replace(whole.policy, rings=quick))
    bots = Bots(stage)
    assert bots.release().code is ExitCode.DONE
    stage.inventory = whole
    stage.clock.advance(hours * 3600)
    return bots


@pytest.mark.parametrize("is_kept", [False, True], ids=["canary", "promote"])
@pytest.mark.parametrize("preset", ["quick", "normal", "careful"])
def test_the_same_fault_fails_again_however_soon_and_a_good_release_passes(
    preset: str, monkeypatch: pytest.MonkeyPatch, *, is_kept: bool
) -> None:
    """What a failed release wrote is nobody's usual: not of the next one, nor of the one after."""
    monkeypatch.setattr(ticker, "LAG_S", 10.0)  # the controller's ticks are as slow here
    bots = bots_of(preset, is_kept=is_kept)
    running = [host.current for host in bots.stage.hosts.values()]
    for line in (40, 41, 43):
        ended = bots.release(broken(line))
        assert ended.code is ExitCode.FAILED, ended.summary
        assert "KeyError" in ended.summary
        assert [host.current for host in bots.stage.hosts.values()] == running
        bots.stage.clock.advance(60)
    assert "the error that failed R000" in ended.summary
    ended = bots.release()
    if preset == "careful":  # two hosts can't prove that errors are not twice as many
        assert ended.summary.startswith("inconclusive: twice as many errors"), ended.summary
    else:
        assert ended.code is ExitCode.DONE, ended.summary
        assert bots.is_over()


def test_a_ring_without_a_soak_passes_by_what_all_its_hosts_wrote() -> None:
    """Not by its last batch: the sentence, and what each host notes, name them all."""
    bots = bots_of("quick", hosts=3)
    ended = bots.release()
    assert ended.code is ExitCode.DONE, ended.summary
    told = [one for one in bots.stage.events if one.kind is Kind.VERDICT and one.ring == "fleet"]
    assert "lines on h2 and h3" in told[-1].data["reasons"][0]


def test_what_comes_late_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a cut, what a host wrote meanwhile comes piece by piece: the rest is on its way."""
    bots = bots_of("quick", hosts=3)
    begun = bots.stage.clock.mono

    def held_up(now: float) -> int | None:
        since = now - begun
        return 0 if 20 < since < 30 else 1 if 30 <= since < 34 else None

    def heard_s_ago(fleet: FakeFleet, name: str) -> float | None:
        return None if name == "h1" and held_up(fleet.clock.mono) == 0 else 0.0

    monkeypatch.setitem(HELD_UP, "h1", held_up)
    monkeypatch.setattr(FakeFleet, "heard_s_ago", heard_s_ago)
    ended = bots.release()
    assert ended.code is ExitCode.DONE, ended.summary


def test_what_was_replaced_without_a_verdict_counts_neither_way() -> None:
    """Its errors are not usual, and what the proven release wrote before it still is."""
    bots = bots_of("quick", hosts=1)
    host = bots.stage.hosts["h1"]
    proven = host.current
    host.releases["R0009"] = replace(host.releases[proven], digest="9" * 64, order=0)
    bots.voices["R0009"] = broken(40)
    host._start("R0009")
    bots.stage.clock.advance(1800)
    ended = bots.release(broken(41))
    assert ended.code is ExitCode.FAILED, ended.summary
    assert "KeyError" in ended.summary
    assert "never seen in 2 h of the old release" in ended.summary


def test_of_a_past_too_long_to_read_an_unknown_error_alone_is_no_fail() -> None:
    """Live and kept: doubt, which says how much could be read, and is told as an event."""
    for is_kept in (False, True):
        bots = bots_of("quick", is_kept=is_kept, hosts=1)
        bots.stage.hosts["h1"].most_entries = 600
        ended = bots.release(broken(41))
        assert ended.code is ExitCode.HELD, ended.summary
        assert "there was more" in ended.summary
        assert "KeyError" in ended.summary
        told = [one for one in bots.stage.events if one.kind is Kind.VERDICT][-1]
        assert (told.ring, told.data["outcome"]) == ("canary", "inconclusive")
        assert told.data["reasons"][0] in ended.summary


@pytest.mark.parametrize("is_kept", [False, True], ids=["canary", "promote"])
def test_a_crash_is_told_with_the_exception_above_it(*, is_kept: bool) -> None:
    """The verdict, and why the host went back; the error is known when it comes back."""
    bots = bots_of("quick", is_kept=is_kept, hosts=1)
    host = bots.stage.hosts["h1"]

    def crash() -> None:
        for line in TRACE[1:]:
            host.write(line.format(line=7))
        host.write(
            "tbot.service: Main process exited, code=exited, status=1/FAILURE",
            MESSAGE_ID="98e322203f7a4ed290d09fe03c09fe15",
            _PID="1",
            INVOCATION_ID=host.invocation,
            EXIT_CODE="exited",
            EXIT_STATUS="1",
        )

    bots.stage.clock.at(20.0, crash)
    ended = bots.release()
    assert ended.code is ExitCode.FAILED, ended.summary
    assert "it said “KeyError: 'guild' (in bot.py, handle)”" in ended.summary
    assert "see: botdeploy logs prod --limit h1" in sentence(ended)
    assert host.reverted is not None
    assert "KeyError: 'guild'" in host.reverted.why
    assert [json.loads(one)["text"] for named in host.refused.values() for one in named] == [
        "KeyError: 'guild' (in bot.py, handle)"
    ]


def test_restarts_are_told_while_a_ring_is_watched() -> None:
    """Systemd's word for it, from the journal: the figure in ``evidence`` is no constant."""
    bots = bots_of("quick")
    bots.stage.events.clear()

    def restart() -> None:
        host = next(one for one in bots.stage.hosts.values() if one.current == "R0002")
        host.write(
            "tbot.service: Scheduled restart job, restart counter is at 1.",
            MESSAGE_ID="5eb03494b6584870a536b337290809b3",
            _PID="1",
            N_RESTARTS="1",
            INVOCATION_ID=host.invocation,
        )

    bots.stage.clock.at(20.0, restart)
    bots.release()
    told = [event.data for event in bots.stage.events if event.kind is Kind.EVIDENCE]
    assert max(data["restarts"] for data in told) == 1
    assert min(data["restarts"] for data in told) == 0
