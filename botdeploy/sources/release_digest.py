"""The digest of a release: of its files, and of what each host is to get beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import SecretsBy
from botdeploy.core.model.inventory import ANY_INSTANCE
from botdeploy.core.release.manifest import Recipe, digest
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botdeploy.core.model.bot import Bot, Secret
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.release.manifest import Manifest
    from botdeploy.sources.render import Renderer

_PLACEHOLDER_ID = "00000000T000000Z-00000000"
"""Stands for the id while the digest, of which the id is made, is not known yet."""


_ANY_VALUE = "40933718265551"
"""Stands for the value of a variable, in words and where a template reckons with it."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What a release is known by."""

    whole: str
    """Of all that hosts get of it."""
    recipe: str
    """The same without values: of variables and secrets, and all that ``--set`` and rings set."""
    mark: str
    """Of the secrets' values; a part of ``whole``, empty without secrets."""


def release_digest(
    inventory: Inventory,
    files: Manifest | Mapping[str, Iterable[str]],
    renderer: Renderer,
    changes: Mapping[str, str],
    mark: Callable[[str], str],
) -> Digests:
    """Give the digests of a release.

    ``files``: the manifest that all hosts have, else the digest of each tree → its hosts.
    ``changes``: what ``--set`` says. ``mark`` makes the mark from a salt; empty without secrets.
    """
    recipes = [_recipe(host, renderer, changes) for host in inventory.hosts]
    ring_env = {
        ring.name: {name: changes.get(name, value) for name, value in ring.env.items()}
        for ring in inventory.policy.rings
    }
    plain = digest(files, recipes, ring_env)
    marked = mark(plain)
    return Digests(
        whole=digest(files, recipes, ring_env, marked) if marked else plain,
        recipe=digest(
            files, [_recipe_without_values(host, renderer, changes) for host in inventory.hosts]
        ),
        mark=marked,
    )


def mark_of(values: Mapping[str, Secret], *, salt: str) -> str:
    """Mark which values the secrets have: a new token makes a new release.

    The release's digest, which this goes into, is no secret, and a value may be a short password:
    scrypt (RFC 7914; 16 MB and some 50 ms a guess) makes trying them out expensive.
    """
    text = json.dumps(sorted((name, value.reveal()) for name, value in values.items()))
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=32).hex()


def _recipe(host: Host, renderer: Renderer, changes: Mapping[str, str]) -> Recipe:
    host = any_instance(host)  # one more instance of a bot is no other release of it
    bot = host.bot
    plain = {**bot.env, **changes}
    return Recipe(
        command=bot.command,
        unit=renderer.unit(host, _PLACEHOLDER_ID, plain),
        environment=renderer.environment(
            host, _PLACEHOLDER_ID, {**plain, **in_environment(bot, dict(bot.secrets))}
        ),
        build=bot.build,
        shared=bot.shared,
        ready=bot.ready,
        secrets=bot.secrets,
        secrets_by=bot.secrets_by,
    )


def _recipe_without_values(host: Host, renderer: Renderer, changes: Mapping[str, str]) -> Recipe:
    """Give a host's recipe with stand-ins for values; with the values where a template needs them.

    Its name, its index and the count of instances are values, too. A template that can't be
    rendered with others is no reason to refuse a release: then other values make another recipe.
    """
    any_one = any_instance(host)
    if host.unnumbered is not None:
        name = None if host.instance is None else ANY_INSTANCE
        any_one = replace(host, bot=host.unnumbered, instance=name)
    bot = replace(any_one.bot, env=_without_values(any_one.bot.env))
    stand_in = replace(any_one, bot=bot, alike=None)
    try:
        return _recipe(stand_in, renderer, {})
    except UserError:
        return _recipe(host, renderer, changes)


def _without_values(env: Mapping[str, str]) -> dict[str, str]:
    return dict.fromkeys(env, _ANY_VALUE)


def any_instance(host: Host) -> Host:
    """Give the host with a stand-in for its instance's name, where only that name is its own."""
    return host if host.alike is None else replace(host, bot=host.alike, instance=ANY_INSTANCE)


def in_environment(bot: Bot, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """Give the secrets that a bot finds in its environment: all of them, or none."""
    return secrets if bot.secrets_by is SecretsBy.ENVIRONMENT else {}
