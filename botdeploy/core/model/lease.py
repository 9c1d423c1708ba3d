"""A lease: how long a switched host waits for a confirmation before it reverts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


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
