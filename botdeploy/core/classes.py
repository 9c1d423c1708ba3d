"""Classes of errors: fingerprints that differ in little are one class, on all hosts alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botdeploy.core.logline import Assembler, Level, LineRules, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SIMILAR = 0.85
"""Share of equal words, of two texts with as many words, from which on they are one class."""


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """A class of errors of a journal."""

    fingerprint: str
    count: int
    level: Level | None
    sample: str


def group(fingerprints: Iterable[str]) -> dict[str, str]:
    """Join fingerprints that are one class; gives each fingerprint's class by name.

    The result depends on the set alone, not on its order: of two with the same number of words,
    those that share 85 % of them are joined, and so is what is joined to either. A class is named
    by its least fingerprint with ``#`` where its members differ. Stack traces, and classes of the
    user's own (``same!``), are never joined.
    """
    names = sorted(set(fingerprints))
    out = {name: name for name in names}
    by_length: dict[int, list[tuple[str, list[str]]]] = {}
    for name in names:
        if not name.startswith(("Traceback!", "same!")):
            words = name.split()
            by_length.setdefault(len(words), []).append((name, words))
    for length, members in by_length.items():
        if (1 - SIMILAR) * length < 1:
            continue
        for joined in _linked(members, length - int((1 - SIMILAR) * length + 1e-9)):
            template = " ".join(
                words[0] if len(set(words)) == 1 else "#"
                for words in zip(*(words for _, words in joined), strict=True)
            )
            for name, _ in joined:
                out[name] = template
    return out


def _linked(
    members: list[tuple[str, list[str]]], need: int
) -> Iterator[list[tuple[str, list[str]]]]:
    parent = list(range(len(members)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for right in range(len(members)):
        for left in range(right):
            if root(left) == root(right):
                continue
            equal = sum(a == b for a, b in zip(members[left][1], members[right][1], strict=True))
            if equal >= need:
                parent[root(right)] = root(left)
    sets: dict[int, list[tuple[str, list[str]]]] = {}
    for at, member in enumerate(members):
        sets.setdefault(root(at), []).append(member)
    return (one for one in sets.values() if len(one) > 1)


def overlap(one: str, other: str) -> float:
    """How many of the words of two fingerprints they share (Jaccard, 0 to 1): a rewording's sign."""
    mine, others = set(_words(one)), set(_words(other))
    return len(mine & others) / len(mine | others) if mine or others else 1.0


def _words(text: str) -> list[str]:
    return [word for word in text.lower().replace(":", " ").split() if word != "#"]


def classes(
    lines: Iterable[str | bytes | Mapping[str, Any]], rules: LineRules | None = None
) -> list[ErrorClass]:
    """Sort a journal's errors into classes, the most frequent first.

    Each line is a journal entry, one as JSON text (``journalctl -o json``), or plain log text.
    """
    counts: dict[str, int] = {}
    first: dict[str, LogLine] = {}
    for line in _read(lines, rules or LineRules()):
        if line.fingerprint is not None:
            counts[line.fingerprint] = counts.get(line.fingerprint, 0) + 1
            first.setdefault(line.fingerprint, line)
    out: dict[str, ErrorClass] = {}
    for name, joined in group(counts).items():
        known = out.get(joined)
        if known is None:
            known = ErrorClass(joined, 0, first[name].level, first[name].message)
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
    return {"MESSAGE": line}
