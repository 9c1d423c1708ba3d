"""How a command ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botdeploy.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Ended:
    """An exit code and one sentence that says why, and in what state the hosts are."""

    code: ExitCode
    summary: str
    waits_for: str = ""
    """What a step that had nothing to do waits for: for who asks, cron stays silent."""
