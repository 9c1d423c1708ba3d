"""Events: what happened, when, where; every rendering is made from these and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


class Kind(StrEnum):
    """The closed set of events that ``--json`` prints; scripts rely on the names."""

    ROLLOUT_STARTED = "rollout_started"
    STAGED = "staged"
    SWITCHED = "switched"
    EVIDENCE = "evidence"
    VERDICT = "verdict"
    PROMOTED = "promoted"
    REVERTED = "reverted"
    HOST_FAILED = "host_failed"
    WAITING = "waiting"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened during a command."""

    kind: Kind
    at: datetime
    environment: str
    rollout: str | None = None
    release: str | None = None
    ring: str | None = None
    host: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    machine: str | None = None
    """Where the host is; None where no host is named."""
    instance: str | None = None
    is_tried_again: bool = False
    """Of a return: it says nothing of the release. Not printed."""

    def as_record(self) -> dict[str, Any]:
        """Give the event as the flat object that ``--json`` prints."""
        record: dict[str, Any] = {
            "event": self.kind.value,
            "at": self.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "environment": self.environment,
        }
        for name in ("rollout", "release", "ring", "host"):
            value = getattr(self, name)
            if value is not None:
                record[name] = value
        if self.host is not None:
            record |= {"machine": self.machine, "instance": self.instance}
        record.update(self.data)
        return record


Listener = Callable[[Event], None]
"""What is told of every event: the live view, the JSON lines, the notices."""
