"""What a person reads of how a command ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.views import sentences

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended


def sentence(ended: Ended) -> str:
    """Word it as the command line does, for the environment and the bot of the fake fleet."""
    return sentences.outcome(ended, "prod", "tbot")
