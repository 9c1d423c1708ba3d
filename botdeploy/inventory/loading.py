"""Loading: from an environment's name to hosts, bot and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy
from botdeploy.errors import InventoryError, NoMatch, UserError
from botdeploy.inventory import announce
from botdeploy.inventory.connection_vars import Connection
from botdeploy.inventory.empty_names import rendered
from botdeploy.inventory.find import find
from botdeploy.inventory.gather import folder_of, gather
from botdeploy.inventory.pattern import names_of, why_none
from botdeploy.inventory.rings import place_hosts
from botdeploy.inventory.settings import DEFAULT_RINGS, hosts_of, is_raw, read_bot, read_rollout
from botdeploy.inventory.similar_names import slips_of_connection
from botdeploy.inventory.unread_connection_settings import elsewhere
from botdeploy.inventory.variables import Plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from botdeploy.core.model.address import Address
    from botdeploy.core.model.bot import Bot
    from botdeploy.inventory.groups import GroupTree
    from botdeploy.inventory.located import Located
    from botdeploy.inventory.pattern import Names
    from botdeploy.inventory.template import Scope

_SSH_PORT = 22


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
    groups = {group: tuple(tree.hosts_of(group)) for group in tree.groups}
    with_bot = {host: scope for host, scope in by_host.items() if "bot" in scope.variables}
    hint = next(iter(by_host.values())).engine.hints()
    if not with_bot:
        raise InventoryError(
            f"no host has the variable 'bot': set it for 'all', or for a group{hint}",
            file=str(path),
            key="bot",
        )
    node = _agreed_rollout(with_bot)
    every = names_of(list(by_host), groups)
    chosen = _chosen(node, with_bot, every)
    left_out = {
        host: f"it has no variable 'bot'{hint}"
        if host not in with_bot
        else "rollout.hosts leaves it out"
        for host in by_host
        if host not in chosen
    }
    inside = {
        group: tuple(one for one in members if one in chosen) for group, members in groups.items()
    }
    hosts = _hosts(tree, chosen, folder_of(path))
    policy = read_rollout(node) if node is not None else Policy(DEFAULT_RINGS)
    if node is not None:
        _check_ring_env(policy, hosts, node)
    policy = place_hosts(policy, names_of(list(chosen), inside), node, every, left_out)
    if node is not None:
        announce.check(name, policy, hosts, node)
    notes = (
        *slips_of_connection(scope.variables for scope in chosen.values()),
        *elsewhere(folder_of(path), tree, chosen, environ),
    )
    variables = {host: Plain(scope) for host, scope in chosen.items()}
    return Inventory(name, str(path), hosts, policy, inside, left_out, notes, variables)


def _chosen(node: Located | None, with_bot: dict[str, Scope], names: Names) -> dict[str, Scope]:
    """Give the hosts that are part of the environment: with ``bot``, and of ``rollout.hosts``."""
    pattern = None if node is None else hosts_of(node)
    if node is None or pattern is None:
        return with_bot
    try:
        wanted = set(names.match(pattern))
    except UserError as error:
        node.fail(str(error), "rollout.hosts", ("hosts",))
    chosen = {host: scope for host, scope in with_bot.items() if host in wanted}
    if not chosen:
        why = "no host that has the variable 'bot' is" if wanted else "no host is"
        node.fail(f"{why} meant by '{pattern}'", "rollout.hosts", ("hosts",))
    return chosen


def select(inventory: Inventory, pattern: str) -> tuple[str, ...]:
    """List the hosts that an Ansible pattern means, in inventory order.

    Raises NoMatch when it means none, UserError when it is no pattern.
    """
    names = names_of([host.name for host in inventory.hosts], inventory.groups)
    found = names.match(pattern)
    if not found:
        why = why_none(pattern, names_of(list(inventory.left_out), {}), inventory.left_out)
        raise NoMatch(f"no host of '{inventory.environment}' matches '{pattern}'{why}")
    return found


# --- hosts ------------------------------------------------------------------------------------


def _hosts(tree: GroupTree, by_host: dict[str, Scope], base: Path) -> tuple[Host, ...]:
    bots = _Bots()
    hosts = tuple(
        Host(
            name=name,
            address=Connection(scope, base).address(),
            bot=bots.of(scope),
            groups=tuple(tree.members[name].groups),
        )
        for name, scope in by_host.items()
    )
    _check_one_bot(hosts, by_host)
    _check_addresses(tree, hosts)
    return hosts


class _Bots:
    """Reads ``bot`` once for all hosts that share it unchanged."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Located, Bot]] = {}

    def of(self, scope: Scope) -> Bot:
        found = rendered(scope, scope.variables["bot"], "bot")
        if id(found) not in self.known:
            self.known[id(found)] = (found, read_bot(found))
        return self.known[id(found)][1]


def _check_one_bot(hosts: tuple[Host, ...], by_host: dict[str, Scope]) -> None:
    first = hosts[0]
    for host in hosts:
        if host.bot.name != first.bot.name:
            by_host[host.name].variables["bot"].fail(
                f"an environment deploys one bot: host '{host.name}' has '{host.bot.name}', "
                f"host '{first.name}' has '{first.bot.name}'",
                "bot.name",
                ("name",),
            )


def _check_addresses(tree: GroupTree, hosts: tuple[Host, ...]) -> None:
    """Refuse two names for one machine, which would be deployed to twice."""
    seen: dict[object, str] = {}
    for host in hosts:
        machine = _machine(host.address)
        if machine in seen:
            where = "this machine" if host.address.local else _shown(host.address)
            raise tree.members[host.name].place.fault(
                f"hosts '{seen[machine]}' and '{host.name}' are both {where}: "
                "it would be deployed to twice"
            )
        seen[machine] = host.name


def _machine(address: Address) -> object:
    if address.local:
        return "local"
    way = (address.jumps, address.option("proxycommand"))
    return (address.hostname.lower(), address.port or _SSH_PORT, way)


def _shown(address: Address) -> str:
    return f"{address.hostname} port {address.port or _SSH_PORT}"


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
