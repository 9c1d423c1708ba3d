"""A host key of an inventory: one name or a range, perhaps with a port."""

from __future__ import annotations

import re
from ipaddress import ip_address
from string import ascii_letters
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_HOSTS = 100_000
"""A range beyond this is a slip of the keyboard."""

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?")
_BRACKETED_PORT = re.compile(r"\[([^\]]+)\]:([0-9]+)")
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_RANGE = re.compile(r"\[([^\]]*)\]")
_HIGHEST_PORT = 65535


def is_host_name(name: str) -> bool:
    """Tell whether a name can stand in a path, a log and an ssh command as it is."""
    return bool(_NAME.fullmatch(name)) or _is_ip(name)


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return "%" not in name


def expand_host_key(key: str) -> tuple[list[str], int | None]:
    """Give the host names of a key such as ``w[01:20]`` or ``db:2222``, and the port.

    Ranges count numbers or letters, both ends included, with a third part as the step;
    leading zeros are kept. Raises ValueError with what is wrong.
    """
    name, port = _split_port(key)
    names = list(_expand(name))
    for one in names:
        if not is_host_name(one):
            raise ValueError(
                f"'{one}' is not a host name: letters, digits, '.', '_' and '-' (or an IP address)"
            )
    return names, port


def _split_port(key: str) -> tuple[str, int | None]:
    if _is_ip(key):
        return key, None
    match = _BRACKETED_PORT.fullmatch(key) or _PORT.fullmatch(key)
    if match is None:
        return key, None
    port = int(match[2][:6])
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"'{key}': the port must be between 1 and {_HIGHEST_PORT}")
    return match[1], port


def _expand(name: str) -> Iterator[str]:
    names = [name]
    while any("[" in one for one in names):
        grown: list[str] = []
        for one in names:
            match = _RANGE.search(one)
            if match is None:
                raise ValueError(f"'{name}': a range needs '[', ':' and ']', as in w[1:4]")
            for step in _steps(match[1], name):
                grown.append(one[: match.start()] + step + one[match.end() :])
                if len(grown) > MOST_HOSTS:
                    raise ValueError(f"'{name}' means more than {MOST_HOSTS} hosts")
        names = grown
    yield from names


def _steps(inside: str, name: str) -> Sequence[str]:
    bounds = inside.split(":")
    if len(bounds) not in (2, 3) or not bounds[1]:
        raise ValueError(f"'{name}': a range is [begin:end] or [begin:end:step]")
    begin, end = bounds[0] or "0", bounds[1]
    step = bounds[2] if len(bounds) > 2 else "1"  # noqa: PLR2004 (begin, end, step)
    if not re.fullmatch(r"[0-9]{1,9}", step) or int(step) == 0:
        raise ValueError(f"'{name}': the step of a range is a number above 0")
    if len(begin) == len(end) == 1 and begin in ascii_letters and end in ascii_letters:
        first, last = ascii_letters.index(begin), ascii_letters.index(end)
        values: Sequence[str] = ascii_letters[first : last + 1 : int(step)]
    elif re.fullmatch(r"[0-9]{1,9}", begin) and re.fullmatch(r"[0-9]{1,9}", end):
        if begin[0] == "0" and len(begin) > 1 and len(begin) != len(end):
            raise ValueError(f"'{name}': with leading zeros both ends have the same length")
        width = len(begin) if begin[0] == "0" else 0
        numbers = range(int(begin), int(end) + 1, int(step))
        if len(numbers) > MOST_HOSTS:
            raise ValueError(f"'{name}' means more than {MOST_HOSTS} hosts")
        values = [str(number).zfill(width) for number in numbers]
    else:
        raise ValueError(f"'{name}': both ends of a range are numbers or both are letters")
    if not values:
        raise ValueError(f"'{name}': the range ends before it begins")
    return values
