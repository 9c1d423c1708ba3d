"""Noting: a line in the history of what happened beside the acts on hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.engine.fleet.fleet import Fleet

NOTE_S = 5.0
"""Longest wait for a host to write a note down."""
MOST_ASKED = 3
"""Hosts that are asked until one has written it: the history is all hosts' together."""


def note(fleet: Fleet, names: Iterable[str], who: str, what: str) -> str | None:
    """Have one host write a note into its audit log; gives its name, or None where none did.

    Only over connections that stand, and never with an error: a note is worth no command.
    """
    connected = (acts for name in names if (acts := fleet.open_acts(name)) is not None)
    for acts, _ in zip(connected, range(MOST_ASKED), strict=False):
        try:
            fleet.submit(lambda acts=acts: acts.state.note(who, what)).result(timeout=NOTE_S)  # type: ignore[misc]
        except Exception:  # noqa: BLE001, S112 (see above)
            continue
        return acts.host
    return None
