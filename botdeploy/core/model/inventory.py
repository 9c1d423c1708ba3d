"""An inventory: one environment's hosts, its bot and its policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.address import Address
    from botdeploy.core.model.bot import Bot
    from botdeploy.core.model.policy import Policy

ANY_INSTANCE = "40933718265550"
"""Stands for an instance's name: one that nobody writes, and that no filter for letters changes."""


ANY_NUMBER = 40933718265552
"""Stands for an instance's index, and for how many there are."""


@dataclass(frozen=True, slots=True)
class Host:
    """One instance: where it is reached, and the bot as the variables make it there."""

    name: str
    address: Address
    bot: Bot
    groups: tuple[str, ...] = ()
    instance: str | None = None
    """Its name on its machine; None in the plain form, where the bot is alone there."""
    alike: Bot | None = None
    """The bot with a stand-in for the instance's name, where nothing else of it depends on that."""
    unnumbered: Bot | None = None
    """The bot with stand-ins for name, index and count; None where it is made with no number."""
    numbers: str = ""
    """``INDEX/COUNT`` where its bot is made with them, ``INDEX`` or ``/COUNT`` where with one."""
    machine: str = ""
    """The machine's address and port; equal for hosts on one machine. Empty: one of its own."""

    @property
    def unit(self) -> str:
        """The systemd unit's name."""
        return f"{self.service}.service"

    @property
    def service(self) -> str:
        """What its unit and its folders in /run and /var are called."""
        return self.bot.name if self.instance is None else f"{self.bot.name}@{self.instance}"

    @property
    def home(self) -> str:
        """Its folder on its machine."""
        home = f"/opt/{self.bot.name}"
        return home if self.instance is None else f"{home}/instances/{self.instance}"

    @property
    def on_machine(self) -> str:
        """What tells its machine from all others of the environment."""
        return self.machine or self.name

    @property
    def place(self) -> dict[str, str | None]:
        """Say which host it is, as every record of machine output that is about one does."""
        return {"host": self.name, "machine": self.on_machine, "instance": self.instance}


@dataclass(frozen=True, slots=True)
class Inventory:
    """An environment: its hosts in order, its policy, and the files that it was read from."""

    environment: str
    path: str
    hosts: tuple[Host, ...]
    policy: Policy
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Hosts of the files that are no part of the environment, and why."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the inventory was read, one sentence each."""
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Hosts of the files that stand for several instances, and the names of those."""
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each host's Ansible variables, for templates; worked out where a template names one."""
    _hosts: dict[str, Host] = field(init=False, repr=False, compare=False)
    """The hosts by name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hosts", {host.name: host for host in reversed(self.hosts)})

    @property
    def known_as(self) -> str:
        """What hosts know the environment by."""
        return self.policy.id or self.environment

    @property
    def bot_name(self) -> str:
        """The one bot of the environment; hosts agree on it or the inventory does not load."""
        return self.hosts[0].bot.name

    @property
    def machines(self) -> dict[str, tuple[str, ...]]:
        """Give the names of the hosts on each machine, both in the inventory's order."""
        found: dict[str, list[str]] = {}
        for host in self.hosts:
            found.setdefault(host.on_machine, []).append(host.name)
        return {machine: tuple(names) for machine, names in found.items()}

    @property
    def machine_of(self) -> dict[str, str]:
        """Say which machine each host is on."""
        return {host.name: host.on_machine for host in self.hosts}

    @property
    def is_shared(self) -> bool:
        """Tell whether hosts share machines, so that people are told which one they are on."""
        return any(host.instance is not None for host in self.hosts)

    def host(self, name: str) -> Host:
        """Look a host up by its inventory name; raises KeyError."""
        return self._hosts[name]
