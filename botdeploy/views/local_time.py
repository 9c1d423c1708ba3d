"""Times for people: local, with the offset. Machine output has RFC 3339 in UTC."""

from __future__ import annotations

import re
from datetime import datetime

_STAMP = re.compile(
    r"(?<![\w:.-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)(?![\w:])"
)


def local(at: datetime) -> str:
    """Write a time as people read it: ``2026-11-30 22:05:12+01:00``."""
    return at.astimezone().isoformat(sep=" ", timespec="seconds")


def with_local_times(text: str) -> str:
    """Write every RFC 3339 time in a text as people read it."""
    return _STAMP.sub(_local, text)


def _local(match: re.Match[str]) -> str:
    try:
        return local(datetime.fromisoformat(match[0]))
    except (ValueError, OverflowError, OSError):
        return match[0]


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: ``45 s``, ``1 min 30 s``, ``2 d``."""
    left = int(seconds)
    if left < 1:
        return "less than a second" if seconds else "0 s"
    parts = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
