"""Errors of the world: the wordings of runtimes, libraries and tools, as they stand in journals."""

from __future__ import annotations

from pathlib import Path

import pytest

from botdeploy.core.lines.assembler import Assembler, feed_all
from botdeploy.core.lines.external_errors import is_external

DATA = Path(__file__).parents[2] / "data" / "errors"
WORLD = (DATA / "of_the_world.txt").read_text().splitlines()
OWN = (DATA / "own.txt").read_text().splitlines()


def error_of(text: str) -> tuple[str, str]:
    """Give fingerprint and message of the one error that these journal lines are."""
    entries = [
        {"MESSAGE": line, "_PID": "7", "PRIORITY": "6", "__REALTIME_TIMESTAMP": "1700000000000000"}
        for line in text.split("\n")
    ]
    found = [line for line in feed_all(Assembler(), entries) if line.is_error]
    assert len(found) == 1, found
    return found[0].fingerprint or "", found[0].message


@pytest.mark.parametrize("text", WORLD)
def test_what_the_world_did_is_told_as_such(text: str) -> None:
    """Names, connects, handshakes and others' answers are of the world, in whatever words."""
    assert is_external(*error_of(text))


@pytest.mark.parametrize("text", OWN)
def test_what_a_program_did_is_its_own(text: str) -> None:
    """Faults of a program and answers to its own requests are none, whatever words they hold."""
    assert not is_external(*error_of(text))


def traced(*raised: str) -> str:
    between = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    frame = '  File "/opt/b/bot.py", line 3, in poll\n    go()'
    return between.join(f"Traceback (most recent call last):\n{frame}\n{one}" for one in raised)


REFUSED = "ConnectionRefusedError: [Errno 111] Connection refused"
OWN_ERROR = "KeyError: 'guild'"


@pytest.mark.parametrize(
    ("text", "of_world"),
    [
        (traced(REFUSED), True),
        (traced(OWN_ERROR), False),
        (traced(OWN_ERROR, REFUSED), True),
        (traced(REFUSED, OWN_ERROR), False),
        (traced("aiohttp.ClientResponseError: 503, message='Service Unavailable', url='x'"), True),
        (traced("aiohttp.ClientResponseError: 404, message='Not Found', url='x'"), False),
    ],
)
def test_of_a_trace_the_last_exception_counts(text: str, *, of_world: bool) -> None:
    """A program that trips over its own handling of an outage has a fault of its own."""
    assert is_external(*error_of(text)) is of_world


def test_a_trace_of_which_the_end_was_cut_off_is_told_by_its_name() -> None:
    """Kept evidence has a trace's beginning only; type and message stand in the fingerprint."""
    name, text = error_of(traced(REFUSED))
    assert is_external(name, text[:40])
    assert is_external(name)
    name, text = error_of(traced(REFUSED, OWN_ERROR))
    assert not is_external(name, text[:120])


def test_what_a_probe_found_is_the_bots_own() -> None:
    """A bot that refuses botdeploy's own question is no outage."""
    assert not is_external("probe!question", "Connection refused")
