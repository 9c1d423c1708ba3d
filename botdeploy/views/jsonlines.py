"""Machine output: one JSON object a line, and nothing else on that stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.core.events import Event

#: Words of the interface, which programs compare.
_OURS = frozenset({"event", "at", "outcome", "reason"})


def escaped(text: str) -> str:
    """Write what no terminal shows as JSON's escapes: controls, marks of direction, odd spaces.

    ``text`` is JSON, where such characters stand in strings only; it means the same afterwards.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


class JsonLines:
    """Prints events as they come; every line is flushed, for a reader may wait for it."""

    def __init__(self, out: TextIO, mask: Callable[[str], str] = lambda text: text) -> None:
        """``mask`` hides secrets in every text, whatever stands around it."""
        self._out = out
        self.mask = mask

    def __call__(self, event: Event) -> None:
        """Print one event."""
        self.write(event.as_record())

    def write(self, record: Mapping[str, Any]) -> None:
        """Print one object."""
        # Not in the whole line: a secret like "true" or "0" would break the JSON.
        shown = {
            key: value if key in _OURS else self._masked(value) for key, value in record.items()
        }
        line = escaped(json.dumps(shown, ensure_ascii=False, default=str))
        self._out.write(line + "\n")
        self._out.flush()

    def _masked(self, value: Any) -> Any:
        """Hide secrets in the texts of a value, at any depth."""
        match value:
            case str():
                return self.mask(value)
            case Mapping():
                return {key: self._masked(one) for key, one in value.items()}
            case list() | tuple():
                return [self._masked(one) for one in value]
            case _:
                return value
