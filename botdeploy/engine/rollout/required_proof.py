"""Required proof: before a ring begins, the environment that it requires is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.rollout.host_standing import Standing
from botdeploy.engine.fleet.audit_note import note
from botdeploy.engine.fleet.required import ask_staged

if TYPE_CHECKING:
    from botdeploy.core.model.policy import Requires
    from botdeploy.core.rollout.requirement import Unmet
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts


@dataclass(slots=True)
class RequiredProof:
    """Keeps a ring from beginning until another environment has proven the release.

    The release is compared by what its own hosts hold of it, where it is staged by now. A person
    who forces it is not held up; the history tells that.
    """

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _dependencies: Dependencies
    _is_forced: bool
    unmet: Unmet | None = None
    """What the other environment lacks, as it was found last."""
    _open: set[str] = field(default_factory=set)
    """Rings for which it lacked nothing."""

    def holds_back(self, ring: str) -> bool:
        """Ask, once for each ring that is about to begin; True where it may not."""
        requires = self._hosts.policy.requires
        if requires is None or ring in self._open or self._hosts.facts().has_begun(ring):
            return False
        if self._is_forced:
            self._note_forced(requires)
        else:
            self.unmet = self._asked()
        if self.unmet is None:
            self._open.add(ring)
        return self.unmet is not None

    def _note_forced(self, requires: Requires) -> None:
        what = f"forced: whether {requires.environment} has proven it was not asked"
        names = self._hosts.within()
        note(self._locked_fleet.fleet, names, self._dependencies.owner, what)

    def _asked(self) -> Unmet | None:
        other = self._dependencies.required()
        if other is None:
            return None
        answer = ask_staged(
            self._locked_fleet.fleet,
            self._hosts.without(Standing.AWAY),
            self._hosts.release,
            other,
            self._hosts.clock.now(),
            self._locked_fleet.ticker.tick,
        )
        return answer.unmet if answer is not None else None
