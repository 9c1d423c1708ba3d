"""Checks of a bot beside its tree: what a host would refuse is refused before it is asked."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from botdeploy.core.release.manifest import has_hidden_characters, is_plain_path
from botdeploy.errors import SourceError, UserError
from botdeploy.sources.tree import RESERVED, Folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.model.bot import Bot
    from botdeploy.core.model.inventory import Host
    from botdeploy.sources.host_trees import HostTrees
    from botdeploy.sources.tree import SourceTree


def check_bots(hosts: Iterable[Host], trees: HostTrees) -> None:
    """Check each bot with each tree that it gets; raises UserError or SourceError.

    The error names the host where hosts differ.
    """
    pairs = {(host.bot.shared, host.bot.ready, id(trees.of(host))): host for host in hosts}
    for host in pairs.values():
        try:
            check_shared(host.bot, trees.of(host))
            ready_text(host.bot)
        except UserError as error:
            if len(pairs) == 1:
                raise
            raise type(error)(f"{host.name}: {error}") from error


def ready_text(bot: Bot) -> str:
    """Write what a host waits for after a start; raises UserError for a value of several lines."""
    ready = bot.ready
    if has_hidden_characters(ready.value.replace("\\", "")):
        raise UserError("ready: the value must be one line without control characters")
    limit = max(1, ceil(ready.timeout.total_seconds()))
    return f"kind={ready.kind}\nvalue={ready.value}\ntimeout={limit}\n"


def check_shared(bot: Bot, tree: SourceTree) -> None:
    """Refuse shared paths that a host could not link; raises UserError or SourceError."""
    for name in bot.shared:
        if not is_plain_path(name) or name.split("/")[0] == RESERVED:
            raise UserError(f"shared: {name!r} is not a path inside the release")
        parts = name.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above in bot.shared:
                raise UserError(f"shared: {name!r} lies in {above!r}, which is shared already")
            if above in tree and not isinstance(tree[above], Folder):
                raise SourceError(f"shared: {name!r}: the source holds {above!r}, not as a folder")
        if name in tree:
            raise SourceError(
                f"shared: the source holds {name!r}, which is shared data; exclude it, or take it "
                "from shared:"
            )
