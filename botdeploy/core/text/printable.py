"""Printable text: what may go to a terminal, without control characters."""

from __future__ import annotations

import re

_KEPT = "\n\t"
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[@-Z\\^_]"
)
_UNSEEN = (
    dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
    # soft hyphens, spaces without width, marks of direction; not the joiners that words are made of
    | dict.fromkeys([0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF])
    | dict.fromkeys([*range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0x2066, 0x2070)])
    | {11: " ", 12: " ", 0x85: " "}
)


def bare(text: str) -> str:
    """Give the text that a person would see: without colours, controls and marks of direction.

    Line ends and tabs stay. A secret with a colour in its middle is whole again, to be masked.
    """
    if text.isprintable():
        return text
    return without_escapes(text).translate(_UNSEEN)


def without_escapes(text: str) -> str:
    """Give a text without what colours it, moves the cursor or sets a title."""
    return _ESCAPES.sub("", text)


def visible(text: str) -> str:
    """Put a space for each control character, line ends and tabs apart.

    Host names, errors and log lines come from elsewhere; an escape code among them would colour,
    move or retitle the terminal, and half a surrogate can't be written at all.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in _KEPT else " " for one in text)
