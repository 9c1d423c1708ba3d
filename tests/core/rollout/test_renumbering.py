"""Renumbering: no rollout runs two numberings of the instances side by side."""

from __future__ import annotations

import pytest

from botdeploy.core.host.host_state import HostState, StagedRelease
from botdeploy.core.host.running import Unit
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy
from botdeploy.core.rollout.renumbering import refuse_renumbering, renumbered
from botdeploy.errors import UserError

BOT = Bot("echobot", "run", "/src")


def inventory(*numbers: str) -> Inventory:
    """Give an environment of as many instances."""
    hosts = tuple(
        Host(f"w/{n}", Address("w", "w"), BOT, instance=str(n), numbers=one)
        for n, one in enumerate(numbers)
    )
    return Inventory("prod", "prod.yml", hosts, Policy(()))


def state(numbers: str, *, runs: bool = True, staged: str | None = None) -> HostState:
    """Say what an instance runs, and what is staged beside it."""
    releases = [StagedRelease("R1", "d1", numbers=numbers)]
    releases += [StagedRelease("R2", "d2", numbers=staged)] if staged is not None else []
    return HostState(
        current="R1", unit=Unit(release="R1" if runs else ""), releases=tuple(releases)
    )


def test_one_more_instance_changes_the_count_of_those_that_run() -> None:
    """The new one has no number yet."""
    states = {"w/0": state("0/2"), "w/1": state("1/2"), "w/2": HostState()}
    found = renumbered(inventory("0/3", "1/3", "2/3"), states, "R2")
    assert found == {"w/0": ("0/2", "0/3"), "w/1": ("1/2", "1/3")}


def test_what_is_staged_counts_before_the_inventory() -> None:
    """A rollout that goes on starts what was staged."""
    assert renumbered(inventory("0/3"), {"w/0": state("0/2", staged="0/2")}, "R2") == {}


@pytest.mark.parametrize(
    ("had", "has", "runs"),
    [("", "", True), ("0/1", "0/1", True), ("", "0/1", True), ("0/2", "0/1", False)],
)
def test_nothing_is_refused(had: str, has: str, *, runs: bool) -> None:
    """Where nothing is numbered, nothing changes, or nothing of the old numbers runs."""
    refuse_renumbering(inventory(has), {"w/0": state(had, runs=runs)}, "R2")


def test_it_is_refused_with_the_way_out() -> None:
    """Each instance is named, with the unit to stop."""
    states = {"w/0": state("0/2"), "w/1": state("1/2")}
    with pytest.raises(UserError) as caught:
        refuse_renumbering(inventory("0/3", "1/3"), states, "R2")
    assert "w/0 runs as 0/2 and would be 0/3" in str(caught.value)
    assert "systemctl stop echobot@0.service echobot@1.service" in str(caught.value)
