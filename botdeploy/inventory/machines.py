"""Machines: which hosts of an inventory lead to the same one, and whether they may."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.model.address import Address
    from botdeploy.core.model.inventory import Host
    from botdeploy.inventory.groups import GroupHost

_SSH_PORT = 22
LOCAL = "this machine"

_Way = tuple[str, int, tuple[str, ...], str]


def machine_names(addresses: Mapping[str, Address]) -> dict[str, str]:
    """Name each host's machine by address and port; equal for hosts that lead to the same one.

    Where the way there tells machines of one address apart (jump hosts, a ProxyCommand), it is a
    part of the name.
    """
    ways = {host: _way(address) for host, address in addresses.items()}
    at: dict[str, set[_Way]] = {}
    for way in ways.values():
        at.setdefault(_shown(way), set()).add(way)
    return {
        host: _shown(way) if len(at[_shown(way)]) == 1 else f"{_shown(way)} via {_via(way)}"
        for host, way in ways.items()
    }


def _way(address: Address) -> _Way:
    if address.local:
        return (LOCAL, 0, (), "")
    way = (address.jumps, address.option("proxycommand") or "")
    tokens = {"%h": address.hostname, "%%": "%"}
    name = re.sub("%[h%]", lambda token: tokens[token[0]], address.option("hostname") or "%h")
    return (name.lower(), address.port or _SSH_PORT, *way)


def _shown(way: _Way) -> str:
    name, port, *_ = way
    if not port:
        return name
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _via(way: _Way) -> str:
    return ",".join(way[2]) or way[3] or "no jump host"


def check_machines(hosts: Iterable[Host], members: Mapping[str, GroupHost]) -> None:
    """Refuse hosts of one machine that are not told apart there, or that differ in the user.

    ``members``: each host as the inventory's files state it. Raises InventoryError with file and
    line.
    """
    seen: dict[str, list[Host]] = {}
    for host in hosts:
        for other in seen.setdefault(host.on_machine, []):
            problem = _problem(other, host)
            if problem:
                raise members[host.name].place.fault(problem)
        seen[host.on_machine].append(host)


def _problem(first: Host, second: Host) -> str:
    where = f"hosts '{first.name}' and '{second.name}' are both {second.machine}"
    if first.instance is None or second.instance is None:
        return (
            f"{where}: it would be deployed to twice. Where several copies of the bot run on one "
            "machine, give each host a bot.instance of its own"
        )
    if first.instance == second.instance:
        return (
            f"{where}, and both are its instance '{first.instance}': give each host a "
            "bot.instance of its own"
        )
    if first.bot.run_as != second.bot.run_as:
        return (
            f"{where}, and bot.user is '{first.bot.run_as}' in one and '{second.bot.run_as}' in "
            "the other: all instances on a machine run as one user"
        )
    return ""
