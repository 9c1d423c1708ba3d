"""Counting what a rollout does to its hosts: a connector that remembers every program."""

from __future__ import annotations

import shlex
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from botdeploy.hosts.process.program import HostConnection
from botdeploy.hosts.ssh.connector import Connector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.address import Address
    from botdeploy.hosts.process.pipes import Session
    from botdeploy.hosts.process.program import ConnectionCounts


class CountedConnection(HostConnection):
    """A connection that notes which act each program was."""

    def __init__(self, real: HostConnection) -> None:
        super().__init__(real.host)
        self.real = real
        self.acts: list[str] = []

    @property
    def counts(self) -> ConnectionCounts:
        return self.real.counts

    @property
    def is_alive(self) -> bool:
        return self.real.is_alive

    @property
    def heard_s_ago(self) -> float:
        return self.real.heard_s_ago

    def ask(self) -> None:
        self.real.ask()

    @property
    def sessions_each(self) -> int | None:
        return self.real.sessions_each

    def open(self, command: str, timeout_s: float) -> Session:
        self.acts.append(act_of(command))
        return self.real.open(command, timeout_s)

    def make_room(self, programs: int) -> None:
        self.real.make_room(programs)

    def close(self) -> None:
        self.real.close()


def act_of(command: str) -> str:
    """Name the act of a command line: ``exec /bin/sh -c SCRIPT PROGRAM NONCE ACT …``."""
    words = shlex.split(command)
    return words[6] if words[:3] == ["exec", "/bin/sh", "-c"] and len(words) > 6 else command


class CountingConnector(Connector):
    """Remembers, by host, each connection with the acts that went over it, in order."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ, time.time)
        self.made: dict[str, list[CountedConnection]] = defaultdict(list)

    def connect(self, address: Address) -> HostConnection:
        counted = CountedConnection(super().connect(address))
        self.made[address.host].append(counted)
        return counted

    def acts(self, host: str) -> list[list[str]]:
        """Give the acts of each of a host's connections."""
        return [one.acts for one in self.made[host]]

    def bytes_sent(self, host: str) -> int:
        """Give the bytes of command lines and input that a host was sent."""
        return sum(one.counts.bytes_sent for one in self.made[host])
