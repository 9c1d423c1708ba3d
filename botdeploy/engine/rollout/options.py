"""What a run of the loop was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Options:
    """What a run was asked for besides the release."""

    last_ring: str | None = None
    is_attended: bool = True
    message: str = ""
    is_forced: bool = False
    """A person releases it whatever ``rollout.requires`` asks for."""
    templates: Path | None = None
    """The project's folder of templates, to tell which hosts are alike."""
