"""Untrusted input: JSON, numbers, times and texts of hosts and bots, read within bounds.

A host's answers, and what bots print, are read through these and nothing else: whatever they
hold, what comes out is plain data of a bounded depth and size, or ValueError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from botdeploy.core.text.printable import visible

DEEPEST = 64
"""Lists and objects within each other that JSON may have."""
LARGEST = 2**63
"""Numbers are below this, and above its negative."""
MOST_TEXT = 4000
"""Characters of one text in a host's answer."""
LATEST_US = 16_725_225_600_000_000
"""The year 2500, in microseconds since the epoch: a later time is none."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_CAN_HOLD_ONE = re.compile(r"\\u[dD][89a-fA-F]")


def json_of(text: str | bytes, *, is_lenient: bool = False) -> Any:
    """Read JSON of any kind; bytes that are no UTF-8 are replaced.

    Raises ValueError for what is no JSON, is nested deeper than 64, or has numbers that are not
    finite or beyond 64 bits; ``is_lenient`` puts None in the place of such numbers.
    """
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    whole, real, constant = _LENIENT if is_lenient else _STRICT
    try:
        value = json.loads(text, parse_int=whole, parse_float=real, parse_constant=constant)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return _plain(value, text)


def object_of(text: str | bytes) -> dict[str, Any]:
    """Read a JSON object; raises ValueError for anything else."""
    value = json_of(text)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 -- what was read, not what was passed
    return value


def entry_of(row: bytes) -> dict[str, Any] | None:
    """Read a journal entry as ``journalctl -o json`` writes it; None for what is none.

    All fields but MESSAGE are texts; of a field that an entry has several times the first counts.
    An impossible time or cursor is left out, as journald would give none.
    """
    text = row.decode("utf-8", "replace")
    try:
        entry = _plain(json.loads(text), text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    for name, value in entry.items():
        if type(value) is not str and value is not None and name != "MESSAGE":
            one = value[0] if isinstance(value, list) and value else value
            entry[name] = one if isinstance(one, str) else _shown(one)
    if not (entry.get("__CURSOR") or "").isprintable():
        del entry["__CURSOR"]
    stamp = entry.get("__REALTIME_TIMESTAMP")
    if "__REALTIME_TIMESTAMP" in entry and not (
        stamp is not None
        and len(stamp) <= 17  # noqa: PLR2004
        and stamp.isascii()
        and stamp.isdigit()
        and int(stamp) < LATEST_US
    ):
        del entry["__REALTIME_TIMESTAMP"]
    return entry


def whole(value: object, *, most: int = LARGEST) -> int:
    """Give a whole number of a size up to ``most``; raises ValueError for anything else."""
    number = real(value, most=most)
    if isinstance(value, int):
        return int(value)  # no float is as exact
    return int(value) if isinstance(value, str) and value.strip("+-").isdigit() else int(number)


def real(value: object, *, most: float = LARGEST) -> float:
    """Give a finite number of a size up to ``most``; raises ValueError for anything else."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not (isfinite(number) and -most <= number <= most):
        raise ValueError(f"{_shown(value)!r} is no number that it can be")
    return number


def instant(value: object) -> str:
    """Give a time as it was written; empty where none is told. Raises ValueError as ``time_of``."""
    return "" if time_of(value) is None else str(value)[:64]


def time_of(value: object) -> datetime | None:
    """Read a time with its zone, of 1970 to 2500; None where none is told.

    Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    text = str(value)[:64]
    try:
        at = datetime.fromisoformat(text)  # takes any character after the sixth digit of a second
        if (
            text.isprintable()
            and at.tzinfo is not None
            and 0 <= at.timestamp() * 1e6 < LATEST_US
            and at.year > 1
        ):
            at.astimezone(UTC)
            return at
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is no time that it can be")


def told(value: object, most: int = MOST_TEXT) -> str:
    """Give a text on one line, at most ``most`` characters; of a list or an object its JSON.

    What would move or turn a terminal's text is a space.
    """
    text = value if isinstance(value, str) else _shown(value)
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text if text.isprintable() else " ".join(visible(text).split())


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LARGEST:
        return "a huge number"  # which Python may refuse to write
    return (json.dumps(value, default=str) if isinstance(value, list | Mapping) else str(value))[
        :MOST_TEXT
    ]


def _whole(text: str) -> int:
    number = int(text) if len(text) <= 20 else LARGEST  # noqa: PLR2004
    if not -LARGEST < number < LARGEST:
        raise ValueError("a number in it is too large")
    return number


def _real(text: str) -> float:
    number = float(text)
    if not -LARGEST < number < LARGEST:
        raise ValueError("a number in it is too large")
    return number


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _whole_or_none(text: str) -> int | None:
    try:
        return _whole(text)
    except ValueError:
        return None


def _real_or_none(text: str) -> float | None:
    try:
        return _real(text)
    except ValueError:
        return None


def _none(_text: str) -> None:
    return None


_STRICT = (_whole, _real, _constant)
_LENIENT = (_whole_or_none, _real_or_none, _none)


def _plain(value: Any, text: str) -> Any:
    """Check how deep a value is nested, and put a mark for each half of a surrogate pair."""
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise ValueError("it is nested too deep")
    return _whole_letters(value) if _CAN_HOLD_ONE.search(text) else value


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level and depth <= DEEPEST:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [each for each in one.values() if isinstance(each, dict | list)]
            elif isinstance(one, list):
                inner += [each for each in one if isinstance(each, dict | list)]
        depth += 1
        level = inner
    return depth


def _whole_letters(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_whole_letters(one) for one in value]
    if isinstance(value, dict):
        return {_whole_letters(key): _whole_letters(one) for key, one in value.items()}
    return value
