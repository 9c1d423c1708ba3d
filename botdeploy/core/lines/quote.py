"""A quote of a log line: its first words, or a stack trace's error and where it was raised."""

from __future__ import annotations

import re

from botdeploy.core.lines.fingerprint import strip_header
from botdeploy.core.lines.stack_trace import begins_trace, read_trace

_QUOTE = 160

_HEAD = 60

_FRAME = re.compile(r'^  File "(?:[^"\n]*/)?([^"/\n]+)", line \d+, in (.+)$', re.MULTILINE)


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
