"""History: the audit logs of all hosts, merged."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botdeploy.engine.commands.history import history
from botdeploy.errors import Unreachable
from tests.views.canned import inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botdeploy.core.model.inventory import Host

AUDIT = {
    "w1/1": [{"at": "2026-11-22T21:05:02Z", "act": "prove"}],
    "w1/2": [{"at": "2026-11-22T21:05:01Z", "act": "switch"}],
}


class AuditedFleet:
    """Hosts that have an audit log each; ``w2`` is away."""

    def __init__(self) -> None:
        """Two instances on one machine, and a plain host."""
        plain = inventory(["w1/1", "w1/2", "w2"]).hosts
        self.hosts = {host.name: host for host in plain}
        for name in AUDIT:
            self.hosts[name] = replace(self.hosts[name], machine="h:22", instance=name[-1])

    def host(self, name: str) -> Host:
        """Look one up."""
        return self.hosts[name]

    def acts(self, name: str) -> Any:
        """Give a host's acts."""
        return SimpleNamespace(state=SimpleNamespace(audit=lambda: AUDIT[name]))

    def each(self, names: Iterable[str], ask: Callable[[str], Any]) -> dict[str, Any]:
        """Ask hosts."""
        return {
            name: ask(name) if name in AUDIT else Unreachable(name, "no route") for name in names
        }


def test_an_entry_says_which_host_machine_and_instance_it_is_of() -> None:
    """In the order of time, whichever host it is."""
    fleet: Any = AuditedFleet()
    found = history(fleet, fleet.hosts)
    assert [entry["act"] for entry in found.entries] == ["switch", "prove"]
    assert found.entries[0]["host"] == "w1/2"
    for entry in found.entries:
        place = fleet.host(entry["host"]).place
        assert {key: entry[key] for key in place} == place
    assert list(found.away) == ["w2"]
