"""The acts on one host, by subject."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from botdeploy.hosts.acts.state import StateActs

if TYPE_CHECKING:
    from botdeploy.hosts.acts.call import Caller
    from botdeploy.hosts.acts.journal import JournalActs
    from botdeploy.hosts.acts.lock import LockActs
    from botdeploy.hosts.acts.probe import ProbeActs
    from botdeploy.hosts.acts.release import ReleaseActs
    from botdeploy.hosts.acts.rollout import RolloutActs
    from botdeploy.hosts.acts.setup import SetupActs
    from botdeploy.hosts.acts.switch import SwitchActs


class Acts:
    """The acts of one bot on one host; ``token`` is that of the lock that some of them need."""

    def __init__(self, caller: Caller, token: str = "") -> None:
        self._caller = caller
        self.token = token
        self.host = caller.host
        self.connection = caller.connection
        self.state = StateActs(caller, token)

    @cached_property
    def lock(self) -> LockActs:
        """The acts with the lock."""
        from botdeploy.hosts.acts.lock import LockActs

        return LockActs(self._caller, self.token)

    @cached_property
    def release(self) -> ReleaseActs:
        """The acts with releases."""
        from botdeploy.hosts.acts.release import ReleaseActs

        return ReleaseActs(self._caller, self.token)

    @cached_property
    def switch(self) -> SwitchActs:
        """The acts that change what runs."""
        from botdeploy.hosts.acts.switch import SwitchActs

        return SwitchActs(self._caller, self.token)

    @cached_property
    def rollout(self) -> RolloutActs:
        """The acts with a rollout."""
        from botdeploy.hosts.acts.rollout import RolloutActs

        return RolloutActs(self._caller, self.token)

    @cached_property
    def journal(self) -> JournalActs:
        """The acts with the journal."""
        from botdeploy.hosts.acts.journal import JournalActs

        return JournalActs(self._caller, self.token)

    @cached_property
    def probe(self) -> ProbeActs:
        """The acts with the bot's probe."""
        from botdeploy.hosts.acts.probe import ProbeActs

        return ProbeActs(self._caller, self.token)

    @cached_property
    def setup(self) -> SetupActs:
        """The acts that prepare a host."""
        from botdeploy.hosts.acts.setup import SetupActs

        return SetupActs(self._caller, self.token)

    def under(self, token: str) -> Acts:
        """Give the same acts under a lock."""
        return Acts(self._caller, token)
