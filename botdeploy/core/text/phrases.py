"""Sentences of the judge: durations, counts and quotes as a person writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botdeploy.core.lines.fingerprint import strip_header
from botdeploy.core.lines.stack_trace import begins_trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUOTE = 160
_HEAD = 60
_FRAME = re.compile(r'^  File "(?:[^"\n]*/)?([^"/\n]+)", line \d+, in (.+)$', re.MULTILINE)


def duration(seconds: float) -> str:
    """Write a duration with one unit or two: ``40 s``, ``12 min``, ``2 h 30 min``, ``3 d``."""
    if seconds < 120.0:
        return (
            f"{seconds:.0f} s" if seconds >= 10.0 or seconds == int(seconds) else f"{seconds:.1f} s"
        )
    minutes = round(seconds / 60.0)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(minutes / 1440.0)} d"
    return f"{hours} h" if rest == 0 else f"{hours} h {rest} min"


def count(number: float, word: str) -> str:
    """Write a number with its noun: ``1 line``, ``12 lines``, ``0.4 lines``."""
    whole = f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.2g}"
    return f"{whole} {word}" if whole == "1" else f"{whole} {word}s"


def times(ratio: float) -> str:
    """Write a ratio: ``twice``, ``3 times``, ``4.5 times``."""
    return "twice" if ratio == 2.0 else f"{ratio:.2g} times"


def quote(text: str) -> str:
    """Quote the first words of a line, on one line, with control characters made visible.

    Of a stack trace it is the error and where it was raised, behind the words of the line that
    introduces it.
    """
    flat = " ".join(_gist(text).split())
    flat = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in flat)
    if len(flat) > _QUOTE:
        flat = flat[: _QUOTE - 1] + "…"
    return f"“{flat}”"


def _gist(text: str) -> str:
    begin = text.find("Traceback (most recent call last)")
    frames = list(_FRAME.finditer(text, begin)) if begin >= 0 else []
    if frames:
        rest = text[frames[-1].end() :].splitlines()
        error = next((line for line in rest if line and not line[0].isspace()), "")
        file, function = frames[-1].groups()
        return _behind(text[:begin], f"{error} (in {file}, {function})") if error else text
    head, line_end, _ = text.partition("\n")
    trace = read_trace(text) if line_end else None
    if trace is None or not trace.type or trace.is_bare:
        return text
    error = f"{trace.type}: {trace.message}" if trace.message else trace.type
    file, _, function = trace.frame.partition(":")
    where = ", ".join(one for one in (file, function) if one)
    told = f"{error} (in {where})" if where else error
    outer = re.split(r"[<\[]", trace.type, maxsplit=1)[0]
    is_apart = not (begins_trace(head) or outer in head or head.startswith(" "))
    return _behind(head, told) if is_apart else told


def _behind(head: str, error: str) -> str:
    """Put an error behind the line that introduces it, of which only the words count."""
    words = strip_header(head.strip()).rstrip(" :")
    return f"{words[:_HEAD].rstrip()}: {error}" if words else error


def few(names: Sequence[str], most: int = 8) -> str:
    """Name the first ones and count the rest: ``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def listing(names: list[str]) -> str:
    """Join names: ``a``, ``a and b``, ``a, b and 3 more``."""
    if len(names) <= 1:
        return "".join(names)
    if len(names) <= 3:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"
