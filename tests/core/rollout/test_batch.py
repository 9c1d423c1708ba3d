"""Batches: each host once, never more than the ring allows, machines in turn."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.model.policy import Ring, Share
from botdeploy.core.rollout.batch import batch_size, batches, next_batch

SHARES = st.one_of(
    st.builds(lambda count: Share(count=count), st.integers(1, 12)),
    st.builds(lambda percent: Share(percent=percent), st.floats(1, 100)),
)
MACHINES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


def ring_of(share: Share) -> Ring:
    """Give a ring with this batch."""
    return Ring("fleet", "all", batch=share)


def placed(letters: list[str]) -> dict[str, str]:
    """Name a host for each machine's letter: host → machine."""
    return {f"h{number}": letter for number, letter in enumerate(letters)}


@given(SHARES, MACHINES)
def test_every_host_is_in_one_batch_and_none_is_too_large(share: Share, on: list[str]) -> None:
    """Two of one machine go down together only where the batch has the whole ring."""
    machines, ring = placed(on), ring_of(share)
    hosts = list(machines)
    found = batches(ring, hosts, machines)
    assert sorted(name for batch in found for name in batch) == sorted(hosts)
    is_whole = batch_size(ring, hosts) == len(hosts)
    assert (len(found) == 1) is (is_whole or len(hosts) == 1)
    for batch in found:
        assert 1 <= len(batch) <= batch_size(ring, hosts)
        assert is_whole or len({machines[name] for name in batch}) == len(batch)


@given(SHARES, MACHINES, st.data())
def test_hosts_that_come_later_never_take_their_neighbours_down(
    share: Share, on: list[str], data: st.DataObject
) -> None:
    """The whole ring counts, not only those of it that can be reached now."""
    machines, ring = placed(on), ring_of(share)
    every = list(machines)
    members = data.draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    behind = data.draw(st.lists(st.sampled_from(members), min_size=1, unique=True))
    batch = next_batch(ring, members, behind, machines, every)
    assert batch
    assert set(batch) <= set(behind)
    assert len(batch) <= batch_size(ring, members)
    if batch_size(ring, every) < len(every):
        assert len({machines[name] for name in batch}) == len(batch)


@given(SHARES, st.integers(1, 12))
def test_hosts_on_machines_of_their_own_go_in_order(share: Share, count: int) -> None:
    """The first ones that are behind, as many as may."""
    hosts = [f"h{number}" for number in range(count)]
    ring = ring_of(share)
    size = batch_size(ring, hosts)
    assert batches(ring, hosts) == [
        tuple(hosts[begin : begin + size]) for begin in range(0, count, size)
    ]


@given(MACHINES)
def test_machines_take_turns(on: list[str]) -> None:
    """No machine has two switched before each other one with hosts left had its turn."""
    machines = placed(on)
    found = batches(ring_of(Share(count=1)), [*machines], machines)
    order = [machines[batch[0]] for batch in found]
    for now, (machine, after) in enumerate(pairwise(order), start=1):
        others_left = set(order[now:]) - {machine}
        assert machine != after or not others_left


def test_a_ring_on_one_machine_is_switched_host_by_host() -> None:
    """Unless its batch has all of it."""
    machines = placed(list("aaa"))
    assert batches(ring_of(Share(count=2)), [*machines], machines) == [("h0",), ("h1",), ("h2",)]
    assert batches(ring_of(Share(count=3)), [*machines], machines) == [("h0", "h1", "h2")]
