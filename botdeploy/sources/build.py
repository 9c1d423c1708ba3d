"""A build: a release ready to be sent, with what each host of the environment gets of it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.release.environment_file import variables
from botdeploy.core.release.manifest import Manifest, Release, delta
from botdeploy.core.release.release_ids import release_id
from botdeploy.core.release.tree_digest import build_text, content_digest, shared_text
from botdeploy.core.text.secret_mask import Mask
from botdeploy.sources.bot_checks import check_bots
from botdeploy.sources.host_trees import trees_like
from botdeploy.sources.instance_files import PUBLIC, Files, InstanceFiles
from botdeploy.sources.release_digest import in_environment, mark_of, release_digest
from botdeploy.sources.render import Renderer, check_environment
from botdeploy.sources.secrets import read_secret
from botdeploy.sources.systemd_quoting import check_value
from botdeploy.sources.tree import Folder
from botdeploy.sources.upload import delta_tar_gz, meta_tar_gz

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from botdeploy.core.model.bot import Secret
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.model.policy import Ring
    from botdeploy.sources.host_trees import HostTrees

_BLOCK_BYTES = 4096


def build(
    inventory: Inventory,
    trees: HostTrees,
    *,
    now: datetime,
    who: str,
    environ: Mapping[str, str],
    message: str = "",
    set_env: Mapping[str, str] | None = None,
    templates: str | Path | None = None,
) -> Build:
    """Make a release of the trees of an inventory's hosts.

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
    check_bots(inventory.hosts, trees)
    for bot in {id(host.bot): host.bot for host in inventory.hosts}.values():
        for name, reference in in_environment(bot, bot.secrets).items():
            check_value(name, values[reference].reveal())
    for ring in inventory.policy.rings:
        check_environment(ring.env)
    made = release_digest(
        inventory,
        trees.files,
        renderer,
        changes,
        lambda salt: mark_of(values, salt=salt) if values else "",
    )
    name = release_id(now, made.recipe)
    release = Release(name, made.whole, source=trees.describe, recipe=made.recipe)
    about: dict[str, object] = {
        "who": who,
        "when": now.isoformat(),
        "message": message,
        "secrets_mark": made.mark,
    }
    return Build(InstanceFiles(release, trees, changes, values, renderer, about))


def remade(
    inventory: Inventory,
    release: Release,
    manifest: Manifest,
    about: Mapping[str, object],
    holders: Mapping[str, list[str]],
    values: Mapping[str, Secret],
    told: tuple[Host, Ring, Mapping[str, str]],
    templates: str | Path | None = None,
) -> Build | None:
    """Make a release again of what a host says of it; None where it is not what its digest says.

    ``release`` holds the digest that the release must have, ``manifest`` is what the host told of
    its files, ``holders`` which host has which tree, where there are several, ``values`` what it
    told of secrets, by reference, ``told`` the host, its ring and the variables that it has in the
    release's environment: those that are not the inventory's may be ``--set``. Where it can't know
    all secrets of the inventory its mark of their values stands for them; the mark and the holders
    are parts of the digest, too. The build has a tree for hosts of that host's kind only.
    """
    renderer = Renderer(templates, inventory.variables)
    references = {one for host in inventory.hosts for one in host.bot.secrets.values()}
    host, ring, given = told
    trees = trees_like(host, inventory, manifest, holders)
    if trees is None:
        return None
    if holders:
        about = {"trees": holders, **about}

    def mark(salt: str) -> str:
        if references and references <= values.keys():
            return mark_of({one: values[one] for one in references}, salt=salt)
        return str(about.get("secrets_mark") or "") if references else ""

    usual = variables(
        InstanceFiles(release, trees, {}, values, renderer, about).masked_environment(host, ring)
    )
    odd = {
        name: value
        for name, value in given.items()
        if name not in host.bot.secrets and usual.get(name) != value
    }
    for changes in ({}, odd) if odd else ({},):
        made = release_digest(inventory, holders or manifest, renderer, changes, mark)
        if made.whole == release.digest:
            release = replace(release, recipe=made.recipe)
            return Build(InstanceFiles(release, trees, changes, values, renderer, about))
    return None


class Build:
    """One release with everything that is sent of it; safe to use from many threads."""

    def __init__(self, own: InstanceFiles) -> None:
        """Take what writes each host's own files; made by ``build``."""
        self.release = own.release
        self.trees = own.trees
        self._own = own
        self._packages: dict[tuple[int, frozenset[str]], Future[bytes]] = {}
        self._lock = threading.Lock()

    def under(self, release: str) -> Build:
        """Give the same build under an id that hosts know it by already."""
        if release == self.release.id:
            return self
        again = Build(self._own.under(release))
        again._packages, again._lock = self._packages, self._lock  # its own kind
        return again

    @property
    def mask(self) -> Mask:
        """Hides every secret of this build in any text."""
        return Mask(value.reveal() for value in self._own.values.values())

    def manifest(self, host: Host) -> Manifest:
        """Give what a host's files must be; raises KeyError where it gets none."""
        return self.trees.of(host).manifest

    def tree_digest(self, host: Host) -> str:
        """Give the digest of a host's tree: equal for hosts that can use one together."""
        return self.trees.digest_of(host)

    def delta(self, host: Host, base: Manifest | None) -> bytes:
        """Give the gzip tar for a host that has ``base``; packed once for all that need the same.

        Raises SourceError when a file is no longer what was hashed.
        """
        tree = self.trees.of(host)
        paths = delta(tree.manifest, base)
        key = (id(tree), paths)
        with self._lock:
            package = self._packages.get(key)
            is_first = package is None
            if package is None:
                package = self._packages[key] = Future()
        if is_first:
            try:
                package.set_result(delta_tar_gz(tree, paths))
            except BaseException as error:
                package.set_exception(error)
                raise
        return package.result()

    def content(self, host: Host) -> str:
        """Give the hash of a host's files and build, by which another environment knows them."""
        return content_digest(self.manifest(host), host.bot.build)

    def meta(self, host: Host, ring: Ring | None = None) -> bytes:
        """Give the gzip tar of what becomes ``.botdeploy/`` on a host of a ring."""
        return meta_tar_gz(self.files(host, ring))

    def instance_meta(self, host: Host, ring: Ring | None = None) -> bytes:
        """Give the same for a host on whose machine its tree stands."""
        return meta_tar_gz(self.instance_files(host, ring))

    def files(self, host: Host, ring: Ring | None = None) -> Files:
        """Give what becomes ``.botdeploy/`` where a host has its tree for itself."""
        return {**self.tree_files(host), **self.instance_files(host, ring)}

    def tree_files(self, host: Host) -> Files:
        """Give what belongs to a host's tree, of which ``tree_digest`` is made."""
        bot, manifest = host.bot, self.manifest(host)
        texts = {
            "sums": manifest.sums,
            "tree": manifest.tree,
            **({"shared": shared_text(bot.shared)} if bot.shared else {}),
            **({"build": build_text(bot.build)} if bot.build else {}),
        }
        return {name: (text.encode(), PUBLIC) for name, text in texts.items()}

    def instance_files(self, host: Host, ring: Ring | None = None) -> Files:
        """Give what is a host's own beside its tree: unit, environment, readiness, secrets."""
        return self._own.files(host, ring)

    def unit(self, host: Host, ring: Ring | None = None) -> str:
        """Give the unit file of a host; it holds no secret."""
        return self._own.unit(host, ring)

    def masked_environment(self, host: Host, ring: Ring | None = None) -> str:
        """Give the environment file of a host with stars for secrets, to be shown."""
        return self._own.masked_environment(host, ring)

    def need(self, host: Host) -> tuple[int, int]:
        """Give the bytes and inodes of disk that a host needs, without what a build adds."""
        tree = self.trees.of(host)
        blocks = sum(ceil(file.size / _BLOCK_BYTES) for file in tree.files().values())
        folders = sum(isinstance(entry, Folder) for entry in tree.values())
        about = 2 * len(tree.manifest.text)
        return (blocks + folders + 16) * _BLOCK_BYTES + about, len(tree) + 16
