"""What a release puts beside its tree for one host: unit, environment, readiness, secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import SecretsBy
from botdeploy.core.release.manifest import Manifest
from botdeploy.core.text.token_patterns import STARS
from botdeploy.sources.bot_checks import ready_text
from botdeploy.sources.release_digest import in_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.bot import Bot, Secret
    from botdeploy.core.model.inventory import Host
    from botdeploy.core.model.policy import Ring
    from botdeploy.core.release.manifest import Release
    from botdeploy.sources.host_trees import HostTrees
    from botdeploy.sources.render import Renderer

PUBLIC, _PRIVATE = 0o644, 0o600

Files = dict[str, tuple[bytes, int]]
"""Name → content and mode, of files of ``.botdeploy/``."""


class InstanceFiles:
    """Writes the files of ``.botdeploy/`` that are a host's own."""

    def __init__(
        self,
        release: Release,
        trees: HostTrees,
        changes: Mapping[str, str],
        values: Mapping[str, Secret],
        renderer: Renderer,
        about: Mapping[str, object],
    ) -> None:
        """Take ``changes``, which are ``--set`` values, and ``values`` of secrets, by reference."""
        self.release = release
        self.trees = trees
        self._changes = changes
        self.values = values
        self._renderer = renderer
        self._about = about

    def under(self, release: str) -> InstanceFiles:
        """Give the same under another id of the release."""
        named = replace(self.release, id=release)
        return InstanceFiles(
            named, self.trees, self._changes, self.values, self._renderer, self._about
        )

    def files(self, host: Host, ring: Ring | None = None) -> Files:
        """Give all of them, for a host in a ring."""
        bot, manifest = host.bot, self.trees.of(host).manifest
        secrets = self._secrets(bot)
        size = f"{manifest.file_count} {manifest.size_bytes or 0}"
        texts: dict[str, tuple[str, int]] = {
            "digest": (f"{self.release.digest} {size} {self.release.recipe}\n", PUBLIC),
            host.unit: (self.unit(host, ring), PUBLIC),
            "environment": (self._environment(host, ring, secrets), _PRIVATE),
            "shown": (self.masked_environment(host, ring), _PRIVATE),
            "ready": (ready_text(bot), PUBLIC),
            "about": (json.dumps(self._about_of(host), ensure_ascii=False) + "\n", PUBLIC),
        }
        if host.numbers:
            texts["numbers"] = (f"numbers={host.numbers}\n", PUBLIC)
        if bot.secrets_by is SecretsBy.CREDENTIAL:
            for name, value in secrets.items():
                texts[f"credentials/{name}"] = (value, _PRIVATE)
        return {name: (text.encode(), mode) for name, (text, mode) in texts.items()}

    def _about_of(self, host: Host) -> dict[str, object]:
        tree, files = self.trees.of(host), self.trees.files
        own = {"source": tree.describe, "commit": tree.commit}
        holders = {} if isinstance(files, Manifest) else {"trees": files}
        name = {"release": self.release.id, "digest": self.release.digest}
        return {**name, **own, **holders, **self._about}

    def unit(self, host: Host, ring: Ring | None = None) -> str:
        """Give the unit file of a host; it holds no secret."""
        plain = self._plain(host.bot, ring)
        return self._renderer.unit(host, self.release.id, plain)

    def masked_environment(self, host: Host, ring: Ring | None = None) -> str:
        """Give the environment file of a host with stars for secrets, to be shown."""
        return self._environment(host, ring, dict.fromkeys(host.bot.secrets, STARS))

    def _environment(self, host: Host, ring: Ring | None, secrets: Mapping[str, str]) -> str:
        env = {**self._plain(host.bot, ring), **in_environment(host.bot, secrets)}
        return self._renderer.environment(host, self.release.id, env)

    def _plain(self, bot: Bot, ring: Ring | None) -> dict[str, str]:
        return {**bot.env, **(ring.env if ring else {}), **self._changes}

    def _secrets(self, bot: Bot) -> dict[str, str]:
        return {
            name: self.values[reference].reveal() for name, reference in sorted(bot.secrets.items())
        }
