"""Slow regular expressions: finds lines with which one takes too long.

No proof that others end: only what its own repeats match is tried.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from botdeploy.inventory import regex_timeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LENGTH = 1500
"""Characters of a line that is tried: what takes no second with these ends soon with 4,096, too."""
_OFTEN = 10
_CHOICES = 4
"""Of alternatives, and of the characters of a set, as many are tried."""
_MOST_TEXTS = 48
_ENDS = ("\x01", "\n\x01")
_OF_CATEGORY = {"DIGIT": "0", "WORD": "a0", "SPACE": " ", "LINEBREAK": "\n"}
_ANY = "a0 -\x02"

_Parsed = Any  # what re's own parser gives: pairs of an operation and what it is of


@lru_cache(maxsize=256)
def runs_away(pattern: str) -> bool:
    """Tell whether a search takes longer than may be with some line; raises re.error."""
    for text in islice(_texts(pattern), _MOST_TEXTS):
        try:
            regex_timeout.search(pattern, text)
        except regex_timeout.TooLongError:
            return True
    return False


def _texts(pattern: str) -> Iterator[str]:
    parsed = re._parser.parse(pattern)  # type: ignore[attr-defined] # noqa: SLF001
    known: set[str] = set()
    for before, repeated in _repeats(list(parsed), ""):
        for choice in range(_CHOICES):
            for least in (0, 1):
                piece = _sample(repeated, choice, least)
                text = before + piece * (LENGTH // max(1, len(piece)))
                if piece and text not in known and len(before) < LENGTH:
                    known.add(text)
                    yield from (text[:LENGTH] + end for end in _ENDS)


def _repeats(parsed: Sequence[_Parsed], before: str) -> Iterator[tuple[str, Sequence[_Parsed]]]:
    """Give what is repeated often, the outermost first, with a text that leads there."""
    for step in parsed:
        name, what = str(step[0]), step[1]
        if name.endswith("_REPEAT") and int(what[1]) >= _OFTEN:
            yield before, list(what[2])
        for inner in _inside(name, what):
            yield from _repeats(inner, before)
        before += _sample([step], 0, 0)


def _inside(name: str, what: Any) -> list[list[_Parsed]]:
    """Give the parts that an operation is made of."""
    if name.endswith("_REPEAT"):
        return [list(what[2])]
    if name == "SUBPATTERN":
        return [list(what[3])]
    if name == "BRANCH":
        return [list(one) for one in what[1]]
    if name == "ATOMIC_GROUP":
        return [list(what)]
    if name == "GROUPREF_EXISTS":
        return [list(one) for one in what[1:] if one is not None]
    return [list(what[1])] if name in {"ASSERT", "ASSERT_NOT"} else []


def _sample(parsed: Sequence[_Parsed], choice: int, least: int) -> str:
    """Give a text that matches; ``least``: how often what may be left out is there."""
    out = ""
    for operation, what in parsed:
        name = str(operation)
        if name.endswith("_REPEAT"):
            times = min(max(int(what[0]), min(least, int(what[1]))), LENGTH)
            out += _sample(list(what[2]), choice, least) * times
        elif name == "BRANCH":
            out += _sample(list(what[1][choice % len(what[1])]), choice, least)
        elif name in {"SUBPATTERN", "ATOMIC_GROUP", "GROUPREF_EXISTS"}:
            out += _sample(_inside(name, what)[0], choice, least)
        elif found := _characters(name, what):
            out += found[choice % len(found)]
    return out[:LENGTH]


def _characters(name: str, what: Any) -> str:
    """Give some of the characters that one step matches; none of a step that matches no text."""
    if name == "LITERAL":
        return chr(what)
    if name == "ANY":
        return "a"
    if name == "NOT_LITERAL":
        return _ANY.replace(chr(what), "")
    if name == "CATEGORY":
        kind = str(what).removeprefix("CATEGORY_")
        if kind.startswith("NOT_"):
            kind = kind.removeprefix("NOT_")
            return "".join(one for one in _ANY if one not in _OF_CATEGORY.get(kind, ""))
        return _OF_CATEGORY.get(kind, "")
    if name == "RANGE":
        return chr(what[0]) + chr(what[1])
    if name != "IN":
        return ""
    inside = "".join(_characters(str(one), more) for one, more in what)
    if str(what[0][0]) != "NEGATE":
        return inside
    return "".join(one for one in _ANY if one not in inside) or "\x02"
