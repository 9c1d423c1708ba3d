"""Prometheus' text form, read: as the Python client writes it, and as it may come damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.probes.metrics import Sample, read_metrics

DATA = Path(__file__).parents[2] / "data" / "probe"


def one(line: str) -> Sample | None:
    """Read one line."""
    found = read_metrics(line).samples
    return found[0] if found else None


@pytest.mark.parametrize("name", ["python-client.txt", "openmetrics.txt"])
def test_every_line_of_the_python_client_is_read(name: str) -> None:
    """Nothing that prometheus_client 0.26 writes is left out, in either of its forms."""
    text = (DATA / name).read_text()
    read = read_metrics(text)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert (read.unread, len(read.samples)) == (0, len(lines))
    values = {(s.name, s.labels): s.value for s in read.samples}
    assert values["bot_errors_total", (("type", 'odd "one"\nhere'),)] == 1.0
    assert values["bot_command_duration_seconds_bucket", (("le", "+Inf"),)] == 40.0
    assert read.types["db_query_seconds"] == "summary"


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("up 1", Sample("up", (), 1.0)),
        ("a_total 3 1395066363000", Sample("a_total", (), 3.0)),
        ('a{b="c"} 4', Sample("a", (("b", "c"),), 4.0)),
        ('a{b="c",}4', Sample("a", (("b", "c"),), 4.0)),
        ('a { b = "}" , d="\\\\" } 5', Sample("a", (("b", "}"), ("d", "\\")), 5.0)),
        ("a{} 6", Sample("a", (), 6.0)),
        ('a_bucket{le="1"} 7 # {trace_id="x"} 0.5 1.2', Sample("a_bucket", (("le", "1"),), 7.0)),
        ("errors.timeout 2", Sample("errors.timeout", (), 2.0)),
        ("a +Inf", Sample("a", (), float("inf"))),
        ("a 1e3\r", Sample("a", (), 1000.0)),
    ],
)
def test_the_forms_of_a_line(line: str, sample: Sample) -> None:
    """Timestamps, exemplars, spaces and escapes are taken as the format has them."""
    assert one(line) == sample


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a{",
        'a{b="c} 1',
        'a{b="c"',
        "a{b=c} 1",
        "a one",
        "<html>",
        "a1 NaN",
        '{"a": 1}',
        'a{b="' + "x" * 9000 + '"} 1',
        "9a 1",
    ],
)
def test_a_damaged_line_is_no_sample(line: str) -> None:
    """What makes no sense is left out, and the lines around it are read."""
    read = read_metrics(f"before 1\n{line}\nafter 2\n")
    assert [s.name for s in read.samples] == ["before", "after"]


@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    """Nothing that an endpoint answers makes the reader stumble."""
    read = read_metrics(text)
    assert len(read.samples) + read.unread <= text.count("\n") + 1


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12),
        max_size=4,
    ),
    st.floats(allow_nan=False),
)
def test_labels_come_back_as_they_were_written(labels: dict[str, str], value: float) -> None:
    """Whatever a label holds is escaped by the writer and comes back."""
    escaped = ",".join(
        '{}="{}"'.format(k, v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for k, v in labels.items()
    )
    assert one(f"a{{{escaped}}} {value!r}") == Sample("a", tuple(labels.items()), value)
