"""A journal that a real host wrote, read whole."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from botdeploy.core.evidence.attribution import Attribution
from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import JOURNAL_FIELDS, LogLine
from botdeploy.core.lines.systemd_record import SystemKind

PATH = Path(__file__).parents[2] / "data" / "journal" / "host.jsonl.gz"


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    with gzip.open(PATH, "rt", encoding="utf-8") as file:
        return [json.loads(row) for row in file]


@pytest.fixture(scope="module")
def lines(entries: list[dict[str, Any]]) -> list[LogLine]:
    assembler = Assembler()
    return [line for entry in entries for line in assembler.feed(entry)] + assembler.flush()


def runs_of(lines: list[LogLine]) -> list[str]:
    return list(dict.fromkeys(line.invocation for line in lines if line.invocation))


def test_systemd_tells_the_story(lines: list[LogLine]) -> None:
    """Three crashes up to the start limit, a clean stop, a failed import, a missing program."""
    kinds = [line.system.kind.value for line in lines if line.system]
    crash = ["starting", "started", "crashed", "failed", "restart", "stopped"]
    assert kinds == [
        *crash,
        *crash,
        *crash,
        *["start-limit", "failed", "start-failed"],
        *["starting", "started", "stopping", "deactivated", "stopped"],
        *["starting", "started", "crashed", "failed"],
        *["started", "spawn-failed", "spawn-failed", "crashed", "failed"],
    ]
    restarts = [line.system.count for line in lines if line.system and line.system.count]
    assert restarts == [1, 2, 3]


def test_each_run_wrote_the_same_errors(lines: list[LogLine]) -> None:
    """Four runs of one program give one set of classes, whatever the order of their children."""
    first, *others = (
        Counter(line.fingerprint for line in lines if line.is_error and line.invocation == run)
        for run in runs_of(lines)[:4]
    )
    common = {
        "Traceback!KeyError formbot.py:pay 'x'": 1,
        "Traceback!RuntimeError<KeyError formbot.py:<module> wrapped": 1,
        "Traceback!ExceptionGroup[KeyError+ValueError] formbot.py:<module>": 1,
        "Traceback!KeyError formbot.py:pay 't'": 1,
        "coloured tab #": 1,
        "caf\ufffd #": 1,
        "prefixed #": 1,
        "long one": 1,
        "no trace #": 1,
        **{f"Traceback!KeyError <string>:child{n} '#'": 3 for n in range(3)},
    }
    crash = "Traceback!KeyError formbot.py:pay 'crash'"
    assert first == common | {crash: 1}
    assert others == [common | {crash: 1}, common | {crash: 1}, common]


def test_a_missing_module_is_fatal(lines: list[LogLine]) -> None:
    """The run whose import failed has one fatal line."""
    assert [line.fingerprint for line in lines if line.is_fatal] == [
        "Traceback!ModuleNotFoundError formbot.py:<module> No module named 'nosuch'"
    ]


def test_no_line_lacks_its_run(lines: list[LogLine]) -> None:
    """Every line of the bot's and of systemd's belongs to one of the six runs."""
    assert all(line.invocation for line in lines)
    assert len(runs_of(lines)) == 6


def test_lines_that_lost_their_run_get_it_back(
    entries: list[dict[str, Any]], lines: list[LogLine]
) -> None:
    """Without ids on the bot's own lines, their place tells nearly all of them."""
    bare = [
        {key: value for key, value in entry.items() if key != "_SYSTEMD_INVOCATION_ID"}
        for entry in entries
    ]
    assembler = Assembler()
    found = [line for entry in bare for line in assembler.feed(entry)] + assembler.flush()
    assert [line.message for line in found] == [line.message for line in lines]
    wrong = [
        mine.message
        for mine, true in zip(found, lines, strict=True)
        if mine.invocation != true.invocation and not mine.system
    ]
    assert wrong == []


def test_releases_are_told_apart_by_run(lines: list[LogLine]) -> None:
    """With the switch on record, each run's lines count for its release."""
    runs = runs_of(lines)
    at_us = next(line.at_us for line in lines if line.invocation == runs[3])
    attribution = Attribution({runs[0]: "r1"}, [(at_us, "r2")], first="r1")
    evidence = Evidence("h1")
    for line in lines:
        evidence.add(line, attribution.release_of(line))
    old, new = evidence.totals("r1"), evidence.totals("r2")
    assert evidence.releases() == ("r1", "r2")
    assert (old.crashes, old.restarts, new.crashes) == (3, 3, 2)
    assert old.system[SystemKind.START_LIMIT] == 1
    assert old.errors["no trace #"] == 3
    assert new.errors["no trace #"] == 2


def test_nothing_else_is_read_of_an_entry(
    entries: list[dict[str, Any]], lines: list[LogLine]
) -> None:
    """The fields that a follower is told to ask for are all that is needed."""
    wanted = {*JOURNAL_FIELDS, "__CURSOR", "__REALTIME_TIMESTAMP"}
    assembler = Assembler()
    found = [
        line
        for entry in entries
        for line in assembler.feed({key: entry[key] for key in wanted & entry.keys()})
    ]
    assert found + assembler.flush() == lines
