"""What systemd told last of a unit: needed to understand what it says next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.level import level_of_priority
from botdeploy.core.lines.line import MAX_MESSAGE, LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord, read_system_record

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDED = frozenset({SystemKind.STOPPED, SystemKind.FAILED, SystemKind.RESTART})


class UnitState:
    """Follows systemd's records of one unit, in the journal's order."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.invocation: str | None = None
        """The process run that began last."""
        self._is_stopping = False
        self._has_ended_well = False

    def read(self, entry: Mapping[str, Any], text: str) -> SystemRecord | None:
        """Read a record of systemd's or journald's; None of what is none."""
        return read_system_record(
            entry, text, is_stopping=self._is_stopping, has_ended_well=self._has_ended_well
        )

    def line(
        self, entry: Mapping[str, Any], record: SystemRecord, text: str, at_us: int
    ) -> LogLine:
        """Make the record's line, and note what it tells of the unit; ``text`` is masked."""
        invocation = entry.get("INVOCATION_ID") or entry.get("_SYSTEMD_INVOCATION_ID")
        kind = record.kind
        if record.is_new_process:
            self.invocation = invocation or self.invocation
            self._is_stopping = self._has_ended_well = False
        elif kind is SystemKind.DEACTIVATED:
            self._has_ended_well = True
        elif kind in {SystemKind.CRASHED, SystemKind.COREDUMP}:
            self._has_ended_well = False
        elif kind is SystemKind.STOPPING:
            self._is_stopping = True
        elif kind is SystemKind.LIFETIME:
            self._is_stopping = self._has_ended_well = True
        elif kind in _ENDED:
            self._is_stopping = False
        return LogLine(
            at_us,
            LineKind.DROPPED if kind is SystemKind.DROPPED else LineKind.SYSTEMD,
            level_of_priority(entry.get("PRIORITY")),
            text[:MAX_MESSAGE],
            None,
            None,
            invocation or self.invocation,
            entry.get("__CURSOR") or "",
            system=record,
        )

    def save(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "invocation": self.invocation,
            "stopping": self._is_stopping,
            "ended_well": self._has_ended_well,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``save`` gave; what is not there stays as it is."""
        invocation = saved.get("invocation", self.invocation)
        self.invocation = None if invocation is None else str(invocation)
        self._is_stopping = bool(saved.get("stopping", self._is_stopping))
        self._has_ended_well = bool(saved.get("ended_well", self._has_ended_well))
