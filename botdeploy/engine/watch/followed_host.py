"""A host whose journal is followed: what came of it, and what counts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.evidence.counts import CountingRule, Counts
from botdeploy.core.evidence.past_starts import PastStarts
from botdeploy.core.evidence.process_lives import Lives
from botdeploy.core.lines.line import LineKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.lines.line import LogLine
    from botdeploy.hosts.follower import Delivery, Follower

MOST_LINES = 30_000
"""Lines kept a host, for a judge that begins later; older ones are forgotten."""


@dataclass(slots=True)
class FollowedHost:
    """One host's journal as it came; all times are by our clock."""

    follower: Follower
    ahead_us: int = 0
    """How far the host's clock is ahead of ours."""
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    starts: PastStarts = field(default_factory=PastStarts)
    """What came after the bot's last starts, where it is older than these lines."""
    rule: CountingRule = field(default_factory=CountingRule)
    """Which lines count; with the switch that is judged."""
    counts: Counts = field(default_factory=Counts)
    """Since that switch."""
    lives: Lives = field(default_factory=Lives)
    heard: float = 0.0
    """Monotonic second at which its last line came."""
    missed: list[tuple[int, int]] = field(default_factory=list)
    """Times in which nobody listened (microseconds)."""
    past: list[LogLine] = field(default_factory=list)
    """What counts as the past of what is judged now, or was last."""
    past_until_us: int = 0
    known_errors: set[str] = field(default_factory=set)
    """Errors of the past."""
    waiting: list[Delivery] = field(default_factory=list)
    """What came while nobody could tell which release had written it."""

    @property
    def switched_us(self) -> int:
        """When the judged release was switched; 0 where it was not."""
        return self.rule.switched_us

    def begin(self, at_us: int, grace_us: int) -> None:
        """Count what came since the switch anew."""
        self.counts = Counts()
        self.rule.grace_us = grace_us
        if self.switched_us != at_us:
            self.rule.switched_us = at_us
            self.lives = Lives(at_us)
            for line in self.lines:
                if line.kind is not LineKind.PROBE:
                    self.lives.feed(line)

    def forget(self) -> None:
        """Forget what came since the switch: it is over, and was not judged."""
        since_us = self.switched_us
        if not since_us:
            return
        self.waiting.clear()
        self.lines = deque((line for line in self.lines if line.at_us < since_us), MOST_LINES)
        self.rule.switched_us = 0

    def count(self, line: LogLine) -> bool:
        """Count a line that came since the switch; tells whether the judge is to see it."""
        if self.rule.is_in_grace(line):
            return False
        if self.switched_us and line.at_us >= self.switched_us:
            self.counts.add(line)
        return True

    def in_order(self) -> list[LogLine]:
        """Give what came: the journal's lines in order, then the probe's."""
        return sorted(self.lines, key=lambda line: line.kind is LineKind.PROBE)

    def past_and_since(self) -> Iterator[LogLine]:
        """Give the past, and what came since."""
        yield from self.past
        yield from (line for line in self.lines if line.at_us >= self.past_until_us)

    @property
    def has_unread(self) -> bool:
        """Whether older lines than these were not read, or are forgotten."""
        return self.follower.cut_us is not None or len(self.lines) == MOST_LINES
