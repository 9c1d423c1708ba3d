"""Which release wrote a line: by its process run where that is known, else by its position."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdeploy.core.lines.line import LogLine


class Attribution:
    """Names the release of each line of one host.

    An Assembler has given each line the run (invocation) that wrote it. Runs are known from the
    host's records (``runs``), or they are seen for the first time: those run the release that was
    current at that instant (``switches``).
    """

    def __init__(
        self,
        runs: Mapping[str, str] | None = None,
        switches: Iterable[tuple[int, str]] = (),
        *,
        first: str | None = None,
    ) -> None:
        """Take what is known: run to release, and (microseconds UTC, release) of each switch.

        ``first`` is the release before the first switch; None when nobody knows.
        """
        self._runs = dict(runs or {})
        self._switches = sorted(switches)
        self._first = first

    @property
    def runs(self) -> Mapping[str, str]:
        """What is known of runs, to be kept."""
        return self._runs

    def release_of(self, line: LogLine) -> str | None:
        """Name the release that wrote a line; None when nobody knows.

        Lines are given in the journal's order: the first one of a run decides its release once and
        for all, and lines that come late still belong to the run that wrote them.
        """
        run = line.invocation
        if run is not None:
            known = self._runs.get(run)
            if known is not None:
                return known
        release = self._current(line.at_us)
        if run is not None and release is not None:
            self._runs[run] = release
        return release

    def since_us(self, at_us: int) -> int:
        """Say since when what ran just before an instant had run; 0 when nobody knows."""
        return max((begun for begun, _ in self._switches if begun < at_us), default=0)

    def spans(self, from_us: int, to_us: int) -> Iterator[tuple[int, int, str | None]]:
        """Cut a stretch of time by what ran in it: begin, end and release of each piece."""
        at_us, release = from_us, self._current(from_us)
        for switched_us, new in self._switches:
            if from_us < switched_us < to_us:
                yield at_us, switched_us, release
                at_us, release = switched_us, new
        yield at_us, to_us, release

    def _current(self, at_us: int) -> str | None:
        at = bisect_right(self._switches, at_us, key=lambda one: one[0])
        return self._switches[at - 1][1] if at else self._first
