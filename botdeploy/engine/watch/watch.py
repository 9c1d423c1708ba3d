"""The watch: follows the journals of a ring and its baseline, and has them judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.engine.watch.following import Following
from botdeploy.engine.watch.judging import Judging
from botdeploy.engine.watch.last_words import read_last_words
from botdeploy.engine.watch.passed_rings import PassedRings
from botdeploy.engine.watch.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdeploy.core.lines.assembler import Assembler
    from botdeploy.core.lines.last_words import LastWords
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet

MOST_BASELINE = 8
"""Hosts of the old release that are read for comparison; more add little."""


class Watch:
    """What a run hears of its hosts, each part under its name."""

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        make_assembler: Callable[[], Assembler],
        judge_options: Mapping[str, object],
        machines: Mapping[str, str],
    ) -> None:
        """``judge_options`` is the policy's ``judge``; ``machines`` has each host's machine."""
        self.following = Following(fleet, clock, make_assembler)
        self.passed = PassedRings(self.following, machines)
        self.processes = Processes(self.following, self.passed)
        self.judging = Judging(self.following, self.processes, judge_options, machines)
        self.following.listeners += [self.judging, self.passed]

    def last_words(
        self,
        host: str,
        since_us: int,
        old_invocation: str = "",
        *,
        back_s: float = 0.0,
        must_end: bool = False,
    ) -> LastWords:
        """Give the telling line of a life; see ``read_last_words``."""
        return read_last_words(
            self.following, host, since_us, old_invocation, back_s=back_s, must_end=must_end
        )
