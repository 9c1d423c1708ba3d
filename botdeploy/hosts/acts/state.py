"""What a host says of itself, and its audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.host import state_record
from botdeploy.core.text.untrusted import instant
from botdeploy.errors import ActFailed, HostError, OutcomeUnknown
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import parsing
from botdeploy.hosts.acts.records import one_line, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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

    def observe_all(self, instances: Sequence[str]) -> dict[str, HostState | HostError]:
        """Read the states of several instances of one machine; a damaged one is that one's own."""
        return read_states(self._host, self._caller.look("observe", *instances).records, instances)

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


def read_states(
    host: str, records: Iterable[Record], instances: Iterable[str]
) -> dict[str, HostState | HostError]:
    """Read what a machine says of each of ``instances``, or give why that can't be read."""
    said = [one["state"] for one in records if isinstance(one.get("state"), dict)]
    of = {str(one.get("instance")): one for one in said}
    states: dict[str, HostState | HostError] = {}
    for instance in instances:
        try:
            states[instance] = read_state(host, of.get(instance))
        except HostError as error:
            states[instance] = error
    return states


def _entry(record: Record) -> Record:
    """Read an entry of an audit log; one with an impossible time has none."""
    try:
        at = instant(record.get("at"))
    except ValueError:
        at = ""
    return {**plain(record), "at": at}
