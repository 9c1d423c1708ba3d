"""What a host says of itself, and its audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.host import state_record
from botdeploy.core.text.untrusted import instant
from botdeploy.errors import ActFailed, OutcomeUnknown
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import parsing
from botdeploy.hosts.acts.records import one_line, plain

if TYPE_CHECKING:
    from botdeploy.core.host.host_state import HostState
    from botdeploy.hosts.acts.records import Record

MOST_AUDITED = 1000
"""Entries of the audit log that are read."""


class StateActs(Subject):
    """Looks at a host: changes nothing, also where botdeploy was never before."""

    def observe(self) -> HostState:
        """Read the host's state."""
        reply = self._caller.look("observe")
        return read_state(self._host, reply.get("state"))

    def audit(self) -> list[Record]:
        """Read the last entries of the host's audit log."""
        reply = self._caller.look("audit", MOST_AUDITED)
        with parsing(self._host, "audit"):
            return [_entry(record["audit"]) for record in reply.records if "audit" in record]

    def note(self, who: str, what: str) -> None:
        """Write a line into the host's audit log that is no act on it; repeating it repeats it."""
        self._caller.call("note", one_line(who), one_line(what))


def read_state(host: str, record: object) -> HostState:
    """Read what a host says of itself; raises ActFailed where that is damaged."""
    if not isinstance(record, dict):
        raise OutcomeUnknown(host, "observe: the host sent no state")
    with parsing(host, "observe", ActFailed):
        state = state_record.from_record(record)
        if not state.at:
            raise ValueError("it does not say what time it is")
        return state


def _entry(record: Record) -> Record:
    """Read an entry of an audit log; one with an impossible time has none."""
    try:
        at = instant(record.get("at"))
    except ValueError:
        at = ""
    return {**plain(record), "at": at}
