"""Status for people: what runs on each host, and in what state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from botdeploy.views import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

_STATES = {"active": "green", "failed": "bold red", "activating": "yellow", "inactive": "dim"}


def table(record: Mapping[str, Any]) -> Table:
    """Show what runs on each host."""
    rows = []
    for host in record["hosts"]:
        if not host["reachable"]:
            rows.append([host["host"], host["ring"] or "", Text("cannot be reached", "red")])
            continue
        runs = host["running"] or "nothing"
        if host["current"] and host["running"] and host["current"] != host["running"]:
            runs += f" (current: {host['current']})"
        state = host["active_state"] or "unknown"
        notes = []
        if host["lease_until"]:
            notes.append(f"pending, lease until {host['lease_until']}")
        rows.append(
            [
                host["host"],
                host["ring"] or "",
                runs,
                Text(state, _STATES.get(state, "")),
                str(host["restarts"]),
                host["since"] or "",
                host["previous"] or "",
                "; ".join(notes),
            ]
        )
    return tables.table(
        ("host", "ring", "runs", "state", "restarts", "since", "previous", "note"), rows
    )
