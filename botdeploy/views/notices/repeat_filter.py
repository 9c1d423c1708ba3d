"""The repeat filter: keeps a cron job from saying the same every five minutes."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.user_dirs import cache_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

AGAIN_AFTER = timedelta(days=1)
"""When a message that still holds is sent again."""


class RepeatFilter:
    """Remembers the last message of an environment, in the user's cache folder if there is one.

    Where it is lost, one message comes twice.
    """

    def __init__(self, environ: Mapping[str, str], environment: str, inventory_path: str) -> None:
        """Use the user's cache folder; without one nothing is remembered."""
        cache = cache_folder(environ)
        place = hashlib.sha256(os.path.abspath(inventory_path).encode()).hexdigest()[:12]  # noqa: PTH100
        name = f"{Path(environment).name}-{place}.json"
        self._file = cache / "told" / name if cache else None

    @property
    def can_remember(self) -> bool:
        """Tell whether there is a folder to remember in."""
        return self._file is not None

    def is_known(self, what: str, now: datetime) -> bool:
        """Tell whether this was the last message, less than a day ago."""
        if self._file is None:
            return False
        try:
            record = json.loads(self._file.read_text("utf-8"))
            at = datetime.fromisoformat(record["at"])
            return bool(record["what"] == what and timedelta(0) <= now - at < AGAIN_AFTER)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def remember(self, what: str, now: datetime) -> None:
        """Note a message; a folder that cannot be written is ignored."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps({"what": what, "at": now.isoformat()}), 0o600)
        except OSError:
            return

    def forget(self) -> None:
        """Forget the last message: the same problem later is new."""
        if self._file is None:
            return
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            return
