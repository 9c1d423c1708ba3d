"""What a command tells the team and the bot's users with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.views.notices.notices import Notices

_REFERENCE = re.compile(r"(env|file|command):(?!//)")


def notices_of(
    context: Context,
    inventory: Inventory,
    *,
    is_attended: bool,
    changes: Mapping[str, str] | None = None,
    is_rollback: bool = False,
) -> Notices | None:
    """Make what tells the team and the bot's users; None where nobody asked to be told."""
    policy = inventory.policy
    if not policy.notify and not any(ring.announce for ring in policy.rings):
        return None
    from botdeploy.engine.fleet.lock import owner_name
    from botdeploy.sources.secrets import read_secret
    from botdeploy.views.notices.notices import NotedRun, Notices
    from botdeploy.views.notices.repeat_filter import RepeatFilter

    place = Path(inventory.path)
    folder = place if place.is_dir() else place.parent

    def read_url(value: str) -> str:
        if _REFERENCE.match(value) is None:
            return value
        return read_secret("URL", value, folder, context.environ).reveal()

    return Notices(
        inventory,
        read_url,
        context.output.masked,
        RepeatFilter(context.environ, inventory.environment, inventory.path),
        NotedRun(is_attended, owner_name(context.environ), changes or {}, is_rollback),
    )
