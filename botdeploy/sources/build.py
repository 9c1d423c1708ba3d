"""A build: a release ready to be sent, with what each host of the environment gets of it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import SecretsBy
from botdeploy.core.release.environment_file import variables
from botdeploy.core.release.manifest import (
    Release,
    delta,
    has_hidden_characters,
    is_plain_path,
    release_id,
)
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.text.token_patterns import STARS
from botdeploy.errors import SourceError, UserError
from botdeploy.sources.release_digest import in_environment, mark_of, release_digest
from botdeploy.sources.render import Renderer, check_environment
from botdeploy.sources.secrets import read_secret
from botdeploy.sources.systemd_quoting import check_value
from botdeploy.sources.tree import RESERVED, Folder, SourceTree
from botdeploy.sources.upload import delta_tar_gz, meta_tar_gz

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botdeploy.core.model.bot import Bot, Secret
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.model.policy import Ring
    from botdeploy.core.release.manifest import Manifest

_BLOCK_BYTES = 4096

_PUBLIC, _PRIVATE = 0o644, 0o600


def build(
    inventory: Inventory,
    tree: SourceTree,
    *,
    now: datetime,
    who: str,
    environ: Mapping[str, str],
    message: str = "",
    set_env: Mapping[str, str] | None = None,
    templates: str | Path | None = None,
) -> Build:
    """Make a release of a tree for every host of an inventory.

    ``set_env`` are ``--set`` values, over those of the inventory. Secrets are read from
    ``environ`` and from beside the inventory, once each; another
    value makes another release. ``templates`` is the project's folder of templates, after the
    bot's own and before botdeploy's.

    Raises UserError and SourceError before anything is sent; runs only ``command:`` secrets.
    """
    changes = dict(set_env or {})
    values: dict[str, Secret] = {}
    place = Path(inventory.path)
    base = place if place.is_dir() else place.parent
    for host in inventory.hosts:
        for name, reference in host.bot.secrets.items():
            if reference not in values:
                values[reference] = read_secret(name, reference, base, environ)
    renderer = Renderer(templates, inventory.variables)
    for bot in {id(host.bot): host.bot for host in inventory.hosts}.values():
        check_shared(bot, tree)
        _ready(bot)
        for name, reference in in_environment(bot, bot.secrets).items():
            check_value(name, values[reference].reveal())
    for ring in inventory.policy.rings:
        check_environment(ring.env)
    made, mark = release_digest(
        inventory,
        tree.manifest,
        renderer,
        changes,
        lambda salt: mark_of(values, salt=salt) if values else "",
    )
    release = Release(release_id(now, made), made, tree.manifest, source=tree.describe)
    about = {
        "release": release.id,
        "digest": made,
        "source": tree.describe,
        "commit": tree.commit,
        "who": who,
        "when": now.isoformat(),
        "message": message,
        "secrets_mark": mark,
    }
    return Build(release, tree, changes, values, renderer, about)


def remade(
    inventory: Inventory,
    release: Release,
    about: Mapping[str, object],
    values: Mapping[str, Secret],
    told: tuple[Host, Ring, Mapping[str, str]],
    templates: str | Path | None = None,
) -> Build | None:
    """Make a release again of what a host says of it; None where it is not what its digest says.

    ``release`` holds the digest that the release must have and the manifest that the host told,
    ``values`` what it told of secrets, by reference, ``told`` the host, its ring and the variables
    that it has in the release's environment: those that are not the inventory's may be ``--set``.
    Where it can't know all secrets of the inventory its mark of their values stands for them; the
    mark, too, is a part of the digest.
    """
    renderer = Renderer(templates, inventory.variables)
    references = {one for host in inventory.hosts for one in host.bot.secrets.values()}
    host, ring, given = told
    tree = SourceTree({}, "")

    def mark(salt: str) -> str:
        if references and references <= values.keys():
            return mark_of({one: values[one] for one in references}, salt=salt)
        return str(about.get("secrets_mark") or "") if references else ""

    usual = variables(
        Build(release, tree, {}, values, renderer, about).masked_environment(host, ring)
    )
    odd = {
        name: value
        for name, value in given.items()
        if name not in host.bot.secrets and usual.get(name) != value
    }
    for changes in ({}, odd) if odd else ({},):
        made, _ = release_digest(inventory, release.manifest, renderer, changes, mark)
        if made == release.digest:
            return Build(release, tree, changes, values, renderer, about)
    return None


class Build:
    """One release with everything that is sent of it; safe to use from many threads."""

    def __init__(
        self,
        release: Release,
        tree: SourceTree,
        changes: Mapping[str, str],
        values: Mapping[str, Secret],
        renderer: Renderer,
        about: Mapping[str, object],
    ) -> None:
        """Keep the parts; made by ``build``."""
        self.release = release
        self.tree = tree
        self._changes = changes
        self._values = values
        self._renderer = renderer
        self._about = about
        self._packages: dict[frozenset[str], Future[bytes]] = {}
        self._lock = threading.Lock()

    def under(self, release: str) -> Build:
        """Give the same build under an id that hosts know it by already."""
        if release == self.release.id:
            return self
        again = Build(
            replace(self.release, id=release),
            self.tree,
            self._changes,
            self._values,
            self._renderer,
            {**self._about, "release": release},
        )
        again._packages, again._lock = self._packages, self._lock  # its own kind
        return again

    @property
    def mask(self) -> Mask:
        """Hides every secret of this build in any text."""
        return Mask(value.reveal() for value in self._values.values())

    def delta(self, base: Manifest | None) -> bytes:
        """Give the gzip tar for hosts that have ``base``; packed once for all that need the same.

        Raises SourceError when a file is no longer what was hashed.
        """
        paths = delta(self.release.manifest, base)
        with self._lock:
            package = self._packages.get(paths)
            is_first = package is None
            if package is None:
                package = self._packages[paths] = Future()
        if is_first:
            try:
                package.set_result(delta_tar_gz(self.tree, paths))
            except BaseException as error:
                package.set_exception(error)
                raise
        return package.result()

    def meta(self, host: Host, ring: Ring | None = None) -> bytes:
        """Give the gzip tar of what becomes ``.botdeploy/`` on a host of a ring."""
        return meta_tar_gz(self.files(host, ring))

    def files(self, host: Host, ring: Ring | None = None) -> dict[str, tuple[bytes, int]]:
        """Give what becomes ``.botdeploy/`` on a host: name → content and mode."""
        bot = host.bot
        manifest = self.release.manifest
        secrets = self._secrets(bot)
        texts: dict[str, tuple[str, int]] = {
            "sums": (manifest.sums, _PUBLIC),
            "tree": (manifest.tree, _PUBLIC),
            "digest": (
                f"{self.release.digest} {manifest.file_count} {manifest.size_bytes or 0}\n",
                _PUBLIC,
            ),
            f"{bot.name}.service": (self.unit(host, ring), _PUBLIC),
            "environment": (self._environment(host, ring, secrets), _PRIVATE),
            "shown": (self.masked_environment(host, ring), _PRIVATE),
            "ready": (_ready(bot), _PUBLIC),
            "about": (json.dumps(self._about, ensure_ascii=False) + "\n", _PUBLIC),
        }
        if bot.shared:
            texts["shared"] = ("".join(f"{name}\n" for name in bot.shared), _PUBLIC)
        if bot.build:
            texts["build"] = ("\n".join(["set -eu", *bot.build]) + "\n", _PUBLIC)
        if bot.secrets_by is SecretsBy.CREDENTIAL:
            for name, value in secrets.items():
                texts[f"credentials/{name}"] = (value, _PRIVATE)
        return {name: (text.encode(), mode) for name, (text, mode) in texts.items()}

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
            name: self._values[reference].reveal()
            for name, reference in sorted(bot.secrets.items())
        }

    @property
    def need_bytes(self) -> int:
        """Disk space that a host needs for the release, without what a build adds."""
        blocks = sum(ceil(file.size / _BLOCK_BYTES) for file in self.tree.files().values())
        folders = sum(isinstance(entry, Folder) for entry in self.tree.values())
        about = 2 * len(self.release.manifest.text)
        return (blocks + folders + 16) * _BLOCK_BYTES + about

    @property
    def need_inodes(self) -> int:
        """Inodes that a host needs for the release, without what a build adds."""
        return len(self.tree) + 16


def _ready(bot: Bot) -> str:
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
