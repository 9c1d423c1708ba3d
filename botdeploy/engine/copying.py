"""Copying: a release goes from a host that has it to one that was away, through the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import UserError
from botdeploy.sources.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from botdeploy.core.model import Bot, Host, Inventory, Ring

_PLACEHOLDER = "00000000T000000Z-00000000"


class Likeness:
    """Tells which hosts get the very same of a release: files, unit, environment, secrets.

    A release's unit and environment were rendered for each host when it was made. A controller
    that has only the inventory can't make them again, for it may not know the secrets; but it
    knows for which hosts they are the same.
    """

    def __init__(
        self, inventory: Inventory, rings: Mapping[str, Ring], templates: Path | None
    ) -> None:
        """Render by ``inventory``; ``rings`` names each host's ring."""
        self._inventory = inventory
        self._rings = rings
        self._templates = templates
        self._renderers: dict[str | None, Renderer] = {}
        self._known: dict[str, object] = {}

    def source_for(self, host: str, sources: Iterable[str]) -> str | None:
        """Give the first of ``sources`` that is like ``host``, or None."""
        return next((one for one in sources if self._look(one) == self._look(host)), None)

    def _look(self, name: str) -> object:
        if name not in self._known:
            try:
                self._known[name] = self._rendered(self._inventory.host(name), self._rings[name])
            except UserError:
                self._known[name] = name  # a template that is broken here: like no other
        return self._known[name]

    def _rendered(self, host: Host, ring: Ring) -> object:
        bot = host.bot
        plain = {**bot.env, **ring.env}
        renderer = self._renderer(bot)
        secrets = dict.fromkeys(bot.secrets, "")
        return (
            renderer.unit(bot, host, _PLACEHOLDER, plain),
            renderer.environment(bot, host, _PLACEHOLDER, {**plain, **secrets}),
            sorted(bot.secrets.items()),
            bot.secrets_by,
            bot.build,
            bot.shared,
            bot.ready,
        )

    def _renderer(self, bot: Bot) -> Renderer:
        if bot.templates not in self._renderers:
            self._renderers[bot.templates] = Renderer(bot.templates, self._templates)
        return self._renderers[bot.templates]
