"""Setup: prepare hosts once, as an administrator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.hosts.ssh.config.ssh_config import SshConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.errors import HostError


def deployers(
    inventory: Inventory, names: Collection[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Name the user who may deploy to each of these hosts: who logs in by inventory and ssh."""
    ssh = SshConfig(environ)
    return {
        host.name: ssh.user if host.address.local else ssh.resolve(host.address).user
        for host in inventory.hosts
        if host.name in names
    }


def as_user(inventory: Inventory, user: str) -> Inventory:
    """Log in to all hosts as ``user``."""
    hosts = tuple(
        replace(host, address=replace(host.address, user=user)) for host in inventory.hosts
    )
    return replace(inventory, hosts=hosts)


def setup(
    fleet: Fleet, names: Iterable[str], users: Mapping[str, str], *, is_dry: bool
) -> dict[str, list[str] | HostError]:
    """Prepare hosts for the users who deploy there; gives what was changed on each."""

    def prepare(name: str) -> list[str]:
        run_as = fleet.host(name).bot.run_as
        return fleet.acts(name).setup.prepare(run_as, users[name], is_dry=is_dry)

    return fleet.each(names, prepare)
