"""The other instance of a host on which one is broken: it must not notice."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.forms import MAIN, send
from tests.chaos.promises import broken

if TYPE_CHECKING:
    from tests.lab.host import Host

LEASE_S = 900
"""Longer than anything takes that is done to the host."""
_RELEASES = MAIN.release("M1"), MAIN.release("M2")
_SEEN = f"""
readlink {MAIN.home}/current {MAIN.home}/previous
systemctl show -p MainPID,InvocationID,NRestarts {MAIN.unit}
find {MAIN.state} {MAIN.run} -type f -exec sha256sum {{}} +
find {MAIN.home}/releases {MAIN.home}/shared/precious -printf '%p %T@ %m %U\\n' | sort
"""


@dataclass
class Neighbour:
    """The instance ``main``; its own release waits under lease, or is confirmed."""

    host: Host
    current: int = 0
    run: str = ""
    before: str = ""
    """What stood there when the fault came; empty where the host restarts with it."""
    runs: int = 0

    def __post_init__(self) -> None:
        """Deploy it, on a host that has the program."""
        self.actor = MAIN.actor(self.host)
        self._enter()
        for made in _RELEASES:
            assert not (said := send(self.actor, made)).fault, said.records
        self.host.root(f"echo precious >{MAIN.home}/shared/precious; sync")
        self.switch(0)
        assert "confirmed" in self.actor("confirm", self.actor.token, self.run)
        assert "proven" in self.actor("prove", self.actor.token, "M1", 5, "roll1")

    def _enter(self) -> None:
        said = self.actor.enter(ttl=600)
        assert "state" in said, said.records

    def switch(self, to: int) -> None:
        """Switch it over, under lease."""
        self.runs += 1
        self.run, self.current = f"run{self.runs}m", to
        said = self.actor.switch(self.run, _RELEASES[to].id, ttl=LEASE_S)
        assert "switched" in said, said.records

    def begin(self, *, is_restarted: bool) -> None:
        """Have its other release wait under lease; where the host restarts, have it confirmed."""
        self._enter()
        self.converge()  # where the life before did not come to its end
        # A process may get a number again after a boot, and a power cut may lose its first line.
        noted, aside = MAIN.life
        self.host.root(f"rm -f {aside}; >{noted}")
        self.switch(1 - self.current)
        if is_restarted:
            assert "confirmed" in self.actor("confirm", self.actor.token, self.run)
            self.host.root("sync")
        else:
            self.before = self.host.root(_SEEN, check=False).stdout

    def wrong(self) -> list[str]:
        """List what the fault, or what was done for the other instance, has changed here."""
        found = [f"neighbour: {one}" for one in broken(self.host, MAIN)]
        if self.before:
            now = self.host.root(_SEEN, check=False).stdout
            changed = set(self.before.splitlines()) ^ set(now.splitlines())
            found += [f"neighbour: {row}" for row in sorted(changed)]
            return found
        state = self.actor.state()
        end = time.monotonic() + 60
        while state["active_state"] != "active" and time.monotonic() < end:
            time.sleep(0.2)
            state = self.actor.state()
        name = _RELEASES[self.current].id
        if (state["running"], state["current"], state["active_state"]) != (name, name, "active"):
            found.append(f"neighbour: {state}")
        return found

    def converge(self) -> list[str]:
        """Let its own rollout go on: the lease is still its own; the next life begins with more."""
        if not self.before:
            return []
        self.before = ""
        said = self.actor("confirm", self.actor.token, self.run)
        return [] if "confirmed" in said else [f"neighbour: its confirmation: {said.records}"]
