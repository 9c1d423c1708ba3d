"""What probes tell, before the judge: counted beside the journal, and never in its place."""

from __future__ import annotations

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.probes.probe import ProbeReading, lines_of, past_of
from botdeploy.core.verdict import Outcome, Verdict

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return SWITCH + round(seconds * SECOND)


def reading(
    seconds: float, *, handled: float = 0, errors: dict[str, float] | None = None, **more: object
) -> ProbeReading:
    """Give what a bot shows at so many seconds after the switch."""
    values: dict[str, object] = {"invocation": "old" if seconds < 0 else "new", **more}
    return ProbeReading(
        at(seconds),
        up_s=7200.0 + seconds if seconds < 0 else seconds,
        handled={"commands_total": handled},
        errors=errors or {},
        **values,  # type: ignore[arg-type]
    )


def told(*readings: ProbeReading) -> list[LogLine]:
    """Give what happened between readings, the first of which is the old process's last."""
    kept: ProbeReading | None = None
    out: list[LogLine] = []
    for one in readings:
        kept, lines = lines_of(kept, one)
        out += lines
    return out


OLD = reading(-2, handled=7200, errors={"errors_total": 72.0})
"""Two hours of a command a second and an error every hundred seconds."""
PAST = past_of(OLD, at(-3600), at(-2))


def judge(past: list[LogLine], *, soak: float = 60.0) -> Judge:
    return Judge(
        JudgeOptions.from_policy({}, soak),
        canary=["w1"],
        baseline=["w2"],
        switched_at_us={"w1": SWITCH},
        history={"w1": past, "w2": past},
    )


def run(it: Judge, lines: dict[str, list[LogLine]], until: int = 60) -> Verdict:
    """Feed lines as they come and ask every second; give the first verdict that is not WAIT."""
    feed = sorted(
        ((one.at_us, host, one) for host, some in lines.items() for one in some),
        key=lambda one: one[0],
    )
    for second in range(until + 1):
        while feed and feed[0][0] <= at(second):
            _, host, line = feed.pop(0)
            it.feed(host, line)
        ruled = it.verdict(at(second))
        if ruled.outcome is not Outcome.WAIT:
            return ruled
    return it.verdict(at(until))


def every(
    seconds: int, until: int, *, a_second: float = 1.0, errors: dict[str, float] | None = None
) -> list[ProbeReading]:
    """Give readings of a new process: work, and errors by their number a second."""
    return [
        reading(
            s,
            handled=a_second * s,
            errors={name: float(int(rate * s)) for name, rate in (errors or {}).items()},
        )
        for s in range(seconds, until + 1, seconds)
    ]


def test_a_bot_that_says_nothing_passes_by_its_counters() -> None:
    """Known errors at their usual rate do no harm, and the verdict tells of the work."""
    new = told(OLD, *every(5, 60, errors={"errors_total": 0.01}))
    ruled = run(judge(PAST), {"w1": new, "w2": told(OLD, *every(5, 60))})
    assert ruled.outcome is Outcome.PASS
    assert "0 lines and 60 units of work by its probe on w1" in ruled.reasons[0]


def test_an_error_that_only_a_counter_shows_fails_a_release() -> None:
    """A label that the old release never had comes back."""
    new = told(OLD, *every(5, 60, errors={'errors_total{type="new"}': 0.2}))
    ruled = run(judge(PAST), {"w1": new, "w2": told(OLD, *every(5, 60))})
    assert ruled.outcome is Outcome.FAIL
    assert 'errors_total{type="new"} rose by 1' in ruled.reasons[0]


def test_far_more_of_a_known_error_fails_a_release() -> None:
    """A hundred times as many are no chance."""
    new = told(OLD, *every(5, 60, errors={"errors_total": 1.0}))
    ruled = run(judge(PAST), {"w1": new, "w2": told(OLD, *every(5, 60))})
    assert ruled.outcome is Outcome.FAIL
    assert "usual here" in ruled.reasons[0]


def test_a_bot_that_only_counts_errors_is_judged_by_its_past() -> None:
    """Where no work is counted, known errors are still known and not "mostly errors"."""
    past = [line for line in PAST if line.fingerprint]
    told_all = told(OLD, *every(5, 60, errors={"errors_total": 0.1}))
    new = [line for line in told_all if line.fingerprint]
    assert sum(line.count for line in new) == 6
    ruled = run(judge(past), {"w1": new[:3], "w2": []})
    assert ruled.outcome is Outcome.PASS


def test_what_fails_on_the_baseline_too_is_not_the_releases_doing() -> None:
    """A probe that nobody answers condemns nobody; what it would have told stays unknown."""
    failed = [ProbeReading(at(s), "x", failure="did not answer") for s in range(12, 60, 5)]
    lines = told(*failed)
    assert run(judge(PAST), {"w1": lines, "w2": told(OLD)}).outcome is Outcome.FAIL
    ruled = run(judge(PAST), {"w1": lines, "w2": lines}, until=121)
    assert ruled.outcome is Outcome.INCONCLUSIVE
    assert "no line for" in ruled.reasons[0]
    spoken = journal(0, 60)
    past = [*journal(-3600, 0), *PAST]
    ruled = run(judge(past), {"w1": [*lines, *spoken], "w2": [*lines, *spoken]})
    assert ruled.outcome is Outcome.PASS


@pytest.mark.parametrize(("times", "outcome"), [(1, Outcome.PASS), (2, Outcome.WAIT)])
def test_one_question_without_an_answer_is_no_doubt(times: int, outcome: Outcome) -> None:
    """A busy machine may leave it unanswered; also on a first deploy."""
    failed = told(*(ProbeReading(at(14 + s), "x", failure="did not answer") for s in range(times)))
    it = Judge(
        JudgeOptions.from_policy({}, 60.0),
        canary=["w1"],
        baseline=[],
        switched_at_us={"w1": SWITCH},
    )
    assert run(it, {"w1": [*journal(0, 60), *failed]}).outcome is outcome


def journal(start: float, end: float, step: float = 0.5) -> list[LogLine]:
    return [
        LogLine(at(start + n * step), LineKind.LOG, Level.INFO, "handled")
        for n in range(int((end - start) / step))
    ]


def test_answers_to_our_own_questions_do_not_hide_silence() -> None:
    """A bot whose health page answers, and that says and does nothing, is silent."""
    asked = [ProbeReading(at(s), "new", took_ms=(3.0,)) for s in range(1, 60)]
    lines = {"w1": [*journal(0, 10), *told(*asked)], "w2": journal(0, 60)}
    ruled = run(judge(journal(-3600, 0)), lines)
    assert ruled.outcome is Outcome.FAIL
    assert "silent" in ruled.reasons[0]


def test_work_that_goes_on_is_not_silence() -> None:
    """A release that logs less, and works as much as before, passes."""
    past = [*journal(-3600, 0), *PAST]
    lines = {"w1": [*journal(0, 10), *told(OLD, *every(1, 60))], "w2": journal(0, 60)}
    assert run(judge(past), lines).outcome is Outcome.PASS


def test_evidence_keeps_what_a_probe_told_apart_from_lines() -> None:
    """Counts add up, go to a file and back, and give the judge the same."""
    evidence = Evidence("w1")
    evidence.open(at(-3600))
    for line in PAST:
        evidence.add(line, "R1")
    new = told(OLD, *every(5, 60, errors={'errors_total{type="new"}': 0.2}))
    for line in [*new, *journal(0, 10)]:
        evidence.add(line, "R2")
    evidence.extend(at(60))
    counts = evidence.totals("R2")
    assert (counts.lines, counts.probed, counts.handled) == (20, 60, 60)
    assert counts.error_lines == 12
    again = Evidence.from_json(evidence.to_json())
    assert again == evidence
    assert again.totals("R2").probed == 60
    it = Judge(
        JudgeOptions.from_policy({}, 60.0),
        canary=["w1"],
        baseline=[],
        switched_at_us={"w1": SWITCH},
    )
    it.absorb("w1", again, "R2")
    assert it.verdict(at(60)).outcome is Outcome.FAIL
