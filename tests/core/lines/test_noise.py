"""Noise in a journal: bytes, base64, hex and minified code spell words by chance, and mean none."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.lines.assembler import Assembler, feed_all
from botdeploy.core.lines.level import Level
from tests.effort import examples

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine

WORDS = ["FATAL", "ERROR", "PANIC", "CRIT", "ERR", "E/x:", "<0>", "[error]", "panic: x", "error: x"]


def line_of(message: object, priority: str = "6") -> LogLine | None:
    """Read one entry as journald gives it."""
    entry = {
        "MESSAGE": message,
        "PRIORITY": priority,
        "_PID": "7",
        "__REALTIME_TIMESTAMP": "1700000000000000",
    }
    return next(iter(feed_all(Assembler(), [entry])), None)


def is_fine(line: LogLine | None) -> bool:
    return line is None or (not line.is_error and not line.is_fatal)


def stored(raw: bytes) -> object:
    """Give bytes as journald stores a line: as text where they are printable, else as numbers."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return list(raw)
    return text if all(one >= " " or one == "\t" for one in text) else list(raw)


@pytest.mark.parametrize("length", [24, 80, 400])
def test_random_bytes_are_no_error(length: int) -> None:
    """Tens of thousands of lines of them."""
    rng = random.Random(length)  # noqa: S311 -- a simulation
    for _ in range(examples(20_000)):
        raw = rng.randbytes(length).replace(b"\n", b"")
        assert is_fine(line_of(stored(raw))), raw


@given(st.binary(min_size=8, max_size=120), st.sampled_from(WORDS), st.integers(0, 60))
@settings(max_examples=examples(400), deadline=None)
def test_a_word_among_bytes_means_nothing(raw: bytes, word: str, at: int) -> None:
    """What would be a level in a text is chance in what is none."""
    noise = bytes(one | 0x80 if one % 2 else one % 32 for one in raw if one != 10).replace(
        b"\n", b""
    )
    padded = noise * (1 + 4 * len(word) // max(1, len(noise)))
    message = padded[:at] + word.encode() + padded[at:] + padded
    assert is_fine(line_of(stored(message)))


@given(st.binary(min_size=60, max_size=300), st.sampled_from(["b64", "url", "hex", "minified"]))
@settings(max_examples=examples(400), deadline=None)
def test_encoded_data_means_nothing(raw: bytes, how: str) -> None:
    """Alone, and behind a few words."""
    data = {
        "b64": base64.b64encode(raw).decode(),
        "url": base64.urlsafe_b64encode(raw).decode(),
        "hex": raw.hex(),
        "minified": "!function(e,t){"
        + ";".join(f"e.{one:x}=t.ERROR&&FATAL" for one in raw)
        + "}()",
    }[how]
    for text in (data, f"got {data}", f"{data} more"):
        assert is_fine(line_of(text)), text


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ERROR:root:" + "a" * 80, Level.ERROR),
        ("ERROR decoding " + "QUJD" * 40, Level.ERROR),
        ("2026-01-01 10:00:00 [CRITICAL] " + "f" * 90, Level.CRITICAL),
        ("ERROR caf\N{REPLACEMENT CHARACTER} could not be opened", Level.ERROR),
        ("\x1b[31mERROR\x1b[0m red", Level.ERROR),
        ("ERROR\x00 a null at its end\x00", Level.ERROR),
    ],
)
def test_a_level_before_data_is_one(text: str, level: Level) -> None:
    """A text that holds data, colours or a damaged letter is a text."""
    line = line_of(text)
    assert line is not None
    assert line.level == level
    assert line.is_error


def test_what_journald_calls_an_error_is_one() -> None:
    """A priority that the bot gave is no chance."""
    line = line_of(list(bytes(range(128, 200))), priority="3")
    assert line is not None
    assert line.is_error
