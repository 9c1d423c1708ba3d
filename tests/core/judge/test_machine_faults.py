"""Faults that all instances of a machine share: no fail for them, and never a pass."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions, Preset
from botdeploy.core.judge.after_pass import AfterPass
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome, Verdict
from tests.effort import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SECOND = 1_000_000
MINUTE = 60 * SECOND
SWITCH = 28_333_333 * MINUTE
PAST_S = 3600
CANARY = "w1/1"
TOLD = "the release may be the cause, or the machine"


def at(seconds: float) -> int:
    """Microseconds at so many seconds after the switch."""
    return SWITCH + round(seconds * SECOND)


def fine(seconds: float, latency_ms: float | None = None) -> LogLine:
    return LogLine(at(seconds), LineKind.LOG, Level.INFO, "handled", latency_ms=latency_ms)


def error(seconds: float, name: str = "ValueError: no", *, fatal: bool = False) -> LogLine:
    text = f"ERROR {name}"
    return LogLine(at(seconds), LineKind.LOG, Level.ERROR, text, fingerprint=name, is_fatal=fatal)


def ends(seconds: float, kind: SystemKind = SystemKind.CRASHED) -> LogLine:
    text = f"bot.service: {kind.value}"
    return LogLine(at(seconds), LineKind.SYSTEMD, None, text, system=SystemRecord(kind))


def starts(seconds: float) -> LogLine:
    return ends(seconds, SystemKind.STARTED)


def steady(
    begin: float, end: float, every: float = 2.0, latency_ms: float | None = None
) -> list[LogLine]:
    """Give a line every so many seconds, and now and then an error that is usual."""
    many = int((end - begin) / every)
    usual = [fine(begin + i * every, latency_ms) for i in range(many)]
    return usual + [error(begin + i * every, "ValueError: no") for i in range(0, many, 300)]


class Layout(NamedTuple):
    """Hosts of the old release by machine, beside the canary on ``m1``."""

    here: tuple[str, ...]
    there: tuple[str, ...] = ()

    @property
    def baseline(self) -> tuple[str, ...]:
        return (*self.here, *self.there)

    @property
    def machines(self) -> dict[str, str]:
        return {
            **dict.fromkeys((CANARY, *self.here), "192.0.2.10:22"),
            **dict.fromkeys(self.there, "192.0.2.11:22"),
        }


ONE_OF_2 = Layout(("w1/2",))
ONE_OF_3 = Layout(("w1/2", "w1/3"))
TWO_OF_2 = Layout(("w1/2",), ("w2/1", "w2/2"))
LAYOUTS = pytest.mark.parametrize("layout", [ONE_OF_2, ONE_OF_3, TWO_OF_2], ids=["2", "3", "2+2"])
PRESETS = pytest.mark.parametrize(("preset", "soak"), [("quick", 120.0), ("normal", 900.0)])

Said = dict[str, list[LogLine]]


def judge(
    layout: Layout,
    preset: str = "quick",
    soak: float = 120.0,
    *,
    past: Callable[[], list[LogLine]] = lambda: steady(-PAST_S, 0, latency_ms=40.0),
    machines: Mapping[str, str] | None = None,
) -> Judge:
    return Judge(
        JudgeOptions.from_policy({"preset": preset}, soak),
        canary=[CANARY],
        baseline=layout.baseline,
        switched_at_us={CANARY: SWITCH},
        history={name: past() for name in (CANARY, *layout.baseline)},
        machines=layout.machines if machines is None else machines,
    )


def run(it: Judge, lines: Said, until: float) -> tuple[float, Verdict]:
    """Feed in the order of time, and ask often; give the first verdict that is not WAIT."""
    feed = sorted(
        ((line.at_us, name, line) for name, some in lines.items() for line in some),
        key=lambda one: one[:2],
    )
    index = 0
    ruled = Verdict(Outcome.WAIT)
    for second in range(0, int(until) + 1, 1 if it.options.preset is Preset.QUICK else 10):
        while index < len(feed) and feed[index][0] <= at(second):
            at_us, name, line = feed[index]
            index += 1
            told = it.feed(name, line)
            if told is not None and told.outcome is Outcome.FAIL:
                return (at_us - SWITCH) / SECOND, told
        ruled = it.verdict(at(second))
        if ruled.outcome is not Outcome.WAIT:
            return float(second), ruled
    return float(until), ruled


def evidence(name: str, lines: list[LogLine], until: float, bucket_us: int = MINUTE) -> Evidence:
    """Keep what a host has said until then."""
    own = Evidence(name, bucket_us=bucket_us)
    own.open(at(-PAST_S))
    for line in sorted(lines, key=lambda one: one.at_us):
        if line.at_us <= at(until):
            own.add(line, "new" if name == CANARY and line.at_us >= SWITCH else "old")
    own.extend(at(until))
    return Evidence.from_json(own.to_json())


def kept(it: Judge, layout: Layout, lines: Said, until: float) -> Verdict:
    """Judge by what was kept on the hosts, as a run does that only looks in."""
    bucket_us = 5 * SECOND if it.options.preset is Preset.QUICK else MINUTE
    for name in (CANARY, *layout.baseline):
        said = [*steady(-PAST_S, 0, latency_ms=40.0), *lines[name]]
        it.absorb(name, evidence(name, said, until, bucket_us), "new", {"old"})
    return it.verdict(at(until))


def with_all(names: Sequence[str], layout: Layout, until: float, extra: list[LogLine]) -> Said:
    """Let all hosts go on as usual, and some of them say something besides."""
    return {
        name: steady(0.5, until, latency_ms=40.0) + (extra if name in names else [])
        for name in (CANARY, *layout.baseline)
    }


def here(layout: Layout) -> tuple[str, ...]:
    return (CANARY, *layout.here)


# What a whole machine may show from the 40th second on; ``{name}`` of a host's own lines.
CRASH = [ends(40), starts(42), ends(45), starts(47)]
DOWN = [ends(40), ends(40, SystemKind.FAILED)]
FATAL = [error(40, "CRITICAL no space left on device", fatal=True)]
NEWS = [error(40 + 5 * i, "OSError no space left on device") for i in range(12)]
FLOOD = [error(40 + i / 4) for i in range(240)]
TROUBLES = {"crash": CRASH, "down": DOWN, "fatal": FATAL, "new error": NEWS, "flood": FLOOD}
TROUBLE = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)


def again(trouble: list[LogLine]) -> list[LogLine]:
    """Say a fatal error more than once: a single error may come everywhere by chance."""
    return trouble + [
        replace(FATAL[0], at_us=at(45 + 3 * i)) for i in range(20 * (trouble is FATAL))
    ]


@LAYOUTS
@PRESETS
@TROUBLE
def test_what_all_instances_of_a_machine_show_is_inconclusive_at_the_end_of_the_soak(
    layout: Layout, preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """It waits while the soak lasts, and is neither fail nor pass then; it names the machine."""
    lines = with_all(here(layout), layout, soak, again(trouble))
    when, ruled = run(judge(layout, preset, soak), lines, soak)
    assert (when, ruled.outcome) == (soak, Outcome.INCONCLUSIVE), ruled.reasons
    assert ruled.machine == "192.0.2.10:22"
    assert any(TOLD in said and "192.0.2.10:22 " in said for said in ruled.reasons)


@LAYOUTS
@PRESETS
@TROUBLE
def test_what_the_canary_alone_shows_fails_as_on_a_machine_of_its_own(
    layout: Layout, preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """Neighbours that are well excuse nothing; at most it takes as long as they are waited for."""
    lines = with_all((CANARY,), layout, soak, trouble)
    alone_at, alone = run(judge(layout, preset, soak, machines={}), lines, soak)
    when, ruled = run(judge(layout, preset, soak), lines, soak)
    assert ruled.outcome is alone.outcome
    assert ruled.errors == alone.errors
    if alone.outcome is Outcome.FAIL:
        assert alone_at <= when <= alone_at + 20


@PRESETS
@TROUBLE
def test_what_another_machine_shows_too_is_judged_as_before(
    preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """It is the world's fault: the verdict is the one of hosts on machines of their own."""
    lines = with_all((CANARY, *TWO_OF_2.baseline), TWO_OF_2, soak, trouble)
    _, alone = run(judge(TWO_OF_2, preset, soak, machines={}), lines, soak)
    _, ruled = run(judge(TWO_OF_2, preset, soak), lines, soak)
    assert ruled.outcome is alone.outcome
    assert ruled.machine is None


@PRESETS
@pytest.mark.parametrize("trouble", [CRASH, NEWS, FLOOD], ids=["crash", "new error", "flood"])
def test_what_another_machine_shows_a_little_later_is_judged_as_before(
    preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """An outage need not reach all machines in the same second."""
    later = [replace(line, at_us=line.at_us + 20 * SECOND) for line in trouble]
    lines = with_all(here(TWO_OF_2), TWO_OF_2, soak, trouble)
    for name in TWO_OF_2.there:
        lines[name] += later
    _, ruled = run(judge(TWO_OF_2, preset, soak), lines, soak)
    assert ruled.machine is None, ruled.reasons
    assert ruled.outcome is not Outcome.FAIL


@PRESETS
@pytest.mark.parametrize("trouble", [CRASH, NEWS, FLOOD], ids=["crash", "new error", "flood"])
def test_what_only_the_neighbours_show_is_inconclusive_where_they_are_several(
    preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """A canary may harm what it needs not itself; one neighbour alone may err by chance."""
    lines = with_all(ONE_OF_3.here, ONE_OF_3, soak, trouble)
    when, ruled = run(judge(ONE_OF_3, preset, soak), lines, soak)
    assert (when, ruled.outcome) == (soak, Outcome.INCONCLUSIVE), ruled.reasons
    assert ruled.machine == "192.0.2.10:22"
    assert "all other instances on 192.0.2.10:22" in ruled.reasons[0]
    lines = with_all(ONE_OF_2.here, ONE_OF_2, soak, trouble)
    assert run(judge(ONE_OF_2, preset, soak), lines, soak)[1].machine is None


def changed(
    names: Sequence[str], layout: Layout, until: float, new: Callable[[], list[LogLine]]
) -> Said:
    """Let some hosts say something else instead of what is usual."""
    return {
        name: new() if name in names else steady(0.5, until, latency_ms=40.0)
        for name in (CANARY, *layout.baseline)
    }


CHANGES = {
    "silent": lambda until: steady(0.5, until / 6, latency_ms=40.0),
    "slow": lambda until: steady(0.5, 30, latency_ms=40.0) + steady(30.5, until, latency_ms=400.0),
}
CHANGED = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@LAYOUTS
@PRESETS
@CHANGED
def test_silence_and_slow_work_of_a_whole_machine_are_inconclusive(
    layout: Layout, preset: str, soak: float, change: Callable[[float], list[LogLine]]
) -> None:
    """Nor do neighbours that go silent or slow together with the canary make it pass or fail."""
    lines = changed(here(layout), layout, soak, lambda: change(soak))
    when, ruled = run(judge(layout, preset, soak), lines, soak)
    assert (when, ruled.outcome) == (soak, Outcome.INCONCLUSIVE), ruled.reasons
    assert TOLD in ruled.reasons[0]


@LAYOUTS
@PRESETS
@CHANGED
def test_silence_and_slow_work_of_the_canary_alone_are_judged_as_before(
    layout: Layout, preset: str, soak: float, change: Callable[[float], list[LogLine]]
) -> None:
    """The verdict is the one of a canary on a machine of its own."""
    lines = changed((CANARY,), layout, 2 * soak, lambda: change(2 * soak))
    alone_at, alone = run(judge(layout, preset, soak, machines={}), lines, soak * 2)
    when, ruled = run(judge(layout, preset, soak), lines, soak * 2)
    assert ruled.outcome is alone.outcome
    assert alone_at <= when <= alone_at + 20


@LAYOUTS
@PRESETS
@pytest.mark.parametrize("trouble", [CRASH, NEWS, FLOOD], ids=["crash", "new error", "flood"])
def test_what_the_neighbours_had_before_the_switch_is_judged_as_before(
    layout: Layout, preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """What did not begin after the switch is not put down to the canary."""
    early = [replace(line, at_us=line.at_us - 340 * SECOND) for line in trouble]
    lines = with_all(here(layout), layout, soak, trouble)

    def verdict(machines: dict[str, str]) -> Verdict:
        it = judge(layout, preset, soak, machines=machines)
        for name in layout.here:
            for line in early:
                it.feed(name, line)
        return run(it, lines, soak)[1]

    ruled, alone = verdict(layout.machines), verdict({})
    assert ruled.outcome is alone.outcome
    assert not any(TOLD in said for said in ruled.reasons)


@LAYOUTS
@PRESETS
@TROUBLE
def test_what_a_whole_machine_showed_is_in_what_was_kept(
    layout: Layout, preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """A run that only looks in gives the same: waiting in the soak, inconclusive at its end."""
    lines = with_all(here(layout), layout, soak, again(trouble))
    for until, outcome in ((soak - 10, Outcome.WAIT), (soak + 1, Outcome.INCONCLUSIVE)):
        ruled = kept(judge(layout, preset, soak, past=list), layout, lines, until)
        assert ruled.outcome is outcome, ruled.reasons
        assert ruled.machine == "192.0.2.10:22"


@LAYOUTS
@PRESETS
@TROUBLE
def test_what_was_kept_of_the_canary_alone_fails_at_the_first_look(
    layout: Layout, preset: str, soak: float, trouble: list[LogLine]
) -> None:
    """A look waits for nobody: all that the neighbours said is there."""
    lines = with_all((CANARY,), layout, soak, trouble)
    ruled, alone = (
        kept(judge(layout, preset, soak, past=list, machines=machines), layout, lines, soak)
        for machines in (layout.machines, {})
    )
    assert ruled == alone


def test_a_canary_that_stays_down_when_the_others_are_well_again_fails() -> None:
    """As for any baseline: it had the same problem and recovered."""
    lines = with_all((), ONE_OF_2, 900, [])
    lines[CANARY] = [*steady(0.5, 40), *DOWN]
    lines["w1/2"] += [ends(41), starts(43)]
    _, ruled = run(judge(ONE_OF_2, "normal", 900), lines, 900)
    assert ruled.outcome is Outcome.FAIL
    assert "recovered" in ruled.reasons[-1]


def test_a_crash_loop_that_goes_on_when_the_others_are_well_again_fails() -> None:
    """The first crash was the machine's; those that follow are the release's."""
    lines = with_all((), ONE_OF_2, 900, [])
    lines["w1/2"] += [ends(41), starts(43)]
    lines[CANARY] += [one for i in range(40) for one in (ends(40 + 20 * i), starts(42 + 20 * i))]
    when, ruled = run(judge(ONE_OF_2, "normal", 900), lines, 900)
    assert ruled.outcome is Outcome.FAIL
    assert 300 < when < 420


def test_neighbours_that_err_do_not_excuse_a_crash() -> None:
    """A canary that crashes and starts again and again may well slow the others down."""
    lines = with_all(("w1/2",), ONE_OF_2, 120, FLOOD)
    lines[CANARY] += CRASH
    _, ruled = run(judge(ONE_OF_2), lines, 120)
    assert ruled.outcome is Outcome.FAIL


def test_a_stopped_or_unheard_neighbour_excuses_nothing() -> None:
    """Whom nobody hears shows neither that it is the machine nor that it is not."""
    unheard, stopped = judge(ONE_OF_2), judge(ONE_OF_2)
    unheard.gap("w1/2", at(1))
    stopped.feed("w1/2", ends(1, SystemKind.STOPPING))
    for it in (unheard, stopped):
        _, ruled = run(it, {CANARY: [*steady(0.5, 120), *CRASH]}, 120)
        assert ruled.outcome is Outcome.FAIL


@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "shared"])
def test_evidence_that_one_machine_gives_is_weighed_against_its_own_neighbours(
    *, is_shared: bool
) -> None:
    """Beside many hosts that are well, a canary would fail for what its machine does."""
    layout = Layout(("w1/2",), ("w2/1", "w2/2", "w2/3", "w2/4"))
    bad = here(layout) if is_shared else (CANARY,)
    numbered = list(enumerate((CANARY, *layout.baseline)))
    past = {
        name: [*steady(-PAST_S, 0), *by_chance(number, -PAST_S, 0)] for number, name in numbered
    }
    lines = {
        name: [*steady(0.5, 2700), *by_chance(9 + number, 0, 2700, 20 if name in bad else 1)]
        for number, name in numbered
    }

    def verdict(machines: dict[str, str]) -> Verdict:
        it = judge(layout, "normal", 2700, past=list, machines=machines)
        for name, some in past.items():
            for line in sorted(some, key=lambda one: one.at_us):
                it.feed(name, line)
        return run(it, lines, 2700)[1]

    assert verdict({}).outcome is Outcome.FAIL
    ruled = verdict(layout.machines)
    assert ruled.outcome is (Outcome.INCONCLUSIVE if is_shared else Outcome.FAIL), ruled


def by_chance(seed: int, begin: float, end: float, a_minute: float = 1.0) -> list[LogLine]:
    """Give errors that come by chance, the same each time."""
    rng = random.Random(seed)  # noqa: S311
    found = []
    while (begin := begin + rng.expovariate(a_minute / 60)) < end:
        found.append(error(begin))
    return found


def test_an_end_is_excused_while_the_neighbours_may_have_it_too() -> None:
    """So a bot that is down is no fail by itself, until it is known that it is alone."""
    it = judge(ONE_OF_2)
    for line in DOWN:
        it.feed(CANARY, line)
    assert it.verdict(at(41)).machine == "192.0.2.10:22"
    assert it.external_ends() == {CANARY}
    assert it.verdict(at(51)).outcome is Outcome.FAIL
    assert it.external_ends() == set()


@pytest.mark.parametrize("is_kept", [False, True], ids=["live", "kept"])
@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("trouble", ["crash", "down", "fatal", "flood"])
@LAYOUTS
def test_after_a_pass_only_what_a_host_shows_alone_fails(
    layout: Layout, trouble: str, *, is_shared: bool, is_kept: bool
) -> None:
    """The ring that passed is not failed for what its whole machine shows."""
    flood = [error(600 + i / 2) for i in range(4000)]
    extra = {**TROUBLES, "flood": flood, "crash": [*CRASH, *(ends(200), starts(203))]}[trouble]
    after = AfterPass([CANARY], layout.baseline, {CANARY: SWITCH}, layout.machines)
    lines = with_all(here(layout) if is_shared else (CANARY,), layout, 3000, extra)
    lines = {name: [*steady(-PAST_S, 0, latency_ms=40.0), *some] for name, some in lines.items()}
    for name, some in lines.items():
        if is_kept:
            after.absorb(name, evidence(name, some, 3000), "new")
    said = [] if is_kept else [(one, name) for name, some in lines.items() for one in some]
    for line, name in sorted(said, key=lambda one: one[0].at_us):
        after.feed(name, line)
    ruled = None
    for minute in range(1, 50):
        ruled = ruled or after.failure(at(60 * minute))
    assert (ruled is not None) is not is_shared, ruled


@st.composite
def journals(draw: st.DrawFn) -> Said:
    """Draw what some hosts say in two minutes, faults of all kinds among it."""
    names = (CANARY, *TWO_OF_2.baseline)
    said: Said = {name: steady(0.5, 120, latency_ms=40.0) for name in names}
    kinds = st.sampled_from(
        [SystemKind.CRASHED, SystemKind.FAILED, SystemKind.STOPPING, SystemKind.STARTED]
    )
    for name in draw(st.lists(st.sampled_from(names), max_size=6)):
        when = draw(st.integers(0, 110))
        many = draw(st.integers(1, 40))
        what = draw(st.integers(0, 3))
        if what == 0:
            said[name] = [*said[name], *(error(when + i / 4, "OSError full") for i in range(many))]
        elif what == 1:
            said[name] = [*said[name], ends(when, draw(kinds))]
        elif what == 2:
            said[name] = [one for one in said[name] if one.at_us < at(when)]
        else:
            said[name] = [*said[name], error(when, "CRITICAL no", fatal=True)]
    return said


@given(journals(), st.sampled_from([("quick", 60.0), ("normal", 100.0)]))
@settings(max_examples=examples(60), deadline=None)
def test_hosts_on_machines_of_their_own_are_judged_exactly_as_without_machines(
    said: Said, how: tuple[str, float]
) -> None:
    """The map of machines changes nothing where no two hosts share one."""
    machines = {name: f"machine of {name}" for name in (CANARY, *TWO_OF_2.baseline)}
    found = [run(judge(TWO_OF_2, *how, machines=one), said, 125) for one in (machines, {})]
    assert found[0] == found[1]


@given(journals(), st.sampled_from([("quick", 60.0), ("normal", 100.0)]))
@settings(max_examples=examples(60), deadline=None)
def test_neighbours_never_turn_a_verdict_into_a_pass_or_into_a_fail(
    said: Said, how: tuple[str, float]
) -> None:
    """A shared machine makes a verdict wait, or inconclusive; it passes and fails nothing new."""
    _, ruled = run(judge(TWO_OF_2, *how), said, 125)
    _, alone = run(judge(TWO_OF_2, *how, machines={}), said, 125)
    if ruled.outcome in {Outcome.PASS, Outcome.FAIL}:
        assert ruled.outcome is alone.outcome
