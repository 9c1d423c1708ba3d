"""Errors that something outside the bot causes, and whether the baseline meets them as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import SECOND_US
from botdeploy.core.lines.external_errors import is_external

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.judge.host_tally import HostTally

ENOUGH_HOSTS = 2
"""Hosts of the old release that it takes to say that there is no outage outside."""
TROUBLE_RATIO = 3.0
"""Times its usual external errors of a host from which on it has the problem itself."""


class ExternalErrors:
    """Which errors have an external cause, and what the baseline shows of them."""

    def __init__(self, baseline: Mapping[str, HostTally]) -> None:
        """Take the hosts of the old release."""
        self._baseline = baseline
        self._is_external: dict[str, bool] = {}

    def note(self, error: str, message: str) -> None:
        """Look at the first message of a class of errors."""
        if error not in self._is_external:
            self._is_external[error] = is_external(error, message)

    def is_external(self, error: str) -> bool:
        """Tell whether an error has an external cause (``core.lines.external_errors``)."""
        return self._is_external.get(error, False)

    @property
    def has_enough_hosts(self) -> bool:
        """Whether enough hosts run the old release to say that there is no outage outside."""
        return len(self._baseline) >= ENOUGH_HOSTS

    def is_excused(self, error: str) -> bool:
        """Tell whether an error may have an external cause, because no host shows otherwise.

        Two hosts of the old release, and more than half of them, have to be free of such errors.
        """
        if not self.is_external(error):
            return False
        unaffected = sum(self._is_unaffected(tally) for tally in self._baseline.values())
        return unaffected < ENOUGH_HOSTS or 2 * unaffected <= len(self._baseline)

    def _is_unaffected(self, tally: HostTally) -> bool:
        """Tell whether a host is heard, and has no more external errors than before."""
        if tally.unheard.is_broken or not tally.lines_after:
            return False
        met = self.count_in(tally.after.values())
        span_s = (max(tally.after) + 1) * tally.step_us / SECOND_US - tally.start_us / SECOND_US
        return met <= TROUBLE_RATIO * self.each_s(tally) * span_s

    def count_in(self, buckets: Iterable[Counts]) -> int:
        """Count the external errors in some stretches."""
        return sum(
            number
            for bucket in buckets
            for error, number in bucket.errors.items()
            if self.is_external(error)
        )

    def each_s(self, tally: HostTally) -> float:
        """Give the external errors of a host, a second, before the switch."""
        known_s = tally.history_s
        met = sum(n for error, n in tally.errors_before.items() if self.is_external(error))
        return met / known_s if known_s > 0.0 else 0.0
