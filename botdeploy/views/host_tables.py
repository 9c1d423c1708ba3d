"""Tables of hosts: below the machine that they share, where hosts share machines."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from botdeploy.core.text.phrases import count
from botdeploy.views.tables import GAP, shown, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

Cells = tuple[str | Text, ...]
"""A row without the host's name."""


def host_table(
    columns: Sequence[str], rows: Iterable[tuple[Mapping[str, Any], Cells]]
) -> RenderableType:
    """Lay out rows about hosts; each comes with a record that says which host it is about.

    Where hosts are instances, their rows stand below the name of their machine.
    """
    given = list(rows)
    if not is_shared(host for host, _ in given):
        return table(columns, ((host["host"], *cells) for host, cells in given))
    groups: dict[str, list[Cells]] = {}
    for host, cells in given:
        machine = host.get("machine") or ""
        name = f"  {host['host']}" if machine else host["host"]
        groups.setdefault(machine, []).append((name, *cells))
    return _ByMachine(columns, groups)


def is_shared(hosts: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether records are about instances, which are told with their machines."""
    return any(host.get("instance") for host in hosts)


def releases(record: Mapping[str, Any]) -> RenderableType:
    """Show the releases on each host."""
    rows: list[tuple[Mapping[str, Any], Cells]] = []
    for host in record["hosts"]:
        if not host["reachable"]:
            rows.append((host, (Text(host["error"], "red"),)))
            continue
        for one in host["releases"]:
            marks = [name for name in ("running", "current", "previous", "proven") if one[name]]
            note = f"in quarantine: {one['quarantined']}" if one["quarantined"] else ""
            rows.append((host, (one["id"], ", ".join(marks), Text(note, "red"))))
    return host_table(("host", "release", "marks", "note"), rows)


def checks(record: Mapping[str, Any], *, verbose: bool) -> RenderableType:
    """Show the result of each check; with ``verbose`` also of those that passed."""
    rows: list[tuple[Mapping[str, Any], Cells]] = []
    for host in ({"host": "(here)", "checks": record["controller"]}, *record["hosts"]):
        bad = [item for item in host["checks"] if not item.get("ok")]
        if not bad:
            rows.append((host, (Text("ok", "green"), count(len(host["checks"]), "check"))))
        for item in host["checks"] if verbose else bad:
            mark = Text("ok", "green") if item.get("ok") else Text("fault", "red")
            text = f"{item['name']}: {item.get('message', '')}".rstrip(": ")
            rows.append((host, (mark, text)))
    return host_table(("host", "result", "check"), rows)


class _ByMachine:
    """One heading for all; then each machine's name and its rows, in the same columns."""

    def __init__(self, columns: Sequence[str], groups: Mapping[str, Sequence[Cells]]) -> None:
        self._columns, self._groups = columns, groups

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Write it as wide as there is room."""
        used = max(map(len, _texts(row for rows in self._groups.values() for row in rows)))
        columns = self._columns[:used]
        groups = {name: [row[:used] for row in rows] for name, rows in self._groups.items()}
        widths = _fitting(
            [columns, *_texts(row for rows in groups.values() for row in rows)], options.max_width
        )
        yield table(columns, (), widths)
        for machine, rows in groups.items():
            if machine:
                yield Text(shown(machine), "bold")
            yield table(columns, rows, widths, has_head=False)


def _texts(rows: Iterable[Cells]) -> Iterator[list[str]]:
    """Give what is shown of rows, without the empty cells at their ends."""
    for row in rows:
        texts = [shown(cell if isinstance(cell, str) else cell.plain) for cell in row]
        while texts and not texts[-1]:
            texts.pop()
        yield texts


def _fitting(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Give each column the width of its widest cell; where there is no room, the widest yield.

    At first between words; where that is not enough, words are folded too.
    """
    columns = list(zip_longest(*rows, fillvalue=""))
    widths = [max(map(cell_len, texts)) for texts in columns]
    words = [max(cell_len(one) for text in texts for one in text.split(" ")) for texts in columns]
    words[0] = widths[0]  # the host's name, which is set in
    room = max(room - GAP * (len(columns) - 1), len(columns))
    while sum(widths) > room:
        slack = [width for width, word in zip(widths, words, strict=True) if width > word]
        widest = max(slack or widths)
        at = next(
            place
            for place, width in enumerate(widths)
            if width == widest and (not slack or width > words[place])
        )
        widths[at] -= 1
    return widths
