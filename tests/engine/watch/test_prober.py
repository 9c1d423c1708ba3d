"""The prober and the keeping of probes: who is asked when, and what becomes of the answers."""

from __future__ import annotations

import base64
import json
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.host.state_record import from_record
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.model.bot import Probe, ProbeKind
from botdeploy.engine.evidence.collect import collect
from botdeploy.engine.watch.prober import HOLD_S, Prober, try_probe
from botdeploy.errors import ActFailed, Unreachable
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller, OpenCall
from botdeploy.hosts.acts.faults import ProgramMissing
from botdeploy.hosts.acts.records import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botdeploy.core.lines.line import LogLine
    from botdeploy.engine.fleet.fleet import Fleet

SECOND = 1_000_000
BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEGIN_US = int(BEGIN.timestamp() * 1e6)


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.passed = 100.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed - 100.0)

    def monotonic(self) -> float:
        return self.passed


@dataclass
class Bot:
    """A bot on a host, with the numbers that it shows."""

    clock: Time
    handled: int = 0
    errors: int = 0
    invocation: str = "run1"
    began: float = -500.0
    ahead_s: float = 0.0
    """By how much its host's clock is ahead."""
    fault: Exception | None = None
    code: int = 0
    asked: int = 0

    def answer(self) -> dict[str, Any]:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        text = json.dumps({"handled": self.handled, "errors": {"x": self.errors}})
        now_us = int(self.clock.now().timestamp() * 1e6)
        return {
            "body": base64.b64encode(text.encode()).decode(),
            "said": "",
            "code": self.code,
            "status": 0,
            "took_s": 0.01,
            "at_us": now_us + int(self.ahead_s * 1e6),
            "invocation": self.invocation,
            "up_s": self.clock.passed - self.began,
        }


class FakeCaller(Caller):
    """Calls acts of a host with such a bot, and with evidence that is kept."""

    def __init__(self, bot: Bot, active_state: str = "active") -> None:
        self.host = "w1"
        self.connection = None  # type: ignore[assignment]
        self.its = bot
        self.active_state = active_state
        self.kept: bytes | None = None

    def call(self, act: str, *_arguments: object, **more: Any) -> Reply:
        match act:
            case "probe":
                return Reply(({"probe": self.its.answer()},))
            case "evidence":
                kept = self.kept and base64.b64encode(self.kept).decode()
                return Reply(({"evidence": kept},))
            case "keep":
                self.kept = more["stdin"]
                return Reply(())
            case _:
                assert act == "observe"
                about = {"running": "R1", "active_state": self.active_state, "main_pid": 7}
                return Reply(({"state": about | {"at": "2026-11-24T09:00:00Z"}},))

    def open(self, act: str, *_arguments: object) -> OpenCall:
        assert act == "entries"
        return Nothing()


class Nothing(OpenCall):
    """A journal without entries."""

    def __init__(self) -> None:
        pass

    def items(self, timeout_s: float = 0.0) -> Iterator[Any]:
        del timeout_s
        return iter(({"read": {"cut": False}},))

    def close(self) -> None:
        pass


@dataclass
class FakeHost:
    """A host's bot, as the inventory has it."""

    probe: Probe | None

    @property
    def bot(self) -> FakeHost:
        return self


@dataclass
class FakeFleet:
    """Hosts whose answers come when the test says so."""

    bots: dict[str, Bot]
    probe: Probe | None = Probe(ProbeKind.COMMAND, "numbers", timedelta(seconds=5))  # noqa: RUF009
    slow: set[str] = field(default_factory=set)
    waiting: list[tuple[Future[Any], Callable[[], Any]]] = field(default_factory=list)

    def host(self, _name: str) -> FakeHost:
        return FakeHost(self.probe)

    def acts(self, name: str) -> Acts:
        return Acts(FakeCaller(self.bots[name]))

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, work))
        return future

    def answer(self, count: int | None = None) -> None:
        """Let the questions that wait be answered, in order; ``count``: only so many."""
        for future, work in self.waiting[:count]:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 (as an executor does)
                future.set_exception(error)
        del self.waiting[:count]


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def fleet(clock: Time) -> FakeFleet:
    return FakeFleet({name: Bot(clock) for name in ("w1", "w2")})


def prober_of(fleet: FakeFleet, clock: Time) -> Prober:
    made = Prober(cast("Fleet", fleet), clock)
    for name in fleet.bots:
        made.add(name, int(fleet.bots[name].ahead_s * 1e6))
    return made


def told(found: list[tuple[str, list[LogLine]]]) -> list[tuple[str, str, int]]:
    return [
        (host, line.fingerprint or "handled", line.count) for host, lines in found for line in lines
    ]


def test_all_are_asked_together_once_an_interval(fleet: FakeFleet, clock: Time) -> None:
    """Questions never pile up: who has not answered is not asked again."""
    prober = prober_of(fleet, clock)
    for _ in range(3):
        prober.poll()
    assert len(fleet.waiting) == 2
    clock.passed += 11
    prober.poll()
    assert len(fleet.waiting) == 2
    fleet.answer()
    prober.poll()
    assert len(fleet.waiting) == 2
    fleet.answer()
    prober.poll()
    assert fleet.waiting == []


def test_a_bot_without_a_probe_is_left_alone(fleet: FakeFleet, clock: Time) -> None:
    """Nothing is asked of it, and nobody waits for it."""
    fleet.probe = None
    prober = prober_of(fleet, clock)
    assert prober.poll() == []
    assert fleet.waiting == []
    assert prober.has_tried(["w1", "w2"])


def step(prober: Prober, fleet: FakeFleet, clock: Time, canary: tuple[str, ...] = ()) -> Any:
    """Let an interval pass and everybody answer."""
    clock.passed += 5
    prober.poll(canary)
    fleet.answer()
    return told(prober.poll(canary))


def test_what_rose_between_answers_is_told(fleet: FakeFleet, clock: Time) -> None:
    """The first answer is where counting begins."""
    prober = prober_of(fleet, clock)
    assert step(prober, fleet, clock) == []
    assert prober.has_tried(["w1", "w2"])
    fleet.bots["w2"].handled, fleet.bots["w2"].errors = 7, 2
    assert step(prober, fleet, clock) == [("w2", "handled", 7), ("w2", "probe!errors.x", 2)]


def test_the_baseline_is_heard_before_the_canary(fleet: FakeFleet, clock: Time) -> None:
    """What fails on both must not look new on the canary; but nobody waits for ever."""
    prober = prober_of(fleet, clock)
    step(prober, fleet, clock, ("w1",))
    for bot in fleet.bots.values():
        bot.code = 3
    clock.passed += 5
    prober.poll(("w1",))
    fleet.answer(1)
    assert prober.poll(("w1",)) == []
    fleet.answer()
    assert [host for host, _, _ in told(prober.poll(("w1",)))] == ["w2", "w1"]
    clock.passed += 5
    prober.poll(("w1",))
    fleet.answer(1)
    assert prober.poll(("w1",)) == []
    clock.passed += HOLD_S
    assert told(prober.poll(("w1",))) == [("w1", "probe!failed: ended with 3", 1)]


def test_a_host_that_cannot_be_asked_is_no_fault_of_the_bots(fleet: FakeFleet, clock: Time) -> None:
    """It is said as what could not be seen; a host that never can is not asked again."""
    prober = prober_of(fleet, clock)
    fleet.bots["w1"].fault = Unreachable("w1", "no route")
    fleet.bots["w2"].fault = ActFailed("w2", "probe", "neither curl nor wget", code="no-client")
    assert step(prober, fleet, clock) == []
    assert prober.has_tried(["w1", "w2"])
    unasked = "what the probe on {} measures: it could not be asked: {}"
    assert prober.troubles() == [
        unasked.format("w1", "no route"),
        unasked.format("w2", "probe: neither curl nor wget"),
    ]
    step(prober, fleet, clock)
    assert [bot.asked for bot in fleet.bots.values()] == [2, 1]
    fleet.bots["w1"].fault = None
    step(prober, fleet, clock)
    assert len(prober.troubles()) == 1


def test_times_are_ours(fleet: FakeFleet, clock: Time) -> None:
    """A host whose clock is ahead tells of the same instants."""
    fleet.bots["w1"].ahead_s = 3600.0
    prober = prober_of(fleet, clock)
    step(prober, fleet, clock)
    fleet.bots["w1"].handled = 1
    clock.passed += 5
    prober.poll()
    fleet.answer()
    (_, lines), *_ = prober.poll()
    assert lines[0].at_us == int(clock.now().timestamp() * 1e6)


def test_the_old_process_tells_of_the_past(fleet: FakeFleet, clock: Time) -> None:
    """Its counters are what is usual; those of a process that is younger are the release's."""
    bot = fleet.bots["w1"]
    bot.handled, bot.errors, bot.began = 600, 6, clock.passed - 600.0
    prober = prober_of(fleet, clock)
    step(prober, fleet, clock)
    now_us = int(clock.now().timestamp() * 1e6)
    past = prober.before("w1", now_us + SECOND, now_us - 300 * SECOND)
    assert sum(line.count for line in past if line.fingerprint) == 6
    assert sum(line.count for line in past if line.is_handled) == 600
    assert all(now_us - 605 * SECOND <= line.at_us <= now_us for line in past)
    longer = prober.before("w1", now_us + SECOND, now_us - 1800 * SECOND)
    assert 1700 < sum(line.count for line in longer if line.is_handled) < 1900
    of_release = prober.before("w1", now_us - 606 * SECOND, 0)
    assert sum(line.count for line in of_release if line.fingerprint) == 6
    assert len([line for line in of_release if line.fingerprint]) == 1
    assert prober.before("w3", 0, 0) == []


# --- kept for a long soak -------------------------------------------------------------------------


def state_at(clock: Time, armed: datetime | None) -> Any:
    """Give a host's state as it would be read now."""
    at = clock.now().isoformat().replace("+00:00", "Z")
    record: dict[str, Any] = {"at": at, "running": "R2" if armed else "R1", "invocation": "run2"}
    if armed is not None:
        record["phase"] = {
            "phase": "confirmed",
            "new": "R2",
            "old": "R1",
            "run": "r",
            "armed": armed.isoformat().replace("+00:00", "Z"),
        }
        armed_us = int(armed.timestamp() * 1e6)
        record["switches"] = [[armed_us - 3600 * SECOND, "R1"], [armed_us, "R2"]]
    return from_record(record)


PROBE = Probe(ProbeKind.COMMAND, "numbers")


def collected(caller: FakeCaller, clock: Time, armed: datetime | None, **more: Any) -> Evidence:
    return collect(
        Acts(caller, "T"),
        "R2",
        state_at(clock, armed),
        Assembler(),
        since_s=3600,
        bucket_us=60 * SECOND,
        probe=PROBE,
        **more,
    )


def test_each_step_of_promote_keeps_what_a_probe_told_since_the_last(clock: Time) -> None:
    """Counts add up over the steps, in the minutes in which they rose, on the release's account."""
    bot = Bot(clock, handled=5, errors=1, invocation="run2", began=clock.passed - 60)
    caller = FakeCaller(bot)
    armed = BEGIN - timedelta(seconds=61)
    collected(caller, clock, armed)
    clock.passed += 600
    bot.handled, bot.errors = 105, 4
    evidence = collected(caller, clock, armed)
    counts = evidence.totals("R2")
    assert (counts.probed, counts.errors, counts.lines) == (105, {"probe!errors.x": 4}, 0)
    assert len([one for one in evidence.buckets("R2") if one.counts.probed]) >= 10
    assert caller.kept is not None
    assert Evidence.from_json(caller.kept) == evidence


def test_what_was_usual_before_the_switch_is_kept_by_who_saw_it(clock: Time) -> None:
    """The attended run hands the old process's counters over; they are the old release's past."""
    old = Bot(clock, handled=600, errors=60, began=clock.passed - 600)
    fleet = FakeFleet({"w1": old})
    prober = prober_of(fleet, clock)
    step(prober, fleet, clock)
    armed = clock.now() + timedelta(seconds=1)
    clock.passed += 120
    caller = FakeCaller(Bot(clock, 10, 2, "run2", began=clock.passed - 118))
    evidence = collected(caller, clock, armed, first=prober.first("w1"))
    assert evidence.totals("R2").errors == {"probe!errors.x": 2}
    assert evidence.totals("R1").errors["probe!errors.x"] > 300
    assert evidence.totals("R1").probed > 3000


def test_a_baseline_host_tells_of_its_own_past(clock: Time) -> None:
    """Its process is older than anything that is judged."""
    caller = FakeCaller(Bot(clock, 600, 6, "run2", began=clock.passed - 7200))
    evidence = collected(caller, clock, None)
    assert evidence.totals("R1").errors == {"probe!errors.x": 3}
    assert evidence.totals("R1").probed == 300


def test_a_probe_that_fails_while_the_bot_starts_is_forgiven(clock: Time) -> None:
    """After the grace it counts; a host that can't be asked never does."""
    bot = Bot(clock, invocation="run2", began=clock.passed - 5, code=7)
    caller = FakeCaller(bot)
    armed = BEGIN - timedelta(seconds=6)
    assert collected(caller, clock, armed, grace_s=30.0).totals("R2").errors == {}
    clock.passed += 60
    seen = collected(caller, clock, armed, grace_s=30.0)
    assert seen.totals("R2").errors == {"probe!failed: ended with 7": 1}
    bot.fault = Unreachable("w1", "no route")
    clock.passed += 60
    assert collected(caller, clock, armed, grace_s=30.0).totals("R2") == seen.totals("R2")


def test_a_trial_asks_a_running_bot_once(clock: Time) -> None:
    """What the answer holds is told; one question, and nothing else."""
    bot = Bot(clock, handled=600, errors=6)
    told = try_probe(Acts(FakeCaller(bot)), PROBE)
    assert (told["ok"], told["message"]) == (True, "saw work 600 (handled); errors 6 (errors.x)")
    assert bot.asked == 1


def test_a_trial_asks_no_bot_that_does_not_run(clock: Time) -> None:
    """A stopped bot can't answer, and its host is not at fault."""
    bot = Bot(clock)
    told = try_probe(Acts(FakeCaller(bot, "inactive")), PROBE)
    assert (told["ok"], bot.asked) == (True, 0)
    assert "does not run here" in str(told["message"])


def test_a_trial_tells_why_it_could_not_ask(clock: Time) -> None:
    """A host without a client is a fault with a mend; one out of reach is for the caller."""
    bot = Bot(clock, fault=ActFailed("w1", "probe", "no curl", code="no-client"))
    told = try_probe(Acts(FakeCaller(bot)), PROBE)
    assert not told["ok"]
    assert "install curl" in str(told["mend"])
    bot.fault = ProgramMissing("w1", "is not there")
    assert try_probe(Acts(FakeCaller(bot)), PROBE)["ok"]
    bot.fault = Unreachable("w1", "no route")
    with pytest.raises(Unreachable):
        try_probe(Acts(FakeCaller(bot)), PROBE)
