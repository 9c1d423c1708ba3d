"""An inventory: one environment's hosts, its bot and its policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.address import Address
    from botdeploy.core.model.bot import Bot
    from botdeploy.core.model.policy import Policy


@dataclass(frozen=True, slots=True)
class Host:
    """One instance: where it is reached, and the bot as the variables make it there."""

    name: str
    address: Address
    bot: Bot
    groups: tuple[str, ...] = ()
    instance: str | None = None
    """Its name on its machine; None in the plain form, where the bot is alone there."""
    machine: str = ""
    """The machine's address and port; equal for hosts on one machine. Empty: one of its own."""

    @property
    def on_machine(self) -> str:
        """What tells its machine from all others of the environment."""
        return self.machine or self.name


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
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each host's Ansible variables, for templates; worked out where a template names one."""

    @property
    def known_as(self) -> str:
        """What hosts know the environment by."""
        return self.policy.id or self.environment

    @property
    def bot(self) -> Bot:
        """The environment's bot, as its first host has it; variables and secrets may differ."""
        return self.hosts[0].bot

    @property
    def bot_name(self) -> str:
        """The one bot of the environment; hosts agree on it or the inventory does not load."""
        return self.bot.name

    @property
    def machines(self) -> dict[str, tuple[str, ...]]:
        """Give the names of the hosts on each machine, both in the inventory's order."""
        found: dict[str, tuple[str, ...]] = {}
        for host in self.hosts:
            found[host.on_machine] = (*found.get(host.on_machine, ()), host.name)
        return found

    def host(self, name: str) -> Host:
        """Look a host up by its inventory name; raises KeyError."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)
