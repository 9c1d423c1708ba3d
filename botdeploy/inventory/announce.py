"""Announcements: what a bot's users are told when a ring begins and when it has passed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

    from botdeploy.core.model.inventory import Host
    from botdeploy.core.model.policy import Policy, Ring
    from botdeploy.inventory.located import Located

LONGEST = 4000
"""Characters of an announcement; the strictest services take half of that and cut the rest."""
_SAMPLE_RELEASE = "20260101T000000Z-0123abcd"


@cache
def _environment() -> Environment:
    """Make what announcements are compiled in, where there is one."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def values(
    *, bot: str, environment: str, ring: str, release: str, hosts: Sequence[Host], env: Any
) -> dict[str, Any]:
    """Name all that an announcement may speak of.

    ``instances`` has one name for each of ``hosts``; it is empty for one in the plain form, as
    ``instance`` is in other templates.
    """
    return {
        "bot": bot,
        "environment": environment,
        "ring": ring,
        "release": release,
        "hosts": [host.name for host in hosts],
        "instances": [host.instance or "" for host in hosts],
        "env": dict(env),
    }


def render(text: str, known: Mapping[str, Any]) -> str:
    """Fill an announcement in; raises UserError that says what is wrong with it."""
    problem = fault(text, known)
    if problem is not None:
        raise UserError(problem)
    return _environment().from_string(text).render(known).strip()[:LONGEST]


def fault(text: str, known: Mapping[str, Any]) -> str | None:
    """Say what is wrong with an announcement, also in branches not taken now; None: nothing."""
    from jinja2 import TemplateError, TemplateSyntaxError, meta

    environment = _environment()
    try:
        tree = environment.parse(text)
        unknown = meta.find_undeclared_variables(tree) - set(known) - set(environment.globals)
        if unknown:
            names = ", ".join(sorted(unknown))
            return f"names what it can't know: {names}; known are: {', '.join(sorted(known))}"
        environment.from_string(text).render(known)
    except TemplateSyntaxError as error:
        return f"is not a valid template: {error.message}"
    except TemplateError as error:
        return f"can't be filled in: {error.message}"
    except Exception as error:  # noqa: BLE001 (a template can call anything that its values have)
        return f"can't be filled in: {error}"
    return None


def env_of(ring: Ring, hosts: Sequence[Host]) -> dict[str, str]:
    """Give the variables that all these hosts have in the ring, with the first one's values."""
    common = [name for name in hosts[0].bot.env if all(name in host.bot.env for host in hosts)]
    return {name: hosts[0].bot.env[name] for name in common} | dict(ring.env)


def check(environment: str, policy: Policy, hosts: Sequence[Host], node: Located) -> None:
    """Try every announcement on sample values; raises InventoryError with file, line and key.

    What is found here can't go wrong in the middle of a rollout.
    """
    for index, ring in enumerate(policy.rings):
        known = values(
            bot=hosts[0].bot.name,
            environment=environment,
            ring=ring.name,
            release=_SAMPLE_RELEASE,
            hosts=[host for host in hosts if host.name in ring.hosts] or hosts,
            env=env_of(ring, hosts),
        )
        key = f"rollout.rings[{index}].announce"
        for name, text in ring.announce.items():
            problem = fault(text, known)
            if problem is not None:
                node.fail(problem, f"{key}.{name}", ("rings", index, "announce", name))
        if ring.announce and not ring.announce_to and not policy.notify:
            node.fail(
                "goes nowhere: give 'to', or rollout.notify", key, ("rings", index, "announce")
            )
