"""The nouns of a rollout as an inventory states them: environment, bot, hosts, rings, policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.address import Address


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never shown: ``repr`` and ``str`` print stars, ``reveal`` the value."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Give the value to the one place that sends it."""
        return self._value

    def __str__(self) -> str:
        return "********"

    def __repr__(self) -> str:
        return "Secret(********)"


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a group: a count of hosts (``3``) or a percentage (``25%``)."""

    count: int | None = None
    percent: float | None = None

    def of(self, total: int) -> int:
        """Hosts out of ``total``, at least one where there is one: percentages round up."""
        if self.count is not None:
            return min(self.count, total)
        return min(total, ceil(total * (self.percent or 0.0) / 100.0))

    def at_most(self, total: int) -> int:
        """Give how many of ``total`` are not yet too many: percentages round down."""
        if self.count is not None:
            return self.count
        return int(total * (self.percent or 0.0) / 100.0)

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


class ReadyKind(StrEnum):
    """How a bot shows that it is ready to work."""

    ACTIVE = "active"
    """Nothing asked: the unit is active and its process stays the same for two seconds."""
    PATTERN = "pattern"
    NOTIFY = "notify"
    PORT = "port"
    HTTP = "http"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What to wait for after a start, and for how long."""

    kind: ReadyKind = ReadyKind.ACTIVE
    value: str = ""
    """Extended regular expression, port number, URL or shell command, by ``kind``."""
    timeout: timedelta = timedelta(seconds=30)


class ProbeKind(StrEnum):
    """Where the numbers come from that a bot's journal does not tell."""

    COMMAND = "command"
    HTTP = "http"
    PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask a running bot during its soak, and how often."""

    kind: ProbeKind
    value: str
    """Shell command or URL, by ``kind``."""
    interval: timedelta = timedelta(seconds=5)


class SecretsBy(StrEnum):
    """How secrets reach the bot's process."""

    ENVIRONMENT = "environment"
    CREDENTIAL = "credential"
    """systemd's LoadCredential: one file each in ``$CREDENTIALS_DIRECTORY``."""


@dataclass(frozen=True, slots=True)
class Bot:
    """The one systemd service that an environment deploys; paths are absolute by now."""

    name: str
    command: str
    source: str
    """Folder, archive, wheel or git URL; made absolute against the inventory's folder."""
    ref: str | None = None
    build: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Name to reference (``env:NAME``, ``file:PATH``, ``command:CMD``), not to the value."""
    secrets_by: SecretsBy = SecretsBy.ENVIRONMENT
    shared: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    keep: int = 5
    ready: Readiness = Readiness()
    user: str = ""
    """The system user that the bot runs as; empty means the bot's name."""
    stop_timeout: timedelta = timedelta(seconds=20)
    unit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Directives of ``[Service]`` that replace or extend the default unit's; () removes one."""
    templates: str | None = None
    """Folder whose ``unit.service.j2`` and ``environment.j2`` override the defaults."""
    probe: Probe | None = None

    @property
    def run_as(self) -> str:
        """The user that the unit names."""
        return self.user or self.name


@dataclass(frozen=True, slots=True)
class Host:
    """One inventory host, with the address to reach it and the bot as its variables make it."""

    name: str
    address: Address
    bot: Bot
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    """All merged Ansible variables, for templates (``inventory_hostname`` and the rest)."""


class Gate(StrEnum):
    """What opens a ring besides the ring before it."""

    NONE = "none"
    APPROVE = "approve"


class OnFail(StrEnum):
    """Which hosts go back when a verdict is ``fail``."""

    FLEET = "fleet"
    RING = "ring"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Ring:
    """An ordered group of hosts that get a release together."""

    name: str
    selector: str | Share
    """Ansible's host pattern, or how many hosts (a percentage: of all) out of those that no earlier
    ring has."""
    hosts: tuple[str, ...] = ()
    """The hosts that the selector means, in inventory order; of a count or percentage all that it
    may choose from: it is resolved at observation, so that hosts that already run the release are
    its members first."""
    soak: timedelta = timedelta(0)
    settle: timedelta = timedelta(seconds=10)
    batch: Share = Share(count=1)
    gate: Gate = Gate.NONE
    window: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    announce: Mapping[str, str] = field(default_factory=dict)
    """Texts (Jinja2) for the bot's users: ``begin``, ``end``."""
    announce_to: tuple[str, ...] = ()
    """Where those go: Apprise URLs or references to them; empty: where the team is told."""


class LeaseUntil(StrEnum):
    """When a host stops needing a controller to keep its new release."""

    SETTLE = "settle"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a pending release lives without hearing from a controller."""

    ttl: timedelta = timedelta(seconds=90)
    until: LeaseUntil = LeaseUntil.SETTLE

    @property
    def ttl_s(self) -> int:
        """The term in whole seconds, as hosts are given it; at least one."""
        return max(1, int(self.ttl.total_seconds()))


@dataclass(frozen=True, slots=True)
class Policy:
    """How a release goes through the rings."""

    rings: tuple[Ring, ...]
    lease: Lease = Lease()
    attended_soak: timedelta = timedelta(minutes=30)
    watch: timedelta = timedelta(0)
    """For how long the last ring is watched after its pass, before the rollout is over."""
    max_unreachable: Share = Share(count=0)
    on_fail: OnFail = OnFail.FLEET
    judge: Mapping[str, Any] = field(default_factory=dict)
    """Validated options of the judge, only those that are stated: preset, false_abort_rate, worse,
    grace, deadline; and of lines ignore, fatal, same (tuples), latency, handled."""
    only: frozenset[str] | None = None
    """Hosts that ``--limit`` leaves; None means all."""
    id: str = ""
    """What hosts know the environment by; empty: its name."""
    notify: tuple[str, ...] = ()
    """Where the team is told: one Apprise URL each, or a reference (``env:NAME``) to one."""


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

    @property
    def known_as(self) -> str:
        """What hosts know the environment by."""
        return self.policy.id or self.environment

    @property
    def bot_name(self) -> str:
        """The one bot of the environment; hosts agree on it or the inventory does not load."""
        return self.hosts[0].bot.name

    def host(self, name: str) -> Host:
        """Look a host up by its inventory name; raises KeyError."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)
