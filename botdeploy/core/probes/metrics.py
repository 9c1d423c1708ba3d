"""Metrics: Prometheus' text form, or plain ``name value`` lines, as samples."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isnan

MOST_LINE = 8192
"""Characters of a line that are looked at; longer ones are no metrics."""

_SAMPLE = re.compile(
    r"""([A-Za-z_:][\w:.-]*)[ \t]*
        (?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]*
        (?<=[\s}])([^\s{}"]+)
        (?:[ \t]+-?[0-9.]+)?
        [ \t]*(?:\#.*)?""",
    re.VERBOSE,
)
"""A sample: name, labels, value, and then a timestamp or an exemplar that nobody needs here."""
_LABEL = re.compile(r'\s*([A-Za-z_][\w.]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One number under its name."""

    name: str
    labels: tuple[tuple[str, str], ...]
    """Name and value of each, in the order in which they stand."""
    value: float


@dataclass(slots=True)
class Metrics:
    """What a text said."""

    samples: list[Sample] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    """``counter``, ``gauge``, ``histogram``, ``summary`` … of the names that state it."""
    unread: int = 0
    """Lines that are neither samples nor comments."""


def read_metrics(text: str) -> Metrics:
    """Read a text line by line; a line that makes no sense is counted and left out.

    Takes what Prometheus' own text form (0.0.4) and OpenMetrics have in common, and lines of a
    name and a number. NaN is no sample. Never raises.
    """
    out = Metrics()
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            words = line.split(None, 3)
            if len(words) == 4 and words[1] == "TYPE":  # noqa: PLR2004 (# TYPE name type)
                out.types[words[2]] = words[3].strip().lower()
            continue
        sample = _sample(line) if len(line) <= MOST_LINE else None
        if sample is None:
            out.unread += 1
        elif not isnan(sample.value):
            out.samples.append(sample)
    return out


def _sample(line: str) -> Sample | None:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        return None
    name, inside, number = found.groups()
    try:
        value = float(number)
    except ValueError:
        return None
    labels = _labels(inside or "")
    return None if labels is None else Sample(name, labels, value)


def _labels(inside: str) -> tuple[tuple[str, str], ...] | None:
    """Read what stands in braces; None where it is damaged."""
    labels = []
    at = 0
    inside = inside.strip()
    while at < len(inside):
        found = _LABEL.match(inside, at)
        if found is None:
            return None
        labels.append((found[1], _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), found[2])))
        at = found.end()
    return tuple(labels)
