"""ssh's patterns for names: ``*`` and ``?`` are special, and ``!`` excludes."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def in_list(patterns: str, name: str) -> bool:
    """Tell whether a name is in a list such as ``a*,!ab``."""
    return is_included(patterns.split(","), name)


def is_included(patterns: Sequence[str], name: str) -> bool:
    """Tell whether a pattern includes a name and none excludes it, in whatever order."""
    is_wanted = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if fits(pattern[1:], name):
                return False
        elif not is_wanted:
            is_wanted = fits(pattern, name)
    return is_wanted


def fits(pattern: str, name: str) -> bool:
    """Tell whether a name fits one pattern."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == name
    return pattern == "*" or _compiled(pattern).fullmatch(name) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(sign) or re.escape(sign) for sign in pattern), re.DOTALL)
