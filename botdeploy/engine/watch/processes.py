"""What the journals tell of the bots' processes: whether they run, and how long they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botdeploy.core.evidence.process_lives import Lives
    from botdeploy.engine.watch.following import Following
    from botdeploy.engine.watch.passed_rings import PassedRings

TOLD_WITHIN_US = 3_000_000
"""So long after a switch its start stands in every journal that is kept."""


class Processes:
    """On the hosts that run the judged release."""

    def __init__(self, following: Following, passed: PassedRings) -> None:
        """Go by the journals that are followed, until ``kept`` is set."""
        self._following = following
        self._passed = passed
        self.kept: dict[str, Lives] = {}
        """What was kept on the hosts, where a run judges by that."""

    def fallen(self) -> frozenset[str]:
        """Name the hosts of which systemd's last word is that the bot ended."""
        hosts = self._following.hosts
        names = {*self._following.judged(), *(n for n in self._passed.hosts() if n in hosts)}
        return frozenset(name for name in names if hosts[name].lives.is_down)

    def unread(self) -> frozenset[str]:
        """Name the hosts whose journals hold nothing since the switch, not even systemd's word."""
        known_us = self._following.now_us() - TOLD_WITHIN_US
        return frozenset(
            name
            for name, one in self._lives().items()
            if not one.is_told and one.since_us <= known_us
        )

    def silenced(self, pids: Mapping[str, Collection[int]]) -> dict[str, str]:
        """Say of which hosts the writing process is gone; ``pids``: the units' processes now."""
        now_us = self._following.now_us()
        found = {
            name: one.silenced(pids.get(name, ()), now_us) for name, one in self._lives().items()
        }
        return {name: told for name, told in found.items() if told}

    def uptime(self) -> dict[str, float | None]:
        """Give the share of its soak in which each host's bot ran; None where nobody knows."""
        now_us = self._following.now_us()
        return {name: one.uptime(now_us) for name, one in self._lives().items()}

    def _lives(self) -> Mapping[str, Lives]:
        judged = self._following.judged()
        return self.kept or {name: self._following.hosts[name].lives for name in judged}
