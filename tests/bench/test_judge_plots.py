"""The plots of docs/verdict.md are those of the measured figures beside them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.bench.judge_plots import DETECTIONS, FALSE_ABORTS, FAULTS, GOOD, JUDGE, write_plots

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = DOCS / "verdict-figures.json"


def test_the_plots_show_the_figures(tmp_path: Path) -> None:
    """Drawn anew from the figures they are the same files."""
    write_plots(json.loads(FIGURES.read_text())["rows"], tmp_path)
    for name in (FALSE_ABORTS, DETECTIONS):
        assert (tmp_path / name).read_text() == (DOCS / name).read_text(), name


def test_a_plot_is_an_image_with_a_bar_for_each_figure(tmp_path: Path) -> None:
    """Every judge has one bar a traffic and row, as long as its share."""
    rows = json.loads(FIGURES.read_text())["rows"]
    write_plots(rows, tmp_path)
    root = ET.fromstring((tmp_path / DETECTIONS).read_text())  # noqa: S314 - our own file
    told = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    cells = [cell for row in FAULTS for judge in rows[row].values() for cell in judge.values()]
    numbers = [one for one in told if one and one.replace(".", "").isdigit()]
    assert len(numbers) == len(cells)


def test_the_page_tells_the_judges_figures() -> None:
    """The false aborts of the table are those that were measured."""
    page = (DOCS / "verdict.md").read_text()
    good = json.loads(FIGURES.read_text())["rows"][GOOD][JUDGE]
    for rate, cell in good.items():
        assert f"{cell['aborted']:.1f} @{cell['minute']:.0f}" in page, rate
