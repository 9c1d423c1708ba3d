"""Tables and texts for people: status, plan, releases, history, check."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from botdeploy.core.rollout.audit_names import actor
from botdeploy.core.text.phrases import count
from botdeploy.core.text.printable import visible
from botdeploy.views.local_time import with_local_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Lay rows out under plain headings; nothing is cut off, and no terminal obeys a cell."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(
            *(
                _shown(cell) if isinstance(cell, str) else Text(_shown(cell.plain), cell.style)
                for cell in row
            )
        )
    return grid


def _shown(text: str) -> str:
    return with_local_times(visible(text))


def releases(record: Mapping[str, Any]) -> Table:
    """Show the releases on each host."""
    rows: list[list[str | Text]] = []
    for host in record["hosts"]:
        if not host["reachable"]:
            rows.append([host["host"], Text(host["error"], "red")])
            continue
        for one in host["releases"]:
            marks = [name for name in ("running", "current", "previous", "proven") if one[name]]
            note = f"in quarantine: {one['quarantined']}" if one["quarantined"] else ""
            rows.append([host["host"], one["id"], ", ".join(marks), Text(note, "red")])
    return table(("host", "release", "marks", "note"), rows)


def history(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give who did what when and why, one line an entry; digests by their beginning."""
    rows = [
        [
            str(entry.get("at") or ""),
            *(
                _DIGEST.sub(lambda digest: digest[0][:12], str(one.get(name) or ""))
                for one in [{**entry, "who": actor(entry)}]
                for name in ("host", "act", "release", "outcome", "who", "why")
            ),
        ]
        for entry in entries
    ]
    cells = [[" ".join(_shown(cell).split()) for cell in row] for row in rows]
    widths = [max((len(row[at]) for row in cells), default=0) for at in range(6)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[6]]
        ).rstrip()
        for row in cells
    ]


_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def checks(record: Mapping[str, Any], *, verbose: bool) -> Table:
    """Show the result of each check; with ``verbose`` also of those that passed."""
    rows: list[list[str | Text]] = []
    for host in ({"host": "(here)", "checks": record["controller"]}, *record["hosts"]):
        bad = [item for item in host["checks"] if not item.get("ok")]
        if not bad:
            rows.append([host["host"], Text("ok", "green"), count(len(host["checks"]), "check")])
        for item in host["checks"] if verbose else bad:
            mark = Text("ok", "green") if item.get("ok") else Text("fault", "red")
            text = f"{item['name']}: {item.get('message', '')}".rstrip(": ")
            rows.append([host["host"], mark, text])
    return table(("host", "result", "check"), rows)


def mends(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give how faults are mended: what to do, and each "CHECK on HOST" that it is for."""
    found: dict[str, list[str]] = {}
    for host in ({"host": "", "checks": record["controller"]}, *record["hosts"]):
        for item in host["checks"]:
            if not item.get("ok") and item.get("mend"):
                on = f" on {host['host']}" if host["host"] else " here"
                found.setdefault(str(item["mend"]), []).append(f"{item['name']}{on}")
    return found
