"""The field: which hosts a deploy goes to, by which way, and from where."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.bots import Size
    from tests.lab.host import Host
    from tests.lab.lab import Lab

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Target:
    """One host as a tool reaches it."""

    name: str
    address: str
    port: int = 22


@dataclass(frozen=True, slots=True)
class Field:
    """What every tool is given: hosts, key, host keys, a folder for itself, and how to roll."""

    lab: Lab
    folder: Path
    size: Size
    is_parallel: bool
    targets: tuple[Target, ...] = field(default=())

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The targets, as the lab knows them."""
        return tuple(self.lab[one.name] for one in self.targets)

    @property
    def source(self) -> Path:
        """The bot's files on this machine, those of the version that is due."""
        return self.folder / "source"

    @property
    def known_hosts(self) -> Path:
        """The keys of the hosts, by the addresses and ports of this field."""
        return self.folder / "known_hosts"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.lab.key

    def write(self) -> None:
        """Write what the tools share."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = {
            line.split()[0].split(",")[0]: line.split(maxsplit=1)[1]
            for line in self.lab.known_hosts.read_text().splitlines()
        }
        lines = [
            f"{one.address if one.port == 22 else f'[{one.address}]:{one.port}'} {keys[one.name]}\n"
            for one in self.targets
        ]
        self.known_hosts.write_text("".join(lines))

    def ssh_config(self, *more: str) -> str:
        """Write a configuration for ssh that knows the hosts by their names."""
        hosts = "".join(
            f"Host {one.name}\n  HostName {one.address}\n  Port {one.port}\n"
            for one in self.targets
        )
        options = "".join(f"  {line}\n" for line in more)
        return (
            f"{hosts}Host *\n{options}  User deploy\n  IdentityFile {self.key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n"
            "  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR\n"
        )


def near(lab: Lab) -> tuple[Target, ...]:
    """Give the lab's hosts as they are."""
    return tuple(Target(host.name, host.address) for host in lab)


@contextmanager
def far(lab: Lab, rtt_ms: float) -> Iterator[tuple[Target, ...]]:
    """Give the lab's hosts with ``rtt_ms`` milliseconds of round trip between."""
    targets = tuple(Target(host.name, "127.0.0.1", _free_port()) for host in lab)
    ways = [f"{one.port}={host.address}:22" for one, host in zip(targets, lab, strict=True)]
    relay = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.delay", str(rtt_ms), *ways],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert relay.stdout is not None
    try:
        if relay.stdout.readline().strip() != "ready":
            raise BenchError("the relay did not start")
        yield targets
    finally:
        relay.kill()
        relay.wait()
        relay.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
