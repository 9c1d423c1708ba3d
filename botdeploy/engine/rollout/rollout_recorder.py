"""The recorder: what the hosts write down of how a rollout ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.host_standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.host.host_state import RefusedError
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts


@dataclass(slots=True)
class RolloutRecorder:
    """Lets every host know the end, so that any controller that comes later knows it too."""

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _told: set[str] = field(default_factory=set)
    """Hosts that were told by this run that the release failed."""

    def end(self, outcome: str, why: str) -> None:
        """Write down on every host that can be reached that this rollout is over."""
        reached = self._hosts.without(Standing.AWAY)
        self._locked_fleet.together(reached, lambda name: self._end_one(name, outcome, why))

    def condemn(self, why: str) -> None:
        """Let every host know that the release failed, so that no later run forgets it."""
        self._locked_fleet.together(self.untold(()), lambda name: self.condemn_on(name, why))

    def condemn_on(self, name: str, why: str, refused: Sequence[RefusedError] = ()) -> None:
        """Let one host know that the release failed; a host that saw it fail knows it already.

        ``refused`` are the errors that it failed for.
        """
        self._told.add(name)
        if self._hosts[name].standing not in (Standing.RETURNED, Standing.STUCK):
            acts = self._locked_fleet.acts(name)
            acts.rollout.condemn(self._hosts.target.digest, why, refused)
        self._end_one(name, rollout_records.FAILED, why)

    def untold(self, besides: Sequence[str]) -> tuple[str, ...]:
        """Name the hosts besides some that can be told of the failure, and were not yet."""
        return tuple(
            name
            for name in self._hosts.without(Standing.AWAY, Standing.BUSY)
            if name not in besides and name not in self._told
        )

    def _end_one(self, name: str, outcome: str, why: str) -> None:
        self._locked_fleet.acts(name).rollout.end(self._hosts.target.rollout, outcome, why)
