"""Allowed hours: days and times of a week in which a ring may be switched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

_MOST_DAYS = 15  # one week, and another where the first has no such hour


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (0 is Monday), hours, and the time zone that they are meant in."""

    text: str
    """As the inventory states it: ``Mo-Fr 09:00-17:00 Europe/Berlin``."""
    days: frozenset[int]
    """At least one."""
    begin: time
    end: time
    """Not after ``begin``: the window goes over midnight; 24:00 is written as 00:00."""
    zone: tzinfo

    def __str__(self) -> str:
        return self.text

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

    def next_opening(self, now: datetime) -> datetime:
        """Give ``now`` when the window is open, else the minute at which it opens next.

        ``now`` is aware, and the answer is in its zone.
        """
        if self.is_open(now):
            return now
        local = now.astimezone(self.zone)
        opening = now
        for ahead in range(_MOST_DAYS):
            day = (local + timedelta(days=ahead)).date()
            opening = datetime.combine(day, self.begin, self.zone).astimezone(now.tzinfo)
            # Where the clock is put forward, an hour is missing.
            if day.weekday() in self.days and opening > now and self.is_open(opening):
                break
        return opening
