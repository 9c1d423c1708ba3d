"""Which hosts each ring means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.model.policy import Share
from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory.pattern import why_none
from botdeploy.inventory.settings import takes_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.policy import Policy, Ring
    from botdeploy.inventory.located import Located
    from botdeploy.inventory.pattern import Names


def place_hosts(
    policy: Policy,
    names: Names,
    node: Located | None,
    every: Names,
    left_out: Mapping[str, str],
) -> Policy:
    """Give each ring its hosts: those that its selector means and no earlier pattern took.

    A count or percentage gets all hosts that it may choose from. Raises InventoryError for a
    ring without hosts and for hosts without a ring; ``node`` is the variable ``rollout``,
    ``every`` names the inventory's hosts, also those that are no part of the environment.
    """
    taken: set[str] = set()
    placed: list[Ring] = []
    last = len(policy.rings) - 1
    for index, ring in enumerate(policy.rings):
        is_rest = takes_all(ring.selector)
        try:
            hosts = _hosts(ring, names, taken)
        except UserError as error:
            raise _fault(node, index, str(error)) from None
        if not hosts and not (is_rest and index == last):
            why = _why_empty(ring, names)
            if not isinstance(ring.selector, Share):
                why += why_none(ring.selector, every, left_out)
            raise _fault(node, index, f"ring '{ring.name}': {why}")
        if not isinstance(ring.selector, Share):
            taken.update(hosts)
        placed.append(replace(ring, hosts=hosts))
    _check_left(policy, names, node)
    return replace(policy, rings=tuple(placed))


def _hosts(ring: Ring, names: Names, taken: set[str]) -> tuple[str, ...]:
    wanted = names.hosts if isinstance(ring.selector, Share) else names.match(ring.selector)
    return tuple(host for host in wanted if host not in taken)


def _why_empty(ring: Ring, names: Names) -> str:
    if isinstance(ring.selector, Share):
        return "no host is left for it"
    if names.match(ring.selector):
        return f"every host of '{ring.selector}' is in an earlier ring"
    return f"no host matches '{ring.selector}'"


def _check_left(policy: Policy, names: Names, node: Located | None) -> None:
    """Find hosts that no ring is sure to have, whichever hosts the counts choose."""
    named = {
        host
        for ring in policy.rings
        if not isinstance(ring.selector, Share)
        for host in names.match(ring.selector)
    }
    unnamed = [host for host in names.hosts if host not in named]
    left = len(names.hosts)
    gone: set[str] = set()
    for ring in policy.rings:
        if isinstance(ring.selector, Share):
            left -= ring.selector.of(len(names.hosts))
            if left <= 0:
                return
        else:
            members = set(names.match(ring.selector)) - gone
            gone |= members
            # Counts before this ring may have chosen its hosts or others: take the worse.
            left = min(left, len(names.hosts) - len(gone))
    if unnamed:
        shown = ", ".join(unnamed[:10]) + (" …" if len(unnamed) > 10 else "")  # noqa: PLR2004
        raise _fault(
            node, len(policy.rings) - 1, f"no ring is sure to have {shown}; let the last take 'all'"
        )


def _fault(node: Located | None, index: int, message: str) -> InventoryError:
    if node is None:
        return InventoryError(message)
    return node.place_of(("rings", index, "hosts")).fault(message, f"rollout.rings[{index}].hosts")
