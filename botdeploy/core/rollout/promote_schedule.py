"""The schedule of ``promote``: the longest time between two runs of a cron line or a timer."""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise

DAY_S = 86_400
_HOUR_MIN = 60
_FIELDS = 5
_NAMED_S = {
    "hourly": 3600,
    "daily": DAY_S,
    "midnight": DAY_S,
    "weekly": 7 * DAY_S,
    "monthly": 31 * DAY_S,
    "yearly": 366 * DAY_S,
    "annually": 366 * DAY_S,
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_UNIT_S = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hr": 3600, "d": DAY_S}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_EVERY = re.compile(r"(?:\*-\*-\*\s+)?\*:(?:\*|0?0?/(\d+))(?::0?0)?$")
_AT = re.compile(r"(?:\*-\*-\*\s+)?\*:(\d\d?)(?::0?0)?$")


def cron_gap_s(line: str) -> int | None:
    """Give the longest time between two runs of a crontab line, in seconds.

    The line begins with cron's five fields, or with ``@hourly`` and the like; what follows is not
    looked at. None where it is no such line, or never comes. See crontab(5).
    """
    words = line.split()
    if words and words[0].startswith("@"):
        return _NAMED_S.get(words[0][1:].lower())
    if len(words) <= _FIELDS:
        return None
    try:
        minutes = _field(words[0], 0, 59)
        hours = _field(words[1], 0, 23)
        days = _field(words[2], 1, 31)
        months = _field(words[3], 1, 12, _MONTHS)
        weekdays = {one % 7 for one in _field(words[4], 0, 7, _DAYS)}
    except ValueError:
        return None
    times = sorted((hour * 60 + minute) * 60 for hour in hours for minute in minutes)
    # With both restricted, cron takes a day that fits either of them.
    either = not words[2].startswith("*") and not words[4].startswith("*")
    first = date(2024, 1, 1)
    fits = []
    for number in range(4 * 366):
        day = first + timedelta(number)
        ok = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month in months and (any(ok) if either else all(ok)):
            fits.append(number)
    if not times or not fits[1:]:
        return None
    within = max((b - a for a, b in pairwise(times)), default=0)
    between = max(b - a for a, b in pairwise(fits))
    return max(within, between * DAY_S - times[-1] + times[0])


def cron_user(line: str) -> str | None:
    """Give the user of a line of ``/etc/cron.d``; None where it names none."""
    words = line.split()
    at = 1 if words and words[0].startswith("@") else _FIELDS
    return words[at] if len(words) > at + 1 else None


def timer_gap_s(text: str) -> int | None:
    """Give the longest time between two runs of a systemd timer, in seconds.

    ``text`` is the unit file. None where its calendar says more than minutes of the hour do: what
    is not understood is not guessed. See systemd.timer(5) and systemd.time(7).
    """
    gaps: list[int] = []
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        gap = None
        if key in {"OnUnitActiveSec", "OnUnitInactiveSec"}:
            gap = _span_s(value)
        elif key == "OnCalendar":
            gap = _calendar_gap_s(value.lower())
        if gap is not None:
            gaps.append(gap)
    return min(gaps, default=None)


def _calendar_gap_s(value: str) -> int | None:
    if value == "minutely":
        return 60
    if value in _NAMED_S:
        return _NAMED_S[value]
    if found := _EVERY.match(value):
        step = int(found[1] or 1)
        if not step:
            return None
        last = (_HOUR_MIN - 1) // step * step
        return 60 * max(step if last else 0, _HOUR_MIN - last)
    return 3600 if _AT.match(value) else None


def _span_s(value: str) -> int | None:
    parts = _SPAN.findall(value.lower())
    if not parts or any(unit not in _UNIT_S for _, unit in parts):
        return None
    return round(sum(float(number) * _UNIT_S[unit] for number, unit in parts))


def _field(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> set[int]:
    """Read one field of cron's: ``*``, ``*/5``, ``1-5``, ``mon,wed``; raises ValueError."""
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, names, low)
            end = _number(last, names, low) if dash else (high if step else begin)
        every = int(step or 1)
        if every < 1 or not low <= begin <= end <= high:
            raise ValueError(text)
        found |= set(range(begin, end + 1, every))
    return found


def _number(text: str, names: tuple[str, ...], low: int) -> int:
    return names.index(text) + low if text in names else int(text)
