"""Looking: ask hosts again where what is known of them may not be true any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.hoststate import Phase
from botdeploy.core.rollout import Standing
from botdeploy.errors import HostError
from botdeploy.hosts.acts import Reverted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botdeploy.core.hoststate import HostState
    from botdeploy.engine.clock import Clock
    from botdeploy.engine.hands import Hands
    from botdeploy.engine.run.members import Members
    from botdeploy.engine.telling import Teller

LOOK_S = 5.0
"""How old what a host said of itself may be when it is switched."""
ACT_S = 1000.0
"""Longest wait for an act that another controller began: a bot may take 15 minutes to stop."""


class Looking:
    """Brings what the run knows of hosts up to date."""

    def __init__(self, members: Members, hands: Hands, clock: Clock, tell: Teller) -> None:
        """Begin with what the hosts said when the lock was taken."""
        self._members = members
        self._hands = hands
        self._clock = clock
        self._tell = tell
        self._begun = clock.monotonic()

    def again(self, hosts: Iterable[str]) -> None:
        """Observe hosts anew and take over what they say."""

        def look(name: str) -> HostState:
            return self._hands.again(lambda: self._hands.acts(name).observe())

        for name, result in self._hands.together(hosts, look).items():
            if isinstance(result, HostError):
                self._members.lost(name, result.message)
            else:
                self._members.observed(name, result)

    def before_switch(self, hosts: Sequence[str]) -> bool:
        """Look at hosts that are about to be switched; False where that was done just now.

        A person may have held the rollout since; then all hosts are asked, for most decide.
        """
        old = self._not_just_seen(hosts)
        self.again(old)
        states = self._members.states
        if any(states[name].hold for name in old if name in states):
            self.again(self._not_just_seen(self._members.within(Standing.BEHIND, Standing.PROVEN)))
        return bool(old)

    def _not_just_seen(self, hosts: Sequence[str]) -> list[str]:
        now = self._clock.monotonic()
        return [name for name in hosts if now - self._members[name].seen > LOOK_S]

    def until_idle(self) -> None:
        """Look whether what another controller began is done; wait for it, but not for ever."""
        busy = self._members.within(Standing.BUSY)
        if self._clock.monotonic() - self._begun > ACT_S:
            for name in busy:
                why = f"an act does not end there: {self._members[name].view.why}"
                self._members.stands(name, Standing.STUCK, why)
                self._tell(Kind.HOST_FAILED, host=name, error=why)
            return
        self._hands.pulse.beat(0.5)
        self.again(busy)

    def after_lease(self, name: str) -> None:
        """Find out what became of a host that says that its lease is over."""
        try:
            state = self._hands.acts(name).observe()
        except HostError as unreachable:
            self._members.lost(name, unreachable.message)
            return
        switch = state.switch
        if switch is None or switch.phase is not Phase.REVERTED:
            self._members.observed(name, state)
            return
        self._members.states[name] = state
        self._members.went_back(
            name,
            Reverted(
                new=switch.new,
                old=switch.old,
                by=switch.by or "host",
                why=switch.why,
                cause=switch.cause or "lease",
                seconds=0.0,
                is_running=not state.stuck,
            ),
        )
