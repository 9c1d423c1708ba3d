"""What a person reads of how a command ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host
from botdeploy.views import sentences

if TYPE_CHECKING:
    from botdeploy.engine.outcome import Ended


class AnyHost(dict[str, Host]):
    """Every name is a plain host's."""

    def __missing__(self, name: str) -> Host:
        """Make it up."""
        return Host(name, Address(name, name), Bot("tbot", "run", "/src"))


def sentence(ended: Ended) -> str:
    """Word it as the command line does, for the environment and the bot of the fake fleet."""
    return sentences.outcome(ended, "prod", AnyHost())
