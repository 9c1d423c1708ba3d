"""The acts on one host, by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.hosts.acts.journal import JournalActs
from botdeploy.hosts.acts.lock import LockActs
from botdeploy.hosts.acts.probe import ProbeActs
from botdeploy.hosts.acts.release import ReleaseActs
from botdeploy.hosts.acts.rollout import RolloutActs
from botdeploy.hosts.acts.setup import SetupActs
from botdeploy.hosts.acts.state import StateActs
from botdeploy.hosts.acts.switch import SwitchActs

if TYPE_CHECKING:
    from botdeploy.hosts.acts.call import Caller


class Acts:
    """The acts of one bot on one host; ``token`` is that of the lock that some of them need."""

    def __init__(self, caller: Caller, token: str = "") -> None:
        self._caller = caller
        self.token = token
        self.host = caller.host
        self.connection = caller.connection
        self.state = StateActs(caller, token)
        self.lock = LockActs(caller, token)
        self.release = ReleaseActs(caller, token)
        self.switch = SwitchActs(caller, token)
        self.rollout = RolloutActs(caller, token)
        self.journal = JournalActs(caller, token)
        self.probe = ProbeActs(caller, token)
        self.setup = SetupActs(caller, token)

    def under(self, token: str) -> Acts:
        """Give the same acts under a lock."""
        return Acts(self._caller, token)
