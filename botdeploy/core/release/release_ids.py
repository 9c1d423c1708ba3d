"""The ids of releases: TIME-DIGEST, and TIME-DIGEST+N where other values were rendered of one."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBERED = re.compile(r"(?P<made_of>.+)\+(?P<number>[1-9][0-9]{0,8})")


def release_id(now: datetime, recipe: str) -> str:
    """Name a release by time (UTC) and the digest of its recipe: ``20261122T210500Z-3f9c2ab1``."""
    if now.tzinfo is None:
        raise ValueError("a release's time needs a time zone")
    if not _DIGEST.fullmatch(recipe):
        raise ValueError("a digest is 64 hexadecimal digits")
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{recipe[:8]}"


def made_of(release: str) -> str:
    """Give an id without the number of what was rendered: the same for ID, ID+2 and ID+3."""
    return _split(release)[0]


def numbered(release: str, number: int) -> str:
    """Name what was rendered of a release with this number; the first one has none."""
    return f"{release}+{number}" if number > 1 else release


def in_order(release: str) -> tuple[str, int]:
    """Give what ids are sorted by: ID before ID+2 before ID+10, all before what was made later."""
    return _split(release)


def next_number(release: str, known: Iterable[str]) -> int:
    """Give the number that nothing has yet of what was rendered of a release."""
    return 1 + max((number for made, number in map(_split, known) if made == release), default=0)


def _split(release: str) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(release)
    return (match["made_of"], int(match["number"])) if match else (release, 1)
