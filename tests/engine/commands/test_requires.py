"""``rollout.requires``: prod gets what dev has proven, for as long as it must have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.events import Kind
from botdeploy.core.model.policy import Policy, Requires, Ring, Share
from botdeploy.engine.commands.canary import canary
from botdeploy.engine.commands.promote import due, promote
from botdeploy.engine.commands.rollback import rollback
from botdeploy.engine.fleet.required import RequiredAnswer, ask_built, ask_staged
from botdeploy.engine.rollout.options import Options
from botdeploy.errors import ExitCode, Hint, Todo, UserError
from botdeploy.views import plan as view
from botdeploy.views import sentences
from tests.engine.commands.test_canary import release
from tests.engine.fakefleet import (
    BEGIN,
    FakeBuild,
    FakeFleet,
    Stage,
    inventory_of,
)
from tests.engine.fakehost import FakeHost, FakeStop
from tests.engine.sentences import sentence

if TYPE_CHECKING:
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.outcome import Ended

DAY_S = 86_400.0
SETTLE = timedelta(seconds=3)
RINGS = (
    Ring("canary", Share(count=1), soak=timedelta(seconds=10), settle=SETTLE),
    Ring("fleet", "all", settle=SETTLE),
)
TWO_DAYS = Requires("dev", timedelta(days=2))


class PlannedBuild(FakeBuild):
    """A release of which a plan tells the content."""

    def __init__(self, build: FakeBuild, content: str) -> None:
        """Take the name of a build."""
        super().__init__(build.release.id, build.release.digest)
        self._content = content

    def content(self, _host: object) -> str:
        """Give what its files and its build are."""
        return self._content


class Pair:
    """Two environments of one bot: dev with two hosts, and prod with three, which requires it."""

    def __init__(self, requires: Requires = TWO_DAYS) -> None:
        """Let both run a first release, which prod got before it required anything."""
        self.dev, self.prod = Stage(2), Stage(3, Policy(RINGS), tick_s=1.0)
        dev, prod = self.dev, self.prod
        dev.clock, dev.world, dev.stop = prod.clock, prod.world, FakeStop(prod.clock, 1.0)
        dev.hosts = {name: FakeHost(name, prod.clock, prod.world) for name in ("d1", "d2")}
        policy = Policy((replace(RINGS[1], hosts=tuple(dev.hosts), batch=Share(count=2)),))
        dev.inventory = replace(inventory_of(list(dev.hosts), policy), environment="dev")
        self.made = 0
        for stage in (dev, prod):
            assert release(stage, self.build("one")).code is ExitCode.DONE
            stage.events.clear()
        policy = replace(prod.inventory.policy, requires=requires)
        prod.inventory = replace(prod.inventory, policy=policy)

    def build(self, content: str) -> FakeBuild:
        """Make a release of this content now; each has an id and a digest of its own."""
        self.made += 1
        at = BEGIN + timedelta(seconds=self.prod.clock.mono)
        name = f"{at:%Y%m%dT%H%M%SZ}-{self.made:08x}"
        self.prod.world.is_made_of(name, content)
        return FakeBuild(name, f"{self.made:064x}")

    def to_dev(self, content: str, *, days: float = 0.0) -> str:
        """Let dev prove a release, and let it run for so many days."""
        build = self.build(content)
        assert release(self.dev, build).code is ExitCode.DONE
        self.prod.clock.advance(days * DAY_S)
        return build.release.id

    def dependencies(self) -> Dependencies:
        """Put together what a run of prod's needs."""
        prod = self.prod
        prod.controller()
        other = FakeFleet(self.dev.inventory, self.dev.hosts, prod.stop)
        return replace(prod.dependencies(), required=lambda: other)  # type: ignore[arg-type, return-value]

    def canary(self, content: str, *, is_forced: bool = False) -> Ended:
        """Let a person release this content to prod."""
        build, its = self.build(content), self.dependencies()
        return canary(self.prod.inventory, build, its, Options(), is_forced=is_forced)  # type: ignore[arg-type]

    def promote(self) -> Ended:
        """Let cron take prod's rollout on."""
        return promote(self.prod.inventory, self.dependencies(), Options())

    def has_begun(self) -> bool:
        """Tell whether a host of prod was switched to a second release."""
        return any(
            sum(change[0] == "switch" for change in host.did) > 1
            for host in self.prod.hosts.values()
        )


@pytest.fixture
def pair() -> Pair:
    """Give dev and prod."""
    return Pair()


def test_what_dev_has_proven_for_long_enough_is_released(pair: Pair) -> None:
    """Under another id and digest: it is the same by its files and build. Nothing of dev moves."""
    pair.to_dev("two", days=2.1)
    before = {name: list(host.did) for name, host in pair.dev.hosts.items()}
    ended = pair.canary("two")
    assert ended.code is ExitCode.DONE, sentence(ended)
    assert pair.has_begun()
    assert {name: host.did for name, host in pair.dev.hosts.items()} == before
    assert all(host.lock is None for host in pair.dev.hosts.values())


def test_what_dev_has_proven_for_one_day_of_two_waits(pair: Pair) -> None:
    """Exit 5, staged and not switched; it says when it is due, and cron goes on then."""
    pair.to_dev("two", days=1)
    ended = pair.canary("two")
    assert ended.code is ExitCode.HELD
    assert "dev must have proven it for 2 d; d1 has for 24 h" in sentence(ended)
    assert "due " in ended.summary
    assert "botdeploy promote prod" in sentence(ended)
    assert "botdeploy canary prod --force --release" in sentence(ended)
    waiting = [one for one in pair.prod.events if one.kind is Kind.WAITING]
    assert [one.data["reason"] for one in waiting] == ["requires"]
    assert waiting[0].data["until"]
    assert not pair.has_begun()
    assert pair.promote().code is ExitCode.HELD
    assert not pair.has_begun()
    pair.prod.clock.advance(DAY_S)
    assert pair.promote().code is ExitCode.DONE
    assert pair.has_begun()


def test_other_content_in_dev_proves_nothing(pair: Pair) -> None:
    """However long it runs there."""
    pair.to_dev("three", days=9)
    ended = pair.canary("two")
    assert (ended.code, pair.has_begun()) == (ExitCode.HELD, False)
    assert "no release on its hosts has the same files and build" in ended.summary
    assert "due " not in ended.summary


@pytest.mark.parametrize("keep", [False, True])
def test_what_dev_went_back_from_is_not_proven_any_more(pair: Pair, keep: bool) -> None:  # noqa: FBT001
    """Whether or not its person put it into quarantine."""
    pair.to_dev("two", days=3)
    dev = pair.dev
    dev.controller()
    hosts = tuple(dev.hosts)
    assert rollback(dev.inventory, hosts, dev.dependencies(), keep=keep).code is ExitCode.DONE
    ended = pair.canary("two")
    assert (ended.code, pair.has_begun()) == (ExitCode.HELD, False)
    assert ("went back to" if keep else "refused it") in ended.summary


def test_a_host_of_dev_that_is_down_is_out_of_reach(pair: Pair) -> None:
    """Exit 6, whatever the others say; prod keeps what it runs."""
    pair.to_dev("two", days=3)
    pair.dev.hosts["d2"].die()
    ended = pair.canary("two")
    assert (ended.code, pair.has_begun()) == (ExitCode.UNREACHABLE, False)
    assert "d2: it does not answer; bring it back, or take a host that is gone" in ended.summary
    staged = max(pair.prod.hosts["h1"].releases)
    assert ended.hints == (Hint(Todo.FORCE, name=staged),)
    assert pair.promote().code is ExitCode.UNREACHABLE
    pair.dev.hosts["d2"].boot()
    assert pair.promote().code is ExitCode.DONE
    assert pair.has_begun()


def test_all_hosts_of_dev_must_have_proven_it(pair: Pair) -> None:
    """One that was never given it keeps prod from it."""
    pair.to_dev("two", days=3)
    pair.dev.hosts["d3"] = FakeHost("d3", pair.prod.clock, pair.prod.world)
    whole = inventory_of(list(pair.dev.hosts), pair.dev.inventory.policy)
    pair.dev.inventory = replace(whole, environment="dev")
    ended = pair.canary("two")
    assert ended.code is ExitCode.HELD
    assert "d3 does not have it" in ended.summary


def test_a_bot_that_is_down_in_dev_proves_nothing(pair: Pair) -> None:
    """It had passed, and does not run now."""
    pair.to_dev("two", days=3)
    pair.dev.hosts["d1"].end_itself()
    ended = pair.canary("two")
    assert (ended.code, pair.has_begun()) == (ExitCode.HELD, False)
    assert "d1 does not run it" in ended.summary


def test_a_newer_release_in_dev_does_not_take_the_proof_away(pair: Pair) -> None:
    """Dev goes on; what it had proven before for two days is proven."""
    pair.to_dev("two", days=2.1)
    pair.to_dev("three", days=0.1)
    assert pair.canary("two").code is ExitCode.DONE
    assert pair.has_begun()


def test_the_time_ends_where_a_newer_release_took_its_place(pair: Pair) -> None:
    """One day is not two because another release ran for the second one."""
    pair.to_dev("two", days=1)
    pair.to_dev("three", days=5)
    ended = pair.canary("two")
    assert (ended.code, pair.has_begun()) == (ExitCode.HELD, False)
    assert "d1 had for 24 h, then a newer release came" in ended.summary


def test_the_same_content_under_other_variables_goes_on_being_proven(pair: Pair) -> None:
    """Dev changed a variable: another id and digest, the same files."""
    pair.to_dev("two", days=1.5)
    pair.to_dev("two", days=1)
    assert pair.canary("two").code is ExitCode.DONE
    assert pair.has_begun()


def test_a_person_may_force_it_and_the_history_tells(pair: Pair) -> None:
    """With dev's hosts away as well: nobody asks them."""
    for host in pair.dev.hosts.values():
        host.die()
    ended = pair.canary("two", is_forced=True)
    assert (ended.code, pair.has_begun()) == (ExitCode.DONE, True)
    notes = [entry for host in pair.prod.hosts.values() for entry in host.audit]
    assert any("whether dev has proven it was not asked" in str(entry) for entry in notes)


def test_what_a_person_forced_on_some_hosts_is_no_beginning_of_their_ring(pair: Pair) -> None:
    """The rollout to all hosts asks dev before it switches another host of the ring."""
    build, whole = pair.build("two"), pair.prod.inventory
    some = replace(whole, policy=replace(whole.policy, only=frozenset({"h2", "h3"})))
    forced = canary(some, build, pair.dependencies(), Options(), is_forced=True)  # type: ignore[arg-type]
    assert forced.code is ExitCode.DONE
    ended = canary(whole, build, pair.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.HELD, sentence(ended)
    assert "no release on its hosts has the same files and build" in ended.summary
    name = build.release.id
    assert [host.current == name for host in pair.prod.hosts.values()] == [False, True, True]
    pair.to_dev("two", days=2.1)
    assert pair.promote().code is ExitCode.DONE
    assert pair.prod.running() == [name] * 3


def test_dev_is_not_asked_while_a_ring_soaks_or_nothing_is_due(pair: Pair) -> None:
    """Only before a ring begins: what dev's hosts do holds up no soak, verdict or revert."""
    rings = tuple(
        replace(ring, soak=timedelta(hours=2)) if ring.name == "canary" else ring
        for ring in pair.prod.inventory.policy.rings
    )
    policy = replace(pair.prod.inventory.policy, rings=rings)
    pair.prod.inventory = replace(pair.prod.inventory, policy=policy)
    pair.to_dev("two", days=3)
    assert pair.canary("two").code is ExitCode.DONE
    for host in pair.dev.hosts.values():
        host.die()
    pair.prod.clock.advance(3600)
    assert pair.promote().code is ExitCode.DONE
    pair.prod.clock.advance(3601)
    assert pair.promote().code is ExitCode.UNREACHABLE  # the fleet is next
    for host in pair.dev.hosts.values():
        host.boot()
    assert pair.promote().code is ExitCode.DONE
    assert set(pair.prod.running()) == {next(iter(pair.prod.running()))}


def test_a_ring_is_held_back_when_dev_went_back_meanwhile(pair: Pair) -> None:
    """The first ring had begun; the next one does not."""
    rings = tuple(
        replace(ring, soak=timedelta(hours=2)) if ring.name == "canary" else ring
        for ring in pair.prod.inventory.policy.rings
    )
    policy = replace(pair.prod.inventory.policy, rings=rings)
    pair.prod.inventory = replace(pair.prod.inventory, policy=policy)
    pair.to_dev("two", days=3)
    pair.canary("two")
    dev = pair.dev
    dev.controller()
    rollback(dev.inventory, tuple(dev.hosts), dev.dependencies())
    pair.prod.clock.advance(2 * 3600 + 1)
    ended = pair.promote()
    assert ended.code is ExitCode.HELD
    assert len(set(pair.prod.running())) == 2


def test_a_kind_of_host_that_dev_lacks_is_named(pair: Pair) -> None:
    """h3 gets other files of the same release, and no host of dev has them."""
    pair.to_dev("two", days=3)
    build = pair.build("two")
    pair.prod.world.is_made_of(build.release.id, "two for arm", "h3")
    ended = canary(pair.prod.inventory, build, pair.dependencies(), Options())  # type: ignore[arg-type]
    assert (ended.code, pair.has_begun()) == (ExitCode.HELD, False)
    assert "no host of the kind of h3" in ended.summary


def test_each_kind_may_be_proven_by_another_host_of_dev(pair: Pair) -> None:
    """d2 has what h3 gets, d1 what the others get, under one id."""
    first = pair.build("two")
    pair.prod.world.is_made_of(first.release.id, "two for arm", "d2")
    assert release(pair.dev, first).code is ExitCode.DONE
    pair.prod.clock.advance(2.1 * DAY_S)
    build = pair.build("two")
    pair.prod.world.is_made_of(build.release.id, "two for arm", "h3")
    ended = canary(pair.prod.inventory, build, pair.dependencies(), Options())  # type: ignore[arg-type]
    assert ended.code is ExitCode.DONE, sentence(ended)


def test_a_host_of_dev_that_another_environment_took_does_not_count(pair: Pair) -> None:
    """It runs what somebody else says."""
    pair.to_dev("two", days=3)
    pair.dev.hosts["d1"].rollout["environment"] = "lab"
    ended = pair.canary("two")
    assert ended.code is ExitCode.HELD
    assert "d1 belongs to environment 'lab'" in ended.summary


def test_what_promote_would_do_is_told(pair: Pair) -> None:
    """``--dry-run`` asks dev as well, and changes nothing."""
    pair.to_dev("two", days=1)
    pair.canary("two")
    said = sentences.due(due(pair.prod.inventory, pair.dependencies()))
    assert "dev must have proven it for 2 d; d1 has for" in said
    assert not pair.has_begun()


def asked(pair: Pair, build: FakeBuild | None, release: str = "") -> RequiredAnswer | None:
    """Ask dev as ``plan`` and ``check`` do: about a build, or about a release that is staged."""
    its, names = pair.dependencies(), list(pair.prod.hosts)
    other, now = its.required(), pair.prod.clock.now()
    assert other is not None
    if build is None:
        return ask_staged(its.fleet, names, release, other, now)
    return ask_built(its.fleet, names, build, other, now)  # type: ignore[arg-type]


def test_a_plan_says_what_dev_lacks(pair: Pair) -> None:
    """Of a build, which no host of prod has yet; and which kind of processor dev has no host of."""
    pair.to_dev("two", days=1)
    pair.prod.hosts["h1"].platform = "aarch64"
    pair.prod.hosts["h2"].die()  # what it has does not matter
    build = PlannedBuild(pair.build("two"), "two")
    found = asked(pair, build)
    assert found is not None
    record = found.record()
    assert (record["environment"], record["proven_for_s"]) == ("dev", 2 * DAY_S)
    assert (record["met"], record["missing_platforms"]) == (False, ["aarch64"])
    first, second = [text for text, _ in view.required(record)]
    assert "d1 has for 24 h" in first
    assert f"due {record['until']}" in first
    assert second == "dev has no host with this kind of processor: aarch64"
    pair.prod.clock.advance(DAY_S)
    found = asked(pair, build)
    assert found is not None
    record = found.record()
    assert (record["met"], record["why"], record["until"]) == (True, None, None)
    assert next(view.required(record)) == ("dev has proven it for 2 d", "")
    assert not found.is_away


def test_a_staged_release_is_compared_by_what_prod_has_of_it(pair: Pair) -> None:
    """There is no build of it. A host of dev that is away is told."""
    pair.to_dev("two", days=1)
    pair.canary("two")
    staged = max(pair.prod.hosts["h1"].releases)
    found = asked(pair, None, staged)
    assert found is not None
    assert "d1 has for 24 h" in found.record()["why"]
    pair.dev.hosts["d1"].die()
    found = asked(pair, None, staged)
    assert found is not None
    assert "could not be asked: d1: " in found.record()["why"]
    assert found.is_away
    assert "no host of prod tells" in str(asked(pair, None, "R-nowhere"))


def test_where_nothing_is_required_nobody_is_asked(pair: Pair) -> None:
    """No line for people; null in JSON."""
    policy = replace(pair.prod.inventory.policy, requires=None)
    pair.prod.inventory = replace(pair.prod.inventory, policy=policy)
    assert asked(pair, PlannedBuild(pair.build("two"), "two")) is None
    assert list(view.required(None)) == []
    assert pair.canary("two").code is ExitCode.DONE


def test_an_inventory_of_dev_that_is_broken_ends_a_step_before_anything_is_switched(
    pair: Pair,
) -> None:
    """Exit 2; who watches a ring is not kept from it."""

    def broken() -> FakeFleet:
        raise UserError("inventories/dev.yml:3: bot: is missing")

    pair.to_dev("two", days=3)
    dependencies = replace(pair.dependencies(), required=broken)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"dev\.yml:3"):
        canary(pair.prod.inventory, pair.build("two"), dependencies, Options())  # type: ignore[arg-type]
    assert not pair.has_begun()
    assert all(host.lock is None for host in pair.prod.hosts.values())
