"""Phrases for sentences: durations, counts and lists as a person writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def duration(seconds: float) -> str:
    """Write a duration with one unit or two: ``40 s``, ``12 min``, ``2 h 30 min``, ``3 d``."""
    if seconds < 120.0:
        return (
            f"{seconds:.0f} s" if seconds >= 10.0 or seconds == int(seconds) else f"{seconds:.1f} s"
        )
    minutes = round(seconds / 60.0)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(minutes / 1440.0)} d"
    return f"{hours} h" if rest == 0 else f"{hours} h {rest} min"


def count(number: float, word: str) -> str:
    """Write a number with its noun: ``1 line``, ``12 lines``, ``0.4 lines``."""
    whole = f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.2g}"
    return f"{whole} {word}" if whole == "1" else f"{whole} {word}s"


def hosts_on(hosts: int, machines: int) -> str:
    """Count hosts, and their machines where these are fewer: ``4 hosts on 2 machines``."""
    told = count(hosts, "host")
    return told if machines >= hosts else f"{told} on {count(machines, 'machine')}"


def percent(share: float) -> str:
    """Write a share of 0 to 1: ``9 %``, ``0.4 %``, ``under 0.1 %``."""
    if 0.0 < share < 0.001:
        return "under 0.1 %"
    return f"{100.0 * share:.0f} %" if share >= 0.01 or not share else f"{100.0 * share:.1f} %"


def times(ratio: float) -> str:
    """Write a ratio: ``twice``, ``3 times``, ``4.5 times``."""
    return "twice" if ratio == 2.0 else f"{ratio:.2g} times"


def few(names: Sequence[str], most: int = 8) -> str:
    """Name the first ones and count the rest: ``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def listing(names: list[str]) -> str:
    """Join names: ``a``, ``a and b``, ``a, b and 3 more``."""
    if len(names) <= 1:
        return "".join(names)
    if len(names) <= 3:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"
