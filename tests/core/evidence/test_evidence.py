"""Evidence is what was counted, however it was read and in whatever order it was put together."""

from __future__ import annotations

import json
from itertools import pairwise
from math import log
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.evidence import quantile_sketch
from botdeploy.core.evidence.counts import Counts, summed
from botdeploy.core.evidence.evidence import (
    MAX_BUCKET_CLASSES,
    MAX_CLASSES,
    MAX_INCIDENTS,
    OTHER,
    Evidence,
)
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from tests.effort import examples

MINUTE = 60_000_000
T0 = 28_333_333 * MINUTE


def line(at_us: int, **fields: Any) -> LogLine:
    known: dict[str, Any] = {"kind": LineKind.LOG, "level": Level.INFO, "message": "text"}
    return LogLine(at_us, **{**known, **fields})


def error(at_us: int, name: str = "boom", **fields: Any) -> LogLine:
    known: dict[str, Any] = {"level": Level.ERROR, "message": f"ERROR {name}", "fingerprint": name}
    return line(at_us, **{**known, **fields})


def record(at_us: int, kind: SystemKind, count: int = 0) -> LogLine:
    return line(
        at_us, kind=LineKind.SYSTEMD, message=kind.value, system=SystemRecord(kind, count=count)
    )


def evidence_of(
    lines: list[tuple[str, LogLine]], from_us: int = T0, to_us: int | None = None
) -> Evidence:
    evidence = Evidence("w1")
    evidence.open(from_us)
    for release, one in lines:
        evidence.add(one, release)
    if to_us is not None:
        evidence.extend(to_us)
    return evidence


def test_lines_are_counted_by_minute_and_release() -> None:
    """Each minute of each release has its own counts of lines and of errors by class."""
    evidence = evidence_of(
        [
            ("r1", line(T0)),
            ("r1", error(T0 + 59_999_999)),
            ("r2", error(T0 + 59_999_999, "bang")),
            ("r2", line(T0 + MINUTE)),
        ]
    )
    (first,) = evidence.buckets("r1")
    assert (first.at_us, first.counts.lines, first.counts.errors) == (T0, 2, {"boom": 1})
    assert [bucket.at_us for bucket in evidence.buckets("r2")] == [T0, T0 + MINUTE]
    assert evidence.releases() == ("r1", "r2")
    assert evidence.totals("r2").errors == {"bang": 1}
    assert evidence.totals("r2", from_us=T0 + MINUTE).errors == {}


def test_what_systemd_says_is_counted_apart_from_the_bots_lines() -> None:
    """Restarts, crashes and dropped lines are no lines of the bot's."""
    evidence = evidence_of(
        [
            ("r1", record(T0, SystemKind.CRASHED)),
            ("r1", record(T0 + 1, SystemKind.RESTART, count=2)),
            ("r1", record(T0 + 2, SystemKind.DROPPED, count=52_500)),
            ("r1", record(T0 + 3, SystemKind.STARTED)),
        ]
    )
    counts = evidence.totals("r1")
    assert (counts.lines, counts.crashes, counts.restarts, counts.dropped) == (0, 1, 1, 52_500)
    assert [(one.kind, one.count) for one in evidence.incidents("r1")][:3] == [
        ("crashed", 0),
        ("restart", 2),
        ("dropped", 52_500),
    ]


def test_a_class_keeps_its_first_sight_and_a_sample() -> None:
    """When, in which release and as what text a class was first seen is kept."""
    evidence = evidence_of([("r2", error(T0 + 5)), ("r1", error(T0 + 3)), ("r2", error(T0 + 9))])
    seen = evidence.classes()["boom"]
    assert (seen.at_us, seen.release, seen.sample, seen.is_fatal) == (
        T0 + 3,
        "r1",
        "ERROR boom",
        False,
    )


def test_a_fatal_line_is_an_incident() -> None:
    """A verdict finds fatal lines without going through all classes."""
    evidence = evidence_of([("r1", error(T0, "no disk", is_fatal=True))])
    (incident,) = evidence.incidents("r1")
    assert (incident.kind, incident.fingerprint) == ("fatal", "no disk")


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200))
def test_latencies_keep_their_moments_and_quantiles(values: list[float]) -> None:
    """Mean and spread of the logarithms are exact, quantiles within 5 %."""
    counts = evidence_of([("r1", line(T0, latency_ms=value)) for value in values]).totals("r1")
    assert counts.latency_count == len(values)
    assert counts.latency_sum == pytest.approx(sum(map(log, values)), abs=1e-9)
    assert counts.latency_squares == pytest.approx(sum(log(value) ** 2 for value in values))
    for share in (0.0, 0.5, 0.95, 1.0):
        true = sorted(values)[int(share * (len(values) - 1))]
        rank = int(share * (len(values) - 1))
        bins = [number for number, some in sorted(counts.latency_bins.items()) for _ in range(some)]
        middle = 2.0 * quantile_sketch.GROWTH ** bins[rank] / (quantile_sketch.GROWTH + 1.0)
        assert middle == pytest.approx(true, rel=0.051)


# -- silence and gaps -----------------------------------------------------------------------------


def test_silence_is_covered_and_a_gap_is_not() -> None:
    """What was read without a line is silence; what nobody read is a gap."""
    evidence = Evidence("w1")
    evidence.open(T0)
    evidence.extend(T0 + 2 * MINUTE)
    evidence.open(T0 + 3 * MINUTE)
    evidence.extend(T0 + 4 * MINUTE)
    assert evidence.coverage.gaps() == [(T0 + 2 * MINUTE, T0 + 3 * MINUTE)]
    assert evidence.coverage.within(T0, T0 + 10 * MINUTE) == 3 * MINUTE
    assert evidence.coverage.within(T0 + 90_000_000, T0 + 200_000_000) == 50_000_000


def test_going_on_where_the_last_span_ended_is_no_gap() -> None:
    """A reader that resumes at the place where another stopped continues its span."""
    evidence = Evidence("w1")
    evidence.open(T0)
    evidence.extend(T0 + 5)
    evidence.open(T0 + 5)
    evidence.extend(T0 + 9)
    assert (evidence.coverage.spans(), evidence.coverage.gaps()) == ([(T0, T0 + 9)], [])


def test_extending_what_was_never_opened_is_a_mistake() -> None:
    """Who says how far he read has to say from where."""
    with pytest.raises(ValueError, match="open"):
        Evidence("w1").extend(T0)


# -- merging --------------------------------------------------------------------------------------

RELEASES = st.sampled_from(["r1", "r2"])
LINES = st.one_of(
    st.builds(lambda at: line(T0 + at), st.integers(0, 5 * MINUTE)),
    st.builds(
        lambda at, ms: line(T0 + at, latency_ms=ms, is_handled=True),
        st.integers(0, 5 * MINUTE),
        st.floats(0.1, 1e4),
    ),
    st.builds(
        lambda at, name, fatal: error(T0 + at, name, is_fatal=fatal),
        st.integers(0, 5 * MINUTE),
        st.sampled_from(["boom", "bang", "no disk"]),
        st.booleans(),
    ),
    st.builds(
        lambda at, kind, n: record(T0 + at, kind, n),
        st.integers(0, 5 * MINUTE),
        st.sampled_from(list(SystemKind)),
        st.integers(0, 9),
    ),
)
JOURNALS = st.lists(st.tuples(RELEASES, LINES), max_size=40).map(
    lambda rows: sorted(rows, key=lambda row: row[1].at_us)
)


@st.composite
def readings(draw: st.DrawFn) -> list[Evidence]:
    """Three readings of stretches of one journal, which may overlap, touch or lie apart."""
    journal = draw(JOURNALS)
    out = []
    for _ in range(3):
        begin, end = sorted((draw(st.integers(0, 5 * MINUTE)), draw(st.integers(0, 5 * MINUTE))))
        rows = [row for row in journal if T0 + begin <= row[1].at_us <= T0 + end]
        out.append(evidence_of(rows, T0 + begin, T0 + end))
    return out


@given(readings())
@settings(max_examples=examples(200))
def test_merging_has_no_order(three: list[Evidence]) -> None:
    """Merging is commutative, associative and idempotent, whatever the windows."""
    a, b, c = three
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)


@given(JOURNALS, st.integers(0, 5 * MINUTE))
def test_a_longer_reading_takes_a_shorter_one_in(
    journal: list[tuple[str, LogLine]], cut: int
) -> None:
    """Who read on from the same place has all that the other has: merging changes nothing."""
    short = evidence_of([row for row in journal if row[1].at_us <= T0 + cut], T0, T0 + cut)
    whole = evidence_of(journal, T0, T0 + 5 * MINUTE)
    assert short.merge(whole) == whole


def test_where_reading_goes_on_is_not_lost_in_a_merge() -> None:
    """A reading that was never kept has no position; the other's stays."""
    kept = Evidence("w1")
    kept.reader = {"cursor": "s=1"}
    assert kept.merge(Evidence("w1")).reader == {"cursor": "s=1"}
    assert Evidence("w1").merge(kept).reader == {"cursor": "s=1"}


@given(JOURNALS, st.lists(st.integers(0, 5 * MINUTE), max_size=6).map(sorted))
def test_many_short_reads_are_one_long_read(
    journal: list[tuple[str, LogLine]], cuts: list[int]
) -> None:
    """Evidence that is stored and gone on with, again and again, is that of one long read."""
    parts = Evidence("w1")
    edges = [0, *cuts, 5 * MINUTE + 1]
    for begin, end in pairwise(edges):
        parts = Evidence.from_json(parts.to_json())
        parts.open(T0 + begin)
        for release, one in journal:
            if T0 + begin <= one.at_us < T0 + end:
                parts.add(one, release)
        parts.extend(T0 + end)
    whole = evidence_of(journal, T0, T0 + 5 * MINUTE + 1)
    assert parts.to_json() == whole.to_json()


@given(JOURNALS, st.integers(1, 4))
def test_stretches_that_lie_apart_add_up(journal: list[tuple[str, LogLine]], cut: int) -> None:
    """Reads of different stretches, made by different readers, give the whole when merged."""
    at = T0 + cut * MINUTE + 30_000_000
    early = evidence_of([row for row in journal if row[1].at_us < at], T0, at)
    late = evidence_of([row for row in journal if row[1].at_us >= at], at, T0 + 6 * MINUTE)
    whole = evidence_of(journal, T0, T0 + 6 * MINUTE)
    both = early.merge(late)
    for release in ("r1", "r2"):
        mine, theirs = both.totals(release), whole.totals(release)
        assert (mine.lines, mine.handled, mine.errors, mine.system, mine.dropped) == (
            theirs.lines,
            theirs.handled,
            theirs.errors,
            theirs.system,
            theirs.dropped,
        )
        assert mine.latency_bins == theirs.latency_bins
    assert both.classes() == whole.classes()
    assert both.incidents() == whole.incidents()
    assert both.coverage.spans() == whole.coverage.spans()


def test_readings_of_different_hosts_do_not_merge() -> None:
    """A host's evidence is its own."""
    with pytest.raises(ValueError, match="does not merge"):
        Evidence("w1").merge(Evidence("w2"))


# -- keeping --------------------------------------------------------------------------------------


@given(JOURNALS)
def test_json_keeps_everything(journal: list[tuple[str, LogLine]]) -> None:
    """Written and read again, evidence is the same, and so is its text."""
    evidence = evidence_of(journal, T0, T0 + 6 * MINUTE)
    evidence.reader = {"cursor": "s=1;i=2"}
    again = Evidence.from_json(evidence.to_json())
    assert again == evidence
    assert again.to_json() == evidence.to_json()
    assert again.buckets("r1") == evidence.buckets("r1")
    assert again.classes() == evidence.classes()
    assert again.reader == {"cursor": "s=1;i=2"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"v":2}', '{"v":1,"host":"a"}', '{"v":1,"host":1']
)
def test_what_is_no_evidence_is_refused(text: str) -> None:
    """A damaged or foreign file is a ValueError, never half an evidence."""
    with pytest.raises(ValueError, match=r"."):
        Evidence.from_json(text)


def test_a_day_of_a_busy_bot_is_small() -> None:
    """1440 minutes with 12 classes of errors, latencies and two releases stay below 1 MB."""
    random = Random(1)  # noqa: S311 -- for numbers that repeat
    names = [f"Traceback!KeyError module_{i}.py:function_{i} 'some key {i}'" for i in range(60)]
    evidence = Evidence("w1")
    evidence.open(T0)
    for minute in range(1440):
        at = T0 + minute * MINUTE
        for i in range(60):
            evidence.add(
                line(at + i, latency_ms=random.lognormvariate(4, 1), is_handled=True),
                f"r{minute // 720}",
            )
        for i in range(12):
            evidence.add(
                error(at + 100 + i, random.choice(names), message="x" * 400), f"r{minute // 720}"
            )
    assert len(evidence.to_json().encode()) < 1_000_000


def test_endless_kinds_of_errors_are_counted_together() -> None:
    """A bot whose errors are all different fills no memory: what is too much is counted as one."""
    evidence = Evidence("w1")
    n = 3 * MAX_CLASSES
    for i in range(n):
        evidence.add(error(T0 + i * 1_000_000, f"error {i}"), "r1")
    totals = evidence.totals("r1")
    assert totals.error_lines == n
    assert totals.errors[OTHER] == n - MAX_CLASSES
    assert len(evidence.classes()) == MAX_CLASSES
    one_minute = Evidence("w1")
    for i in range(500):
        one_minute.add(error(T0 + i, f"error {i}"), "r1")
    assert len(one_minute.totals("r1").errors) == MAX_BUCKET_CLASSES + 1


def test_only_the_latest_incidents_are_kept() -> None:
    """A crash loop of a week does not fill the evidence: the last records are kept."""
    evidence = evidence_of(
        [("r1", record(T0 + i, SystemKind.RESTART, i)) for i in range(MAX_INCIDENTS + 50)]
    )
    assert [one.count for one in evidence.incidents()] == list(range(50, MAX_INCIDENTS + 50))
    assert evidence.totals("r1").restarts == MAX_INCIDENTS + 50


def test_trimming_forgets_old_minutes_and_keeps_first_sights() -> None:
    """What was known long ago is still no new error."""
    evidence = evidence_of([("r1", error(T0)), ("r1", error(T0 + 5 * MINUTE))], T0, T0 + 6 * MINUTE)
    evidence.trim(T0 + 3 * MINUTE)
    assert evidence.totals("r1").errors == {"boom": 1}
    assert evidence.coverage.spans() == [(T0 + 3 * MINUTE, T0 + 6 * MINUTE)]
    assert evidence.classes()["boom"].at_us == T0


def test_buckets_may_be_shorter() -> None:
    """A short, attended soak is looked at in seconds."""
    evidence = Evidence("w1", bucket_us=5_000_000)
    for second in range(10):
        evidence.add(line(T0 + second * 1_000_000), "r1")
    assert [bucket.counts.lines for bucket in evidence.buckets("r1")] == [5, 5]
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_counts_add_up() -> None:
    """The sum of nothing is nothing, and sums do not touch what they sum."""
    assert summed([]) == Counts()
    one = Counts(lines=1, errors={"boom": 1})
    assert summed([one, one]).errors == {"boom": 2}
    assert one.errors == {"boom": 1}


def test_a_journal_read_in_pieces_gives_the_same_evidence() -> None:
    """Reader state included: traces cut by the end of a read are one error, not two."""
    entries = []
    for number in range(30):
        at = T0 + number * 3_000_000
        text = [
            "ERROR bot: pay failed",
            "Traceback (most recent call last):",
            '  File "/opt/bot/bank.py", line 3, in pay',
            "    x()",
            "KeyError: 'x'",
            "INFO bot: went on",
        ]
        entries += [
            {
                "__REALTIME_TIMESTAMP": str(at + i),
                "__CURSOR": f"{number}.{i}",
                "_PID": "5",
                "MESSAGE": one,
            }
            for i, one in enumerate(text)
        ]

    def read(size: int) -> Evidence:
        evidence = Evidence("w1")
        for begin in range(0, len(entries), size):
            evidence = Evidence.from_json(evidence.to_json())
            assembler = Assembler()
            assembler.load(evidence.reader)
            evidence.open(T0 if not begin else int(entries[begin - 1]["__REALTIME_TIMESTAMP"]))
            for entry in entries[begin : begin + size]:
                for one in assembler.feed(entry):
                    evidence.add(one, "r1")
            evidence.extend(
                int(entries[min(begin + size, len(entries)) - 1]["__REALTIME_TIMESTAMP"])
            )
            evidence.reader = json.loads(json.dumps(assembler.save()))
        return evidence

    whole = read(len(entries))
    assert whole.totals("r1").errors == {"Traceback!KeyError bank.py:pay 'x'": 30}
    for size in (1, 2, 3, 7):
        assert read(size) == whole
