"""Allowed hours as an inventory states them: ``Mo-Fr 09:00-17:00 Europe/Berlin``."""

from __future__ import annotations

import re
from datetime import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from botdeploy.core.model.allowed_hours import Window

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z,-]+)\s+)?(?P<begin>\d{1,2}:\d{2})-(?P<end>\d{1,2}:\d{2})(?:\s+(?P<zone>\S+))?"
)
_MIDNIGHT = time(0)


def parse_window(text: str) -> Window:
    """Read allowed hours; days may be left out (every day), the zone too (UTC).

    Raises ValueError with what is wrong.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not like 'Mo-Fr 09:00-17:00 Europe/Berlin'")
    try:
        zone = ZoneInfo(match["zone"] or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"'{match['zone']}' is not a time zone") from None
    return Window(
        text, _days(match["days"] or "Mo-Su"), _clock(match["begin"]), _clock(match["end"]), zone
    )


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(found)


def _day(text: str) -> int:
    name = text.strip().capitalize()[:2]
    if name not in _DAYS:
        raise ValueError(f"'{text}' is not a day of the week ({', '.join(_DAYS)})")
    return _DAYS.index(name)


def _clock(text: str) -> time:
    hours, minutes = (int(part) for part in text.split(":"))
    if (hours, minutes) == (24, 0):
        return _MIDNIGHT
    try:
        return time(hours, minutes)
    except ValueError:
        raise ValueError(f"'{text}' is not a time of day") from None
