"""A batch: which hosts of a ring are switched at once."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.model.policy import Ring

ALONE: Mapping[str, str] = MappingProxyType({})
"""Every host on a machine of its own."""


def batch_size(ring: Ring, members: Sequence[str]) -> int:
    """Give how many hosts may be switched at once: a percentage is one of all ``members``."""
    return max(1, ring.batch.of(len(members)))


def next_batch(
    ring: Ring,
    members: Sequence[str],
    behind: Sequence[str],
    machines: Mapping[str, str] = ALONE,
    every: Sequence[str] = (),
) -> tuple[str, ...]:
    """Give the first of those that are ``behind``, one of each machine, machines in turn.

    ``machines`` names each host's machine. Hosts of one go down together only where a batch has
    the whole ring: a ring on one machine alone is switched host by host otherwise, whatever its
    batch. ``every``: the whole ring, where not all of it are ``members``.
    """
    ring_hosts = every or members
    size = batch_size(ring, members)
    if batch_size(ring, ring_hosts) >= len(ring_hosts):
        return tuple(behind[:size])
    left = set(behind)
    switched = Counter(machines.get(one, one) for one in ring_hosts if one not in left)
    firsts: dict[str, str] = {}
    for name in behind:
        firsts.setdefault(machines.get(name, name), name)
    order = dict.fromkeys(machines.get(one, one) for one in ring_hosts)
    place = {machine: number for number, machine in enumerate(order)}
    turns = sorted(firsts, key=lambda machine: (switched[machine], place[machine]))
    return tuple(firsts[machine] for machine in turns[:size])


def batches(
    ring: Ring, members: Sequence[str], machines: Mapping[str, str] = ALONE
) -> list[tuple[str, ...]]:
    """Give all batches of a ring, where none of its hosts is away or fails."""
    found: list[tuple[str, ...]] = []
    left = list(members)
    while left:
        found.append(next_batch(ring, members, left, machines))
        left = [name for name in left if name not in found[-1]]
    return found
