"""The text of a journal entry, in whatever form journald gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.core.text.printable import without_escapes

if TYPE_CHECKING:
    from collections.abc import Mapping


def message_of(entry: Mapping[str, Any]) -> str:
    """Read an entry's MESSAGE as text, in whatever form journald gives it."""
    return _decoded(entry.get("MESSAGE"))


def _decoded(message: Any) -> str:
    """Read MESSAGE in every form that journald gives it: text, bytes, null, or several of them."""
    if isinstance(message, str):
        return message
    if message is None:
        return ""
    if isinstance(message, list):
        if all(isinstance(one, int) for one in message):
            return bytes(one & 0xFF for one in message).decode("utf-8", "replace")
        return "\n".join(_decoded(one) for one in message)
    return str(message)


def is_binary(raw: str) -> bool:
    """Whether a line is no text: a tenth of it or more is controls, or bytes that are no UTF-8."""
    if raw.isprintable() and "\N{REPLACEMENT CHARACTER}" not in raw:
        return False
    plain = without_escapes(raw)
    odd = sum(not one.isprintable() and one not in "\n\t\r\f" for one in plain)
    odd += plain.count("\N{REPLACEMENT CHARACTER}")
    return odd >= 2 and 10 * odd >= len(plain)  # noqa: PLR2004 -- one may be an accident
