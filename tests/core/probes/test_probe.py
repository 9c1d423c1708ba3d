"""Probes: answers become readings, and two readings become lines that the judge can count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.model.bot import ProbeKind
from botdeploy.core.probes.probe import (
    MINUTE_US,
    MORE_ERRORS,
    MOST_BYTES,
    MOST_CLASSES,
    Answer,
    Histogram,
    ProbeReading,
    is_failure,
    lines_of,
    past_of,
    read,
)

DATA = Path(__file__).parents[2] / "data" / "probe"
SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
CLIENT = (DATA / "python-client.txt").read_bytes()


def prometheus(text: str | bytes, **more: Any) -> ProbeReading:
    body = text.encode() if isinstance(text, str) else text
    answer = Answer(NOW, body, status=200, invocation="run1", up_s=600.0)
    return read(ProbeKind.PROMETHEUS, replace(answer, **more))


def command(text: str, **more: Any) -> ProbeReading:
    answer = Answer(NOW, text.encode(), invocation="run1", up_s=600.0)
    return read(ProbeKind.COMMAND, replace(answer, **more))


def http(**more: Any) -> ProbeReading:
    return read(ProbeKind.HTTP, replace(Answer(NOW, status=200, took_ms=12.5), **more))


def errors(lines: list[LogLine]) -> dict[str, int]:
    """Count errors by fingerprint."""
    out: dict[str, int] = {}
    for line in lines:
        if line.fingerprint is not None:
            out[line.fingerprint] = out.get(line.fingerprint, 0) + line.count
    return out


def handled(lines: list[LogLine]) -> int:
    return sum(line.count for line in lines if line.is_handled)


def later(reading: ProbeReading, seconds: float, **more: Any) -> ProbeReading:
    """Give the same reading some seconds later."""
    up_s = reading.up_s + seconds
    return replace(reading, at_us=reading.at_us + round(seconds * SECOND), up_s=up_s, **more)


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["python-client.txt", "openmetrics.txt"])
def test_the_python_clients_metrics_are_sorted(name: str) -> None:
    """Commands and requests are work, errors and 5xx are errors, durations are latencies."""
    reading = prometheus((DATA / name).read_bytes())
    assert reading.handled == {"bot_commands_total": 47.0, "http_requests_total": 7.0}
    assert reading.errors == {
        'bot_errors_total{type="TimeoutError"}': 2.0,
        'bot_errors_total{type="odd "one" here"}': 1.0,
        'http_requests_total{code="503",handler="/hook",method="POST"}': 2.0,
    }
    took = reading.latency["bot_command_duration_seconds"]
    assert (took.count, round(took.sum_ms), took.bounds[50.0]) == (40.0, 2760, 11.0)
    assert reading.latency["db_query_seconds"] == Histogram(2.0, 500.0)


def test_what_the_language_counts_by_itself_is_nothing_to_judge() -> None:
    """Garbage collections and the reading of the metrics themselves are no work of the bot's."""
    reading = prometheus(
        "# TYPE go_gc_duration_seconds summary\ngo_gc_duration_seconds_count 3\n"
        "go_gc_duration_seconds_sum 1\n"
        "# TYPE promhttp_metric_handler_requests_total counter\n"
        'promhttp_metric_handler_requests_total{code="500"} 4\n'
        'http_requests_total{handler="/metrics",code="500"} 4\n'
        "# TYPE errors gauge\nerrors 5\n"
    )
    assert (reading.handled, reading.errors, reading.latency) == ({}, {}, {})


@pytest.mark.parametrize(
    ("line", "is_error"),
    [
        ('jobs_total{result="failed"} 1', True),
        ('jobs_total{result="done"} 1', False),
        ('http_server_requests_total{exception="None"} 1', False),
        ('http_server_requests_total{exception="IOException"} 1', True),
        ('requests_total{status="5xx"} 1', True),
        ('requests_total{status="404"} 1', False),
        ('calls_total{success="false"} 1', True),
        ("discord_gateway_failures_total 1", True),
        ("errorless_total 1", False),
    ],
)
def test_what_is_an_error(line: str, is_error: bool) -> None:  # noqa: FBT001
    """A counter's name or its labels say that it counts what went wrong."""
    assert bool(prometheus(line).errors) is is_error


def test_a_histogram_alone_tells_of_work_too() -> None:
    """Where no counter counts work, what was timed was done."""
    reading = prometheus(
        "# TYPE task_latency histogram\n"
        'task_latency_bucket{le="0.1"} 3\ntask_latency_bucket{le="+Inf"} 4\n'
        "task_latency_sum 1.5\ntask_latency_count 4\n"
    )
    assert reading.handled == {"task_latency_count": 4.0}
    assert reading.latency["task_latency"].sum_ms == 1500.0


def test_ids_and_credentials_do_not_become_classes() -> None:
    """What differs each time is masked, and the counts are one."""
    reading = prometheus(
        'errors_total{guild="123456789012345678"} 1\nerrors_total{guild="987654321098765432"} 2\n'
    )
    assert reading.errors == {'errors_total{guild="#"}': 3.0}


def test_too_many_classes_are_one() -> None:
    """The rarest classes are counted together, and none is lost."""
    text = "".join(f'errors_total{{type="t{i}x"}} {i + 1}\n' for i in range(200))
    reading = prometheus(text)
    assert len(reading.errors) == MOST_CLASSES
    assert sum(reading.errors.values()) == sum(range(1, 201))
    assert reading.errors[MORE_ERRORS] > 0


def test_a_commands_json() -> None:
    """Handled and errors are counters, latencies are taken as they are, the rest is left alone."""
    reading = command(
        '{"handled": 12, "errors": {"timeout": 1, "bad": -1, "odd": "x"}, '
        '"latency_ms": [12, 30.5, null, -4, true], "more": {}}'
    )
    assert reading.handled == {"handled": 12.0}
    assert reading.errors == {"errors.timeout": 1.0}
    assert reading.took_ms == (12.0, 30.5)
    assert command('{"errors": 3, "latency_ms": 7}').errors == {"errors": 3.0}


def test_a_commands_lines() -> None:
    """Lines of a name and a number need no type."""
    reading = command("handled 12\nerrors.timeout 1\nlatency_ms 40\nguilds 9\nall is well\n")
    assert reading.handled == {"handled": 12.0}
    assert reading.errors == {"errors.timeout": 1.0}
    assert reading.took_ms == (40.0,)


@pytest.mark.parametrize(
    ("reading", "failure"),
    [
        (command("", code=3), "ended with 3"),
        (command("", code=124), "took too long"),
        (command("x" * (MOST_BYTES + 1)), "more than 256 kB"),
        (command("OK\n"), ""),
        (command(""), ""),
        (http(), ""),
        (http(status=404), ""),
        (http(status=503), "answered 503"),
        (http(status=0, code=7), "did not answer"),
        (http(status=0, code=28), "too long"),
        (prometheus(CLIENT, status=404), "answered 404"),
        (prometheus("<html>no</html>"), "no metrics"),
        (prometheus(""), "no metrics"),
        (prometheus(CLIENT[:900], code=18), "broke off"),
    ],
)
def test_what_is_a_failure(reading: ProbeReading, failure: str) -> None:
    """An answer that is none, or says that the bot is not well, is told in words."""
    assert failure in reading.failure
    assert bool(reading.failure) is bool(failure)


def test_the_time_of_an_http_answer_is_a_latency() -> None:
    """Each answer is one event; it is no traffic, for the question was ours."""
    reading = http()
    _, lines = lines_of(None, reading)
    assert [(line.latency_ms, line.is_traffic, line.fingerprint) for line in lines] == [
        (12.5, False, None)
    ]


def test_an_http_answer_in_json_is_read_too() -> None:
    """An endpoint may tell the same as a command."""
    reading = http(body=b'{"handled": 4, "errors": {"x": 1}}')
    assert (reading.handled, reading.took_ms) == ({"handled": 4.0}, (12.5,))


@given(st.sampled_from(ProbeKind), st.binary(max_size=300), st.integers(-1, 255))
def test_any_answer_can_be_read(kind: ProbeKind, body: bytes, code: int) -> None:
    """Whatever a host brings back is a reading, and goes to a record and back."""
    reading = read(kind, Answer(NOW, body, 1.0, code, 200))
    again = ProbeReading.from_record(json.loads(json.dumps(reading.to_record())))
    assert again == replace(reading, failure="", took_ms=())


@given(st.binary(max_size=60), st.integers(0, len(CLIENT)), st.integers(0, 80))
def test_damaged_metrics_are_read_as_far_as_they_go(junk: bytes, at: int, cut: int) -> None:
    """Junk in the middle of an answer loses no more than the lines that it hits."""
    reading = prometheus(CLIENT[:at] + junk + CLIENT[at + cut :])
    assert set(reading.handled) <= {"bot_commands_total", "http_requests_total"} or reading.failure


# --- lines ----------------------------------------------------------------------------------------

FIRST = ProbeReading(
    NOW,
    "run1",
    600.0,
    handled={"commands_total": 100.0},
    errors={"errors_total": 4.0},
)


def test_a_first_reading_tells_nothing_of_when() -> None:
    """What was counted before anybody looked happened at an unknown time."""
    kept, lines = lines_of(None, FIRST)
    assert (kept, lines) == (FIRST, [])


def test_what_rose_between_two_readings_happened() -> None:
    """Work is traffic, errors have the counter's name, both with the run that they are of."""
    kept, _ = lines_of(None, FIRST)
    after = later(FIRST, 5, handled={"commands_total": 112.0}, errors={"errors_total": 7.0})
    kept, lines = lines_of(kept, after)
    assert (handled(lines), errors(lines)) == (12, {"probe!errors_total": 3})
    assert {(line.kind, line.at_us, line.invocation) for line in lines} == {
        (LineKind.PROBE, NOW + 5 * SECOND, "run1")
    }
    _, again = lines_of(kept, later(after, 5))
    assert again == []


def test_an_error_that_appears_rose_from_nothing() -> None:
    """Clients show a label only once it was counted."""
    after = later(FIRST, 5, errors={"errors_total": 4.0, 'errors_total{type="new"}': 2.0})
    assert errors(lines_of(FIRST, after)[1]) == {'probe!errors_total{type="new"}': 2}


def test_a_counter_that_began_anew_counts_from_0() -> None:
    """A reset within a run shows as a fall to half or less."""
    after = later(FIRST, 5, handled={"commands_total": 3.0}, errors={"errors_total": 1.0})
    _, lines = lines_of(FIRST, after)
    assert (handled(lines), errors(lines)) == (3, {"probe!errors_total": 1})


def test_a_new_run_counts_from_0_however_high_it_is() -> None:
    """Another invocation of the bot has nothing to do with the old one's counters."""
    after = replace(
        later(FIRST, 5, handled={"commands_total": 150.0}, errors={"errors_total": 6.0}),
        invocation="run2",
        up_s=4.0,
    )
    _, lines = lines_of(FIRST, after)
    assert (handled(lines), errors(lines)) == (150, {"probe!errors_total": 6})


def test_a_part_that_is_missing_once_is_no_reset() -> None:
    """Series that are left out of one answer go on from where they were."""
    less = later(FIRST, 5, handled={"commands_total": 80.0}, errors={})
    kept, lines = lines_of(FIRST, less)
    assert lines == []
    full = later(less, 5, handled={"commands_total": 101.0}, errors={"errors_total": 4.0})
    _, lines = lines_of(kept, full)
    assert (handled(lines), errors(lines)) == (1, {})


def test_a_failure_is_an_error_and_forgets_nothing() -> None:
    """The next answer goes on from the last one that was good."""
    failed = ProbeReading(NOW + SECOND, "run1", failure="did not answer")
    kept, lines = lines_of(FIRST, failed, about="probe http://127.0.0.1/")
    assert kept is FIRST
    assert errors(lines) == {"probe!failed: did not answer": 1}
    assert is_failure(lines[0])
    assert lines[0].message == "probe http://127.0.0.1/ did not answer"


def test_all_that_a_process_counts_is_the_releases_if_it_began_after_the_switch() -> None:
    """A controller that comes late still sees what the new release did since its start."""
    reading = replace(FIRST, up_s=120.0)
    _, lines = lines_of(None, reading, since_us=NOW - 121 * SECOND)
    assert (handled(lines), errors(lines)) == (100, {"probe!errors_total": 4})
    assert min(line.at_us for line in lines) >= NOW - 120 * SECOND
    _, lines = lines_of(None, reading, since_us=NOW - 60 * SECOND)
    assert lines == []


def test_work_of_minutes_is_spread_over_them() -> None:
    """A reading every ten minutes leaves no minute silent; errors stay one occasion."""
    after = later(FIRST, 600, handled={"commands_total": 125.0}, errors={"errors_total": 9.0})
    _, lines = lines_of(FIRST, after)
    work = [line for line in lines if line.is_handled]
    assert [line.count for line in work] == [2, 3] * 5
    assert len({line.at_us // MINUTE_US for line in work}) == 10
    assert [line.count for line in lines if line.fingerprint] == [5]


def test_a_histograms_latencies_fit_their_sum() -> None:
    """Each bucket's share comes with a latency, and together they are as long as was measured."""
    old = Histogram(10.0, 1000.0, {50.0: 2.0, 100.0: 6.0, float("inf"): 10.0})
    new = Histogram(30.0, 3600.0, {50.0: 6.0, 100.0: 16.0, float("inf"): 30.0})
    before = replace(FIRST, latency={"d": old})
    _, lines = lines_of(before, later(before, 5, latency={"d": new}))
    took = [(line.count, line.latency_ms or 0.0) for line in lines]
    assert [n for n, _ in took] == [4, 6, 10]
    assert took[0][1] < took[1][1] < took[2][1]
    assert sum(n * ms for n, ms in took) == pytest.approx(2600.0)
    assert not any(line.is_traffic for line in lines)


def test_a_summarys_latencies_are_their_mean() -> None:
    """Sum and count alone give how long work took on the mean."""
    before = replace(FIRST, latency={"d": Histogram(10.0, 1000.0)})
    _, lines = lines_of(before, later(before, 5, latency={"d": Histogram(14.0, 1100.0)}))
    assert [(line.count, line.latency_ms) for line in lines] == [(4, 25.0)]


counters = st.lists(st.integers(0, 50), min_size=1, max_size=12)


@given(counters, counters)
def test_nothing_is_lost_or_counted_twice(work: list[int], bad: list[int]) -> None:
    """However often one asks, what was told adds up to what the counters rose by."""
    kept, total, wrong = FIRST, 0, 0
    now = FIRST
    for some, few in zip(work, bad, strict=False):
        now = later(
            now,
            5,
            handled={"commands_total": now.handled["commands_total"] + some},
            errors={"errors_total": now.errors["errors_total"] + few},
        )
        following, lines = lines_of(kept, now)
        assert following is not None
        kept = following
        total += handled(lines)
        wrong += sum(errors(lines).values())
    assert total == now.handled["commands_total"] - 100.0
    assert wrong == now.errors["errors_total"] - 4.0


# --- the past -------------------------------------------------------------------------------------


def test_counters_tell_of_the_past() -> None:
    """A process that has run for ten minutes tells its mean rates, spread over them."""
    lines = past_of(FIRST, NOW - 600 * SECOND, NOW)
    assert (handled(lines), errors(lines)) == (100, {"probe!errors_total": 4})
    assert all(NOW - 600 * SECOND < line.at_us <= NOW for line in lines)
    assert len({line.at_us // MINUTE_US for line in lines if line.is_handled}) >= 10


def test_an_older_past_is_taken_to_have_been_alike() -> None:
    """The rate, not the count, holds for what is older than the process."""
    lines = past_of(FIRST, NOW - 3600 * SECOND, NOW)
    assert (handled(lines), errors(lines)) == (600, {"probe!errors_total": 24})


def test_a_young_process_tells_only_which_errors_there_are() -> None:
    """A start of seconds says nothing of what is usual."""
    lines = past_of(replace(FIRST, up_s=20.0), NOW - 3600 * SECOND, NOW)
    assert (handled(lines), errors(lines)) == (0, {"probe!errors_total": 1})


def test_a_failure_has_no_past() -> None:
    """Who does not answer tells nothing of before."""
    assert past_of(ProbeReading(NOW, failure="x"), 0, NOW) == []
