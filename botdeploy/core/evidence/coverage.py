"""Coverage: the times of a host's journal that were read; what lies between them is not known."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Coverage:
    """Spans of time in microseconds, in the order in which they were opened."""

    def __init__(self, spans: Iterable[Iterable[int]] = ()) -> None:
        """Begin with these spans (begin, end)."""
        self.opened = [list(span) for span in spans]
        """As they were opened; they may overlap."""

    def open(self, from_us: int) -> None:
        """Begin to read at this instant; up to there a span goes on, later there is a gap."""
        if not self.opened or from_us > self.opened[-1][1]:
            self.opened.append([from_us, from_us])

    def extend(self, to_us: int) -> None:
        """Say that everything up to this instant was read, be it silence."""
        if not self.opened:
            raise ValueError("extend() before open()")
        self.opened[-1][1] = max(self.opened[-1][1], to_us)

    def take(self, at_us: int) -> int:
        """Say that something was read at this instant; give when the span that is open began."""
        if not self.opened:
            self.opened.append([at_us, at_us])
        span = self.opened[-1]
        span[1] = max(span[1], at_us)
        return span[0]

    def spans(self) -> list[tuple[int, int]]:
        """List the times that were read, in order, without overlap."""
        out: list[tuple[int, int]] = []
        for begin, end in sorted((span[0], span[1]) for span in self.opened):
            if out and begin <= out[-1][1]:
                out[-1] = (out[-1][0], max(out[-1][1], end))
            else:
                out.append((begin, end))
        return out

    def gaps(self) -> list[tuple[int, int]]:
        """List the times between the spans: nobody knows what happened there."""
        return [(before[1], after[0]) for before, after in pairwise(self.spans())]

    @property
    def begin_us(self) -> int:
        """When the first time that was read begins; 0 where nothing was."""
        return min((span[0] for span in self.opened), default=0)

    @property
    def end_us(self) -> int:
        """When the last time that was read ends; 0 where nothing was."""
        return max((span[1] for span in self.opened), default=0)

    def within(self, from_us: int, to_us: int) -> int:
        """How much of this time was read, in microseconds."""
        return sum(max(0, min(end, to_us) - max(begin, from_us)) for begin, end in self.spans())

    def merged(self, other: Coverage) -> Coverage:
        """Unite two readers' coverage; neither is changed."""
        return Coverage(Coverage([*self.opened, *other.opened]).spans())

    def trim(self, before_us: int) -> None:
        """Forget what ended before this instant."""
        self.opened = [
            [max(begin, before_us), end] for begin, end in self.opened if end > before_us
        ]
