"""The fleet: one connection a host, opened early or when it is needed."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from botdeploy.engine.fleet.fleet import Fleet
from botdeploy.errors import Unreachable
from tests.views.canned import inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.model.address import Address


class FakeConnector:
    """Counts connections; hosts in ``down`` can't be reached."""

    def __init__(self, down: tuple[str, ...] = ()) -> None:
        self.down = down
        self.asked: list[str] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def connect(self, address: Address) -> Any:
        self.asked.append(address.host)
        self.may_go.wait(10)
        if address.host in self.down:
            raise Unreachable(address.host, "nobody answers")
        return SimpleNamespace(host=address.host, is_alive=True)

    def close(self) -> None:
        pass


@pytest.fixture
def connector() -> FakeConnector:
    """Give a connector that reaches every host but w2."""
    return FakeConnector(down=("w2",))


@pytest.fixture
def fleet(connector: FakeConnector) -> Iterator[Fleet]:
    """Give a fleet of two hosts."""
    made = Fleet(inventory(("w1", "w2")), cast("Any", connector))
    yield made
    made.close()


def test_a_host_is_connected_to_once(fleet: Fleet, connector: FakeConnector) -> None:
    """An early connection is the one that is used, and it is opened only once."""
    connector.may_go.clear()
    fleet.connect_early()
    fleet.connect_early()
    connector.may_go.set()
    first = fleet.acts("w1")
    assert fleet.acts("w1").connection is first.connection
    assert connector.asked.count("w1") == 1


def test_a_host_that_is_away_is_told_without_a_second_try(
    fleet: Fleet, connector: FakeConnector
) -> None:
    """What became of the early try is the answer; only the next question tries again."""
    fleet.connect_early()
    results = fleet.each(("w1", "w2"), fleet.acts)
    assert isinstance(results["w2"], Unreachable)
    assert connector.asked.count("w2") == 1
    with pytest.raises(Unreachable):
        fleet.acts("w2")
    assert connector.asked.count("w2") == 2


def test_a_fresh_connection_is_another_one(fleet: Fleet, connector: FakeConnector) -> None:
    """The proof that a host can be reached is never an old connection."""
    fleet.connect_early()
    before = fleet.acts("w1")
    assert fleet.fresh("w1") is not before
    assert fleet.acts("w1").connection is not before.connection
    assert connector.asked.count("w1") == 2
