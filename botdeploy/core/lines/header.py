"""The header that a logger puts before a text: what level it states, and where the text begins.

A level counts where a logger writes it: alone or after a time, in brackets, between the marks that
part the fields of a header, or behind ``level=``. A word of the text itself states none. Where a
header and a text can look alike (``alice: FATAL hit``), the worst that the line can be is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botdeploy.core.lines.header_walk import Header, Walk
from botdeploy.core.lines.level import NO_WORDS, UPPER_WORDS, WORDS, Level

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Header", "level_of_text", "read_header"]

_WARNS = re.compile(r"(?:\S+:\s)?(?:\(node:\d+\)\s(?:\[\w+\]\s)?)?[A-Z]\w*Warning:\s")
_WIDTH = 400
"""Characters of a warning that are looked at."""
_FAILURE = re.compile(r"UnhandledPromiseRejectionWarning: |was never awaited")
"""What says in the words of a warning that something failed."""
_FRONTS = frozenset({"php", "npm"})
_QUICK = re.compile(
    r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z? )?\[?(INFO|DEBUG|WARNING|WARN)[\]: ]"
)
_PROSE = re.compile(r"([A-Za-z]\w*+) [a-z]\w*+[ .,!?]")
_STATED = {word: Header(level, 0) for word, level in UPPER_WORDS.items()}
_UNSTATED = Header(None, 0)


def read_header(text: str, declared: Mapping[str, Level] = NO_WORDS) -> Header:
    """Read the header of a line; ``declared``: words of the user's, in lower case, that are levels.

    ``DeprecationWarning: …`` states one too, wherever Python or Node put it.
    """
    if not declared and (found := _QUICK.match(text)) is not None:  # what most lines begin with
        return _STATED[found[1]]
    if (found := _PROSE.match(text)) is not None and _is_plain(found[1].lower(), declared):
        return _UNSTATED
    header = Walk(text, declared).run()
    if header.level is None and "Warning: " in text and _WARNS.match(text):
        is_failure = _FAILURE.search(text, 0, _WIDTH) is not None
        return header._replace(level=Level.ERROR if is_failure else Level.WARNING)
    return header


def _is_plain(word: str, declared: Mapping[str, Level]) -> bool:
    return word not in WORDS and word not in _FRONTS and word not in declared


def level_of_text(text: str) -> Level | None:
    """Find the level that a line of plain text states in its header, if any."""
    return read_header(text).level
