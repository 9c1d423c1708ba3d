"""Durations in log lines: how long work took, from text or fields, in milliseconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNIT_MS = {
    "ns": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "μs": 1e-3,
    "ms": 1.0,
    "msec": 1.0,
    "millis": 1.0,
    "milliseconds": 1.0,
    "s": 1000.0,
    "sec": 1000.0,
    "secs": 1000.0,
    "second": 1000.0,
    "seconds": 1000.0,
    "min": 60_000.0,
    "m": 60_000.0,
    "h": 3_600_000.0,
}
_STEMS = (
    "duration",
    "latency",
    "elapsed",
    "took",
    "response_time",
    "responsetime",
    "request_time",
    "process_time",
    "processing_time",
    "exec_time",
    "execution_time",
    "time_taken",
    "runtime",
    "rtt",
)
_SUFFIXES = {
    "_ms": 1.0,
    "ms": 1.0,
    "_msec": 1.0,
    "_millis": 1.0,
    "_milliseconds": 1.0,
    "_s": 1000.0,
    "_sec": 1000.0,
    "_secs": 1000.0,
    "_seconds": 1000.0,
    "_us": 1e-3,
    "_micros": 1e-3,
    "_ns": 1e-6,
    "_nanos": 1e-6,
}
_BARE_MS = {"responsetime": 1.0, "response_time": 1.0, "latency": 1.0, "rtt": 1.0}
_KEYS: dict[str, float] = {
    **{stem: _BARE_MS.get(stem, 1000.0) for stem in _STEMS},
    **{stem + suffix: factor for stem in _STEMS for suffix, factor in _SUFFIXES.items()},
}
_INNER = ("extra", "fields", "data", "http", "attributes")
_REACH = 60
"""Characters between what was done and how long it took."""
LONGEST_MS = 1e10
"""More is no latency: about four months."""

_SPAN = re.compile(
    r"(\d+(?:\.\d+)?)\s*(ns|us|µs|μs|ms|millis(?:econds)?|msec|secs?|seconds?|s|min|m|h)(?![a-z])"
)
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)$")

_UNITS = "ns|us|µs|μs|ms|msec|milliseconds|secs?|seconds?|s|min"
_KEYED = re.compile(
    rf"(?i)(?<![A-Za-z])(?P<key>duration|latency|elapsed|took|response[_ ]?time|rtt|time[_ ]taken"
    rf"|process(?:ing)?[_ ]time)(?P<suffix>_?ms|_s|_us|_ns|_seconds)?[\"']?\s*[=: ]\s*[\"']?"
    rf"(?:about |only )?(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>{_UNITS})?(?![\w.:/-])"
)
_AFTER = re.compile(rf" (?:in|after) (?P<value>\d+(?:\.\d+)?)\s?(?P<unit>{_UNITS})(?![\w/])")
# Only what is over took its time: "retrying in 5 s" tells of the future.
_DONE = re.compile(
    r"(?i)\b(?:completed|finished|handled|processed|done|acknowledged|responded|served|executed|replied"
    r"|answered|sent|fetched|loaded|succeeded|ok|returned|resolved|ran|synced|rendered|saved)\b"
)


def latency_of_fields(fields: Mapping[str, Any]) -> float | None:
    """Find a latency among the fields of a JSON line, by the names that loggers give it.

    The unit is the name's (``duration_ms``, ``elapsed_s``) or the value's (``"12.5ms"``); bare
    numbers are seconds, but milliseconds under ``latency``, ``responseTime`` and ``rtt``.
    """
    for key in fields:
        factor = _KEYS.get(key) or _KEYS.get(key.lower())
        if factor is None:
            continue
        value = fields[key]
        found = None
        if isinstance(value, str):
            found = read_span_ms(value, factor)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value) * factor
        if found is not None and 0 < found < LONGEST_MS:
            return found
    for key in _INNER:
        inner = fields.get(key)
        if isinstance(inner, dict) and (found := latency_of_fields(inner)) is not None:
            return found
    return None


def latency_of_text(text: str) -> float | None:
    """Find a latency in plain text: ``took 12 ms``, ``latency=0.25``, ``handled in 352 ms``."""
    if (
        (" in " in text or " after " in text)
        and (found := _AFTER.search(text))
        and _DONE.search(text, max(0, found.start() - _REACH), found.start())
    ):
        return plausible_ms(float(found["value"]) * _UNIT_MS[found["unit"]])
    low = text.lower()
    if not (
        "took" in low
        or "dur" in low
        or "lat" in low
        or "elap" in low
        or "time" in low
        or "rtt" in low
    ):
        return None
    found = _KEYED.search(text)
    if found is None:
        return None
    if found["unit"]:
        return plausible_ms(float(found["value"]) * _UNIT_MS[found["unit"].lower()])
    key = found["key"].lower().replace(" ", "_") + (found["suffix"] or "").lower()
    return plausible_ms(float(found["value"]) * _KEYS.get(key, 1000.0))


def read_span_ms(text: str, factor: float = 1000.0) -> float | None:
    """Read a duration as loggers write it (``1m2.5s``, ``12 ms``, ``0:00:01.2``, ``0.25``), in ms.

    ``factor`` is the worth of a bare number in milliseconds.
    """
    text = text.strip()
    try:
        return float(text) * factor
    except ValueError:
        pass
    text = text[:_REACH]
    if found := _CLOCK.match(text):
        return (int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])) * 1000.0
    spans = _SPAN.findall(text)
    return sum(float(n) * _UNIT_MS[unit] for n, unit in spans) if spans else None


def plausible_ms(latency_ms: float | None) -> float | None:
    """Give a latency in milliseconds that can be one: above nothing, below four months."""
    return latency_ms if latency_ms is not None and 0 < latency_ms < LONGEST_MS else None
