"""Status in words: what runs on each host, and what is wrong with a bot that does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.core.host.running import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from botdeploy.core.host.host_state import BotFault
    from botdeploy.core.model.inventory import Host
    from botdeploy.views.host_tables import Cells

_STATES = {"active": "green", "failed": "bold red", "activating": "yellow", "inactive": "dim"}


def table(record: Mapping[str, Any]) -> RenderableType:
    """Show what runs on each host."""
    from rich.text import Text

    from botdeploy.views.host_tables import host_table

    rows: list[tuple[Mapping[str, Any], Cells]] = []
    for host in record["hosts"]:
        if not host["reachable"]:
            rows.append((host, (host["ring"] or "", Text("cannot be reached", "red"))))
            continue
        runs = host["running"] or "nothing"
        if host["current"] and host["running"] and host["current"] != host["running"]:
            runs += f" (current: {host['current']})"
        state = host["active_state"] or "unknown"
        notes = []
        if host["lease_until"]:
            notes.append(f"pending, lease until {host['lease_until']}")
        rows.append(
            (
                host,
                (
                    host["ring"] or "",
                    runs,
                    Text(state, _STATES.get(state, "")),
                    str(host["restarts"]),
                    host["since"] or "",
                    host["previous"] or "",
                    "; ".join(notes),
                ),
            )
        )
    rows += [(one, ("", "", "not in the inventory")) for one in record.get("not_in_inventory", ())]
    return host_table(
        ("host", "ring", "runs", "state", "restarts", "since", "previous", "note"), rows
    )


def errors(record: Mapping[str, Any]) -> Iterable[str]:
    """Say what is wrong with hosts."""
    machines = {host["host"]: host["machine"] for host in record["hosts"]}
    wrong = ((host["host"], host["error"]) for host in record["hosts"] if host["error"])
    return once_a_machine(machines, wrong)


def once_a_machine(machines: Mapping[str, str], told: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Say what is told of hosts; what is the same of several on one machine is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, text in told:
        found.setdefault((machines[name], text), []).append(name)
    return (f"{', '.join(names)}: {text}" for (_, text), names in found.items())


def login(host: Host) -> str:
    """Name where a person has to log in to work on a host by hand."""
    return host.name if host.instance is None else host.on_machine


def fault_sentence(fault: BotFault, environment: str, host: Host) -> str:
    """Say what is wrong with a bot that should run, and what to type."""
    logs = f"see: botdeploy logs {environment} --limit {host.name}"
    again = f"botdeploy rollback {environment} --to {fault.release} --limit {host.name} --keep"
    match fault.runs:
        case Runs.RUNNING:
            unit = f"{host.home}/current/.botdeploy/{host.unit}"
            return (
                "it runs, but its unit is not enabled, so it would not start at the next boot; "
                f"on {login(host)}: systemctl enable {unit}"
            )
        case Runs.ENDED:
            why = f"systemd no longer restarts it: {fault.why}" if fault.is_given_up else fault.why
            return f"{why}; {logs}; to start it: botdeploy canary {environment}, or {again}"
        case Runs.LOOPING:
            return f"{fault.why}; {logs}"
        case Runs.OTHER:
            return f"{fault.why}; to run {fault.release}: {again}"
        case _:
            return f"{fault.why}; to start it: {again}"
