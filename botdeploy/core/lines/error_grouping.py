"""Grouping: which fingerprints, of all hosts together, are one class of error."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from botdeploy.core.lines.fingerprint import PROBE, SAME, TRACE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

SIMILAR = 0.85
"""Share of equal words, of two texts with as many words, from which on they are one class."""
MANY = 5
"""Different words in one place, all else being equal, from which on the place is a variable."""
MANY_NAMED = 2
"""The same where the word before says that a name follows: ``user root``, ``host: web1``."""
MANY_KNOWN = 3
"""The same where the place was found to be a variable before."""
RARE = 50
"""Of so many occurrences in a place one may be of a word seen once, for its words to be a set."""
_MOST = 100
"""Occurrences of one fingerprint that count."""
_WILD = "#"

_Shape = tuple[str, ...]
_Place = tuple[int, _Shape, _Shape]
"""Where a word stands: its position, what is before it and what is behind it."""

_SCHEMA = frozenset(
    (
        *("relation", "column", "table", "constraint", "database", "schema", "function", "type"),
        *("module", "package", "attribute", "field", "parameter", "argument", "variable"),
        *("property", "method", "class", "named"),
    )
)
"""What quoted names of a program's own follow: which one it is belongs to the error."""
_CROWD = frozenset(
    (
        *("user", "username", "member", "account", "login", "nick", "by", "owner", "author"),
        *("host", "hostname", "peer", "client", "guild", "channel", "chat", "room", "session"),
    )
)
"""Of the nouns that names follow, those of what grows without end."""
_NAMED = frozenset(
    (
        "user",
        "username",
        "member",
        "account",
        "login",
        "nick",
        "by",
        "owner",
        "author",
        "host",
        "hostname",
        "node",
        "peer",
        "client",
        "server",
        "guild",
        "channel",
        "chat",
        "room",
        "name",
        "tag",
        "key",
        "topic",
        "queue",
        "table",
        "database",
        "session",
        "job",
        "task",
        "thread",
        "worker",
        "shard",
        "bot",
    )
)
_WORD = re.compile(r"[^\s=:,;()\[\]{}\"'`<>|]+|[^\s]")
# Words that tell one event from another: their place is never taken for a variable.
_STATE = re.compile(
    r"(?i:not?|none|null|yes|on|off|up|down|in|out|to|from|of|for|at|with|without|and|or|is|was|has"
    r"|true|false|ok|okay|success\w*|fail\w*|error\w*|exception\w*|denied|forbidden|refused|reset|missing"
    r"|(?:un)?known|(?:in)?valid|(?:un)?available|(?:in)?active|(?:un)?reachable|(?:un)?authorized"
    r"|time[ds]?-?_?out\w*|start\w*|stop\w*|paus\w*|resum\w*|open\w*|clos\w*|connect\w*"
    r"|disconnect\w*|read\w*|writ\w*|wrote|sen[dt]\w*|receiv\w*|load\w*|sav\w*|enabl\w*|disabl\w*"
    r"|creat\w*|delet\w*|add\w*|remov\w*|insert\w*|updat\w*|accept\w*|reject\w*|allow\w*|block\w*"
    r"|lost|found|ready|alive|dead|acquir\w*|releas\w*|join\w*|le(?:ft|av\w*)|login|logout|begin\w*"
    r"|end\w*|complet\w*|abort\w*|cancel\w*|expired)"
)
# Names that a programmer chose: exceptions and constants.
_CHOSEN = re.compile(r"[A-Z]\w*(?:Error|Exception|Failure|Timeout|Warning)|[A-Z][A-Z_]{2,}")


@lru_cache(maxsize=8192)
def _is_state(word: str) -> bool:
    return _STATE.fullmatch(word) is not None


@lru_cache(maxsize=8192)
def _is_telling(word: str) -> bool:
    return _is_state(word) or _CHOSEN.fullmatch(word) is not None


def group(fingerprints: Iterable[str], counts: Mapping[str, int] | None = None) -> dict[str, str]:
    """Join fingerprints that are one class; gives each fingerprint's class by name.

    The result depends on the set alone, not on its order. Joined are texts with as many words

    - that differ in one place only, where five different words were seen (two after ``user``,
      ``host`` and their like), none of which tells events apart (``opened``, ``denied`` …);
    - that share 85 % of their words, and differ in none that tells events apart;

    and whatever is joined to either. A class is named by what its members share, with ``#`` where
    they differ. Stack traces are joined within the same type and frame only, classes of the
    user's own and those that a probe named never.

    ``counts``: how often each was seen; one that is not among them is a newcomer. With them, words
    in one place that keep coming back (five targets, but no sixth in fifty occurrences) are a set:
    each is an error of its own, and so is a newcomer. The share of words seen once is the chance
    that the next one is new (Good and Turing's estimate); names that users choose keep it large.
    """
    names = frozenset(fingerprints)
    if counts is None:
        return dict(_grouped(names, None))
    seen = ((name, min(counts.get(name, 0), _MOST)) for name in names)
    return dict(_grouped(names, frozenset(seen)))


def overlap(one: str, other: str) -> float:
    """How many of their words two fingerprints share (Jaccard, 0 to 1): a rewording's sign."""
    mine, others = set(_plain_words(one)), set(_plain_words(other))
    return len(mine & others) / len(mine | others) if mine or others else 1.0


def _plain_words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text) if word[0].isalnum()]


@lru_cache(maxsize=8)
def _grouped(names: frozenset[str], counts: frozenset[tuple[str, int]] | None) -> Mapping[str, str]:
    out: dict[str, str] = {}
    seen = dict(counts) if counts is not None else None
    # Members of one pool have the same head (of traces: type and frame) and as many words.
    pools: dict[tuple[str, int], dict[_Shape, list[str]]] = {}
    for name in sorted(names):
        head, text = _parted(name)
        if name.startswith((SAME, PROBE)) or not text:
            out[name] = name
            continue
        shape = tuple(_WORD.findall(text))
        pools.setdefault((head, len(shape)), {}).setdefault(shape, []).append(name)
    for (head, _), shapes in pools.items():
        times = (
            {shape: sum(seen[name] for name in members) for shape, members in shapes.items()}
            if seen is not None
            else {}
        )
        templates = _templates(shapes, times) if len(shapes) > 1 else {}
        for shape, members in shapes.items():
            template = templates.get(shape)
            for name in members:
                if template is None or template == shape:
                    out[name] = members[0]
                else:
                    out[name] = f"{head}{_spelt(template, _parted(members[0])[1])}"
    return out


def _parted(name: str) -> tuple[str, str]:
    """Split a fingerprint into what must be equal and what may vary."""
    if not name.startswith(TRACE):
        return "", name
    parts = name.split(" ", 2)
    return (f"{parts[0]} {parts[1]} ", parts[2]) if len(parts) == 3 else (name, "")  # noqa: PLR2004


def _spelt(template: _Shape, text: str) -> str:
    """Write a template with the spaces that one of its members has."""
    words = iter(template)
    return _WORD.sub(lambda _: next(words), text)


def _templates(shapes: Collection[_Shape], times: Mapping[_Shape, int]) -> dict[_Shape, _Shape]:
    now = {shape: shape for shape in shapes}
    while True:
        seen: dict[_Shape, int] = {}
        for shape, template in now.items() if times else ():
            seen[template] = seen.get(template, 0) + times[shape]
        templates = set(now.values())
        sets: set[_Place] = set()
        merged = _variables(templates, seen, sets) or _similar(sorted(templates), sets)
        if not merged:
            return now
        now = {shape: merged.get(template, template) for shape, template in now.items()}


def _variables(
    templates: set[_Shape], seen: Mapping[_Shape, int], sets: set[_Place]
) -> dict[_Shape, _Shape]:
    """Join templates that differ in one place that holds many words, or names.

    ``sets`` takes the places whose words are a set.
    """
    places: dict[_Place, list[_Shape]] = {}
    for template in templates:
        for at, word in enumerate(template):
            if word[0].isalnum() or word == "_" or ord(word[0]) > 127:  # noqa: PLR2004
                places.setdefault((at, template[:at], template[at + 1 :]), []).append(template)
    links = _Links()
    for place, found in places.items():
        at, before, after = place
        wild = (*before, _WILD, *after)
        is_known = wild in templates
        if len(found) < MANY_NAMED and not is_known:
            continue
        noun = _noun(before)
        if _is_schema(before) or (noun not in _CROWD and _is_set(found, seen)):
            sets.add(place)
            continue
        is_named = noun in _NAMED
        is_fixed = _is_state if is_named else _is_telling
        members = [one for one in found if not is_fixed(one[at])]
        need = MANY_NAMED if is_named else MANY_KNOWN - 1 if is_known else MANY
        if is_known and members:
            members.append(wild)
        if len(members) >= need:
            links.join(members)
    return links.templates()


def _is_set(found: Sequence[_Shape], seen: Mapping[_Shape, int]) -> bool:
    """Whether the words in a place are a set: hardly one was seen only once."""
    times = [count for one in found if (count := seen.get(one, 0))]
    return len(times) >= MANY_NAMED and RARE * times.count(1) <= sum(times)


def _is_schema(before: Sequence[str]) -> bool:
    """Whether what follows is a quoted name that the program or its database gave."""
    if len(before) < 2 or before[-1] not in "\"'`":  # noqa: PLR2004
        return False
    noun = before[-2].lower()
    return noun in _SCHEMA or (noun == "key" and before[-3:-2] == ("for",))


def _noun(before: Sequence[str]) -> str:
    """Give the last word before a place, of the last three tokens."""
    return next((word.lower() for word in reversed(before[-3:]) if word[0].isalnum()), "")


def _similar(templates: Sequence[_Shape], sets: set[_Place]) -> dict[_Shape, _Shape]:
    """Join templates that differ in few of many words, none of them one of a set."""
    length = len(templates[0])
    most = int((1 - SIMILAR) * length)
    if most == 0:
        return {}
    links = _Links()
    for one, other in _near_pairs(templates, most):
        if _are_similar(one, other) and not (sets and _is_apart(one, other, sets)):
            links.join((one, other))
    return links.templates()


def _near_pairs(templates: Sequence[_Shape], most: int) -> Iterator[tuple[_Shape, _Shape]]:
    """Give the pairs that may differ in ``most`` places: such share one of most + 1 stretches."""
    length = len(templates[0])
    edges = [at * length // (most + 1) for at in range(most + 2)]
    done: set[tuple[int, int]] = set()
    for begin, end in pairwise(edges):
        buckets: dict[_Shape, list[int]] = {}
        for at, template in enumerate(templates):
            buckets.setdefault(template[begin:end], []).append(at)
        for bucket in buckets.values():
            for number, right in enumerate(bucket):
                for left in bucket[:number]:
                    if (left, right) not in done:
                        done.add((left, right))
                        yield templates[left], templates[right]


def _is_apart(one: _Shape, other: _Shape, sets: set[_Place]) -> bool:
    """Whether two templates differ in a place whose words are a set."""
    return any(
        a != b and (at, shape[:at], shape[at + 1 :]) in sets
        for at, (a, b) in enumerate(zip(one, other, strict=True))
        for shape in (one, other)
    )


def _are_similar(one: _Shape, other: _Shape) -> bool:
    differ = same = 0
    for a, b in zip(one, other, strict=True):
        if a == b:
            same += a[0].isalnum()
        elif _is_telling(a) or _is_telling(b):
            return False
        else:
            differ += 1
    return same >= SIMILAR * (same + differ)


class _Links:
    """Sets of templates that are one, by what is joined (union and find)."""

    def __init__(self) -> None:
        self._parent: dict[_Shape, _Shape] = {}

    def join(self, members: Sequence[_Shape]) -> None:
        first = self._root(members[0])
        for member in members[1:]:
            self._parent[self._root(member)] = first

    def _root(self, one: _Shape) -> _Shape:
        parent = self._parent
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    def templates(self) -> dict[_Shape, _Shape]:
        """Give each joined template the one that they share."""
        sets: dict[_Shape, list[_Shape]] = {}
        for one in list(self._parent):
            sets.setdefault(self._root(one), []).append(one)
        out: dict[_Shape, _Shape] = {}
        for members in sets.values():
            if len(members) > 1:
                shared = tuple(
                    words[0] if len(set(words)) == 1 else _WILD
                    for words in zip(*members, strict=True)
                )
                out.update(dict.fromkeys(members, shared))
        return out
