"""History: the audit logs of all hosts, merged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botdeploy.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.engine.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True)
class History:
    """Entries of audit logs, the oldest first."""

    entries: list[dict[str, Any]]
    total: int
    """How many there are with those that were not asked for."""
    away: Mapping[str, HostError]


def history(
    fleet: Fleet, names: Iterable[str], *, since: datetime | None = None, count: int = 0
) -> History:
    """Give the last ``count`` entries (0: all) that are not older than ``since``."""
    seen = fleet.each(names, lambda name: fleet.acts(name).state.audit())
    entries: list[dict[str, Any]] = []
    away = {}
    for name, result in seen.items():
        if isinstance(result, HostError):
            away[name] = result
        else:
            entries += [{**fleet.host(name).place, **entry} for entry in result]
    entries.sort(key=lambda entry: str(entry.get("at", "")))
    if since is not None:
        entries = [entry for entry in entries if _is_since(entry, since)]
    return History(entries[-count:], len(entries), away)


def _is_since(entry: Mapping[str, Any], since: datetime) -> bool:
    """Tell whether an entry is not older; one without a readable time is kept."""
    try:
        return datetime.fromisoformat(str(entry.get("at"))) >= since
    except (ValueError, TypeError):
        return True
