"""Reverting: each host returns to the release that was recorded when it was switched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.rollout.host_standing import Standing, next_try_id
from botdeploy.core.rollout.next_step import Blame
from botdeploy.errors import HostError
from botdeploy.hosts.acts.switch import Reverted, Unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.proving import Proving
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.rollout_recorder import RolloutRecorder

RETURN_S = 180.0
"""Longest wait for a host that can't be reached to go back by itself."""


@dataclass(slots=True)
class Reverting:
    """Takes hosts back, and says what that means of the release."""

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _proving: Proving
    _recorder: RolloutRecorder

    def revert(self, hosts: Sequence[str], why: str, blame: Blame) -> None:
        """Take hosts back, all at once, and note what came of it."""
        has_failed = blame is not Blame.NOBODY
        if has_failed:
            self._proving.tell_failure()
        # All hosts know at once that it failed: whoever goes on from here takes the rest back.
        others = self._recorder.untold(hosts) if blame is Blame.RELEASE else ()

        def act(name: str) -> Reverted | Unchanged | None:
            if name in others:
                self._recorder.condemn_on(name, why, self._proving.refused)
                return None
            return self._revert(name, why, has_failed=has_failed)

        for name, result in self._locked_fleet.together((*hosts, *others), act).items():
            if name in others:
                continue
            self._hosts[name].is_going_back = False
            match result:
                case Reverted():
                    self._hosts.went_back(name, result, has_failed=has_failed)
                case Unchanged():
                    self._hosts.stands(name, Standing.RETURNED, why)
                case HostError():
                    error = f"it could not be reverted: {result.message}"
                    self._hosts.stands(name, Standing.STUCK, error)
                    ring = self._hosts.ring_of(name)
                    self._hosts.emit(Kind.HOST_FAILED, host=name, ring=ring, error=result.message)

    def _revert(self, name: str, why: str, *, has_failed: bool) -> Reverted | Unchanged:
        """Insist for as long as a host that is out of reach may take to go back by itself."""
        target, state = self._hosts.target, self._hosts.states.get(name)
        self._hosts[name].is_going_back = True
        try_id = self._hosts[name].try_id or next_try_id(target.rollout, state)
        digest = target.digest if has_failed else ""
        refused = self._proving.refused if has_failed else ()
        cause = "verdict" if has_failed else "lease"
        return self._locked_fleet.again(
            lambda: self._locked_fleet.acts(name).switch.revert(
                try_id, None, why, digest, cause, refused
            ),
            RETURN_S,
        )
