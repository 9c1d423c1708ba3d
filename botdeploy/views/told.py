"""What the team was told last: keeps a cron job from saying the same every five minutes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

AGAIN_AFTER = timedelta(days=1)
"""When what still holds is told again."""


class Told:
    """The last thing told of an environment, in the user's cache folder where there is one.

    Only a comfort: hosts hold the truth, and losing this repeats one notice.
    """

    def __init__(self, environ: Mapping[str, str], environment: str, inventory_path: str) -> None:
        """Use ``XDG_CACHE_HOME`` or ``~/.cache``; with neither nothing is remembered."""
        base = environ.get("XDG_CACHE_HOME") or (
            os.path.join(environ["HOME"], ".cache") if environ.get("HOME") else ""  # noqa: PTH118
        )
        place = hashlib.sha256(os.path.abspath(inventory_path).encode()).hexdigest()[:12]  # noqa: PTH100
        self._file = (
            Path(base, "botdeploy", "told", f"{Path(environment).name}-{place}.json")
            if base
            else None
        )

    @property
    def can_remember(self) -> bool:
        """Tell whether there is a folder to remember in."""
        return self._file is not None

    def is_known(self, what: str, now: datetime) -> bool:
        """Tell whether this was the last thing told, less than a day ago."""
        if self._file is None:
            return False
        try:
            record = json.loads(self._file.read_text("utf-8"))
            at = datetime.fromisoformat(record["at"])
            return bool(record["what"] == what and timedelta(0) <= now - at < AGAIN_AFTER)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def remember(self, what: str, now: datetime) -> None:
        """Note what was told; failing to is no fault."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._file.parent, delete=False, encoding="utf-8"
            ) as out:
                json.dump({"what": what, "at": now.isoformat()}, out)
            os.replace(out.name, self._file)  # noqa: PTH105
        except OSError:
            return

    def forget(self) -> None:
        """Note that all is well again: the same trouble later is news."""
        if self._file is None:
            return
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            return
