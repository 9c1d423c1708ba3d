"""A bot: its unit, command, readiness, probe and secrets, as an inventory states them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
