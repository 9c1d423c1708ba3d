"""Lines of one message: what stands below a header that states a level is as bad as that says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.level import Level
from botdeploy.core.lines.multiline import ONE_EVENT_US, SAME_WRITE_US
from botdeploy.core.lines.stack_trace import begins_trace, is_python_trace
from botdeploy.core.lines.timestamps import HEADER_TIME
from botdeploy.core.text.untrusted import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.lines.multiline import Block

_MOST = 64
"""Processes that are remembered."""
_FRONT = 40
"""Characters of a header that are kept, to tell whether it has a time."""
_QUALIFIED = re.compile(r"(?:[a-z_]\w*\.)+[A-Z]\w*(?::\s|$)")
"""An exception with its module or package, as loggers write it below their own line."""


class LinesAbove:
    """Of each process the last header that states a level below ERROR, while its message goes on.

    A stack trace that a logger wrote with it, or a text of several lines that the bot quotes, comes
    within the same write. An error of the bot's own comes later, or has a header of its own.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._last: dict[str, tuple[int, Level, str]] = {}

    def note(self, line: LogLine, text: str) -> None:
        """Take in a line that is no error and that begins no block."""
        pid, last = line.pid, self._last
        if line.states_level and line.level is not None and text[0] != "{":
            if len(last) >= _MOST and pid not in last:
                last.clear()
            last[pid] = (line.at_us, line.level, text[:_FRONT])
        elif pid in last:
            at_us, level, front = last[pid]
            if not line.states_level and 0 <= line.at_us - at_us <= SAME_WRITE_US:
                last[pid] = (line.at_us, level, front)
            else:
                del last[pid]

    def level_of(self, block: Block, pid: str) -> Level | None:
        """Give the level of a block that may belong to the message before it.

        A trace of that message is as bad as its header says. A line with a lesser header than the
        one above it may be quoted: it is an error at worst.
        """
        above = self._last.pop(pid, None)
        if above is None or block.level is None:
            return block.level
        at_us, level, front = above
        first, gap_us = block.lines[0], block.at_us - at_us
        is_warned = level is Level.WARNING and is_python_trace(first)
        if not 0 <= gap_us <= (ONE_EVENT_US if is_warned else SAME_WRITE_US):
            return block.level
        if block.is_stated:
            if HEADER_TIME.match(front) is None or HEADER_TIME.match(first) is not None:
                return block.level
            self._last[pid] = (block.at_us, level, front)
            return min(block.level, Level.ERROR)
        is_part = first[0] in " \t" or begins_trace(first) or _QUALIFIED.match(first)
        return level if is_part else block.level

    def save(self) -> dict[str, Any]:
        """Give it as plain data; nothing where nothing is remembered."""
        last = {
            pid: [at_us, int(level), front] for pid, (at_us, level, front) in self._last.items()
        }
        return {"above": last} if last else {}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``save`` gave.

        Raises ValueError, TypeError or AttributeError for anything else.
        """
        for pid, (at_us, level, front) in (saved.get("above") or {}).items():
            self._last[str(pid)] = (whole(at_us), Level(level), str(front)[:_FRONT])
