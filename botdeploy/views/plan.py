"""A plan for people: what canary would do, ring by ring and host by host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botdeploy.core.judge.pass_caveats import MEND_LEVELS, NO_LEVELS
from botdeploy.core.text.phrases import count, few, hosts_on
from botdeploy.views.host_tables import host_table
from botdeploy.views.local_time import duration
from botdeploy.views.sentences import changes_of_form, renumbering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from botdeploy.views.host_tables import Cells

Styled = tuple[str, str]
"""A line and its style."""


def head(record: Mapping[str, Any]) -> Iterator[Styled]:
    """Say which release goes where, what would refuse it, and what each ring does."""
    source, kinds = record["source"] or "staged before", record["sources"]
    several = f"{count(len(kinds), 'kind')} of hosts" if len(kinds) > 1 else source
    yield f"{record['bot']} → {record['release']} ({several})", "bold"
    for kind in kinds if len(kinds) > 1 else ():
        yield f"  {few(kind['hosts'])}: {kind['source']} (tree {kind['tree'][:8]})", ""
    if values := record.get("values_changed"):
        told = f"; values changed: env {', '.join(values['env'])}" if values["env"] else ""
        told = "; values of secrets changed" if values["secrets"] else told
        yield f"  the files of {values['from']}{told}", ""
    if record["quarantined"]:
        yield f"in quarantine on {record['quarantined']}; canary would refuse it", "red"
    for name, other in record["other_environment"].items():
        yield f"{name} belongs to environment '{other}'; canary would refuse it", "red"
    for told in changes_of_form(record.get("changes_of_form", ())):
        yield told, "yellow"
    machine_of = {host["host"]: host["machine"] for host in record["hosts"]}
    numbers = record.get("renumbers", ())
    for told in renumbering(numbers, len({machine_of[one["host"]] for one in numbers})):
        yield told, "yellow"
    if numbers:
        yield "canary begins this only with --yes", "yellow"
    yield from required(record.get("requires"))
    for ring in record["rings"]:
        machines = len({machine_of[name] for name in ring["hosts"]})
        yield f"ring {ring['name']}: {', '.join(_ring(ring, machines))}", ""
        if forecast := record["power"]["rings"].get(ring["name"]):
            yield f"  {forecast['text']}", ""
            if forecast["lacking"]:
                yield f"  {forecast['lacking']}", "yellow"
    traffic = record["power"]["traffic"]
    if traffic is not None and not traffic["states_levels"]:
        yield f"no soak can exclude {NO_LEVELS}; {MEND_LEVELS}", "yellow"


def required(found: Mapping[str, Any] | None) -> Iterator[Styled]:
    """Say whether the environment that must have proven it has; nothing where none must."""
    if found is None:
        return
    name = found["environment"]
    if found["met"]:
        for_s = found["proven_for_s"]
        yield f"{name} has proven it" + (f" for {duration(for_s)}" if for_s else ""), ""
    else:
        due = f", due {found['until']}" if found["until"] else ""
        yield f"{found['why']}{due}; canary would not begin a ring", "yellow"
    if found["missing_platforms"]:
        kinds = ", ".join(found["missing_platforms"])
        yield f"{name} has no host with this kind of processor: {kinds}", "yellow"


def _ring(ring: Mapping[str, Any], machines: int) -> Iterator[str]:
    hosts = hosts_on(len(ring["hosts"]), machines)
    batches = f" in {ring['batches']} batches of {ring['batch']}" if ring["batches"] > 1 else ""
    yield f"{hosts}{batches}"
    if ring["soak_s"]:
        yield f"soak {duration(ring['soak_s'])}"
    yield f"settle {duration(ring['settle_s'])}"
    if ring["gate"] != "none":
        yield "needs an approval"
    if ring["window"]:
        yield f"only {ring['window']}"


def hosts(record: Mapping[str, Any]) -> RenderableType:
    """Show what changes on each host."""
    rows: list[tuple[Mapping[str, Any], Cells]] = []
    for host in record["hosts"]:
        if host["error"]:
            rows.append((host, (host["ring"], f"cannot be reached: {host['error']}")))
            continue
        change = f"{host['from'] or 'nothing'} → {host['to']}"
        if host["from"] == host["to"]:
            change = f"{host['to']} (runs already)"
        sent, changed = f"{host['bytes']} B", count(host["files"], "file")
        rows.append((host, (host["ring"], change, sent, changed)))
    return host_table(("host", "ring", "release", "to send", "changed"), rows)


def changes(record: Mapping[str, Any]) -> Iterator[Styled]:
    """Show what changes in unit and environment: each diff once, also where names alone differ."""
    shown: set[str] = set()
    for host in record["hosts"]:
        for key, title in (("unit_diff", "unit"), ("environment_diff", "environment")):
            text = "\n".join(host.get(key) or [])
            alike = _without_instance(text, host["instance"])
            if text and alike not in shown:
                shown.add(alike)
                yield f"{title} on {host['host']}:", ""
                yield text, "dim"


def _without_instance(text: str, instance: str | None) -> str:
    """Take the instance's name out of its unit's and its folder's."""
    if instance is None:
        return text
    return re.sub(rf"(@|/instances/){re.escape(instance)}(?![\w-])", r"\1", text)
