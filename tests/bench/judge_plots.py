"""Plots of the judge's figures: bars as small SVG files, without a library.

    python -m tests.bench.judge_plots docs/verdict-figures.json docs

The figures are those that ``python -m tests.bench.judge --json FILE`` writes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Cell = dict[str, Any]
"""``runs``, ``aborted`` in per cent, ``minute`` (median), and of the judge ``passed`` as well."""
Figures = dict[str, dict[str, dict[str, Cell]]]
"""By row, by judge, by events a minute."""

GOOD = "good, rough scenario"
JUDGE = "botdeploy"
FALSE_ABORTS = "verdict-false-aborts.svg"
DETECTIONS = "verdict-detections.svg"
FAULTS = ("errors x 5", "errors x 20", "a new error, 1 in 5 min", "gone silent")
_COLOURS = ("#14724f", "#8d99a6", "#c39a3f", "#7d6bb0", "#c4644f")
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
    'height="{height}" font-family="system-ui, sans-serif" font-size="11" fill="#222">'
)
_TIMES = "\N{MULTIPLICATION SIGN}"
_LEFT, _COLUMN, _SPACE, _BAR, _GAP, _TOP = 158, 176, 34, 12, 14, 76


def write_plots(figures: Figures, folder: Path) -> None:
    """Write one file for false aborts and one for detections, the judge beside others."""
    folder.mkdir(parents=True, exist_ok=True)
    if GOOD not in figures:
        return
    title = "Good releases aborted within the hour, %"
    (folder / FALSE_ABORTS).write_text(_drawn(title, "", [(GOOD, figures[GOOD])], {}))
    rows = [(row, figures[row]) for row in FAULTS if row in figures]
    if rows:
        title = "Bad releases found within the hour, %"
        mark = (
            "the line in a bar: how many good ones the same rule aborts; only what is beyond counts"
        )
        (folder / DETECTIONS).write_text(_drawn(title, mark, rows, figures[GOOD]))


def _drawn(
    title: str,
    below: str,
    rows: Sequence[tuple[str, Mapping[str, Mapping[str, Cell]]]],
    good: Mapping[str, Mapping[str, Cell]],
) -> str:
    """Draw a row of bars for each fault, a column for each traffic, a bar for each judge."""
    names = list(rows[0][1])
    rates = list(rows[0][1][names[0]])
    height = _TOP + len(rows) * (_BAR * len(names) + _GAP) + (26 if below else 6)
    width = _LEFT + len(rates) * (_COLUMN + _SPACE)
    parts = [
        _HEAD.format(width=width, height=height),
        f"<title>{title}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="13" font-weight="bold">{title}</text>',
    ]
    at = 10.0
    for number, name in enumerate(names):
        parts.append(
            f'<rect x="{at:.0f}" y="31" width="10" height="10" fill="{_COLOURS[number]}"/>'
            f'<text x="{at + 14:.0f}" y="40">{_plain(name)}</text>'
        )
        at += 30 + 6.4 * len(name)
    for column, rate in enumerate(rates):
        x = _LEFT + column * (_COLUMN + _SPACE)
        said = "event a minute" if rate == "1" else "events a minute"
        parts.append(f'<text x="{x}" y="66" font-weight="bold">{rate} {said}</text>')
    y = _TOP
    for row, cells in rows:
        middle = y + _BAR * len(names) / 2 + 4
        parts.append(
            f'<text x="{_LEFT - 8}" y="{middle:.0f}" text-anchor="end">{_label(row)}</text>'
        )
        for column, rate in enumerate(rates):
            x = _LEFT + column * (_COLUMN + _SPACE)
            for number, name in enumerate(names):
                null = good.get(name, {}).get(rate)
                colour = _COLOURS[number]
                parts += _bar(x, y + number * _BAR, cells[name][rate], colour, null)
        y += _BAR * len(names) + _GAP
    if below:
        parts.append(f'<text x="{_LEFT}" y="{y + 8}" fill="#555">{below}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _bar(x: int, y: int, cell: Cell, colour: str, good: Cell | None) -> Iterator[str]:
    share = cell["aborted"]
    length = max(1.0, share / 100.0 * _COLUMN)
    yield f'<rect x="{x}" y="{y}" width="{length:.1f}" height="{_BAR - 3}" fill="{colour}"/>'
    beyond = length
    if good is not None and good["aborted"] >= 1.0:
        beyond = max(length, good["aborted"] / 100.0 * _COLUMN)
        mark = x + good["aborted"] / 100.0 * _COLUMN
        yield (
            f'<line x1="{mark:.1f}" x2="{mark:.1f}" y1="{y - 1}" y2="{y + _BAR - 2}" '
            'stroke="#111" stroke-width="1.5"/>'
        )
    told = f"{share:.1f}" if 0.0 < share < 10 else f"{share:.0f}"
    yield f'<text x="{x + beyond + 4:.1f}" y="{y + _BAR - 3.5}" font-size="10">{told}</text>'


def _label(row: str) -> str:
    return "good releases" if row == GOOD else _plain(row)


def _plain(text: str) -> str:
    """Write a name for XML, with a real multiplication sign."""
    return re.sub(r"\bx\b", _TIMES, text).replace("&", "&amp;").replace("<", "&lt;")


def main(arguments: Sequence[str]) -> int:
    """Draw the plots of a file of figures."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m tests.bench.judge_plots FIGURES.json FOLDER\n")
        return 2
    write_plots(json.loads(Path(arguments[0]).read_text())["rows"], Path(arguments[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
