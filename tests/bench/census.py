"""A census: what a deploy did on the hosts, counted there, the same way for every tool."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.host import Host
    from tests.lab.lab import Lab

_STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
_DROP_IN = "/etc/ssh/sshd_config.d/bench.conf"


def prepare(lab: Lab) -> None:
    """Let every sshd say in the journal which programs it starts; the lab's reset undoes it."""
    for host in lab:
        host.root(f"echo 'LogLevel VERBOSE' >{_DROP_IN} && systemctl reload ssh")


@dataclass(frozen=True, slots=True)
class Counted:
    """What reached one host, medians over the hosts."""

    connections: float
    programs: float
    kb_sent: float
    """Sent to the host, with all that TCP and ssh add."""
    kb_received: float
    cpu_ms: float
    """Processor time of everything that ran on the host, sshd and systemd too."""


class Census:
    """Counts from the moment that it is made."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        """Note where each host's journal and network counters stand."""
        self._hosts = hosts
        self._before = [(_cursor(host), *_bytes(host), _cpu_ms(host)) for host in self._hosts]

    def end(self) -> Counted:
        """Give what came since."""
        connections, programs, sent, received, cpu = [], [], [], [], []
        for host, (cursor, tx, rx, cpu_ms) in zip(self._hosts, self._before, strict=True):
            cpu.append(_cpu_ms(host) - cpu_ms)
            now_tx, now_rx = _bytes(host)
            sent.append((now_tx - tx) / 1000)
            received.append((now_rx - rx) / 1000)
            said = host.root(
                f"journalctl -q -t sshd --after-cursor='{cursor}' -o cat", check=False
            ).stdout.splitlines()
            connections.append(sum(line.startswith("Accepted publickey ") for line in said))
            programs.append(sum(line.startswith("Starting session:") for line in said))
        return Counted(*(median(many) for many in (connections, programs, sent, received, cpu)))


def downtime_s(host: Host, bot: str) -> float:
    """Give the seconds from the last order to stop the bot until its READY, by its own journal.

    What systemd wrote when it was asked to stop, and what the bot printed: the same for all tools.
    """
    out = host.root(f"journalctl -q -u {bot} -o json -n 200 --output-fields=MESSAGE,MESSAGE_ID")
    stopping = ready = 0
    for line in out.stdout.splitlines():
        entry = json.loads(line)
        at_us = int(entry["__MONOTONIC_TIMESTAMP"])
        if entry.get("MESSAGE_ID") == _STOPPING:
            stopping, ready = at_us, 0
        elif str(entry["MESSAGE"]).startswith("READY") and not ready:
            ready = at_us
    return max(0, ready - stopping) / 1e6


def _cursor(host: Host) -> str:
    out = host.root("journalctl -q -n 1 --show-cursor -o cat | sed -n 's/^-- cursor: //p'").stdout
    return out.strip()


def _cpu_ms(host: Host) -> float:
    """Processor time of the host so far, by its own control group."""
    for group in host.groups.paths:
        usage = group / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e6
    stat = host.groups.paths[0] / "cpu.stat"
    return int(stat.read_text().split()[1]) / 1e3


def _bytes(host: Host) -> tuple[int, int]:
    """Bytes to the host and from it, as the bridge's end of its link saw them."""
    place = Path("/sys/class/net") / host.link / "statistics"
    return int((place / "tx_bytes").read_text()), int((place / "rx_bytes").read_text())
