"""What a bot said after its last starts, read apart from the rest of its past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.lines.systemd_record import SystemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botdeploy.core.lines.line import LogLine

START_US = 60_000_000
"""How long after each start was read."""
_BEGIN_US = 10_000_000
"""And how long before systemd called it a start."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PastStarts:
    """The lines of the starts, in order, and the times between that were not read."""

    lines: Sequence[LogLine] = ()
    unread: Sequence[Span] = ()
    """Microseconds, up to where the rest of the past begins."""


def past_starts(lines: Iterable[LogLine], begin_us: int) -> PastStarts:
    """Take what is older than the rest of the past, which was read from ``begin_us`` on."""
    older = sorted((line for line in lines if line.at_us < begin_us), key=lambda line: line.at_us)
    starts = [one for one in older if one.system and one.system.kind is SystemKind.STARTED]
    if not starts:
        return PastStarts()
    ends = [min(one.at_us + START_US, begin_us) for one in starts]
    begins = [*(one.at_us - _BEGIN_US for one in starts[1:]), begin_us]
    unread = [(end, begin) for end, begin in zip(ends, begins, strict=True) if end < begin]
    return PastStarts(older, unread)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap or touch."""
    out: list[Span] = []
    for begin_us, end_us in sorted(spans):
        if out and out[-1][1] >= begin_us:
            out[-1] = (out[-1][0], max(out[-1][1], end_us))
        else:
            out.append((begin_us, end_us))
    return out
