"""The judge of long soaks: evidence for and against, and what it says when there is too little."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome, Verdict
from tests.effort import examples

pytestmark = pytest.mark.simulation

MINUTE = 60_000_000
SWITCH = 28_333_333 * MINUTE
HOSTS = ("w1", "w2", "w3")


def fine(at_us: int, latency_ms: float | None = None) -> LogLine:
    return LogLine(at_us, LineKind.LOG, Level.INFO, "handled", latency_ms=latency_ms)


def error(at_us: int, name: str = "ValueError: upstream said no") -> LogLine:
    return LogLine(at_us, LineKind.LOG, Level.ERROR, f"ERROR {name}", fingerprint=name)


def minutes(
    start: int,
    end: int,
    *,
    seed: int,
    lines: float = 10.0,
    errors: float = 0.3,
    latency_ms: float | None = None,
    name: str = "ValueError: upstream said no",
) -> list[LogLine]:
    """Give a host's lines from minute to minute after the switch, by chance but always the same."""
    rng = random.Random(seed)  # noqa: S311
    out: list[LogLine] = []
    for minute in range(start, end):
        begin = SWITCH + minute * MINUTE
        for _ in range(_count(rng, lines)):
            took = latency_ms * exp(rng.gauss(0.0, 0.5)) if latency_ms else None
            out.append(fine(begin + rng.randrange(MINUTE), took))
        many = _count(rng, errors)
        out.extend(error(begin + rng.randrange(MINUTE), name) for _ in range(many))
    return sorted(out, key=lambda line: line.at_us)


def _count(rng: random.Random, mean: float) -> int:
    """Draw a Poisson number (Knuth)."""
    limit, product, many = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        many += 1
    return many


@cache
def past(hours: int = 4, **kind: float | None) -> dict[str, list[LogLine]]:
    """Give a past of so many hours on each host."""
    return {
        host: minutes(-60 * hours, 0, seed=number, **kind)  # type: ignore[arg-type]
        for number, host in enumerate(HOSTS)
    }


def judge(
    history: dict[str, list[LogLine]] | None = None,
    *,
    soak_min: int = 10,
    preset: str = "normal",
    baseline: tuple[str, ...] = ("w2", "w3"),
    deadline_min: int = 60,
) -> Judge:
    policy = {"preset": preset, "deadline": timedelta(minutes=deadline_min)}
    return Judge(
        JudgeOptions.from_policy(policy, timedelta(minutes=soak_min)),
        canary=["w1"],
        baseline=baseline,
        switched_at_us={"w1": SWITCH},
        history=history if history is not None else past(),
    )


def run(it: Judge, lines: dict[str, list[LogLine]], until: int = 62) -> tuple[int, Verdict]:
    """Feed in time order, ask each minute; give the minute of the first verdict beyond WAIT."""
    feed = sorted(
        ((line.at_us, host, line) for host, some in lines.items() for line in some),
        key=lambda one: one[:2],
    )
    index = 0
    ruled = Verdict(Outcome.WAIT)
    for minute in range(1, until + 1):
        now = SWITCH + minute * MINUTE + 6_000_000
        while index < len(feed) and feed[index][0] <= now:
            hard = it.feed(feed[index][1], feed[index][2])
            index += 1
            if hard is not None and hard.outcome is Outcome.FAIL:
                return minute, hard
        ruled = it.verdict(now)
        if ruled.outcome is not Outcome.WAIT:
            return minute, ruled
    return until, ruled


def others(until: int = 62, **kind: float | None) -> dict[str, list[LogLine]]:
    return {
        host: minutes(0, until, seed=100 + number, **kind)  # type: ignore[arg-type]
        for number, host in enumerate(HOSTS[1:])
    }


def watch(seed: int = 50, until: int = 62, **kind: object) -> dict[str, list[LogLine]]:
    return {"w1": minutes(0, until, seed=seed, **kind), **others(until)}  # type: ignore[arg-type]


def test_a_good_release_passes_with_figures() -> None:
    """After the soak, once three times as many errors are excluded; the reasons give numbers."""
    when, ruled = run(judge(), watch())
    assert ruled.outcome is Outcome.PASS
    assert 10 <= when < 40
    assert "expected" in ruled.reasons[0]
    assert "95 %" in ruled.reasons[0]


def test_ten_times_the_errors_fail_before_the_soak_is_over() -> None:
    """A plain regression is condemned in minutes, with counts, the interval and the line."""
    when, ruled = run(judge(soak_min=60), watch(errors=3.0))
    assert ruled.outcome is Outcome.FAIL
    assert when < 15
    assert any("where" in said and "expected" in said for said in ruled.reasons)
    assert any("upstream said no" in said for said in ruled.reasons)
    assert ruled.host == "w1"


def _served(start: int, end: int, *, seed: int, latency_ms: float) -> list[LogLine]:
    """Give five lines a second whose latencies hardly stray."""
    rng = random.Random(seed)  # noqa: S311
    return [
        fine(SWITCH + start * MINUTE + at * 200_000, latency_ms * exp(rng.gauss(0.0, 0.25)))
        for at in range((end - start) * 300)
    ]


def test_a_calm_fleet_does_not_hide_slowness() -> None:
    """Three times as long is a fail within five minutes, however little minutes strayed before."""
    history = {host: _served(-60, 0, seed=n, latency_ms=100.0) for n, host in enumerate(HOSTS)}
    lines = {host: _served(0, 6, seed=10 + n, latency_ms=100.0) for n, host in enumerate(HOSTS)}
    when, ruled = run(judge(history), lines | {"w1": _served(0, 6, seed=9, latency_ms=300.0)}, 6)
    assert ruled.outcome is Outcome.FAIL
    assert when <= 5
    assert any("times as long" in said for said in ruled.reasons)
    _, ruled = run(judge(history), lines, 6)
    assert ruled.outcome is Outcome.WAIT


def test_one_slow_minute_of_a_calm_fleet_is_no_proof() -> None:
    """A pause of a minute, however long work takes in it, does not fail a release."""
    history = {host: _served(-60, 0, seed=n, latency_ms=100.0) for n, host in enumerate(HOSTS)}
    lines = {host: _served(0, 8, seed=10 + n, latency_ms=100.0) for n, host in enumerate(HOSTS)}
    slow = _served(3, 4, seed=9, latency_ms=900.0)
    lines["w1"] = sorted(
        [one for one in lines["w1"] if not 3 <= (one.at_us - SWITCH) / MINUTE < 4] + slow,
        key=lambda line: line.at_us,
    )
    _, ruled = run(judge(history), lines, 8)
    assert ruled.outcome is Outcome.WAIT


def test_latencies_that_are_not_weighed_are_told() -> None:
    """A past with too few of them drops out of the weighing, and the verdict says so."""
    history = {host: minutes(-240, 0, seed=n) for n, host in enumerate(HOSTS)}
    lines = {host: minutes(0, 62, seed=50 + n, latency_ms=90.0) for n, host in enumerate(HOSTS)}
    _, ruled = run(judge(history), lines)
    assert ruled.outcome is Outcome.PASS
    assert any("how long work takes was not weighed" in said for said in ruled.reasons)
    _, ruled = run(judge(history), watch())
    assert not any("not weighed" in said for said in ruled.reasons)


def test_traffic_that_stops_fails() -> None:
    """Silence is not health: the bot runs, errs no more, and does nothing."""
    _, ruled = run(judge(soak_min=60), watch(lines=0.0, errors=0.0))
    assert ruled.outcome is Outcome.FAIL
    assert any("traffic stopped" in said for said in ruled.reasons)


def test_a_new_error_that_comes_back_fails() -> None:
    """An error that nobody saw before, once in five minutes, is the release's."""
    lines = watch()
    new = [error(SWITCH + minute * MINUTE + 7, "KeyError: pay") for minute in (4, 9, 14)]
    lines["w1"] = sorted([*lines["w1"], *new], key=lambda line: line.at_us)
    when, ruled = run(judge(soak_min=60), lines)
    assert ruled.outcome is Outcome.FAIL
    assert when in {10, 15}
    assert any("never seen before" in said and "KeyError: pay" in said for said in ruled.reasons)


def test_one_new_error_does_not_fail_but_delays_the_pass() -> None:
    """News of the last minutes keep a release from passing until they are old."""
    lines = watch()
    new = error(SWITCH + 9 * MINUTE + 7, "KeyError: pay")
    lines["w1"] = sorted([*lines["w1"], new], key=lambda line: line.at_us)
    when, ruled = run(judge(), lines)
    assert ruled.outcome is Outcome.PASS
    assert when >= 19


def test_a_reworded_error_is_not_new() -> None:
    """The same error under a slightly other text, in place of the old one, does not fail."""
    was, now = "upstream answered with status", "upstream answered badly with code"
    history = past(errors=0.5, name=was)
    lines = others(errors=0.5, name=was)  # type: ignore[arg-type]
    lines["w1"] = minutes(0, 62, seed=50, errors=0.5, name=now)
    _, ruled = run(judge(history), lines)
    assert ruled.outcome is Outcome.PASS


def test_slower_work_fails() -> None:
    """Work that takes 60 % longer is condemned, with the ratio and its interval."""
    history = past(latency_ms=100.0)
    lines = others(latency_ms=100.0)
    lines["w1"] = minutes(0, 62, seed=50, latency_ms=160.0)
    _, ruled = run(judge(history, soak_min=60), lines)
    assert ruled.outcome is Outcome.FAIL
    assert any("times as long" in said for said in ruled.reasons)


def test_an_outage_of_all_hosts_is_not_the_release() -> None:
    """When the baseline errs twenty times as much at the same time, nobody is condemned."""
    lines = {}
    for number, host in enumerate(HOSTS):
        quiet = minutes(0, 15, seed=number + 20) + minutes(25, 62, seed=number + 60)
        lines[host] = sorted(
            [*quiet, *minutes(15, 25, seed=number + 40, errors=6.0)], key=lambda line: line.at_us
        )
    _, ruled = run(judge(soak_min=40), lines)
    assert ruled.outcome is not Outcome.FAIL


def test_no_traffic_anywhere_is_inconclusive() -> None:
    """Traffic that never was proves nothing: at the deadline a person decides."""
    history = past(lines=0.02, errors=0.0)
    lines = {"w1": [], **others(lines=0.02, errors=0.0)}
    when, ruled = run(judge(history), lines)
    assert ruled.outcome is Outcome.INCONCLUSIVE
    assert when == 60
    assert any("traffic" in said for said in ruled.reasons)


def test_one_host_is_judged_by_its_own_past() -> None:
    """Without a baseline a plain regression still fails, and a good release is not failed."""
    history = {"w1": past()["w1"]}
    _, bad = run(
        judge(history, baseline=(), soak_min=60), {"w1": minutes(0, 62, seed=50, errors=5.0)}
    )
    assert bad.outcome is Outcome.FAIL
    _, good = run(judge(history, baseline=()), {"w1": minutes(0, 62, seed=50)})
    assert good.outcome is not Outcome.FAIL


def test_no_past_is_made_up_for_by_the_baseline() -> None:
    """With no history the first ten minutes of the baseline say what is usual."""
    _, ruled = run(judge({}, soak_min=60), watch(errors=12.0))
    assert ruled.outcome is Outcome.FAIL


def test_a_young_baseline_fails_no_good_release() -> None:
    """Ten minutes of the baseline are little to go by, and are not taken for more."""
    for seed in range(5):
        _, ruled = run(judge({}), watch(seed=seed))
        assert ruled.outcome is not Outcome.FAIL


def test_a_first_deploy_on_one_host_is_inconclusive() -> None:
    """With neither past nor baseline there is nothing to compare with, and normal wants proof."""
    _, ruled = run(judge({}, baseline=()), {"w1": minutes(0, 62, seed=50)})
    assert ruled.outcome is Outcome.INCONCLUSIVE
    assert any("nothing to compare with" in said for said in ruled.reasons)


def test_a_first_deploy_that_mostly_errs_fails() -> None:
    """What needs no comparison fails without one."""
    lines = {"w1": minutes(0, 62, seed=50, lines=1.0, errors=6.0)}
    _, ruled = run(judge({}, baseline=()), lines)
    assert ruled.outcome is Outcome.FAIL


def test_a_torn_stream_is_neither_silence_nor_health() -> None:
    """Minutes that were not read are left out: no fail for silence, no pass for quiet."""
    it = judge(soak_min=10)
    lines = watch(until=5)
    lines.update(others(62))
    for host, some in lines.items():
        for line in some:
            it.feed(host, line)
    it.gap("w1", SWITCH + 5 * MINUTE)
    assert it.verdict(SWITCH + 30 * MINUTE).outcome is Outcome.WAIT
    assert it.verdict(SWITCH + 61 * MINUTE).outcome is Outcome.INCONCLUSIVE


def test_dropped_lines_prove_no_health_and_no_silence() -> None:
    """While journald drops lines the counts are lower bounds: nothing is proved by them."""
    lines = watch(lines=0.0, errors=0.0)
    drops = [
        LogLine(
            SWITCH + minute * MINUTE + 30_000_000,
            LineKind.DROPPED,
            None,
            "Suppressed 900 messages",
            system=SystemRecord(SystemKind.DROPPED, count=900),
        )
        for minute in range(62)
    ]
    lines["w1"] = drops
    it = judge()
    _, ruled = run(it, lines)
    assert ruled.outcome is Outcome.INCONCLUSIVE
    assert any("journald dropped" in said for said in it.cannot_exclude())


def test_one_crash_keeps_a_release_from_passing() -> None:
    """The old release never crashed: one crash is no loop, and no health."""
    lines = watch()
    crash = LogLine(
        SWITCH + 4 * MINUTE,
        LineKind.SYSTEMD,
        None,
        "Main process exited, code=exited, status=1/FAILURE",
        system=SystemRecord(SystemKind.CRASHED, "exited", 1),
    )
    lines["w1"] = sorted([*lines["w1"], crash], key=lambda line: line.at_us)
    _, ruled = run(judge(), lines)
    assert ruled.outcome is Outcome.INCONCLUSIVE
    assert any("crashed" in said for said in ruled.reasons)


def test_kept_evidence_and_lines_give_the_same_verdict() -> None:
    """What hosts keep of a soak of days is judged as the lines themselves would be."""
    history, lines = past(), watch(errors=3.0)
    kept = {}
    for host in HOSTS:
        kept[host] = Evidence(host)
        kept[host].open(history[host][0].at_us)
        for line in history[host]:
            kept[host].add(line, "old")
        for line in lines[host]:
            kept[host].add(line, "new" if host == "w1" else "old")
        kept[host].extend(SWITCH + 62 * MINUTE)
    by_lines = judge(history, soak_min=60)
    run_lines = run(by_lines, lines)
    by_evidence = judge({}, soak_min=60)
    for host in HOSTS:
        by_evidence.absorb(host, kept[host])
    ruled = by_evidence.verdict(SWITCH + 61 * MINUTE)
    assert ruled.outcome is run_lines[1].outcome is Outcome.FAIL
    assert ruled.reasons[0] == run_lines[1].reasons[0]


def test_a_soak_of_days_is_judged_in_one_go() -> None:
    """A cron job that asks once after a day gets the verdict of the whole day."""
    lines = {"w1": minutes(0, 1440, seed=50, lines=4.0), **others(1440, lines=4.0)}
    it = judge(past(lines=4.0), soak_min=1440, deadline_min=2000)
    for host, some in lines.items():
        for line in some:
            it.feed(host, line)
    assert it.verdict(SWITCH + 1441 * MINUTE).outcome is Outcome.PASS


def test_careful_wants_more_proof_than_normal() -> None:
    """Twice as many errors must be excluded there, which takes longer or can't be had."""
    normal, first = run(judge(), watch())
    careful, second = run(judge(preset="careful"), watch())
    assert first.outcome is Outcome.PASS
    assert second.outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}
    assert careful > normal


@settings(deadline=None, max_examples=examples(10))
@given(st.sets(st.integers(min_value=1, max_value=30), max_size=10))
def test_asking_often_gives_the_same_verdict(asks: set[int]) -> None:
    """The evidence is a function of the minutes, not of when one looked."""
    lines = watch(errors=0.6, until=31)
    feed = sorted(
        ((line.at_us, host, line) for host, some in lines.items() for line in some),
        key=lambda one: one[:2],
    )
    history = past(hours=3, lines=5.0)
    once, often = judge(history, soak_min=60), judge(history, soak_min=60)
    for at_us, host, line in feed:
        once.feed(host, line)
        often.feed(host, line)
        if (at_us - SWITCH) // MINUTE in asks:
            often.verdict(at_us)
    now = SWITCH + 31 * MINUTE
    assert once.verdict(now) == often.verdict(now)
