"""A line is counted in one way, live and kept."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from botdeploy.core.evidence.counts import CountingRule, Counts, summed
from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge.host_tally import MINUTE_US, HostTally
from botdeploy.core.judge.kept_tally import absorb
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.probes.probe import FAILED

T0 = 28_333_333 * MINUTE_US
SECOND = 1_000_000


def line(at_us: int, kind: LineKind = LineKind.LOG, **fields: Any) -> LogLine:
    return LogLine(at_us, kind, Level.INFO, "text", **fields)


def failure(at_us: int) -> LogLine:
    return line(at_us, LineKind.PROBE, fingerprint=f"{FAILED}: no answer")


def record(at_us: int, kind: SystemKind, count: int = 0) -> LogLine:
    return line(at_us, LineKind.SYSTEMD, system=SystemRecord(kind, count=count))


def mixed(seed: int, minutes: int) -> list[LogLine]:
    """Lines of every kind, in order."""
    draw = Random(seed)  # noqa: S311
    span_us = minutes * MINUTE_US
    return [_one(draw, T0 + at_us) for at_us in sorted(draw.sample(range(span_us), 40 * minutes))]


def _one(draw: Random, at_us: int) -> LogLine:
    return draw.choice(
        [
            line(at_us),
            line(at_us, latency_ms=draw.uniform(1, 500), is_handled=True),
            line(at_us, fingerprint=draw.choice("abc")),
            line(at_us, LineKind.TRACEBACK, fingerprint="d", is_fatal=True),
            line(at_us, LineKind.PROBE, fingerprint="probe!x", count=3),
            line(at_us, LineKind.PROBE, is_handled=True, count=7),
            line(at_us, LineKind.PROBE, latency_ms=9.0),
            failure(at_us),
            record(at_us, SystemKind.DROPPED, draw.choice([0, 12])),
        ]
    )


def figures(counts: Counts) -> tuple[object, ...]:
    latency = (counts.latency_count, pytest.approx(counts.latency_sum))
    return counts.lines, counts.probed, counts.errors, counts.dropped, latency


@pytest.mark.parametrize("seed", range(5))
def test_the_judge_counts_live_what_it_is_told_of_what_was_kept(seed: int) -> None:
    """Minute by minute, before the switch and since."""
    lines = mixed(seed, minutes=6)
    switch_us = T0 + 3 * MINUTE_US
    live = HostTally("w1", switch_us, MINUTE_US)
    kept = HostTally("w1", switch_us, MINUTE_US)
    evidence = Evidence("w1")
    for one in lines:
        live.add(one)
        evidence.add(one, "new" if one.at_us >= switch_us else "old")
    absorb(kept, evidence, "new", {"old"})
    assert len(live.before) == len(live.after) == 3
    for mine, theirs in ((live.before, kept.before), (live.after, kept.after)):
        assert {key: figures(one) for key, one in mine.items()} == {
            key: figures(one) for key, one in theirs.items()
        }
    assert live.dropped == kept.dropped > 0
    assert live.errors_before == kept.errors_before


def test_what_is_counted_apart_adds_up() -> None:
    lines = mixed(7, minutes=2)
    apart = [Counts() for _ in range(4)]
    whole = Counts()
    for number, one in enumerate(lines):
        whole.add(one)
        apart[number % 4].add(one)
    together = summed(apart)
    assert figures(together) == figures(whole)
    assert together.system == whole.system
    assert together.latency_bins == whole.latency_bins
    assert together.until_us == whole.until_us == lines[-1].at_us


def test_systemd_says_nothing_for_the_bot_and_a_drop_without_a_number_is_one() -> None:
    counts = Counts()
    counts.add(record(T0, SystemKind.STARTED))
    counts.add(record(T0, SystemKind.RESTART))
    counts.add(record(T0, SystemKind.DROPPED))
    counts.add(record(T0, SystemKind.DROPPED, 12))
    assert (counts.lines, counts.events, counts.dropped, counts.restarts) == (0, 0, 13, 1)


def test_a_probe_may_fail_within_the_grace_alone() -> None:
    rule = CountingRule(switched_us=T0, grace_us=10 * SECOND)
    assert rule.counts(failure(T0 - 1))
    assert not rule.counts(failure(T0))
    assert not rule.counts(failure(T0 + 10 * SECOND - 1))
    assert rule.counts(failure(T0 + 10 * SECOND))
    assert rule.counts(line(T0 + SECOND, fingerprint="boom"))
    assert CountingRule(grace_us=10 * SECOND).counts(failure(T0)), "not switched here"


def test_a_probes_latency_counts_until_the_journal_has_some() -> None:
    rule = CountingRule()
    asked = line(T0, LineKind.PROBE, latency_ms=9.0)
    assert rule.counts(asked)
    rule.note(line(T0, latency_ms=80.0))
    assert not rule.counts(asked)
    assert rule.counts(line(T0, LineKind.PROBE, is_handled=True, count=4))
