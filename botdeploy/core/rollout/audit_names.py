"""Who did what a host has written down: as sudo knows them, and as they named themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def actor(entry: Mapping[str, object]) -> str:
    """Name who did an act: ``ann@laptop (deploy)``, the claimed name and the login.

    The login is left out where the claimed name begins with it, and in what older versions wrote.
    """
    who, claimed = str(entry.get("who") or ""), str(entry.get("claimed") or "")
    if not claimed or claimed == who or claimed.partition("@")[0] == who:
        return claimed or who
    return f"{claimed} ({who})" if who else claimed
