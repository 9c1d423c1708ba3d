"""Allowed hours: ``Mo-Fr 09:00-17:00 Europe/Berlin``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z,-]+)\s+)?(?P<begin>\d{1,2}:\d{2})-(?P<end>\d{1,2}:\d{2})(?:\s+(?P<zone>\S+))?"
)
_MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (0 is Monday), hours, and the time zone that they are meant in."""

    days: frozenset[int]
    begin: time
    end: time
    """Not after ``begin``: the window goes over midnight; 24:00 is written as 00:00."""
    zone: ZoneInfo

    def is_open(self, now: datetime) -> bool:
        """Tell whether ``now`` (aware) lies inside."""
        local = now.astimezone(self.zone)
        clock = local.time().replace(tzinfo=None)
        if self.begin < self.end:
            return local.weekday() in self.days and self.begin <= clock < self.end
        yesterday = (local.weekday() - 1) % 7
        return (local.weekday() in self.days and clock >= self.begin) or (
            yesterday in self.days and clock < self.end
        )


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
        _days(match["days"] or "Mo-Su"), _clock(match["begin"]), _clock(match["end"]), zone
    )


def next_opening(text: str, now: datetime) -> datetime:
    """Give ``now`` when the window is open, else the minute (UTC) at which it opens next."""
    window = parse_window(text)
    if window.is_open(now):
        return now
    local = now.astimezone(window.zone)
    for days in range(9):
        day = (local + timedelta(days=days)).date()
        if day.weekday() not in window.days:
            continue
        opening = datetime.combine(day, window.begin, window.zone).astimezone(now.tzinfo)
        if opening > now:
            return opening
    raise ValueError(f"'{text}' never opens")


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
