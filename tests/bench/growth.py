"""Growth: what a command costs with more and more hosts, which are stand-ins that speak real ssh.

``python -m tests.bench growth --hosts 10,100,1000`` prints time, processor time, memory and threads
of the controller for each command, and a line of JSON for each row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.bench import bots
from tests.bench.field import PROJECT
from tests.bench.figures import BenchError, cost_of, note, say, table
from tests.bench.stand_ins import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH = 25


@dataclass(frozen=True, slots=True)
class Growth:
    """What one command took of the controller."""

    hosts: int
    batch: int
    command: str
    wall_s: float
    cpu_s: float
    rss_mb: float
    threads: int


def run(folder: Path, sizes: Sequence[int], batch: int = BATCH, soak: str = "0s") -> list[Growth]:
    """Measure a first deploy, a release, status and a rollback with fleets of these sizes."""
    rows: list[Growth] = []
    for hosts in sizes:
        place = folder / f"g{hosts}"
        place.mkdir()
        with stand_ins(place, hosts) as port:
            _prepare(place, hosts, port, batch, soak)
            for version, (name, words) in enumerate(_COMMANDS):
                bots.write(place / "source", bots.SMALL, version)
                rows.append(_measured(place, hosts, batch, name, words))
                say(json.dumps(asdict(rows[-1])))
    say("\nGrowth\n")
    head = ("hosts", "batch", "command", "wall s", "CPU s", "CPU ms a host", "MB", "threads")
    say(table(head, [_cells(row) for row in rows]))
    return rows


_COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("first deploy", ("canary", "bench")),
    ("release", ("canary", "bench")),
    ("status", ("status", "bench")),
    ("rollback", ("rollback", "bench", "--keep")),
)


def _cells(row: Growth) -> tuple[str, ...]:
    return (
        str(row.hosts),
        str(row.batch),
        row.command,
        f"{row.wall_s:.1f}",
        f"{row.cpu_s:.2f}",
        f"{1000 * row.cpu_s / row.hosts:.0f}",
        f"{row.rss_mb:.0f}",
        str(row.threads),
    )


def _measured(place: Path, hosts: int, batch: int, name: str, words: Sequence[str]) -> Growth:
    argv = [sys.executable, "-m", "botdeploy", "--json", *words]
    env = {"HOME": str(place), "PYTHONPATH": str(PROJECT), "XDG_CACHE_HOME": ""}
    note(f"{hosts} hosts: {name}")
    cost = cost_of(argv, cwd=place, env=env)
    return Growth(hosts, batch, name, cost.wall_s, cost.cpu_s, cost.rss_mb, cost.threads)


@contextmanager
def stand_ins(place: Path, hosts: int, lines_a_second: float = 0.0) -> Iterator[int]:
    """Let stand-ins serve, in a process of their own; gives their port."""
    for name in ("key", "host_key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
        subprocess.run(make, check=True)
    argv = [sys.executable, "-m", "tests.bench.stand_ins", str(place), str(hosts)]
    server = subprocess.Popen(
        [*argv, str(lines_a_second)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        port = server.stdout.readline().strip()
        if not port:
            raise BenchError("the stand-ins do not start: pip install --group bench")
        yield int(port)
    finally:
        server.stdin.close()
        server.wait(30)
        server.stdout.close()


def _prepare(place: Path, hosts: int, port: int, batch: int, soak: str) -> None:
    """Write the inventory and what ssh knows of the hosts."""
    key = " ".join((place / "host_key.pub").read_text().split()[:2])
    addresses = [address_of(number) for number in range(hosts)]
    known = "".join(f"[{one}]:{port} {key}\n" for one in addresses)
    (place / "known_hosts").write_text(known)
    times = {"soak": soak, "settle": "0s"}
    rings: list[dict[str, Any]] = [{"name": "canary", "hosts": 1, **times}]
    if hosts > 1:
        rings.append({"name": "fleet", "hosts": "all", "batch": batch, **times})
    options = f"-o UserKnownHostsFile={place / 'known_hosts'} -o IdentitiesOnly=yes"
    inventory = {
        "all": {
            "vars": {
                "ansible_user": "deploy",
                "ansible_port": port,
                "ansible_ssh_private_key_file": str(place / "key"),
                "ansible_ssh_common_args": options,
                "bot": {
                    "name": "bench-bot",
                    "source": str(place / "source"),
                    "command": "/usr/bin/python3 main.py",
                    "ready": {"pattern": "^READY"},
                },
                "rollout": {"rings": rings, "lease": "60s"},
            },
            "hosts": {
                f"s{number + 1}": {"ansible_host": one} for number, one in enumerate(addresses)
            },
        }
    }
    (place / "inventories").mkdir()
    (place / "inventories" / "bench.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))
