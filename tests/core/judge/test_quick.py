"""The quick judge and the hard rules, by what a person would see in a journal."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions, Preset
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome, Verdict
from tests.effort import examples

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    """Microseconds at so many seconds after the switch."""
    return SWITCH + round(seconds * SECOND)


def fine(seconds: float, text: str = "handled a command") -> LogLine:
    return LogLine(at(seconds), LineKind.LOG, Level.INFO, text)


def error(
    seconds: float, name: str = "db-timeout", *, traced: bool = False, fatal: bool = False
) -> LogLine:
    kind = LineKind.TRACEBACK if traced else LineKind.LOG
    return LogLine(
        at(seconds), kind, Level.ERROR, f"ERROR {name}", fingerprint=name, is_fatal=fatal
    )


def happens(
    seconds: float, kind: SystemKind, text: str = "bot.service: …", *, result: str = ""
) -> LogLine:
    return LogLine(
        at(seconds), LineKind.SYSTEMD, None, text, system=SystemRecord(kind, result=result)
    )


def steady(start: float, end: float, every: float = 2.0) -> list[LogLine]:
    """Give a line every so many seconds."""
    return [fine(start + i * every) for i in range(int((end - start) / every))]


def judge(
    *,
    hours: float = 2.0,
    history: list[LogLine] | None = None,
    baseline: tuple[str, ...] = ("w2", "w3"),
    soak: float = 60.0,
    preset: str | None = None,
) -> Judge:
    """Give a judge of w1 with a past of so many hours on every host (0: none is known)."""
    options = JudgeOptions.from_policy({"preset": preset} if preset else {}, soak)
    past = history if history is not None else steady(-hours * 3600, 0) if hours else []
    return Judge(
        options,
        canary=["w1"],
        baseline=baseline,
        switched_at_us={"w1": SWITCH},
        history=dict.fromkeys(["w1", *baseline], past) if past else {},
    )


def run(it: Judge, lines: dict[str, list[LogLine]], until: float = 60.0) -> tuple[float, Verdict]:
    """Feed lines in time order, ask every second; give the first verdict that is not WAIT."""
    feed = sorted(
        ((line.at_us, host, line) for host, some in lines.items() for line in some),
        key=lambda one: one[0],
    )
    index = 0
    for second in range(int(until) + 1):
        while index < len(feed) and feed[index][0] <= at(second):
            at_us, host, line = feed[index]
            index += 1
            ruled = it.feed(host, line)
            if ruled is not None and ruled.outcome is not Outcome.WAIT:
                return (at_us - SWITCH) / SECOND, ruled
        ruled = it.verdict(at(second))
        if ruled.outcome is not Outcome.WAIT:
            return float(second), ruled
    return float(until), it.verdict(at(until))


def others(until: float = 60.0) -> dict[str, list[LogLine]]:
    return {"w2": steady(0, until), "w3": steady(0.5, until)}


def test_a_good_release_passes_when_its_soak_is_over() -> None:
    """Steady lines and no error pass at the end of the soak, not before, with figures."""
    when, ruled = run(judge(), {"w1": steady(1, 60), **others()})
    assert (when, ruled.outcome) == (60.0, Outcome.PASS)
    assert "29 lines on w1, 0 errors" in ruled.reasons[0]


def test_a_pass_says_what_it_could_not_exclude() -> None:
    """A pass names how short the soak was, and the rate that it could have seen."""
    it = judge()
    run(it, {"w1": steady(1, 60), **others()})
    assert any("once in 20 s" in said for said in it.cannot_exclude())


def test_a_pass_tells_the_share_of_errors_and_what_it_does_not_exclude_in_one_sentence() -> None:
    """Beside the share that is usual, and by the length of the soak."""
    past = [*steady(-7200, 0), *(error(-7190 + 100 * i) for i in range(71))]
    it = judge(history=sorted(past, key=lambda line: line.at_us))
    _, ruled = run(it, {"w1": [*steady(1, 60), error(14), error(44)], **others()})
    assert ruled.outcome is Outcome.PASS
    assert ruled.reasons[0] == (
        "nothing bad was seen: 31 lines on w1, 2 errors among them (6 %; 2 % is usual);"
        " what shows less often than once in 20 s is not excluded"
    )


@pytest.mark.parametrize(
    ("since", "before", "said"),
    [
        (0, 100, "no line since the switch told how long work took"),
        (7, 100, "only 7 lines since the switch told how long work took"),
        (59, 0, "too little is known of how long work took before"),
        (59, 3000, None),
    ],
)
def test_what_is_not_weighed_is_said(since: int, before: int, said: str | None) -> None:
    """Slow work shows only where enough lines tell how long it took, then and now."""
    past = [*steady(-3600, 0), *worked(-3600, -3600 + before, 100.0)]
    it = judge(history=sorted(past, key=lambda line: line.at_us))
    run(it, {"w1": [*steady(1, 60), *worked(1, 1 + since, 100.0)], **others()})
    told = [one for one in it.cannot_exclude() if "is slower" in one]
    assert len(told) == bool(said)
    assert all((said or "") in one for one in told)


@pytest.mark.parametrize(("sick", "outcome"), [(2, Outcome.PASS), (0, Outcome.FAIL)])
def test_what_errs_on_both_releases_is_not_the_new_ones_doing(sick: int, outcome: Outcome) -> None:
    """Where nothing is known of the past, the old release tells, by what it says meanwhile."""
    failing = [error(second) for second in range(1, 40)]
    healthy = steady(0, 40)
    lines = {"w1": failing, "w2": failing if sick else healthy, "w3": failing if sick else healthy}
    assert run(judge(hours=0, soak=40), lines, 40)[1].outcome is outcome


def test_known_errors_at_their_usual_rate_pass() -> None:
    """An error that the old release prints twice a minute does not fail the new one."""
    past = [*steady(-7200, 0), *(error(-7190 + 30 * i) for i in range(239))]
    it = judge(history=past)
    _, ruled = run(it, {"w1": [*steady(1, 60), error(14), error(44)], **others()})
    assert ruled.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("known_s", "times", "outcome"),
    [(1, 4, Outcome.WAIT), (60, 4, Outcome.WAIT), (60, 12, Outcome.FAIL), (300, 4, Outcome.FAIL)],
)
def test_an_error_that_a_short_past_lacks_by_chance_is_no_proof(
    known_s: int, times: int, outcome: Outcome
) -> None:
    """A past as short as the soak may well lack what comes four times in the soak."""
    it = judge(history=steady(-known_s, 0, 0.5), baseline=())
    rare = [error(12 + i * 44 / times, "rare") for i in range(times)]
    _, ruled = run(it, {"w1": [*steady(1, 60, 0.5), *rare]})
    assert ruled.outcome is outcome


def test_an_error_all_the_time_fails_without_the_claim_that_it_is_new() -> None:
    """A second of past says nothing of what is new; that every tenth line is an error does."""
    it = judge(history=steady(-1, 0, 0.5), baseline=())
    _, ruled = run(it, {"w1": [*steady(1, 60), *(error(12 + 5 * i, "often") for i in range(9))]})
    assert ruled.outcome is Outcome.FAIL
    assert ruled.reasons[0].startswith("one error came 5 times within 20 s")


@pytest.mark.parametrize("until", [10, 20, 30])
@pytest.mark.parametrize(
    ("start", "outcome"), [("none", Outcome.WAIT), ("quiet", None), ("alike", Outcome.PASS)]
)
def test_starts_are_compared_with_starts(until: int, start: str, outcome: Outcome | None) -> None:
    """What the old release said after its own start is usual then; unknown starts are no proof."""
    past = steady(-7200, 0)
    if start != "none":
        past = [happens(-7200, SystemKind.STARTED), *past]
    if start == "alike":
        past += [error(-7200 + second, "cold") for second in range(2, until - 2, 3)]
    past.sort(key=lambda line: line.at_us)
    cold = [error(second, "cold") for second in range(1, until, 3)]
    it = judge(history=past)
    _, ruled = run(it, {"w1": [*cold, *steady(1, 60)], **others()})
    if outcome is None:
        outcome = Outcome.WAIT if until == 10 else Outcome.FAIL
    assert ruled.outcome is outcome, ruled
    assert outcome is not Outcome.WAIT or "ERROR cold" in ruled.reasons[0]


def test_errors_that_last_longer_than_the_start_ever_did_fail() -> None:
    """A start that said so for eight seconds excuses no more than some twenty."""
    past = [happens(-7200, SystemKind.STARTED), *steady(-7199, 0)]
    past += [error(-7200 + second, "cold") for second in range(2, 9)]
    it = judge(history=sorted(past, key=lambda line: line.at_us))
    cold = [error(second, "cold") for second in range(1, 60, 2)]
    when, ruled = run(it, {"w1": [*cold, *steady(1, 60)], **others()})
    assert ruled.outcome is Outcome.FAIL
    assert when > 17


def test_what_was_kept_of_a_start_is_compared_with_the_start() -> None:
    """Evidence tells of a start by the minute."""
    one = Evidence("w1")
    one.open(at(-7200))
    for line in [happens(-7190, SystemKind.STARTED), *steady(-7189, 0)]:
        one.add(line, "old")
        if line.at_us == at(-7185):
            for second in range(6):
                one.add(error(-7185 + second / 10, "cold"), "old")
    one.extend(at(0))
    options = JudgeOptions.from_policy({}, 60)
    it = Judge(
        options, canary=["w1"], baseline=[], switched_at_us={"w1": SWITCH}, history={"w1": one}
    )
    cold = [error(second, "cold") for second in range(1, 30, 2)]
    assert run(it, {"w1": [*cold, *steady(1, 60)]})[1].outcome is Outcome.PASS


def test_a_new_error_that_comes_back_fails_in_seconds() -> None:
    """An error never seen before fails the release when it comes again 15 s later."""
    lines = [*steady(1, 60), error(19, "new"), error(34, "new")]
    when, ruled = run(judge(), {"w1": lines, **others()})
    assert (when, ruled.outcome, ruled.host) == (34.0, Outcome.FAIL, "w1")
    assert "ERROR new" in ruled.reasons[0]
    assert "6 h" in ruled.reasons[0]


def test_a_new_error_of_many_lines_at_once_has_not_come_back() -> None:
    """Lines within one second are one occasion."""
    lines = [*steady(1, 60), *(error(12 + i / 10, "new") for i in range(3))]
    when, ruled = run(judge(), {"w1": lines, **others()})
    assert (when, ruled.outcome) == (60.0, Outcome.WAIT)


def test_a_new_error_that_never_pauses_has_come_back() -> None:
    """A stream of the same new error, ten a second, counts as one occasion each second."""
    lines = [error(1.0 + i * 0.1, traced=True) for i in range(150)]
    past = [happens(-7200, SystemKind.STARTED), *steady(-7199, 0)]
    second, verdict = run(judge(history=past), {"w1": lines + steady(0, 60, 0.1)})
    assert verdict.outcome is Outcome.FAIL
    assert second < 15


@pytest.mark.parametrize("hosts", [("w2", "w3"), ()])
def test_an_error_that_a_library_tries_again_is_no_proof(hosts: tuple[str, ...]) -> None:
    """Three lines within ten seconds and then none: one failure, told and left to a person."""
    tried = [error(20 + second, "new") for second in (0, 2, 9)]
    it = judge(baseline=hosts)
    when, ruled = run(it, {"w1": [*steady(1, 130), *tried], **others(130)}, 130)
    assert (when, ruled.outcome) == (120.0, Outcome.INCONCLUSIVE)
    assert "came 3 times" in ruled.reasons[0]


def test_a_new_error_while_the_whole_fleet_has_more_errors_is_no_proof() -> None:
    """A provider that fails shows in other errors on other hosts, too."""
    past = [*steady(-7200, 0), *(error(-7190 + 300 * i) for i in range(23))]
    past.sort(key=lambda line: line.at_us)
    trouble = [error(12 + 2 * i) for i in range(24)]
    rest = {name: [*some, *trouble] for name, some in others().items()}
    new = [error(20 + 8 * i, "new") for i in range(5)]
    it = judge(history=past)
    _, ruled = run(it, {"w1": [*steady(1, 60), *trouble, *new], **rest})
    assert ruled.outcome is Outcome.WAIT


def test_an_error_that_the_baseline_shows_too_is_not_new() -> None:
    """What the old release says meanwhile has an external cause."""
    lines = {"w1": [*steady(1, 60), error(12, "new"), error(15, "new"), error(20, "new")]}
    rest = others()
    rest["w3"] = [*rest["w3"], error(11, "new")]
    _, ruled = run(judge(), {**lines, **rest})
    assert ruled.outcome is Outcome.PASS


def test_a_new_error_seen_once_waits_and_ends_inconclusive() -> None:
    """One new error is no proof and no pass: a second soak is waited for, then a person asked."""
    lines = {"w1": [*steady(1, 130), error(30, "new", traced=True)], **others(130)}
    when, ruled = run(judge(), lines, until=130)
    assert (when, ruled.outcome) == (120.0, Outcome.INCONCLUSIVE)
    assert "came once" in ruled.reasons[0]


def test_with_little_history_a_new_error_must_come_four_times() -> None:
    """Where a quarter of an hour is known, an unknown error three times is not yet a fail."""
    past = steady(-300, 0)
    thrice = [*steady(1, 60), *(error(second, "new") for second in (12, 19, 31))]
    _, ruled = run(judge(history=past), {"w1": thrice, **others()})
    assert ruled.outcome is Outcome.WAIT
    when, ruled = run(judge(history=past), {"w1": [*thrice, error(38, "new")], **others()})
    assert (when, ruled.outcome) == (38.0, Outcome.FAIL)


def test_a_burst_of_known_errors_far_above_the_usual_fails() -> None:
    """Forty known errors in half a minute, where two a minute are usual, fail."""
    past = [*steady(-7200, 0), *(error(-7190 + 30 * i) for i in range(239))]
    lines = [*steady(1, 60), *(error(31 + i / 2) for i in range(40))]
    when, ruled = run(judge(history=past), {"w1": lines, **others()})
    assert ruled.outcome is Outcome.FAIL
    assert when < 44
    assert "usual here" in ruled.reasons[0]


def test_a_burst_that_the_baseline_has_too_passes() -> None:
    """When a provider is down, all hosts err together and the release is not blamed."""
    past = [*steady(-7200, 0), *(error(-7190 + 30 * i) for i in range(239))]
    burst = [error(12 + i / 2) for i in range(40)]
    rest = {name: [*some, *burst] for name, some in others().items()}
    _, ruled = run(judge(history=past), {"w1": [*steady(1, 60), *burst], **rest})
    assert ruled.outcome is Outcome.PASS


def test_what_fails_on_all_hosts_until_the_end_is_no_pass() -> None:
    """Nobody can tell then whether the new release works; nor is it blamed."""
    down = [error(2 + i) for i in range(58)]
    rest = {name: [*some[:4], *down] for name, some in others().items()}
    _, ruled = run(judge(), {"w1": [fine(1), *down], **rest})
    assert ruled.outcome is Outcome.WAIT
    assert "so are most of the old release's" in ruled.reasons[0]


def test_silence_where_there_was_steady_traffic_fails() -> None:
    """A bot that always printed every 2 s and stops is silent long before the soak is over."""
    when, ruled = run(judge(), {"w1": [fine(1), fine(3)], **others()})
    assert ruled.outcome is Outcome.FAIL
    assert when < 60
    assert "silent for" in ruled.reasons[0]


@pytest.mark.parametrize(("quiet", "outcome"), [(8, Outcome.PASS), (30, Outcome.FAIL)])
def test_a_pause_such_as_the_old_release_had_many_is_no_silence(
    quiet: int, outcome: Outcome
) -> None:
    """A bot that pauses for 9 s every five minutes may do so in its soak; a longer pause fails."""
    past = [one for one in steady(-3600, 0, 1.0) if (SWITCH - one.at_us) // SECOND % 300 > 8]
    lines = [*steady(1, 15, 1.0), *steady(15 + quiet, 60, 1.0)]
    _, ruled = run(judge(history=past), {"w1": lines, **others()})
    assert ruled.outcome is outcome


def test_silence_of_the_whole_fleet_is_not_the_release() -> None:
    """When the baseline falls silent at the same time nobody is blamed."""
    quiet = {"w1": [fine(1)], "w2": [fine(1)], "w3": [fine(1)]}
    _, ruled = run(judge(), quiet)
    assert ruled.outcome is not Outcome.FAIL


def test_a_broken_stream_is_not_silence() -> None:
    """After a gap nothing is known: neither fail nor pass, and inconclusive at the deadline."""
    it = judge()
    for line in steady(1, 10):
        it.feed("w1", line)
    it.gap("w1", at(10))
    for host, some in others(120).items():
        for line in some:
            it.feed(host, line)
    assert it.verdict(at(59)).outcome is Outcome.WAIT
    assert it.verdict(at(61)).outcome is Outcome.WAIT
    ruled = it.verdict(at(121))
    assert ruled.outcome is Outcome.INCONCLUSIVE
    assert "can't be read" in ruled.reasons[0]


def test_a_gap_that_closed_is_told_by_the_pass() -> None:
    """Seconds that were not seen are named among what can't be excluded."""
    it = judge()
    for line in steady(1, 20):
        it.feed("w1", line)
    it.gap("w1", at(20))
    for line in steady(30, 60):
        it.feed("w1", line)
    assert it.verdict(at(60)).outcome is Outcome.PASS
    assert any("could not be read" in said for said in it.cannot_exclude())


def test_dropped_lines_are_told_and_are_no_silence() -> None:
    """Lines that journald dropped are named by the pass, which does not cover them."""
    it = judge()
    record = SystemRecord(SystemKind.DROPPED, count=400)
    dropped = LogLine(at(5), LineKind.DROPPED, None, "Suppressed 400 messages", system=record)
    when, ruled = run(it, {"w1": [*steady(1, 5), dropped], **others()})
    assert (when, ruled.outcome) == (60.0, Outcome.PASS)
    assert "dropped 400 lines" in ruled.reasons[1]
    assert any("400 lines" in said for said in it.cannot_exclude())


def test_a_bot_that_never_printed_passes_quick_with_a_caveat() -> None:
    """Traffic that never was is no proof of life; quick passes and says so."""
    it = judge(hours=0)
    when, ruled = run(it, {})
    assert (when, ruled.outcome) == (60.0, Outcome.PASS)
    assert "no proof that it works" in ruled.reasons[1]


def test_the_first_deploy_with_a_failing_bot_fails() -> None:
    """With nothing to compare with, the same error three times is what a person would see."""
    lines = [error(12 + 5 * i, "login") for i in range(10)]
    when, ruled = run(judge(hours=0, baseline=()), {"w1": lines})
    assert (when, ruled.outcome) == (32.0, Outcome.FAIL)


def test_the_first_deploy_with_an_error_does_not_pass() -> None:
    """With nothing to compare with, nobody can tell whether an error was always there."""
    it = judge(hours=0, baseline=())
    when, ruled = run(it, {"w1": [*steady(1, 130), error(5, "login")]}, 130)
    assert (when, ruled.outcome) == (120.0, Outcome.INCONCLUSIVE)
    assert "came once, and nothing is known of an older release" in ruled.reasons[0]


@pytest.mark.parametrize("a_minute", [6.0, 20.0, 100.0])
@pytest.mark.parametrize("hosts", [("w2", "w3"), ()])
def test_a_bot_that_talks_at_its_start_and_then_no_more_does_not_pass(
    hosts: tuple[str, ...], a_minute: float
) -> None:
    """Three lines and then none, where the past says that more were due."""
    every = 60.0 / a_minute
    it = judge(history=steady(-7200, 0, every), baseline=hosts)
    rest = {name: steady(0, 130, every) for name in hosts}
    _, ruled = run(it, {"w1": steady(1, 4), **rest}, 130)
    assert ruled.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}
    assert "no line for" in ruled.reasons[0] or "silent for" in ruled.reasons[0]


def test_a_quiet_at_the_end_of_the_soak_waits_for_the_next_line() -> None:
    """A line that comes at last is no silence."""
    lines = [*steady(1, 45, 1.0), *steady(70, 130, 1.0)]
    past = [one for one in steady(-7200, 0, 1.0) if (one.at_us - SWITCH) // SECOND % 1800 > 30]
    when, ruled = run(judge(history=past), {"w1": lines, **others(130)}, 130)
    assert (when, ruled.outcome) == (70.0, Outcome.PASS)


def test_the_first_deploy_with_a_working_bot_passes() -> None:
    """One host, no past, no baseline: a quiet good start passes and says what is unknown."""
    it = judge(hours=0, baseline=())
    _, ruled = run(it, {"w1": steady(1, 60)})
    assert ruled.outcome is Outcome.PASS
    assert any("nothing is known of an older release" in said for said in it.cannot_exclude())


@pytest.mark.parametrize(
    "kind", [SystemKind.OOM, SystemKind.COREDUMP, SystemKind.START_LIMIT, SystemKind.SPAWN_FAILED]
)
@pytest.mark.parametrize("preset", list(Preset))
def test_a_dead_unit_fails_at_the_line(kind: SystemKind, preset: Preset) -> None:
    """Unit failed, out of memory, core dump, start limit: the line itself is the verdict."""
    ruled = judge(preset=preset).feed("w1", happens(0.5, kind, "bot.service: it broke"))
    assert ruled is not None
    assert (ruled.outcome, ruled.host) == (Outcome.FAIL, "w1")
    assert "it broke" in ruled.reasons[0]


def test_a_unit_that_failed_for_good_fails_at_the_line() -> None:
    """Where systemd's result allows no restart, the line of the failed unit is the verdict."""
    failed = happens(20, SystemKind.FAILED, "Failed with …", result="start-limit-hit")
    ruled = judge(preset="normal", soak=1800).feed("w1", failed)
    assert ruled is not None
    assert ruled.outcome is Outcome.FAIL


def test_a_failed_unit_that_systemd_does_not_restart_fails() -> None:
    """A crash also says that the unit failed; only one that stays so is dead."""
    it = judge(preset="normal", soak=1800)
    it.feed("w1", happens(20, SystemKind.CRASHED))
    assert it.feed("w1", happens(20, SystemKind.FAILED, result="exit-code")) is None
    assert it.verdict(at(24)).outcome is Outcome.WAIT
    assert it.verdict(at(26)).outcome is Outcome.FAIL


def test_a_failed_unit_that_systemd_restarts_goes_on() -> None:
    """The restart that follows a crash by RestartSec lifts the failed state."""
    it = judge(preset="normal", soak=1800)
    it.feed("w1", happens(20, SystemKind.CRASHED))
    it.feed("w1", happens(20, SystemKind.FAILED, result="exit-code"))
    it.feed("w1", happens(22, SystemKind.RESTART))
    assert it.verdict(at(40)).outcome is Outcome.WAIT


def test_a_first_crash_fails_quick_where_the_old_release_never_crashed() -> None:
    """A person who sees a crash within a minute does not wait for the second."""
    ruled = judge().feed("w1", happens(20, SystemKind.CRASHED))
    assert ruled is not None
    assert ruled.outcome is Outcome.FAIL


def test_a_first_crash_waits_in_normal_and_the_second_fails() -> None:
    """A bot is restarted by systemd: one crash is evidence, two are a loop."""
    it = judge(preset="normal", soak=1800)
    assert it.feed("w1", happens(20, SystemKind.CRASHED)) is None
    assert it.feed("w1", happens(20.1, SystemKind.RESTART)) is None
    ruled = it.feed("w1", happens(50, SystemKind.CRASHED))
    assert ruled is not None
    assert ruled.outcome is Outcome.FAIL
    assert "crashed 2 times" in ruled.reasons[0]


def test_an_exit_and_its_restart_are_one_crash() -> None:
    """One crash makes two records of systemd's."""
    it = judge(preset="normal", soak=1800)
    assert it.feed("w1", happens(20, SystemKind.CRASHED)) is None
    assert it.feed("w1", happens(21, SystemKind.RESTART)) is None


def test_an_exit_by_a_signal_during_our_own_stop_is_no_crash() -> None:
    """A stop that was asked for may end by SIGTERM's status."""
    it = judge()
    assert it.feed("w1", happens(20, SystemKind.STOPPING)) is None
    assert it.feed("w1", happens(20.2, SystemKind.CRASHED)) is None
    assert it.feed("w1", happens(20.4, SystemKind.STARTED)) is None
    assert it.feed("w1", happens(30, SystemKind.CRASHED)) is not None


def test_crashes_before_the_switch_are_the_old_releases() -> None:
    """Records before the switch never count against the release."""
    it = judge(preset="normal", soak=1800)
    assert it.feed("w1", happens(-30, SystemKind.FAILED)) is None
    assert it.feed("w1", happens(-20, SystemKind.CRASHED)) is None


def test_a_bot_that_always_crashed_now_and_then_is_not_failed_for_one() -> None:
    """Where the old release crashed too, only a faster loop condemns the new one."""
    past = [
        *steady(-7200, 0),
        happens(-5000, SystemKind.CRASHED),
        happens(-500, SystemKind.CRASHED),
    ]
    it = judge(history=past)
    assert it.feed("w1", happens(20, SystemKind.CRASHED)) is None
    ruled = it.feed("w1", happens(40, SystemKind.CRASHED))
    assert ruled is not None
    assert ruled.outcome is Outcome.FAIL


def test_a_never_seen_fatal_error_fails_at_the_line() -> None:
    """CRITICAL or an import error that nobody knows needs no second time."""
    fatal = error(1, "ImportError: no x", fatal=True)
    ruled = judge().feed("w1", fatal)
    assert ruled is not None
    assert ruled.outcome is Outcome.FAIL
    assert "ImportError: no x" in ruled.reasons[0]


def test_a_fatal_error_that_the_old_release_printed_does_not_fail() -> None:
    """A bot that always says CRITICAL about one thing may go on doing so."""
    known = error(-100, "import", fatal=True)
    it = judge(history=[*steady(-7200, 0), known])
    again = error(1, "import", fatal=True)
    assert it.feed("w1", again) is None


def test_a_known_error_that_was_never_fatal_and_now_is_fails() -> None:
    """An error line that now introduces an import error is not the error that it was."""
    it = judge(history=[*steady(-7200, 0, every=20), error(-100, "could not load")])
    ruled = it.feed("w1", error(1, "could not load", fatal=True))
    assert ruled is not None
    assert ruled.outcome is Outcome.FAIL


def test_a_failed_unit_waits_while_the_baseline_fails_too() -> None:
    """When half the baseline is in the same state it is not the release."""
    it = judge()
    it.feed("w2", happens(10, SystemKind.FAILED))
    ruled = it.feed("w1", happens(11, SystemKind.FAILED))
    assert ruled is not None
    assert ruled.outcome is Outcome.WAIT
    assert "not the release" in ruled.reasons[-1]
    assert it.verdict(at(12)).outcome is Outcome.WAIT


def test_a_failed_unit_fails_when_only_the_baseline_recovers() -> None:
    """Once the baseline got over it and the canary did not, it is the release after all."""
    it = judge(soak=900, preset="quick")
    it.feed("w2", happens(10, SystemKind.FAILED))
    it.feed("w1", happens(11, SystemKind.FAILED))
    it.feed("w2", happens(20, SystemKind.STARTED))
    assert it.verdict(at(60)).outcome is Outcome.WAIT
    assert it.verdict(at(400)).outcome is Outcome.FAIL


def test_trouble_of_the_whole_fleet_that_lasts_is_inconclusive() -> None:
    """At the deadline a person decides: nothing is rolled back for an external cause."""
    it = judge()
    it.feed("w2", happens(10, SystemKind.FAILED))
    it.feed("w1", happens(11, SystemKind.FAILED))
    assert it.verdict(at(121)).outcome is Outcome.INCONCLUSIVE


def test_a_fail_stays_a_fail() -> None:
    """Asking again later, or feeding good lines, does not undo a verdict."""
    it = judge()
    it.feed("w1", happens(1, SystemKind.FAILED))
    for line in steady(2, 60):
        it.feed("w1", line)
    assert it.verdict(at(90)).outcome is Outcome.FAIL


def test_a_host_that_is_nobodys_is_ignored() -> None:
    """Lines of hosts outside the rollout change nothing."""
    assert judge().feed("elsewhere", happens(1, SystemKind.FAILED)) is None


def test_short_soaks_are_quick_unless_told_otherwise() -> None:
    """Ten minutes of soak divide quick from normal; a named preset wins."""
    assert JudgeOptions.from_policy({}, timedelta(seconds=60)).preset is Preset.QUICK
    assert JudgeOptions.from_policy({}, timedelta(minutes=10)).preset is Preset.NORMAL
    assert JudgeOptions.from_policy({"preset": "careful"}, 60).preset is Preset.CAREFUL


def test_options_of_the_inventory_override_the_preset() -> None:
    """Durations come as timedeltas; a deadline is never before the end of the soak."""
    options = JudgeOptions.from_policy(
        {"grace": timedelta(seconds=5), "deadline": timedelta(seconds=9), "worse": 4}, 60
    )
    assert (options.grace_s, options.deadline_s, options.worse) == (5.0, 60.0, 4.0)


def test_a_judge_without_a_switch_is_refused() -> None:
    """There is nothing to judge before a switch."""
    with pytest.raises(ValueError, match="switch"):
        Judge(JudgeOptions(), canary=["w1"], baseline=[], switched_at_us={})


def test_history_may_come_as_evidence() -> None:
    """Kept evidence teaches what is known as well as the lines themselves do."""
    lines = [*steady(-7200, 0), error(-100, "known"), error(-50, "known")]
    past = {}
    for host in ("w1", "w2", "w3"):
        past[host] = Evidence(host)
        past[host].open(at(-7200))
        for line in sorted(lines, key=lambda one: one.at_us):
            past[host].add(line, "old")
        past[host].extend(at(0))
    options = JudgeOptions.from_policy({}, 60)
    it = Judge(
        options,
        canary=["w1"],
        baseline=["w2", "w3"],
        switched_at_us={"w1": SWITCH},
        history=past,
    )
    known = [error(20, "known"), error(30, "known")]
    _, ruled = run(it, {"w1": [*steady(1, 60), *known], **others()})
    assert ruled.outcome is Outcome.PASS


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(st.integers(min_value=1, max_value=59), max_size=20))
def test_asking_changes_nothing(asks: list[int]) -> None:
    """However often it is asked, the verdict at the end is the same."""
    lines = {"w1": [*steady(1, 60), error(20, "x"), error(40, "y")], **others()}
    past = steady(-3600, 0, every=20)
    first = judge(history=past)
    second = judge(history=past)
    merged = sorted(
        ((line.at_us, host, line) for host, some in lines.items() for line in some),
        key=lambda one: one[:2],
    )
    for at_us, host, line in merged:
        assert first.feed(host, line) == second.feed(host, line)
        for ask in asks:
            if at(ask) <= at_us:
                second.verdict(at_us)
    assert first.verdict(at(60)) == second.verdict(at(60))


# --- slower work ---------------------------------------------------------------------------------


def worked(start: float, end: float, took_ms: float, every: float = 1.0) -> list[LogLine]:
    """Give units of work whose latencies stray by a third to both sides."""
    return [
        LogLine(
            at(start + i * every),
            LineKind.LOG,
            Level.INFO,
            "handled",
            latency_ms=took_ms * (0.67, 1.0, 1.5)[i % 3],
        )
        for i in range(int((end - start) / every))
    ]


def slow_judge(baseline: tuple[str, ...] = ("w2", "w3")) -> Judge:
    return judge(history=worked(-3600, 0, 100.0), baseline=baseline)


def same_pace(took_ms: float = 100.0) -> dict[str, list[LogLine]]:
    return {"w2": worked(0, 130, took_ms), "w3": worked(0.5, 130, took_ms)}


def test_work_that_takes_three_times_as_long_is_a_doubt_and_no_fail() -> None:
    """A person would see it, and could not tell it from a slow start: nobody is rolled back."""
    lines = {"w1": worked(1, 130, 300.0), **same_pace()}
    when, ruled = run(slow_judge(), lines, until=120)
    assert (when, ruled.outcome) == (120.0, Outcome.INCONCLUSIVE)
    assert (
        "work takes 3.0 times as long as before the switch, compared with the baseline"
        in (ruled.reasons[0])
    )


def test_a_slow_start_passes_once_it_is_over() -> None:
    """Work that was slow while caches filled delays the pass, and no more."""
    lines = {"w1": [*worked(1, 50, 400.0), *worked(50, 130, 105.0)], **same_pace()}
    when, ruled = run(slow_judge(), lines, until=120)
    assert ruled.outcome is Outcome.PASS
    assert 60.0 < when < 120.0


def test_work_that_is_slow_on_all_hosts_is_no_doubt() -> None:
    """When the provider is slow the baseline's work takes longer, too."""
    lines = {"w1": worked(1, 60, 300.0), **same_pace(300.0)}
    assert run(slow_judge(), lines)[1].outcome is Outcome.PASS


def test_work_that_takes_half_as_long_again_is_no_doubt() -> None:
    """In a minute that is no more than a host varies by itself."""
    lines = {"w1": worked(1, 60, 150.0), **same_pace()}
    assert run(slow_judge(), lines)[1].outcome is Outcome.PASS


def test_a_few_slow_answers_are_no_doubt() -> None:
    """Less than ten latencies show nothing."""
    lines = {"w1": [*steady(1, 60), *worked(1, 60, 500.0, every=7.0)], **same_pace()}
    assert run(slow_judge(), lines)[1].outcome is Outcome.PASS


def test_latencies_that_always_strayed_far_are_no_doubt() -> None:
    """Where minutes of the past differed by four times, one that is thrice as slow is usual."""
    past = [
        line
        for minute in range(-60, 0)
        for line in worked(60 * minute, 60 * minute + 60, 50.0 if minute % 2 else 200.0)
    ]
    lines = {"w1": worked(1, 60, 300.0), **same_pace()}
    assert run(judge(history=past), lines)[1].outcome is Outcome.PASS


@pytest.mark.parametrize("by_journal", [True, False])
def test_a_bot_that_a_person_stopped_is_not_silent(*, by_journal: bool) -> None:
    """Whether the journal tells of the stop or its host does, its quiet is no failure."""
    it = judge(baseline=())
    for line in steady(0, 20):
        it.feed("w1", line)
    if by_journal:
        it.feed("w1", happens(20, SystemKind.STOPPING))
        it.feed("w1", happens(20.1, SystemKind.STOPPED))
    else:
        it.stopped("w1")
    assert it.verdict(at(600)).outcome is not Outcome.FAIL
    it.feed("w1", happens(600, SystemKind.STARTED))
    assert it.verdict(at(1200)).outcome is Outcome.FAIL


@pytest.mark.parametrize("is_known", [True, False])
def test_a_long_wait_for_the_next_life_is_neither_silence_nor_a_unit_that_stays_down(
    *, is_known: bool
) -> None:
    """With RestartSec=60, in a bot that always failed now and then; its host tells of the start."""
    ends = [SystemKind.CRASHED, SystemKind.FAILED]
    past = steady(-7200, 0)
    for second in range(-6000, 0, 1500):
        past += [
            *(happens(second, kind) for kind in ends),
            happens(second + 60, SystemKind.RESTART),
        ]
        past.append(happens(second + 60.1, SystemKind.STARTED))
    it = judge(baseline=(), history=sorted(past, key=lambda line: line.at_us))
    for line in [*steady(0, 20), *(happens(20, kind) for kind in ends)]:
        it.feed("w1", line)
    if is_known:
        it.start_due("w1")
    assert (it.verdict(at(78)).outcome is Outcome.FAIL) is not is_known
    if is_known:
        it.feed("w1", happens(80, SystemKind.STARTED))
        assert it.verdict(at(1200)).outcome is Outcome.FAIL  # now it is silence
