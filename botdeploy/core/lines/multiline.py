"""Multi-line messages: the entries of one process that are one line, as a stack trace is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from botdeploy.core.lines.complaint import looks_bad
from botdeploy.core.lines.header import read_header
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.stack_trace import (
    begins_trace,
    belongs_to_trace,
    is_chain_text,
    is_frame,
    is_go_frame,
    is_go_line,
    is_preamble,
    is_python_trace,
    is_raised,
)
from botdeploy.core.text.untrusted import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

SAME_WRITE_US = 1_000
"""Entries of one write are stamped alike, or within microseconds of each other."""
ONE_EVENT_US = 100_000
"""A logger writes a trace at once after the error line that it belongs to."""
MAX_LINES = 400
"""Lines that are kept from the front of a block, and as many from its end."""
MAX_TEXT = 65_536
"""Characters that are kept from the front of a block."""
MAX_LINE = 4096
"""Characters that are kept of one line of a block."""
_MAX_LOOSE = 50
"""Lines without a mark of their own that are taken for a part of the message before them."""

# Rich's handler leaves the time out where it is that of the line before.
_INDENTED_RECORD = re.compile(r"\s{8,}(?:TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+\S")


class Fit(Enum):
    """How a line goes with the block before it."""

    NO = 0
    LOOSE = 1
    """Perhaps: it has no mark of its own, and came at once."""
    FIRM = 2


class Loose(NamedTuple):
    """A line that may belong to a block."""

    text: str
    at_us: int
    cursor: str
    priority: str | None


@dataclass(slots=True)
class Block:
    """Entries of one process that wait to become one line."""

    at_us: int
    last_us: int
    level: Level | None
    invocation: str | None
    cursor: str
    is_stated: bool = False
    """Whether its first line states its level: then what follows without one belongs to it."""
    is_trace: bool = False
    is_go: bool = False
    is_preamble: bool = False
    """Whether it began with a place in the source, as Node's uncaught errors do."""
    is_complete: bool = True
    """Whether it may well end here; an open trace is waited for longer."""
    size: int = 0
    lines: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)
    """Lines that belong to it if a trace follows them, and are lines of their own if none does."""

    def save(self) -> dict[str, Any]:
        """Give it as plain data."""
        known = {name: getattr(self, name) for name in self.__slots__}
        loose = [list(one) for one in self.loose]
        return {**known, "lines": list(self.lines), "tail": list(self.tail), "loose": loose}

    @property
    def text(self) -> str:
        """All of it, without trailing blanks."""
        return "\n".join(self.lines + self.tail).rstrip()

    @property
    def _last(self) -> str:
        lines = self.tail or self.lines
        return next((line for line in reversed(lines) if line), "")

    def fit(self, text: str, gap_us: int, *, is_bad: bool = False) -> Fit:
        """Tell whether the next line of the same process belongs to it, ``gap_us`` after the last.

        ``is_bad``: its priority alone says that it is an error of its own.
        """
        if not text:
            return _firm(self.is_trace or gap_us <= SAME_WRITE_US)
        indented = text[0] in " \t"
        if indented and _INDENTED_RECORD.match(text):
            return Fit.NO
        if not self.is_trace and gap_us > ONE_EVENT_US:
            return Fit.NO
        if self.is_go and is_go_line(text):
            return Fit.FIRM
        if is_python_trace(text):
            is_member = text.lstrip(" ")[0] == "|" and self.is_trace
            return _firm(not self.is_trace or is_member or is_chain_text(self._last))
        if indented or belongs_to_trace(text):
            return _firm(not self._is_other(text))
        if self.is_preamble:
            return Fit.FIRM
        header = read_header(text)
        if header.level is not None or header.is_timed or (text[0] == "{" and text[-1] == "}"):
            return Fit.NO
        if (self.is_trace and not self.is_complete) or " panicked at " in self._last:
            return Fit.FIRM  # the exception's own line ends a Python trace
        may_be = (
            gap_us <= SAME_WRITE_US
            and not is_bad
            and len(self.loose) < _MAX_LOOSE
            and (self.is_stated or self.is_trace or is_raised(self.lines[0]))
            and self._last[0] not in " \t}"
            and not is_frame(self._last)
            and not looks_bad(text, header.body)
            and not begins_trace(text)
        )
        if may_be and not self.is_trace and self._last.endswith(":"):
            return Fit.FIRM
        return Fit.LOOSE if may_be else Fit.NO

    def _is_other(self, text: str) -> bool:
        """Whether an exception's line is a new error: what came before has had its own."""
        if text[0] in " \t" or not is_raised(text, alone=True):
            return False
        if self.is_trace:
            return self.is_complete
        return not self.is_stated or is_raised(self._last)

    def wait(self, text: str, at_us: int, cursor: str, priority: str | None) -> None:
        """Keep a loose line until it is known whether a trace follows."""
        self.last_us = at_us
        self.loose.append(Loose(text, at_us, cursor, priority))

    def append(self, text: str, at_us: int, cursor: str) -> None:
        """Take a line in, and the loose ones before it; empty ones decide nothing."""
        if not text and self.loose:
            self.last_us = at_us
            return
        for one in self.loose:
            self._take(one.text)
        self.loose.clear()
        self.last_us = at_us
        self.cursor = cursor
        begins = begins_trace(text)
        if not self.lines:
            self.is_preamble = is_preamble(text)
            self.is_trace = begins
        elif begins or is_frame(text):
            self.is_trace = True
            self.is_preamble = False
        if is_go_frame(text) or (
            begins and text.startswith(("goroutine ", "panic: ", "fatal err"))
        ):
            self.is_go = True
        if text:
            is_open = text[0] in " \t|+│╭╰" or begins or is_chain_text(text)
            self.is_complete = not (self.is_trace and is_open)
        self._take(text)

    def _take(self, text: str) -> None:
        if len(self.lines) < MAX_LINES and self.size < MAX_TEXT:
            self.lines.append(text if self.size + len(text) < MAX_TEXT else text[:MAX_LINE])
            self.size += len(text)
        else:
            self.tail.append(text[:MAX_LINE])
            if len(self.tail) > 2 * MAX_LINES:
                del self.tail[:MAX_LINES]


def _firm(is_part: bool) -> Fit:  # noqa: FBT001 -- a truth value is what it turns into a Fit
    return Fit.FIRM if is_part else Fit.NO


def block_of(values: Mapping[str, Any]) -> Block:
    """Read what ``Block.save`` gave; raises KeyError, TypeError or ValueError for others."""
    block = Block(
        whole(values["at_us"]),
        whole(values["last_us"]),
        None if values["level"] is None else Level(values["level"]),
        None if values["invocation"] is None else str(values["invocation"]),
        str(values["cursor"]),
        size=whole(values["size"]),
        loose=[
            Loose(str(text), whole(at_us), str(cursor), None if rank is None else str(rank))
            for text, at_us, cursor, rank in values["loose"]
        ],
        lines=[str(one) for one in values["lines"]],
        tail=[str(one) for one in values["tail"]],
    )
    for name in ("is_stated", "is_trace", "is_go", "is_preamble", "is_complete"):
        setattr(block, name, bool(values[name]))
    return block
