"""Copying: a release goes from a host that has it to one that was away, through the controller.

A host is believed nothing of it: what it gives is what the release's digest stands for, or it is
refused. Who is root on one host could put a program of his own on another one otherwise.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import Secret, SecretsBy
from botdeploy.core.release.environment_file import variables
from botdeploy.core.release.manifest import Release, parse_manifest
from botdeploy.core.release.tree_digest import holders_of
from botdeploy.core.text.untrusted import object_of, told, whole
from botdeploy.errors import ActFailed, UserError
from botdeploy.sources.build import remade
from botdeploy.sources.host_trees import TreeSource
from botdeploy.sources.release_digest import any_instance
from botdeploy.sources.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.model.policy import Ring
    from botdeploy.core.rollout.target import Target
    from botdeploy.hosts.acts.release import Fetched
    from botdeploy.sources.build import Build

_MOST_META = 128 * 1024 * 1024
_CHUNK = 1 << 20

_PLACEHOLDER = "00000000T000000Z-00000000"


class Likeness:
    """Tells which hosts get the very same of a release: files, unit, environment, secrets.

    A release's unit and environment were rendered for each host when it was made. A controller
    that has only the inventory can't make them again, for it may not know the secrets; but it
    knows for which hosts they are the same. What only an instance's name makes different counts
    as the same.
    """

    def __init__(
        self, inventory: Inventory, rings: Mapping[str, Ring], templates: Path | None
    ) -> None:
        """Render by ``inventory``; ``rings`` names each host's ring."""
        self._inventory = inventory
        self._rings = rings
        self._renderer = Renderer(templates, inventory.variables)
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
        bot, stand_in = host.bot, any_instance(host)
        plain = {**stand_in.bot.env, **ring.env}
        renderer = self._renderer
        secrets = dict.fromkeys(bot.secrets, "")
        return (
            TreeSource.of(bot),
            renderer.unit(stand_in, _PLACEHOLDER, plain),
            renderer.environment(stand_in, _PLACEHOLDER, {**plain, **secrets}),
            sorted(bot.secrets.items()),
            bot.secrets_by,
            bot.build,
            bot.shared,
            stand_in.bot.ready,
        )


def checked(
    inventory: Inventory,
    target: Target,
    source: str,
    ring: Ring,
    fetched: Fetched,
    templates: Path | None,
) -> Build:
    """Make the release again of what ``source``, a host of ``ring``, gave of it.

    Files, unit, environment, build and the values of secrets are those of the digest, or
    ActFailed is raised: the host was tampered with, or the inventory has changed since.
    """
    try:
        files = _unpacked(fetched.meta)
        _check_size(fetched)
        text = {name: content.decode() for name, content in files.items()}
        manifest = parse_manifest(f"{text['sums']}\n{text['tree']}")
        size = whole(text["digest"].split()[2])
        about = object_of(text["about"])
        holders = holders_of(about.pop("trees", {}))
        given = variables(text["environment"])
    except (ValueError, KeyError, IndexError, OSError, EOFError, zlib.error) as error:
        raise ActFailed(source, "fetch", f"{target.release} came damaged: {error!r}") from error
    host = inventory.host(source)
    bot = host.bot
    values = {
        reference: Secret(
            given.get(name, "")
            if bot.secrets_by is SecretsBy.ENVIRONMENT
            else text.get(f"credentials/{name}", "")
        )
        for name, reference in bot.secrets.items()
    }
    release = Release(target.release, target.digest)
    manifest = replace(manifest, size_bytes=size)
    about = {told(name): value and told(value) for name, value in about.items()}
    about |= {"release": target.release, "digest": target.digest}
    build = remade(
        inventory, release, manifest, about, holders, values, (host, ring, given), templates
    )
    if build is not None:
        return build
    raise ActFailed(
        source,
        "fetch",
        f"its copy of {target.release} does not match the release's digest: it was changed there, "
        "or the inventory has changed since. Only canary can stage it anew",
    )


def _unpacked(meta: bytes) -> dict[str, bytes]:
    content = _unzipped(meta, _MOST_META)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {
            member.name.removeprefix("./"): file.read()
            for member in tar
            if member.isreg()
            and member.size <= len(content)  # a sparse one may claim any size
            and (file := tar.extractfile(member)) is not None
        }


def _unzipped(packed: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    content = unpacker.decompress(packed, most)
    if not unpacker.eof:
        raise ValueError("it is cut off, or too large")
    return content


def _check_size(fetched: Fetched) -> None:
    """Refuse files that unpack to more than what the host says, for which there is room."""
    size = 0
    rest = fetched.files
    while rest:
        unpacker = zlib.decompressobj(wbits=31)  # gzip reads several packages as one
        while rest and not unpacker.eof:
            size += len(unpacker.decompress(rest, _CHUNK))
            rest = unpacker.unconsumed_tail
            if size > fetched.size_bytes + fetched.inodes * 4096 + _CHUNK:
                raise ValueError("its files are larger than it says")
        rest = unpacker.unused_data
