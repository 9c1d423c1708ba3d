"""Machine output: one JSON object a line, and nothing else on that stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botdeploy.core.events import Event


class JsonLines:
    """Prints events as they come; every line is flushed, for a reader may wait for it."""

    def __init__(self, out: TextIO, mask: Callable[[str], str] = lambda text: text) -> None:
        """``mask`` hides secrets in every line."""
        self._out = out
        self.mask = mask

    def __call__(self, event: Event) -> None:
        """Print one event."""
        self.write(event.as_record())

    def write(self, record: Mapping[str, Any]) -> None:
        """Print one object."""
        text = self.mask(json.dumps(record, ensure_ascii=False, default=str))
        self._out.write(text + "\n")
        self._out.flush()
