"""The last words of a bot: its journal is read once more for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.lines import last_words
from botdeploy.errors import HostError
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.lines.last_words import LastWords
    from botdeploy.core.lines.line import LogLine
    from botdeploy.engine.watch.following import Following

SLACK_S = 5
"""So much more is read than the clocks say, which may be a little apart."""


def read_last_words(
    following: Following,
    host: str,
    since_us: int,
    old_invocation: str = "",
    *,
    back_s: float = 0.0,
    must_end: bool = False,
) -> LastWords:
    """Give the telling line of the first life that began on a host since an instant.

    The journal is read once more for it: journald tells followers late, and a traceback's last
    entry waits there for more. ``back_s``: since how many seconds another life goes on there,
    which may have much to say. See ``core.lines.last_words``.
    """
    known = following.hosts.get(host)
    try:
        lines = _read_since(following, host, since_us, back_s)
    except HostError:
        lines = tuple(known.lines) if known is not None else ()
    return last_words.last_words(lines, since_us, old_invocation, must_end=must_end)


def _read_since(following: Following, host: str, since_us: int, back_s: float) -> Sequence[LogLine]:
    """Read what was written since an instant; nothing where that is too much to be read."""
    seconds = max(0, (following.now_us() - since_us) // 1_000_000) + SLACK_S
    until = int(back_s) - 1
    position = f"since:{seconds}:{until}" if until > 0 else f"since:{seconds}"
    known = following.hosts.get(host)
    reader = JournalReader(
        following.make_assembler(), ahead_us=known.ahead_us if known is not None else 0
    )
    read = reader.read(following.fleet.acts(host).journal.entries(position))
    return () if read.is_cut else read.lines
