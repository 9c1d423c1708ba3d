"""What the loggers of frameworks really write is judged as people would judge it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from botdeploy.core.lines.assembler import Assembler

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine

DATA = Path(__file__).parents[2] / "data" / "formats"
GROUPS: list[dict[str, Any]] = yaml.safe_load((DATA / "expected.yaml").read_text(encoding="utf-8"))
RECORDED = {name: group for group in GROUPS for name in group["names"]}
DOCUMENTED: list[dict[str, Any]] = yaml.safe_load(
    (DATA / "documented.yaml").read_text(encoding="utf-8")
)
MARKS = ("ready with", "rate limited", "message from")


def read(text: str, step_us: int = 20) -> list[LogLine]:
    """Feed a text as journald stores it: an entry a line, a few microseconds apart."""
    assembler = Assembler()
    out: list[LogLine] = []
    for at, line in enumerate(text.rstrip("\n").split("\n")):
        out += assembler.feed(
            {
                "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + step_us * at),
                "_PID": "5",
                "PRIORITY": "6",
                "MESSAGE": line,
            }
        )
    return out + assembler.flush()


def recorded(name: str) -> list[LogLine]:
    """Read a recorded file."""
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    return read(text, 2_000 if RECORDED[name].get("apart") else 20)


def holds(found: list[LogLine], expected: list[list[str]]) -> bool:
    """Whether these errors are the expected ones, in their order."""
    return len(found) == len(expected) and all(
        want[0] in (line.fingerprint or "") and line.is_fatal == ("fatal" in want)
        for line, want in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_errors_are_those_that_a_person_would_name(name: str) -> None:
    """No error is missed and none is made up; what is fatal is."""
    group = RECORDED[name]
    found = [line for line in recorded(name) if line.is_error]
    told = [(line.fingerprint, line.is_fatal) for line in found]
    if "errors" in group:
        assert holds(found, group["errors"]), told
    else:
        assert holds(found[: len(group["begins"])], group["begins"]), told
        assert holds(found[-len(group["ends"]) :], group["ends"]), told


@pytest.mark.parametrize("name", sorted(name for name in RECORDED if "levels" in RECORDED[name]))
def test_levels_are_those_of_the_logger(name: str) -> None:
    """Of the lines that are no errors."""
    lines = recorded(name)
    for mark, level in zip(MARKS, RECORDED[name]["levels"], strict=True):
        found = next((line for line in lines if mark in line.message), None)
        assert (found.level.name if found and found.level else None) == level


def test_every_recorded_file_is_judged() -> None:
    """A file that nobody looks at is no test."""
    assert {path.stem for path in DATA.glob("*.txt")} == set(RECORDED)


@pytest.mark.parametrize("form", DOCUMENTED, ids=[one["name"] for one in DOCUMENTED])
def test_documented_formats(form: dict[str, Any]) -> None:
    """Formats of programs that were not at hand: level, class and fatality of each line."""
    found = [
        [line.level.name if line.level else None, line.fingerprint, *["fatal"] * line.is_fatal]
        for line in read(form["text"])
    ]
    assert found == form["expect"]
