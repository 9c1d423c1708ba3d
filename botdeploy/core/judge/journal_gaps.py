"""Gaps in a host's journal: the same for a ring under judgement and for one that has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botdeploy.core.judge.fleet_tally import FleetTally


class JournalGaps:
    """Notes when a host could not be heard, or had nothing to say."""

    _fleet: FleetTally

    def start_due(self, host: str) -> None:
        """Note that a host's bot is down and that systemd starts it again: that is waited for."""
        tally = self._fleet.host(host)
        if tally is not None:
            tally.is_start_due = True

    def gap(self, host: str, at_us: int) -> None:
        """Note that a host's stream broke; what follows until its next line is not silence."""
        tally = self._fleet.host(host)
        if tally is not None:
            tally.unheard.tear(at_us, tally.last_us)

    def unheard(self, host: str, from_us: int, to_us: int) -> None:
        """Note that nobody listened to a host for a while; its lines may still come, late."""
        tally = self._fleet.host(host)
        if tally is not None:
            tally.unheard.miss(from_us, to_us)
