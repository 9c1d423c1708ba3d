"""The leases: what keeps a host that is not confirmed from going back, and what confirms it.

A host that is switched goes back by itself unless a controller comes again and again, so that a
controller that is lost means a return. Whoever watches renews; whoever leaves gives a whole term
more, for the one who comes next may need all of it. The lease counts from the moment that a host is
told to switch, so it is renewed while a bot takes its time to be ready, too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import Phase
from botdeploy.core.host.running import Unit
from botdeploy.core.model.lease import LeaseUntil
from botdeploy.core.rollout.host_standing import Standing
from botdeploy.engine.fleet.locked_fleet import RETRY_S
from botdeploy.engine.fleet.ticker import TICK_S
from botdeploy.errors import HostError
from botdeploy.hosts.acts.faults import LeaseLost, LockLost, NotRunning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.refresh import Refresh
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts


@dataclass(slots=True)
class _Term:
    """How the lease of one host is kept."""

    renewed: float = float("-inf")
    """Monotonic second of the last renewal that the host took."""
    renewal: Future[Unit] | None = None
    """A renewal that is on its way."""
    is_due: bool = False
    """Renewed now, whatever is left of it; and if that fails, the host counts as lost."""


class Leases:
    """Renews the leases of all pending hosts with each tick, beside whatever else is done."""

    def __init__(
        self,
        members: RolloutHosts,
        locked_fleet: LockedFleet,
        refresh: Refresh,
    ) -> None:
        """Begin to renew with the next tick; somebody who attends never lets a term run low."""
        self._hosts = members
        self._locked_fleet = locked_fleet
        self._refresh = refresh
        self._clock = members.clock
        self._ttl = members.policy.lease.ttl_s
        self._found: Mapping[str, HostState] = dict(members.states)
        self._terms: defaultdict[str, _Term] = defaultdict(_Term)
        locked_fleet.ticker.add(self._renew)

    def confirm(self, hosts: Sequence[str]) -> None:
        """Tell hosts that they may keep what they run.

        It is said over the connection that was opened after the switch: a release that breaks
        ssh does not pass.
        """

        def confirm(name: str) -> Unit:
            try_id = self._hosts[name].try_id
            return self._locked_fleet.again(
                lambda: self._locked_fleet.acts(name).switch.confirm(try_id)
            )

        now = self._clock.monotonic()
        for name, result in self._locked_fleet.together(hosts, confirm).items():
            match result:
                case LeaseLost():
                    self._refresh.after_lease(name)
                case NotRunning():
                    self._hosts.told_of(self._beside(name, result.instance), result.unit)
                case HostError():
                    self._hosts.lost(name, result.message)
                case Unit():
                    self._hosts.confirmed(name, now)
                    self._hosts.told_of(name, result)

    def _beside(self, name: str, instance: str) -> str:
        """Find the host that is an instance on the machine of a host; that host where none is."""
        inventory = self._hosts.inventory
        machine = inventory.machine_of[name]
        beside = (one for one in self._hosts.within() if inventory.machine_of[one] == machine)
        known = {inventory.host(one).instance or "": one for one in beside}
        return known.get(instance, name)

    def ask_for_all(self) -> None:
        """Have every lease renewed with the next tick; ``await_all`` waits for the answers."""
        for name in self._hosts.within(Standing.PENDING):
            if self._terms[name].renewal is None:
                self._terms[name].is_due = True

    def await_all(self) -> None:
        """Let the renewals of this step end before it may be over."""
        deadline = self._clock.monotonic() + RETRY_S
        while any(
            term.renewal is not None
            or (term.is_due and self._hosts[name].standing is Standing.PENDING)
            for name, term in self._terms.items()
        ):
            self._locked_fleet.ticker.tick(TICK_S)
            if self._clock.monotonic() > deadline:
                return

    def renew_all(self) -> None:
        """Give what stays pending a whole term more, before this controller leaves."""
        self.ask_for_all()
        self.await_all()

    def in_doubt(self) -> frozenset[str]:
        """Name the hosts that may have gone back by their lease, unheard, and did not say yet.

        Nothing that they say counts until they have answered: it may be the old release's. A term
        ends a little earlier than it is over: the host began to count before we heard of it.
        """
        now, term_s = self._clock.monotonic(), self._ttl - min(2.0, self._ttl / 4)
        return frozenset(
            name
            for name in self._hosts.within(Standing.PENDING)
            if now - self._heard(name) > term_s
        )

    def shortage(self) -> str:
        """Say that a lease came close to its end before this step: promote comes too seldom."""
        members = self._hosts
        if members.is_attended or members.policy.lease.until is not LeaseUntil.VERDICT:
            return ""
        left = [
            state.switch.lease_left_s
            for state in self._found.values()
            if state.switch is not None
            and state.switch.phase is Phase.PENDING
            and state.switch.new == self._hosts.release
        ]
        if not left or min(left) >= self._ttl / 4:
            return ""
        return (
            f"the lease ({self._ttl} s) had {min(left)} s left when this step came: let promote "
            "come more often, or make the lease longer"
        )

    def _renew(self, now: float) -> None:
        for name in self._hosts.within():
            term = self._terms[name]
            if term.renewal is not None:
                if term.renewal.done():
                    renewal, term.renewal = term.renewal, None
                    self._renewed(name, term, renewal, now)
            elif self._is_leased(name) and (
                term.is_due or now - self._heard(name) >= self._ttl / 3
            ):
                term.renewal = self._extend(name, self._hosts[name].try_id)

    def _extend(self, name: str, try_id: str) -> Future[Unit]:
        return self._locked_fleet.beside(
            lambda: self._locked_fleet.acts(name).switch.extend(try_id, self._ttl)
        )

    def _is_leased(self, name: str) -> bool:
        member = self._hosts[name]
        if member.is_going_back:
            return False
        return member.standing is Standing.PENDING or member.is_switching

    def _heard(self, name: str) -> float:
        """Give when the term began: with a renewal, or with the order to a switch.

        Of a host that an earlier controller has switched: when it was heard first.
        """
        member = self._hosts[name]
        began = member.since if member.ordered_at is None else member.ordered_at
        return max(self._terms[name].renewed, began)

    def _renewed(self, name: str, term: _Term, renewal: Future[Unit], now: float) -> None:
        was_due, term.is_due = term.is_due, False
        if self._hosts[name].is_switching:
            # Not armed yet, or gone back: the answer to the switch tells. Else the term goes on.
            error = renewal.exception()
            if not isinstance(error, HostError) or isinstance(error, LeaseLost):
                term.renewed = now
            return
        if self._hosts[name].standing is not Standing.PENDING or self._hosts[name].is_going_back:
            return
        try:
            self._hosts.told_of(name, renewal.result())
        except LeaseLost:
            self._refresh.after_lease(name)
        except LockLost as lost:
            if not isinstance(self._locked_fleet.meaning_of(lost), HostError):
                raise
            self._refresh.after_lease(name)
        except HostError as error:
            if was_due or now - self._heard(name) > self._ttl:
                why = f"{error.message}; it goes back by itself within {self._ttl} s"
                self._hosts.lost(name, why)
        else:
            term.renewed = now
