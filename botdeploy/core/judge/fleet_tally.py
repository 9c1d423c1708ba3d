"""The tally of all hosts, and which errors are known to be none of the release's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.baseline_errors import ExternalErrors
from botdeploy.core.judge.host_tally import HostTally
from botdeploy.core.judge.kept_tally import absorb
from botdeploy.core.lines.error_grouping import group

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.lines.line import LogLine

ENOUGH_S = 3600.0
"""Seconds of the old release from which on an error that it never said is new."""


class FleetTally:
    """All hosts' parts, and which errors are known to be none of the release's."""

    def __init__(
        self,
        canary: Iterable[str],
        baseline: Iterable[str],
        switched_at_us: Mapping[str, int],
        step_us: int,
    ) -> None:
        """Open one part for each host; a canary without a switch time counts from the first."""
        self.watch_us = min(switched_at_us.values())
        self.step_us = step_us
        self.canary = {
            name: HostTally(name, switched_at_us.get(name, self.watch_us), step_us)
            for name in canary
        }
        self.baseline = {
            name: HostTally(name, self.watch_us, step_us)
            for name in baseline
            if name not in self.canary
        }
        self._parts = {**self.baseline, **self.canary}
        self._known: set[str] = set()
        self._fatal: set[str] = set()
        """Those of the known that were fatal."""
        self._unknown: dict[str, int] = {}
        """Errors that were in no known class when so many were known."""
        self.external = ExternalErrors(self.baseline)
        self.has_unread = False
        """Whether there is more of the past than was read."""
        self.machines: Mapping[str, str] = {}
        """By host, its machine; one that is missing has a machine of its own."""

    def host(self, name: str) -> HostTally | None:
        """Look a host up; None for one that is neither canary nor baseline."""
        return self._parts.get(name)

    def machine_of(self, name: str) -> str:
        """Name the machine of a host."""
        return self.machines.get(name, name)

    def neighbours(self, name: str) -> list[HostTally]:
        """List the hosts of the old release on the machine of a canary host."""
        machine = self.machine_of(name)
        return [one for one in self.baseline.values() if self.machine_of(one.name) == machine]

    def add(self, name: str, line: LogLine) -> HostTally | None:
        """Count a line; what the old release says anywhere is known from then on."""
        tally = self._parts.get(name)
        if tally is None:
            return None
        tally.add(line)
        error = line.fingerprint
        if error is not None:
            self.external.note(error, line.message)
        if error is not None and (line.at_us < tally.start_us or name in self.baseline):
            self._known.add(error)
            if line.is_fatal:
                self._fatal.add(error)
        return tally

    def learn(self, errors: Iterable[str]) -> None:
        """Take errors as known: the old release says them."""
        self._known.update(errors)

    def absorb(
        self,
        name: str,
        evidence: Evidence,
        judged: str | None = None,
        counted: Collection[str] | None = None,
    ) -> None:
        """Count what was kept of a host's journal; see ``kept_tally.absorb``."""
        tally = self._parts.get(name)
        if tally is None:
            return
        absorb(tally, evidence, judged, counted)
        for error, first in evidence.classes().items():
            self.external.note(error, first.sample)
        self._fatal.update(
            error
            for error, first in evidence.classes().items()
            if first.is_fatal and (error in tally.errors_before or name in self.baseline)
        )
        self.learn(tally.errors_before)
        if name in self.baseline:
            self.learn(tally.quotes)

    def is_known_fatal(self, error: str) -> bool:
        """Tell whether the old release said this, or another of its class, as a fatal error."""
        if error in self._fatal:
            return True
        classes = group({*self._fatal, error})
        return any(classes[other] == classes[error] for other in self._fatal)

    def is_known(self, error: str) -> bool:
        """Tell whether the old release said this, or another error of its class."""
        if error in self._known:
            return True
        if self._unknown.get(error) == len(self._known):
            return False
        classes = group({*self._known, error}, self._occurrences())
        mine = classes[error]
        if any(classes[other] == mine for other in self._known):
            self._known.add(error)
            return True
        self._unknown[error] = len(self._known)
        return False

    def _occurrences(self) -> Mapping[str, int]:
        """Count in how many stretches of time the old release said each error: a burst is one."""
        times = dict.fromkeys(self._known, 0)
        for tally in self.parts():
            of_old = [tally.before, tally.after] if tally.name in self.baseline else [tally.before]
            for bucket in (one for buckets in of_old for one in buckets.values()):
                for error in bucket.errors:
                    if error in times:
                        times[error] += 1
        return times

    @property
    def is_past_cut(self) -> bool:
        """Whether so little of a longer past was read that what it lacks may well be in the rest.

        An error that is unknown is then no news.
        """
        return self.has_unread and self.history_s < ENOUGH_S

    @property
    def known(self) -> frozenset[str]:
        """Fingerprints that the old release said."""
        return frozenset(self._known)

    @property
    def history_s(self) -> float:
        """Host-seconds of the old release before the switch."""
        return sum(tally.history_s for tally in self._parts.values())

    def parts(self) -> Iterator[HostTally]:
        """Give every host's part, canary first."""
        yield from self.canary.values()
        yield from self.baseline.values()

    @property
    def last_switch_us(self) -> int:
        """When the last canary host got the release."""
        return max(tally.start_us for tally in self.canary.values())
