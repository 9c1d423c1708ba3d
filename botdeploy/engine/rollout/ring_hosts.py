"""The hosts of a rollout, by ring and by where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.rollout import ring_members, rollout_records
from botdeploy.core.rollout.host_standing import SATISFIED, UNPROVEN, HostStanding, Standing

if TYPE_CHECKING:
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.policy import Policy, Ring
    from botdeploy.core.rollout.target import Target


@dataclass(slots=True)
class RolloutHost:
    """One host during the run."""

    view: HostStanding
    since: float
    """Monotonic second from which ``view.age_s`` counts on."""
    seen: float
    """Monotonic second at which it was last observed."""
    try_id: str = ""
    """The try of the rollout under which it was switched last."""
    is_switching: bool = False
    """Whether it was asked to switch and the answer is still to come: its lease counts already."""
    ordered_at: float | None = None
    """Monotonic second at which this run asked it to switch; None where it did not."""
    is_going_back: bool = False
    """Whether it was asked to go back and the answer is still to come: that answer tells."""
    armed_at_us: int = 0
    """When this run asked it to switch, by this clock."""
    switched_at_us: int = 0
    """When it switched, by this clock."""
    has_held: bool = False
    """It ran the release when it was last heard of."""
    pids: tuple[int, ...] = ()
    """The processes of its unit, when it was asked last."""
    is_enabled: bool = True
    """Whether its unit would start at the next boot, when it was asked last."""
    asked: float = 0.0
    """Monotonic second at which it was asked last whether it runs."""
    is_back: bool = False
    """Whether this run saw it go back: what it runs is known, also where it is out of reach."""

    @property
    def standing(self) -> Standing:
        """Where it stands with the release."""
        return self.view.standing


class RingHosts:
    """Answers which hosts there are, in their order; ``RolloutHosts`` keeps that up to date."""

    policy: Policy
    target: Target
    rings: dict[str, tuple[str, ...]]
    """The hosts of each ring, in the order in which they are switched."""
    states: dict[str, HostState]
    """What each host said last, kept up with what was done to it since."""
    _hosts: dict[str, RolloutHost]

    def __getitem__(self, name: str) -> RolloutHost:
        """Give what is known of one host."""
        return self._hosts[name]

    def within(self, *standings: Standing) -> list[str]:
        """Name the hosts that stand so; without any standing, all hosts."""
        return [
            name for name, one in self._hosts.items() if not standings or one.standing in standings
        ]

    def without(self, *standings: Standing) -> list[str]:
        """Name the hosts that do not stand so."""
        return [name for name, one in self._hosts.items() if one.standing not in standings]

    def ring(self, name: str) -> Ring:
        """Look a ring up by its name."""
        return next(ring for ring in self.policy.rings if ring.name == name)

    def own_ring(self, host: str) -> Ring:
        """Give a host's ring, with the ``env`` that this host gets."""
        return self.ring(self.ring_of(host)).of(host)

    def ring_of(self, host: str) -> str:
        """Name the ring that a host is in."""
        return ring_members.ring_of(self.rings, host)

    def of_ring(self, ring: str, *standings: Standing) -> list[str]:
        """Name the hosts of a ring that stand so, in the order in which they are switched."""
        return [name for name in self.rings[ring] if self._hosts[name].standing in standings]

    def unproven(self, ring: Ring) -> list[str]:
        """Name the hosts of a ring that run the release and wait for its verdict."""
        return self.of_ring(ring.name, *UNPROVEN)

    def passed(self) -> dict[str, list[str]]:
        """Name, by ring, the hosts that this rollout has proven, until it is over."""
        if self.outcome:
            return {}
        found: dict[str, list[str]] = {}
        for ring in self.policy.rings:
            names = [n for n in self.of_ring(ring.name, Standing.PROVEN) if self.passed_us(n)]
            if names:
                found[ring.name] = names
        return found

    def passed_us(self, name: str) -> int:
        """When this rollout proved the release on a host, by the host's clock; 0: not known."""
        state = self.states.get(name)
        staged = state.release(self.target.release) if state is not None else None
        if staged is None or not staged.is_proven or staged.proven_in != self.target.rollout:
            return 0
        return staged.proven_us

    def has_release(self, name: str) -> bool:
        """Tell whether the release is on a host, whatever runs there.

        What has its id and another digest is not it: it was staged by a run that came no further.
        """
        state = self.states.get(name)
        staged = state.release(self.target.release) if state is not None else None
        return staged is not None and staged.digest == self.target.digest

    def knows_rollout(self, name: str) -> bool:
        """Tell whether a host was told of this rollout."""
        state = self.states.get(name)
        record = state.rollout if state is not None else None
        return record is not None and record.id == self.target.rollout

    @property
    def release(self) -> str:
        """The id of the release that is rolled out."""
        return self.target.release

    @property
    def outcome(self) -> str:
        """How the rollout ended, where a host has that written down; else empty."""
        record = rollout_records.known(self.states, self.target.rollout)
        return record.outcome if record is not None else ""

    @property
    def is_over(self) -> bool:
        """Whether every host has the release proven, and that is written down."""
        return not self.without(*SATISFIED) and bool(self._hosts) and self.outcome != ""
