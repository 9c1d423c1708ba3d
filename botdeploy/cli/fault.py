"""A bug, on its way to the one handler that writes a report of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Fault(Exception):
    """A bug, on its way to the one handler that writes a report of it."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        """Bring what hides the secrets that the command had read."""
        super().__init__("a fault in botdeploy itself")
        self.mask = mask
