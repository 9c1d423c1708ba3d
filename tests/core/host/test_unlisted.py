"""What stands on a machine although the inventory names it no more."""

from __future__ import annotations

from botdeploy.core.host.host_state import HostState, Standing
from botdeploy.core.host.unlisted import unlisted
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy

COUNTED = {"w1": ("w1/1", "w1/2")}


def host(name: str, instance: str | None, machine: str = "m1:22") -> Host:
    """Give a host."""
    return Host(name, Address(name, name), Bot("b", "run", "/s"), (), instance, machine=machine)


def names(hosts: tuple[Host, ...], *standing: str, counted: bool = False) -> list[str]:
    """Name what is not in an inventory of these hosts; all of ``standing`` stands on m1."""
    found = unlisted(
        Inventory("prod", "", hosts, Policy(()), several=COUNTED if counted else {}),
        {hosts[0].name: HostState(standing=tuple(Standing(one, "prod") for one in standing))},
    )
    return [one.name for one in found]


def test_one_instance_fewer_is_called_as_its_host_was() -> None:
    """A person types it behind ``retire``."""
    hosts = (host("w1/1", "1"), host("w1/2", "2"))
    assert names(hosts, "1", "2", "3", counted=True) == ["w1/3"]
    assert names(hosts, "1", "2", counted=True) == []


def test_an_instance_whose_host_is_gone_is_called_by_its_machine() -> None:
    """Nobody knows what the host was called."""
    assert names((host("main", "main"),), "dev", "main") == ["m1:22/dev"]


def test_the_plain_form_is_no_instance_of_its_own() -> None:
    """A plain inventory has nothing left over; beside named ones that stand it is."""
    assert names((host("w1", None),), "") == []
    assert names((host("dev", "dev"),), "dev", "") == ["m1:22"]


def test_what_the_next_canary_replaces_is_told_apart() -> None:
    """Nobody retires the plain unit whose data the first instance is to take."""
    inventory = Inventory("prod", "", (host("dev", "dev"),), Policy(()))
    (one,) = unlisted(inventory, {"dev": HostState(standing=(Standing("", "prod"),))})
    assert one.is_replaced
    (one,) = unlisted(inventory, {"dev": HostState(standing=(*_two("dev", "old"),))})
    assert not one.is_replaced


def _two(*instances: str) -> list[Standing]:
    return [Standing(one, "prod") for one in instances]


def test_another_environment_keeps_its_own() -> None:
    """Its instances are its inventory's; and a machine that is away tells nothing."""
    inventory = Inventory("prod", "", (host("main", "main"),), Policy(()))
    standing = (Standing("main", "prod"), Standing("dev", "dev"), Standing("x", ""))
    assert unlisted(inventory, {"main": HostState(standing=standing)}) == ()
    assert unlisted(inventory, {}) == ()
