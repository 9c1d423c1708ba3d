"""Which rollout is under way, by what hosts say."""

from __future__ import annotations

from botdeploy.core.host.host_state import HostState, Phase, RolloutRecord, StagedRelease, Switch
from botdeploy.core.host.running import Unit
from botdeploy.core.model.policy import Policy
from botdeploy.core.rollout.rollout_records import newest_under_way

POLICY = Policy(())
R1, R2 = "20261101T000000Z-aaaa0001", "20261102T000000Z-aaaa0002"


def record(
    release: str, name: str, since: str = "2026-11-02T00:00:00Z", **more: str
) -> RolloutRecord:
    return RolloutRecord(name, release, "d" * 64, since=since, **more)


def host(
    running: str = R1, *, rollout: RolloutRecord | None = None, switch: Switch | None = None
) -> HostState:
    """Give a host on ``running`` with both releases staged, the first one proven."""
    return HostState(
        current=running,
        unit=Unit("active", "running", main_pid=7, release=running),
        rollout=rollout,
        switch=switch,
        releases=(StagedRelease(R1, "c" * 64, is_proven=True), StagedRelease(R2, "d" * 64)),
    )


def test_a_rollout_that_waits_at_its_first_gate_is_under_way() -> None:
    """Staged everywhere and switched nowhere: an approval must find it."""
    waiting = {
        name: host(rollout=record(R2, "20261102T000000Z-aaaa", ring=name)) for name in ("h1", "h2")
    }
    found = newest_under_way(waiting, POLICY)
    assert found is not None
    assert found.id == "20261102T000000Z-aaaa"


def test_a_rollout_that_a_person_ended_is_over() -> None:
    """What was rolled back by hand is not taken up again."""
    ended = record(R2, "20261102T000000Z-aaaa", outcome="abandoned")
    seen = {"h1": host(rollout=ended), "h2": host(rollout=ended)}
    assert newest_under_way(seen, POLICY) is None


def test_only_the_newest_rollout_counts() -> None:
    """A newer rollout replaces an older one, also where the older one still soaks."""
    soaking = Switch(Phase.CONFIRMED, "20261102T000000Z-aaaa", R2, R1)
    seen = {
        "h1": host(
            R2, rollout=record(R2, "20261102T000000Z-aaaa", "2026-11-02T00:00:00Z"), switch=soaking
        ),
        "h2": host(
            rollout=record(R1, "20261103T000000Z-bbbb", "2026-11-03T00:00:00Z", outcome="abandoned")
        ),
    }
    assert newest_under_way(seen, POLICY) is None
