"""Tables for people, the lines of history, and what mends the faults of a check."""

from __future__ import annotations

import re
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from botdeploy.core.rollout.audit_names import actor
from botdeploy.core.text.printable import visible
from botdeploy.views.local_time import with_local_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


GAP = 2
"""Blanks between two columns."""


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    widths: Sequence[int] = (),
    *,
    has_head: bool = True,
) -> Table:
    """Lay rows out under plain headings; nothing is cut off, and no terminal obeys a cell."""
    grid = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0), show_header=has_head
    )
    for column, width in zip_longest(columns, widths):
        grid.add_column(column, overflow="fold", width=width)
    for row in rows:
        grid.add_row(
            *(
                shown(cell) if isinstance(cell, str) else Text(shown(cell.plain), cell.style)
                for cell in row
            )
        )
    return grid


def shown(text: str) -> str:
    """Give a cell as a person sees it."""
    return with_local_times(visible(text))


def history(
    entries: Sequence[Mapping[str, Any]], labels: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Give who did what when and why, one line an entry; digests by their beginning.

    ``labels``: what hosts are called instead of by their name.
    """
    rows = [
        [
            str(entry.get("at") or ""),
            *(
                _DIGEST.sub(lambda digest: digest[0][:12], str(one.get(name) or ""))
                for one in [
                    {
                        **entry,
                        "who": actor(entry),
                        "host": labels.get(str(entry.get("host")), entry.get("host")),
                    }
                ]
                for name in ("host", "act", "release", "outcome", "who", "why")
            ),
        ]
        for entry in entries
    ]
    cells = [[" ".join(shown(cell).split()) for cell in row] for row in rows]
    widths = [max((len(row[at]) for row in cells), default=0) for at in range(6)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[6]]
        ).rstrip()
        for row in cells
    ]


_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def mends(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give how faults are mended: what to do, and each "CHECK on HOST" that it is for."""
    found: dict[str, list[str]] = {}
    for host in ({"host": "", "checks": record["controller"]}, *record["hosts"]):
        for item in host["checks"]:
            if not item.get("ok") and item.get("mend"):
                on = f" on {host['host']}" if host["host"] else " here"
                found.setdefault(str(item["mend"]), []).append(f"{item['name']}{on}")
    return found


def level_notes(record: Mapping[str, Any]) -> list[str]:
    """Say on which hosts no line of the bot states a level, and how to declare it: no fault."""
    found: dict[tuple[str, str], list[str]] = {}
    for host in record["hosts"]:
        for item in host["checks"]:
            if item["name"] == "levels":
                found.setdefault((item["message"], item["mend"]), []).append(host["host"])
    return [f"{', '.join(names)}: {said}; {mend}" for (said, mend), names in found.items()]
