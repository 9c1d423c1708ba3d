"""A quote of a log line: its first words, or a stack trace's error and where it was raised."""

from __future__ import annotations

import re

from botdeploy.core.lines.fingerprint import strip_header
from botdeploy.core.lines.stack_trace import begins_trace, read_trace

_QUOTE = 160

_HEAD = 60

_FRAME = re.compile(r'^  File "(?:[^"\n]*/)?([^"/\n]+)", line \d+, in (.+)$', re.MULTILINE)


_PLACE = re.compile(r" \(in [^()\n]{1,90}\)$")


def quote(text: str) -> str:
    """Quote the first words of a line, on one line, with control characters made visible.

    Of a stack trace it is the error and where it was raised, behind the words of the line that
    introduces it. What is too long is cut before that place.
    """
    return f"“{_cut(_flat(_gist(text)), _QUOTE)}”"


def sample_of(text: str, most: int) -> str:
    """Give what is kept of an error's text, at most so many characters; ``quote`` can quote it."""
    if "\n" not in text:
        return text[:most]
    gist = _gist(text)
    return text[:most] if gist is text else _cut(_flat(gist), most)


def _flat(text: str) -> str:
    flat = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in flat)


def _cut(flat: str, most: int) -> str:
    if len(flat) <= most:
        return flat
    place = _PLACE.search(flat)
    end = place[0] if place is not None else ""
    return f"{flat[: most - 1 - len(end)]}…{end}"


def _gist(text: str) -> str:
    """Give a trace's error and place behind the words before it; any other text as it is."""
    begin = text.find("Traceback (most recent call last)")
    frames = list(_FRAME.finditer(text, begin)) if begin >= 0 else []
    if frames:
        rest = text[frames[-1].end() :].splitlines()
        error = next((line for line in rest if line and not line[0].isspace()), "")
        file, function = frames[-1].groups()
        return _behind(text[:begin], f"{error} (in {file}, {function})") if error else text
    head, line_end, _ = text.partition("\n")
    trace = read_trace(text) if line_end else None
    if trace is None or not (trace.type and trace.frame if trace.is_bare else trace.type):
        return text
    file, _, function = trace.frame.partition(":")
    where = ", ".join(one for one in (file, function) if one)
    place = f" (in {where})" if where else ""
    if trace.is_bare:
        return f"{strip_header(head)}{place}"
    error = f"{trace.type}: {trace.message}" if trace.message else trace.type
    outer = re.split(r"[<\[]", trace.type, maxsplit=1)[0]
    is_apart = not (begins_trace(head) or outer in head or head.startswith(" "))
    return _behind(head, f"{error}{place}") if is_apart else f"{error}{place}"


def _behind(head: str, error: str) -> str:
    """Put an error behind the line that introduces it, of which only the words count."""
    words = strip_header(head.strip()).rstrip(" :")
    return f"{words[:_HEAD].rstrip()}: {error}" if words else error
