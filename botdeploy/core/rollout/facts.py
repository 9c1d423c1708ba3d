"""Facts: all that a decision looks at, made of what the hosts say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.core.host.running import judged
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.host_standing import SATISFIED, UNPROVEN, HostStanding, Standing
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.policy import Policy, Ring
    from botdeploy.core.rollout.requirement import Unmet
    from botdeploy.core.rollout.target import Target


PROOFS_S = 60.0
"""Within so many seconds the hosts of a ring are proven: as long as one is waited for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision may look at."""

    policy: Policy
    members: Mapping[str, Sequence[str]]
    """Hosts of each ring by the ring's name, in the order in which they are switched."""
    hosts: Mapping[str, HostStanding]
    now: datetime
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    revoked: Mapping[str, Verdict] = field(default_factory=dict)
    """Fails of rings that had passed, by what came since."""
    approved: frozenset[str] = frozenset()
    """Rings whose gate a person opened for this release."""
    accepted: frozenset[str] = frozenset()
    """Rings whose inconclusive verdict a person took on."""
    hold: str = ""
    """Who holds the environment and why; empty when nobody does."""
    is_attended: bool = True
    """A controller stays: it waits for soaks up to ``attended_soak`` and renews leases."""
    last_ring: str | None = None
    """Stop after this ring."""
    has_ended: bool = False
    """It is written down that the rollout is over: nothing is watched any more."""
    condemned: str = ""
    """Why this rollout has failed, where a host has that written down."""
    machines: Mapping[str, str] = field(default_factory=dict)
    """The machine of each host; one that is not named is on a machine of its own."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Hosts that hold the release in quarantine, and why: never switched unattended."""
    unmet: Unmet | None = None
    """What another environment lacks that must have proven the release; None: nothing, or it was
    not asked."""

    def within(self, *standings: Standing) -> tuple[str, ...]:
        """Name the hosts that stand so."""
        return tuple(name for name, one in self.hosts.items() if one.standing in standings)

    def views(self, ring: str) -> dict[str, HostStanding]:
        """Say where the hosts of a ring stand, in the order in which they are switched."""
        return {name: self.hosts[name] for name in self.members.get(ring, ())}

    def whys(self, hosts: Iterable[str]) -> str:
        """Say of each of these hosts why it stands where it does."""
        return "; ".join(f"{name}: {self.hosts[name].why}" for name in hosts)

    def has_begun(self, ring: str) -> bool:
        """Tell whether hosts of a ring have the release by this rollout."""
        return any(self._is_of_this(view) for view in self.views(ring).values())

    def has_passed(self, ring: str) -> bool:
        """Tell whether a ring has passed: its hosts are proven together, by one verdict.

        One whose hosts all keep what they run passes as it is, and so does one whose hosts are all
        proven. What an earlier rollout has proven on some of them is no verdict of this one, and
        where one of them refused it, the verdict is not given yet.
        Where none of them can be asked, a later ring that has begun tells that it had.
        """
        asked = [one for one in self.views(ring).values() if one.standing is not Standing.AWAY]
        if asked:
            proven = [one for one in asked if one.standing is Standing.PROVEN]
            is_left = any(one.standing not in SATISFIED for one in asked)
            has_proof = any(self._is_of_this(one) for one in proven)
            return not is_left or (has_proof and not self._is_refused(asked))
        names = [one.name for one in self.policy.rings]
        return any(self.has_begun(later) for later in names[names.index(ring) + 1 :])

    def _is_refused(self, views: Iterable[HostStanding]) -> bool:
        """Tell whether a bot was down when the ring's others were proven: its host refused then.

        One that came late has the release for less long, one whose bot ran on all the time was out
        of reach, and so was one whose machine was started since: they hold nobody up.
        """
        first_s = max((one.age_s for one in views if one.has_passed), default=0.0)
        return not self.has_ended and any(
            one.standing in UNPROVEN
            and one.up_s - PROOFS_S < first_s < min(one.age_s, one.machine_up_s)
            for one in views
        )

    def _is_of_this(self, view: HostStanding) -> bool:
        """Tell whether a host has the release by this rollout, and not by an earlier one alone.

        Once a rollout is over, all that has the release counts.
        """
        is_proven = view.standing is Standing.PROVEN
        return view.standing in UNPROVEN or (is_proven and (view.has_passed or self.has_ended))

    def failure(self, ring: str) -> Verdict | None:
        """Give the verdict that failed a ring, at its end or after it had passed."""
        verdict = self.revoked.get(ring) or self.verdicts.get(ring)
        return verdict if verdict is not None and verdict.outcome is Outcome.FAIL else None


def facts_of(
    policy: Policy,
    members: Mapping[str, Sequence[str]],
    hosts: Mapping[str, HostStanding],
    states: Mapping[str, HostState],
    target: Target,
    now: datetime,
    machines: Mapping[str, str],
) -> Facts:
    """Give the decision what the hosts say, without any verdict yet."""
    record = rollout_records.known(states, target.rollout)
    has_failed = record is not None and record.outcome == rollout_records.FAILED
    return Facts(
        policy=policy,
        members=members,
        hosts={
            name: _no_older(view, states.get(name), target, now) for name, view in hosts.items()
        },
        now=now,
        approved=rollout_records.approved(states, target.release),
        accepted=rollout_records.accepted(states, target.release),
        hold=rollout_records.hold(states),
        has_ended=record is not None and record.outcome != "",
        machines=machines,
        condemned=(record.ended_why or "it failed before") if record and has_failed else "",
        refused={
            name: why
            for name, state in states.items()
            if (why := state.quarantine.get(target.digest)) is not None
        },
    )


def _no_older(
    view: HostStanding, state: HostState | None, target: Target, now: datetime
) -> HostStanding:
    """Let no soak end early because a host's clock jumped ahead: ours must agree.

    After a reboot only: until then the kernel's clock has counted.
    What the host's clock was ahead when the release was staged counts as its usual error.
    """
    switch = state.switch if state is not None else None
    if state is None or switch is None or switch.new != target.release or switch.is_steady:
        return view
    if not switch.armed_us:
        return view
    ahead_s = 0.0
    begun, record = rollout_records.begun_at(target.rollout), state.rollout
    if begun is not None and record is not None and record.id == target.rollout:
        ahead_s = max(0.0, ((record.begun or begun) - begun).total_seconds())
    limit_s = now.timestamp() - switch.armed_us / 1e6 + ahead_s
    return view if limit_s < 0 else replace(view, age_s=min(view.age_s, limit_s))


def with_what_runs(facts: Facts) -> Facts:
    """Let no verdict be better than what the hosts run that it is about."""
    verdicts = {
        ring.name: judged_ring(ring, facts.members.get(ring.name, ()), facts.hosts, verdict)
        for ring in facts.policy.rings
        for verdict in (facts.verdicts.get(ring.name),)
    }
    revoked = {**_fallen_since(facts), **facts.revoked}
    given = {name: one for name, one in verdicts.items() if one}
    return replace(facts, verdicts=given, revoked=revoked)


def _fallen_since(facts: Facts) -> Mapping[str, Verdict]:
    """Give the rings that have passed in this rollout, and have a host that ended by itself since.

    All else that may be said of a bot that is down is no fail, and needs no word here.
    """
    found = {}
    for ring in facts.policy.rings if not facts.has_ended else ():
        views = facts.views(ring.name).items()
        passed = {name: view.seen for name, view in views if view.has_passed}
        verdict = judged(None, passed, over_s=-1.0)
        if verdict is not None and verdict.outcome is Outcome.FAIL:
            reasons = (*verdict.reasons, "after it had passed")
            found[ring.name] = replace(verdict, reasons=reasons)
    return found


def judged_ring(
    ring: Ring,
    members: Sequence[str],
    hosts: Mapping[str, HostStanding],
    verdict: Verdict | None,
    unread: Collection[str] = (),
    doubts: Mapping[str, str] | None = None,
) -> Verdict | None:
    """Give a ring's verdict, by what its journals tell and by what its hosts run.

    ``unread`` and ``doubts``: as ``core.host.running.judged`` takes them.
    """
    views = {name: hosts[name] for name in members if hosts[name].standing in UNPROVEN}
    if not views:
        return verdict
    age_s = min(view.age_s for view in views.values())
    return judged(
        verdict,
        {name: view.seen for name, view in views.items()},
        over_s=age_s - (ring.soak or ring.settle).total_seconds(),
        unread=unread,
        doubts=doubts,
    )
