"""Evidence of a soak: it stays on its host, so that any controller can go on from there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.core.evidence.proven_past import HISTORY_S, RECENT_S
from botdeploy.core.judge import JudgeOptions
from botdeploy.core.rollout.host_standing import UNPROVEN
from botdeploy.engine.evidence.collect import collect
from botdeploy.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.policy import Ring
    from botdeploy.core.probes.probe import ProbeReading
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.watch.watch import Watch


@dataclass(slots=True)
class SoakEvidence:
    """Reads on where the last controller stopped reading, whichever it was."""

    _hosts: RolloutHosts
    _locked_fleet: LockedFleet
    _watch: Watch

    def read(
        self,
        ring: Ring,
        name: str,
        state: HostState,
        *,
        is_new: bool,
        first: ProbeReading | None = None,
    ) -> Evidence:
        """Read what a host has told since it was read last, and keep it there.

        ``is_new`` says that it runs the new release; ``first`` is what its probe answered before
        it did. Raises HostError.
        """
        switched = self._hosts[name].switched_at_us if is_new else 0
        age_s = int(self._hosts.clock.now().timestamp() - switched / 1e6) if switched else 0
        # A short soak is judged as a person would, second by second.
        is_short = ring.soak < timedelta(minutes=10)
        return collect(
            self._locked_fleet.acts(name),
            self._hosts.release,
            state,
            self._watch.following.make_assembler(),
            since_s=(RECENT_S if is_short else HISTORY_S) + max(0, age_s),
            bucket_us=(5 if is_short else 60) * 1_000_000,
            probe=self._locked_fleet.fleet.host(name).bot.probe,
            first=first,
            grace_s=JudgeOptions.from_policy(self._hosts.policy.judge, ring.soak).grace_s,
        )

    def read_all(self, rings: Mapping[str, Ring], names: Iterable[str]) -> dict[str, Evidence]:
        """Read hosts on, all at once; those that can't be read are left out.

        ``rings`` has the ring of those that run the new release. Others are compared with these.
        """
        shortest = min(rings.values(), key=lambda ring: ring.soak)

        def read(name: str) -> Evidence:
            state = self._hosts.states[name]
            return self.read(rings.get(name, shortest), name, state, is_new=name in rings)

        found = self._locked_fleet.together(names, read)
        return {name: one for name, one in found.items() if not isinstance(one, HostError)}

    def hand_over(self, ring: Ring) -> None:
        """Keep on the hosts what only this run knows: what the probe said before the switch."""
        known = {
            name: first
            for name in self._hosts.of_ring(ring.name, *UNPROVEN)
            if (first := self._watch.following.prober.first(name)) is not None
        }

        def keep(name: str) -> Evidence:
            state = self._locked_fleet.acts(name).state.observe()
            return self.read(ring, name, state, is_new=True, first=known[name])

        self._locked_fleet.together(known, keep)
