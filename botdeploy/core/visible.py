"""What may go to a terminal: text that it shows, and nothing that it obeys."""

from __future__ import annotations

_KEPT = "\n\t"


def visible(text: str) -> str:
    """Put a space for each control character, line ends and tabs apart.

    Host names, errors and log lines come from elsewhere; an escape code among them would colour,
    move or retitle the terminal, and half a surrogate can't be written at all.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in _KEPT else " " for one in text)
