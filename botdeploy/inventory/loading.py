"""Loading: from an environment's name to hosts, bot and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy
from botdeploy.errors import InventoryError, NoMatch, UserError
from botdeploy.inventory import announce
from botdeploy.inventory.connection_vars import Connection
from botdeploy.inventory.empty_names import rendered
from botdeploy.inventory.find import beside, find
from botdeploy.inventory.gather import folder_of, gather
from botdeploy.inventory.instances import (
    expand,
    number,
    numbers,
    only_names,
    stand_in,
    without_numbers,
)
from botdeploy.inventory.machines import check_machines, machine_names
from botdeploy.inventory.pattern import names_of, why_none
from botdeploy.inventory.rings import place_hosts
from botdeploy.inventory.settings import (
    DEFAULT_RINGS,
    REQUIRED,
    hosts_of,
    is_raw,
    read_bot,
    read_rollout,
)
from botdeploy.inventory.similar_names import slips_of_connection
from botdeploy.inventory.unread_connection_settings import elsewhere
from botdeploy.inventory.variables import Plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from botdeploy.core.model.bot import Bot
    from botdeploy.inventory.groups import GroupTree
    from botdeploy.inventory.instances import Instance
    from botdeploy.inventory.located import Located
    from botdeploy.inventory.pattern import Names
    from botdeploy.inventory.template import Scope


def load(environment: str, inventory_dir: Path, environ: Mapping[str, str]) -> Inventory:
    """Load an environment's inventory, checked in all its parts.

    ``environment`` is a name in ``inventory_dir`` (``prod`` for prod.yml, prod.yaml or the
    folder prod/) or the path of an inventory; ``lookup('env', …)`` reads ``environ``. Raises
    UserError, mostly with file, line and key.
    """
    name, path = find(environment, inventory_dir)
    try:
        return _load(name, path, environ)
    except RecursionError:
        raise InventoryError("is nested too deeply", file=str(path)) from None


def _load(name: str, path: Path, environ: Mapping[str, str]) -> Inventory:
    tree, by_host = gather(path, environ)
    with_bot = {host: scope for host, scope in by_host.items() if "bot" in scope.variables}
    hint = next(iter(by_host.values())).engine.hints()
    if not with_bot:
        raise InventoryError(
            f"no host has the variable 'bot': set it for 'all', or for a group{hint}",
            file=str(path),
            key="bot",
        )
    node = _agreed_rollout(with_bot)
    all_instances = expand(with_bot)
    several = _several(all_instances)
    groups = {
        group: tuple(one for host in tree.hosts_of(group) for one in several.get(host, (host,)))
        for group in tree.groups
    }
    listed = [one for host in by_host for one in several.get(host, (host,))]
    every = names_of(listed, groups, several)
    chosen = _chosen(node, all_instances, every)
    number(chosen)
    left_out = {
        host: "rollout.hosts leaves it out"
        if host in all_instances
        else f"it has no variable 'bot'{hint}"
        for host in listed
        if host not in chosen
    }
    inside = {
        group: tuple(one for one in members if one in chosen) for group, members in groups.items()
    }
    several = _several(chosen)
    hosts = _hosts(tree, chosen, folder_of(path))
    policy = read_rollout(node) if node is not None else Policy(DEFAULT_RINGS)
    if node is not None:
        _check_ring_env(policy, hosts, node)
    policy = place_hosts(policy, names_of(list(chosen), inside, several), node, every, left_out)
    if node is not None:
        _check_required(name, path, policy, node)
        announce.check(name, policy, hosts, node)
    scopes = {one.machine_host: one.scope for one in chosen.values()}
    notes = (
        *slips_of_connection(scope.variables for scope in scopes.values()),
        *elsewhere(folder_of(path), tree, scopes, environ),
    )
    variables = {host: Plain(one.scope) for host, one in chosen.items()}
    return Inventory(name, str(path), hosts, policy, inside, left_out, notes, several, variables)


def _several(instances: Mapping[str, Instance]) -> dict[str, tuple[str, ...]]:
    """List the hosts that stand for several instances, with the names of those."""
    found: dict[str, tuple[str, ...]] = {}
    for name, one in instances.items():
        if name != one.machine_host:
            found[one.machine_host] = (*found.get(one.machine_host, ()), name)
    return found


def _chosen(
    node: Located | None, with_bot: dict[str, Instance], names: Names
) -> dict[str, Instance]:
    """Give what is part of the environment: hosts with ``bot``, and of ``rollout.hosts``."""
    pattern = None if node is None else hosts_of(node)
    if node is None or pattern is None:
        return with_bot
    try:
        wanted = set(names.match(pattern))
    except UserError as error:
        node.fail(str(error), "rollout.hosts", ("hosts",))
    chosen = {host: one for host, one in with_bot.items() if host in wanted}
    if not chosen:
        why = "no host that has the variable 'bot' is" if wanted else "no host is"
        node.fail(f"{why} meant by '{pattern}'", "rollout.hosts", ("hosts",))
    return chosen


def select(inventory: Inventory, pattern: str) -> tuple[str, ...]:
    """List the hosts that an Ansible pattern means, in inventory order.

    Raises NoMatch when it means none, UserError when it is no pattern.
    """
    names = names_of([host.name for host in inventory.hosts], inventory.groups, inventory.several)
    found = names.match(pattern)
    if not found:
        why = why_none(pattern, names_of(list(inventory.left_out), {}), inventory.left_out)
        raise NoMatch(f"no host of '{inventory.environment}' matches '{pattern}'{why}")
    return found


# --- hosts ------------------------------------------------------------------------------------


def _hosts(tree: GroupTree, chosen: dict[str, Instance], base: Path) -> tuple[Host, ...]:
    bots = _Bots()
    addresses = {one.machine_host: Connection(one.scope, base).address() for one in chosen.values()}
    machines = machine_names(addresses)
    hosts = tuple(
        Host(
            name=name,
            address=addresses[one.machine_host],
            bot=bots.of(one.scope),
            numbers=numbers(one),
            groups=tuple(tree.members[one.machine_host].groups),
            instance=one.name,
            alike=_alike(bots, one),
            unnumbered=_unnumbered(bots, one),
            machine=machines[one.machine_host],
        )
        for name, one in chosen.items()
    )
    _check_one_bot(hosts, chosen)
    check_machines(hosts, {name: tree.members[one.machine_host] for name, one in chosen.items()})
    return hosts


def _alike(bots: _Bots, one: Instance) -> Bot | None:
    """Read the bot with a stand-in for the instance's name, where that is all that differs."""
    scope = stand_in(one)
    if scope is None or one.name is None:
        return None
    try:
        alike = bots.of(scope)
    except InventoryError:
        return None  # its name chooses something that no other name does
    return alike if only_names(bots.of(one.scope), alike, one.name) else None


def _unnumbered(bots: _Bots, one: Instance) -> Bot | None:
    """Read the bot with stand-ins for its name and its numbers, where it is made with a number."""
    if not numbers(one):
        return None
    try:
        return bots.of(without_numbers(one))
    except InventoryError:
        return None  # its number chooses something that no other number does


class _Bots:
    """Reads ``bot`` once for all hosts that share it unchanged."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Located, Bot]] = {}

    def of(self, scope: Scope) -> Bot:
        found = rendered(scope, scope.variables["bot"], "bot")
        if id(found) not in self.known:
            self.known[id(found)] = (found, read_bot(found))
        return self.known[id(found)][1]


def _check_one_bot(hosts: tuple[Host, ...], chosen: dict[str, Instance]) -> None:
    first = hosts[0]
    for host in hosts:
        if host.bot.name != first.bot.name:
            chosen[host.name].scope.variables["bot"].fail(
                f"an environment deploys one bot: host '{host.name}' has '{host.bot.name}', "
                f"host '{first.name}' has '{first.bot.name}'",
                "bot.name",
                ("name",),
            )


# --- policy -----------------------------------------------------------------------------------


def _agreed_rollout(by_host: dict[str, Scope]) -> Located | None:
    """Give the ``rollout`` that all hosts have in common."""
    first: tuple[str, Located | None] | None = None
    for host, scope in by_host.items():
        node = scope.variables.get("rollout")
        own = None if node is None else rendered(scope, node, "rollout", is_raw)
        if first is None:
            first = (host, own)
            continue
        name, common = first
        if common is own:
            continue
        if common is None or own is None or common.value != own.value:
            stated = own or common
            assert stated is not None  # noqa: S101 (both None is the same object)
            stated.fail(
                f"hosts '{name}' and '{host}' differ in it: a rollout is the same for all; "
                "set it for 'all'",
                "rollout",
            )
    return first[1] if first else None


def _check_required(name: str, path: Path, policy: Policy, node: Located) -> None:
    """Refuse ``requires`` of an environment that is not there; it is not read yet."""
    if policy.requires is None:
        return
    try:
        beside(policy.requires.environment, name, path)
    except UserError as error:
        node.fail(str(error), "rollout.requires.environment", REQUIRED)


def _check_ring_env(policy: Policy, hosts: Iterable[Host], node: Located) -> None:
    secrets = {name: host.name for host in hosts for name in host.bot.secrets}
    for index, ring in enumerate(policy.rings):
        for name in ring.env:
            if name in secrets:
                node.fail(
                    f"bot.secrets of host '{secrets[name]}' holds it",
                    f"rollout.rings[{index}].env.{name}",
                    ("rings", index, "env", name),
                )
