"""Plots of the judge's figures: bars as small SVG files, without a library."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLOURS = ("#1a7f5a", "#9aa5b1", "#c7a252", "#8f7fb8", "#c96f5d")
_LEFT, _BAR, _GAP, _WIDTH = 150, 13, 12, 420


def write_plots(figures: Mapping[str, Mapping[str, Sequence[Sequence[int]]]], folder: Path) -> None:
    """Write one file for false aborts and one for detections, judge beside rivals."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {
        "false-aborts.svg": ("good releases aborted, %", ("good, rough world",)),
        "detections.svg": (
            "bad releases found within an hour, %",
            ("errors x 5", "errors x 20", "a new error, 1 in 5 min", "gone silent"),
        ),
    }
    for name, (title, rows) in plots.items():
        known = [row for row in rows if row in figures]
        if known:
            (folder / name).write_text(_bars(title, {row: figures[row] for row in known}))


def _bars(title: str, rows: Mapping[str, Mapping[str, Sequence[Sequence[int]]]]) -> str:
    """Draw groups of bars: a group for each row and rate, a bar for each judge."""
    names = list(dict.fromkeys(key.split("@")[0] for row in rows.values() for key in row))
    parts: list[str] = []
    y = 46
    for at, name in enumerate(names):
        x = 10 + at * 112
        parts.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{_COLOURS[at]}"/>')
        parts.append(f'<text x="{x + 14}" y="33">{"botdeploy" if name == "judge" else name}</text>')
    for row, cells in rows.items():
        for rate in dict.fromkeys(key.split("@")[1] for key in cells):
            label = f"{row}, {rate}/min".replace("good, rough world, ", "")
            parts.append(
                f'<text x="{_LEFT - 6}" y="{y + _BAR * len(names) / 2 + 4}" '
                f'text-anchor="end">{label}</text>'
            )
            for at, name in enumerate(names):
                minutes = cells[f"{name}@{rate}"][0]
                share = 100.0 * sum(1 for one in minutes if one) / len(minutes)
                width = max(1.0, share / 100.0 * _WIDTH)
                parts.append(
                    f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                    f'fill="{_COLOURS[at]}"/>'
                    f'<text x="{_LEFT + width + 4:.1f}" y="{y + _BAR - 4}">{share:.0f}</text>'
                )
                y += _BAR
            y += _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 40}" height="{y}" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/><text x="10" y="16" '
        f'font-weight="bold">{title}</text>{"".join(parts)}</svg>\n'
    )
