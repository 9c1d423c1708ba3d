"""Classes of errors of a journal or a log, with counts: what ``botdeploy fingerprint`` prints."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.error_grouping import group, overlap
from botdeploy.core.lines.line import LineRules, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdeploy.core.lines.level import Level

__all__ = ["ErrorClass", "classes", "group", "overlap"]


# ``Nov 24 22:01:15 w1 bot[123]: text``, and with -o short-iso: the text alone is the bot's.
_SHORT = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))"
    r" \S+ [^\s\[\]:]+\[(?P<pid>\d+)\]: (?P<text>.*)"
)


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """A class of errors of a journal."""

    fingerprint: str
    count: int
    level: Level | None
    sample: str
    is_fatal: bool = False


def classes(
    lines: Iterable[str | bytes | Mapping[str, Any]], rules: LineRules | None = None
) -> list[ErrorClass]:
    """Sort a journal's errors into classes, the most frequent first.

    Each line is a journal entry, one as JSON text (``journalctl -o json``), a line as journalctl
    shows it to people, or plain log text.
    """
    counts: dict[str, int] = {}
    first: dict[str, LogLine] = {}
    for line in _read(lines, rules or LineRules()):
        if line.fingerprint is not None:
            counts[line.fingerprint] = counts.get(line.fingerprint, 0) + 1
            first.setdefault(line.fingerprint, line)
    out: dict[str, ErrorClass] = {}
    for name, joined in group(counts).items():
        line = first[name]
        known = out.get(joined) or ErrorClass(joined, 0, line.level, line.message, line.is_fatal)
        out[joined] = replace(known, count=known.count + counts[name])
    return sorted(out.values(), key=lambda one: (-one.count, one.fingerprint))


def _read(lines: Iterable[str | bytes | Mapping[str, Any]], rules: LineRules) -> Iterator[LogLine]:
    assembler = Assembler(rules)
    for line in lines:
        yield from assembler.feed(_entry(line))
    yield from assembler.flush()


def _entry(line: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(line, bytes):
        line = line.decode("utf-8", "replace")
    if not isinstance(line, str):
        return line
    line = line.rstrip("\r\n")
    if line.startswith("{") and ("__REALTIME_TIMESTAMP" in line or '"MESSAGE"' in line):
        try:
            entry = json.loads(line)
        except ValueError:
            return {"MESSAGE": line}
        if isinstance(entry, dict):
            return entry
    if found := _SHORT.match(line):
        return {"_PID": found["pid"], "MESSAGE": found["text"]}
    return {"MESSAGE": line}
