"""External causes and those in the release: outages, and errors that all hosts meet."""

from __future__ import annotations

import random

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.assembler import Assembler, feed_all
from botdeploy.core.lines.fingerprint import of_text
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome, Verdict

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND
DNS = "ERROR poll: [Errno -3] Temporary failure in name resolution (getaddrinfo)"
OWN = "ERROR KeyError: 'guild'"


def at(seconds: float) -> int:
    """Microseconds at so many seconds after the switch."""
    return SWITCH + round(seconds * SECOND)


def fine(seconds: float) -> LogLine:
    return LogLine(at(seconds), LineKind.LOG, Level.INFO, "handled a command")


def error(seconds: float, text: str = DNS, *, fatal: bool = False) -> LogLine:
    name = of_text(text)
    return LogLine(at(seconds), LineKind.LOG, Level.ERROR, text, fingerprint=name, is_fatal=fatal)


def ends(seconds: float, kind: SystemKind, result: str = "") -> LogLine:
    record = SystemRecord(kind, "exited", 1, 1, result)
    return LogLine(at(seconds), LineKind.SYSTEMD, None, "bot.service: …", system=record)


def every(start: float, end: float, step: float, text: str | None = None) -> list[LogLine]:
    """Give a line, or an error, every so many seconds."""
    times = [start + i * step for i in range(int((end - start) / step))]
    return [fine(one) if text is None else error(one, text) for one in times]


def judged(
    canary: list[LogLine],
    baseline: list[list[LogLine]],
    *,
    soak: float = 60.0,
    preset: str = "quick",
    hours: float = 1.0,
    past: list[LogLine] | None = None,
    is_kept: bool = False,
) -> tuple[Verdict, Judge]:
    """Judge w1 beside w2 … to its end, asked every second; all have a quiet past."""
    names = [f"w{2 + i}" for i in range(len(baseline))]
    before = [*every(-3600 * hours, 0, 3.0), *(past or [])]
    before.sort(key=lambda line: line.at_us)
    options = JudgeOptions.from_policy({"preset": preset}, soak)
    lines = {"w1": canary, **dict(zip(names, baseline, strict=True))}
    it = Judge(
        options,
        canary=["w1"],
        baseline=names,
        switched_at_us={"w1": SWITCH},
        history={} if is_kept else dict.fromkeys(lines, before),
    )
    if is_kept:
        for name, said in lines.items():
            kept = Evidence(name, bucket_us=5 * SECOND)
            kept.open(at(-3600 * hours))
            for line in [*before, *sorted(said, key=lambda one: one.at_us)]:
                kept.add(line, "new" if name == "w1" and line.at_us >= SWITCH else "old")
            kept.extend(at(soak))
            it.absorb(name, Evidence.from_json(kept.to_json()), "new")
        return it.verdict(at(soak + 1)), it
    feed = sorted(
        ((line.at_us, name, line) for name, some in lines.items() for line in some),
        key=lambda one: one[:2],
    )
    index = 0
    ruled = it.verdict(at(0))
    for second in range(int(options.deadline_s) + 1):
        while index < len(feed) and feed[index][0] <= at(second):
            _, name, line = feed[index]
            index += 1
            at_line = it.feed(name, line)
            if at_line is not None and at_line.outcome is not Outcome.WAIT:
                return at_line, it
        ruled = it.verdict(at(second))
        if ruled.outcome is not Outcome.WAIT:
            return ruled, it
    return ruled, it


def well(until: float) -> list[LogLine]:
    return every(0.5, until, 3.0)


SHAPES = [
    ("quick", 60.0, 60.0),
    ("quick", 300.0, 300.0),
    ("normal", 600.0, 3600.0),
]  # preset, soak, and how long the journals are


@pytest.mark.parametrize("beside", [0, 1])
@pytest.mark.parametrize(("preset", "soak", "length"), SHAPES)
def test_an_outage_that_nobody_can_vouch_against_is_no_fail(
    preset: str, soak: float, length: float, beside: int
) -> None:
    """One host, or one other that is well: names that do not resolve are nobody's fault yet."""
    canary = [*well(length), *every(15, soak, 4.0, DNS)]
    ruled, _ = judged(canary, [well(length)] * beside, soak=soak, preset=preset)
    assert ruled.outcome is Outcome.INCONCLUSIVE, ruled
    assert "an external cause" in " ".join(ruled.reasons)


@pytest.mark.parametrize(("preset", "soak", "length"), SHAPES)
def test_an_outage_in_which_the_bot_falls_silent_is_no_fail(
    preset: str, soak: float, length: float
) -> None:
    """A bot that has nobody to talk to does no work; its silence is the outage's."""
    canary = [*every(1, 20, 3.0), *every(20, length, 10.0, DNS)]
    ruled, _ = judged(canary, [], soak=soak, preset=preset)
    assert ruled.outcome is Outcome.INCONCLUSIVE, ruled


@pytest.mark.parametrize("preset", ["quick", "normal"])
def test_an_outage_of_what_failed_now_and_then_before_is_no_fail(preset: str) -> None:
    """Known errors of the world in a flood are as little the release's."""
    soak = 120.0 if preset == "quick" else 600.0
    past = [error(-600.0 * i) for i in range(1, 6)]
    canary = [*well(3600), *every(20, soak, 1.0, DNS)]
    ruled, _ = judged(canary, [], soak=soak, preset=preset, past=past)
    assert ruled.outcome is Outcome.INCONCLUSIVE, ruled


def test_what_was_kept_of_an_outage_is_no_fail() -> None:
    """The same by evidence, as `promote` has it."""
    canary = [*well(60), *every(15, 60, 4.0, DNS)]
    ruled, _ = judged(canary, [], is_kept=True)
    assert ruled.outcome is Outcome.WAIT, ruled
    assert "an external cause" in " ".join(ruled.reasons)


@pytest.mark.parametrize("beside", [0, 1, 2])
@pytest.mark.parametrize(("preset", "soak", "length"), SHAPES)
def test_an_error_of_its_own_beside_an_outage_still_fails(
    preset: str, soak: float, length: float, beside: int
) -> None:
    """An outage excuses nothing but itself."""
    canary = [*well(length), *every(15, soak, 4.0, DNS), *every(16, soak, 3.0, OWN)]
    baseline = [[*well(length), *every(15, soak, 4.0, DNS)] for _ in range(beside)]
    ruled, _ = judged(canary, baseline, soak=soak, preset=preset)
    assert ruled.outcome is Outcome.FAIL, ruled
    assert "KeyError" in " ".join(ruled.reasons)


@pytest.mark.parametrize(("preset", "soak", "length"), SHAPES)
def test_a_wrong_name_that_only_the_new_release_uses_fails(
    preset: str, soak: float, length: float
) -> None:
    """Two hosts of the old release that are well show that the world is."""
    text = "ERROR Error: getaddrinfo ENOTFOUND api.exmaple.org"
    canary = [*well(length), *every(15, length, 4.0, text)]
    ruled, _ = judged(canary, [well(length)] * 2, soak=soak, preset=preset)
    assert ruled.outcome is Outcome.FAIL, ruled


def test_two_hosts_vouch_only_where_they_are_heard_and_unaffected() -> None:
    """Neither a silent host nor one with an outage of its own says that the world is well."""
    canary = [*well(60), *every(15, 60, 3.0, DNS)]
    refused = "ERROR connect ECONNREFUSED 192.0.2.1:443"
    for other in ([], [*well(60), *every(14, 60, 5.0, refused)]):
        ruled, _ = judged(canary, [well(60), other])
        assert ruled.outcome is Outcome.INCONCLUSIVE, ruled


@pytest.mark.parametrize("kind", [SystemKind.CRASHED, SystemKind.FAILED, SystemKind.START_LIMIT])
def test_a_bot_that_an_outage_ends_is_no_fail(kind: SystemKind) -> None:
    """What it said last is why it ended; with an error of its own it fails at that line."""
    for last, outcome in ((DNS, Outcome.INCONCLUSIVE), (OWN, Outcome.FAIL)):
        canary = [*every(1, 20, 3.0), error(21, last), ends(22, kind, "exit-code")]
        ruled, _ = judged(canary, [])
        assert ruled.outcome is outcome, (last, ruled)


def test_a_fatal_word_of_an_outage_is_no_fail() -> None:
    """CRITICAL: no name resolves. Nor at one line where others are well so far."""
    for beside in (0, 1, 2):
        canary = [*well(120), error(20, "CRITICAL gateway: Name or service not known", fatal=True)]
        ruled, _ = judged(canary, [well(120)] * beside)
        assert ruled.outcome is Outcome.INCONCLUSIVE, ruled


# --- the same error everywhere --------------------------------------------------------------------


@pytest.mark.parametrize("text", [DNS, OWN])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize(
    ("preset", "soak", "beside"),
    [("quick", 60.0, 1), ("quick", 60.0, 3), ("quick", 300.0, 6), ("normal", 600.0, 3)],
)
def test_what_the_old_release_meets_as_well_is_not_the_new_ones_doing(
    preset: str, soak: float, beside: int, factor: int, text: str
) -> None:
    """Never seen before, on both at once; the old release meets it as often, or twice as often."""
    for seed in range(3):
        rng = random.Random(seed)  # noqa: S311 -- a simulation
        step = rng.uniform(1.0, 6.0)
        begin = rng.uniform(2.0, soak / 3)

        def met(step: float, rng: random.Random = rng, begin: float = begin) -> list[LogLine]:
            times = [one.at_us for one in every(begin, soak, step)]
            return [
                error((one - SWITCH) / SECOND + rng.uniform(0, step / 3), text) for one in times
            ]

        baseline = [[*well(3600), *met(step / factor)] for _ in range(beside)]
        ruled, _ = judged([*well(3600), *met(step)], baseline, soak=soak, preset=preset)
        assert ruled.outcome is not Outcome.FAIL, (seed, step, ruled)
        if preset == "quick":
            assert ruled.outcome is Outcome.PASS, (seed, step, ruled)


@pytest.mark.parametrize(("soak", "beside"), [(60.0, 1), (60.0, 3), (300.0, 6)])
def test_far_more_of_it_than_the_old_release_meets_still_fails(soak: float, beside: int) -> None:
    """What the old release meets now and then, the new one must not meet all the time."""
    canary = [*well(soak), *every(12, soak, 0.5, OWN)]
    baseline = [[*well(soak), *every(12, soak, 20.0, OWN)] for _ in range(beside)]
    ruled, _ = judged(canary, baseline, soak=soak)
    assert ruled.outcome is Outcome.FAIL, ruled


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["INFO {}", '{{"level": "info", "msg": "{}"}}', "{}", "[{}]"])
def test_a_bot_whose_lines_have_no_level_is_told_of(form: str) -> None:
    """Nobody can tell its errors from other lines: a pass says so."""
    texts = [form.format(f"handled command {i}") for i in range(40)]
    entries = [
        {
            "MESSAGE": text,
            "PRIORITY": "6",
            "_PID": "7",
            "__REALTIME_TIMESTAMP": str(at(i - 10)),
        }
        for i, text in enumerate(texts)
    ]
    it = Judge(
        JudgeOptions.from_policy({}, 30.0),
        canary=["w1"],
        baseline=[],
        switched_at_us={"w1": SWITCH},
    )
    for line in feed_all(Assembler(), entries):
        it.feed("w1", line)
    assert it.verdict(at(31)).outcome is Outcome.PASS
    said = " ".join(it.cannot_exclude())
    assert ("states a level" in said) is not ("INFO" in form or "info" in form)
