"""A rollout's policy: rings and their gates, the lease, and what goes back on a fail."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Any

from botdeploy.core.model.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.allowed_hours import Window


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
    window: Window | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    announce: Mapping[str, str] = field(default_factory=dict)
    """Texts (Jinja2) for the bot's users: ``begin``, ``end``."""
    announce_to: tuple[str, ...] = ()
    """Where those go: Apprise URLs or references to them; empty: where the team is told."""
    renumbers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of the ring that changes numbers: its hosts, with their old and new ``INDEX/COUNT``."""
    own: Mapping[str, Ring] = field(default_factory=dict)
    """Of such a ring: the one that each host is in otherwise, and whose ``env`` it gets."""

    def of(self, host: str) -> Ring:
        """Give the ring with the ``env`` that one of its hosts gets."""
        return replace(self, env=self.own[host].env) if host in self.own else self


@dataclass(frozen=True, slots=True)
class Requires:
    """Another environment, which must have proven a release before a ring of this one begins."""

    environment: str
    """Its name in the folder of this one's inventory."""
    proven_for: timedelta = timedelta(0)
    file: str = ""
    """Which file states it, and on which line."""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How a release goes through the rings."""

    rings: tuple[Ring, ...]
    lease: Lease = field(default_factory=Lease)
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
    requires: Requires | None = None
    id: str = ""
    """What hosts know the environment by; empty: its name."""
    notify: tuple[str, ...] = ()
    """Where the team is told: one Apprise URL each, or a reference (``env:NAME``) to one."""
