"""Rings that have passed: watched on until the rollout ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.evidence.proven_past import counted_in
from botdeploy.core.judge.after_pass import AfterPass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.verdict import Verdict
    from botdeploy.engine.watch.following import Following


class PassedRings:
    """Tells when a ring's pass does not hold."""

    def __init__(self, following: Following, machines: Mapping[str, str]) -> None:
        """Watch no ring yet, by the journals that are followed; as ``Watch`` takes them."""
        self._following = following
        self._machines = machines
        self._after: dict[str, AfterPass] = {}
        self._read_until_us: dict[str, int] = {}
        """Of rings that are watched by what was kept: up to when it was read."""

    def hosts(self) -> list[str]:
        """List the hosts of these rings."""
        return [name for after in self._after.values() for name in after.hosts]

    def watch_on(self, ring: str, passed_at_us: Mapping[str, int], baseline: Sequence[str]) -> None:
        """Go on to watch a ring that has passed, by the journals that are followed anyway."""
        followed = self._following.hosts
        hosts = {name: at_us for name, at_us in passed_at_us.items() if name in followed}
        if not hosts:
            return
        compared = [name for name in baseline if name in followed and name not in hosts]
        after = AfterPass(list(hosts), compared, hosts, self._machines)
        lines = [
            (line.at_us, name, line)
            for name in (*hosts, *compared)
            for line in followed[name].past_and_since()
        ]
        for _at, name, line in sorted(lines, key=lambda item: item[:2]):
            after.feed(name, line)
        self._after[ring] = after

    def look_after(
        self,
        ring: str,
        passed_at_us: Mapping[str, int],
        evidence: Mapping[str, Evidence],
        release: str,
        states: Mapping[str, HostState],
    ) -> None:
        """Look at what was kept of a ring's hosts since they passed, beside hosts of the old one.

        All times are the hosts' own.
        """
        if not passed_at_us:
            return
        baseline = [name for name in evidence if name not in passed_at_us]
        after = AfterPass(list(passed_at_us), baseline, dict(passed_at_us), self._machines)
        until_us = max(one.coverage.end_us for one in evidence.values())
        for name, one in evidence.items():
            past = counted_in(one, states, name, passed_at_us.get(name))
            after.absorb(name, one, release, past | {release})
            after.unheard(name, one.coverage.end_us, until_us)
        self._after[ring] = after
        self._read_until_us[ring] = until_us

    def leave(self, hosts: Sequence[str]) -> None:
        """Note that these hosts get the new release now: they compare with nothing any more."""
        now_us = self._following.now_us()
        for after in self._after.values():
            for name in hosts:
                after.leave(name, now_us)

    def excused(self) -> frozenset[str]:
        """Name the hosts whose bots ended together with all others of their machine."""
        return frozenset(name for after in self._after.values() for name in after.ends())

    def revoked(self, start_due: Collection[str] = ()) -> dict[str, Verdict]:
        """Give the rings whose pass does not hold, and why; as ``Judging.verdict`` takes it."""
        found = {}
        for ring, after in self._after.items():
            for name in start_due:
                after.start_due(name)
            is_followed = any(name in self._following.hosts for name in after.hosts)
            now_us = self._following.now_us() if is_followed else self._read_until_us[ring]
            verdict = after.failure(now_us)
            if verdict is not None:
                found[ring] = verdict
        return found

    # --- what comes -------------------------------------------------------------------------

    def feed(self, host: str, line: LogLine) -> None:
        """Take in a line that came just now."""
        for after in self._after.values():
            after.feed(host, line)

    def unheard(self, host: str, from_us: int, to_us: int) -> None:
        """Note that a host was not heard for a while."""
        for after in self._after.values():
            after.unheard(host, from_us, to_us)

    def gap(self, host: str, at_us: int) -> None:
        """Note that a host's stream broke."""
        for after in self._after.values():
            after.gap(host, at_us)
