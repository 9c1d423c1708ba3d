"""The network of one lab: a bridge, and for each host a namespace with one link into it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.shell import run

PREFIX = "bdl"
"""How the names of all interfaces and namespaces of labs begin."""


@dataclass(frozen=True, slots=True)
class Network:
    """The network number ``number``, which is 0 to 254.

    Number 0 is for the lab that inventories/lab.yml names, which the Vagrantfile offers too: its
    addresses are of the range in which VirtualBox allows networks without being told. The others
    are of 198.18.0.0/15, set aside for benchmarks (RFC 2544): no network at home or at work
    routes it, so a lab hides nothing from its machine.
    """

    number: int

    @property
    def prefix(self) -> str:
        """The first three numbers of every address."""
        return f"198.18.{self.number}" if self.number else "192.168.60"

    @property
    def bridge(self) -> str:
        """The bridge's interface on this machine."""
        return f"{PREFIX}{self.number}"

    @property
    def gateway(self) -> str:
        """This machine's address as the hosts see it."""
        return f"{self.prefix}.1"

    @property
    def cidr(self) -> str:
        """The range of addresses, with its length."""
        return f"{self.prefix}.0/24"

    def link(self, host: int) -> str:
        """Answer the name of the host's link on this machine, and of its namespace."""
        return f"{PREFIX}{self.number}-{host}"

    def address(self, host: int) -> str:
        """Answer the address of the host counted from 1."""
        return f"{self.prefix}.{host + 10}"

    def is_free(self) -> bool:
        """Whether neither an interface nor a route of this machine is in the way."""
        if run(["ip", "link", "show", "dev", self.bridge], check=False).ok:
            return False
        routes = run(["ip", "-4", "route", "show", "root", self.cidr]).stdout.splitlines()
        routes += run(["ip", "-4", "route", "show", "match", self.cidr]).stdout.splitlines()
        return all(route.startswith("default") for route in routes)

    def make(self, hosts: int) -> None:
        """Make the bridge, the links and the namespaces. Raises `CommandError` where one exists."""
        numbers = range(1, hosts + 1)
        outside = [
            f"link add {self.bridge} type bridge forward_delay 0 stp_state 0",
            f"address add {self.gateway}/24 dev {self.bridge}",
            f"link set {self.bridge} up",
        ]
        for host in numbers:
            name = self.link(host)
            outside += [
                f"netns add {name}",
                f"link add {name} type veth peer name eth0 netns {name}",
                f"link set {name} master {self.bridge} up",
            ]
        _batch([], outside)
        for host in numbers:
            inside = [
                "link set lo up",
                f"address add {self.address(host)}/24 dev eth0",
                "link set eth0 up",
            ]
            _batch(["-n", self.link(host)], inside)

    def remove(self, hosts: int) -> None:
        """Remove what `make` made. Repeatable; what is gone already is passed over."""
        numbers = range(1, hosts + 1)
        # By name and first: a namespace that dies keeps its link alive for a moment longer.
        steps = [f"link delete {self.link(host)}" for host in numbers]
        steps += [f"netns delete {self.link(host)}" for host in numbers]
        steps.append(f"link delete {self.bridge}")
        _batch(["-force"], steps, check=False)


def _batch(options: list[str], steps: list[str], *, check: bool = True) -> None:
    run(["ip", *options, "-batch", "-"], stdin="\n".join(steps) + "\n", check=check, what="ip")
