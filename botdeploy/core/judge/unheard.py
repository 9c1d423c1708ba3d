"""Unheard times of a host's journal: it is not known that they were quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Unheard:
    """Stretches of time in microseconds, before and after one host's switch."""

    def __init__(self, start_us: int) -> None:
        """``start_us``: the switch."""
        self.start_us = start_us
        self.before_us = 0
        """How much of the time before the switch was not read."""
        self._broken_us: int | None = None
        self._spans: list[tuple[int, int]] = []
        self._left_out: list[tuple[int, int]] = []

    def leave_out(self, spans: Iterable[tuple[int, int]]) -> None:
        """Take times before the switch as unknown: others ran then than the past is made of.

        Before the lines of the past are added, in order.
        """
        self._left_out += [(begin, min(end, self.start_us)) for begin, end in spans]
        self._spans += self._left_out

    def left_out_between(self, from_us: int, to_us: int) -> int:
        """Give how much of this stretch was left out."""
        return sum(max(0, min(to_us, end) - max(from_us, begin)) for begin, end in self._left_out)

    @property
    def is_broken(self) -> bool:
        """Whether the stream is broken now."""
        return self._broken_us is not None

    def tear(self, at_us: int, last_us: int | None) -> None:
        """Note that the stream broke: from the bot's last line on nothing is known."""
        if self._broken_us is None:
            known_us = last_us if last_us is not None else self.start_us
            self._broken_us = max(self.start_us, min(at_us, known_us))

    def mend(self, at_us: int) -> None:
        """Note that the stream goes on, where it was broken."""
        if self._broken_us is not None:
            self._spans.append((self._broken_us, max(at_us, self._broken_us)))
            self._broken_us = None

    def miss(self, from_us: int, to_us: int) -> None:
        """Note that nobody listened for a while: that is no silence."""
        if to_us > from_us:
            self._spans.append((from_us, to_us))

    def miss_gap(self, begin_us: int, end_us: int) -> None:
        """Note a gap between two reads of the journal, be it before or after the switch."""
        self.miss(max(begin_us, self.start_us), end_us)
        self.before_us += max(0, min(end_us, self.start_us) - begin_us)

    def between(self, from_us: int, to_us: int) -> int:
        """Microseconds of this stretch that were not heard."""
        spans = list(self._spans)
        if self._broken_us is not None:
            spans.append((self._broken_us, to_us))
        unheard_us, known_us = 0, from_us
        for start, end in sorted(spans):
            begin = max(known_us, start)
            if begin < min(to_us, end):
                unheard_us += min(to_us, end) - begin
                known_us = min(to_us, end)
        return unheard_us
