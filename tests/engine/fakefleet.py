"""A fleet of hosts in memory, with everything between it and a controller that can break."""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botdeploy.core.lines.last_words import NOTHING, LastWords
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.core.release.manifest import Manifest, Release
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.verdict import Outcome, Verdict
from botdeploy.engine.dependencies import Dependencies
from botdeploy.engine.fleet.fleet import Interrupted, StillAtWork
from botdeploy.engine.manifest_cache import ManifestCache
from botdeploy.errors import HostError, OutcomeUnknown, Unreachable
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller, OpenCall
from botdeploy.hosts.acts.records import Reply
from botdeploy.hosts.host_program import How
from tests.engine.fakehost import (
    BEGIN,
    ENTER_WORDS,
    FakeClock,
    FakeHost,
    FakeStop,
    World,
    decoded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from botdeploy.core.events import Event
    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.assembler import Assembler
    from botdeploy.core.rollout.target import Target
    from botdeploy.hosts.acts.records import Record
    from botdeploy.hosts.acts.release import Fetched
    from botdeploy.sources.host_trees import HostKind

T = TypeVar("T")

COST_S = 0.02
"""How long an act takes that only reads or writes."""
HANGS_S = 60.0
"""How long a host that hangs is waited for."""
TIMEOUT_S = 5.0
"""How long a controller waits for a host that does not answer."""


class ControllerDied(BaseException):
    """The machine that runs the rollout lost its power."""


class FakeCaller(Caller):
    """Calls the acts of a host in memory, over a connection that may break."""

    def __init__(self, fleet: FakeFleet, its: FakeHost) -> None:
        """Call one host's acts."""
        self._fleet, self.its = fleet, its
        self.host = its.name
        self.instance = its.instance or None
        self.connection = None  # type: ignore[assignment]

    def call(
        self,
        act: str,
        *arguments: object,
        stdin: bytes | Iterable[bytes] = b"",
        timeout_s: float = 0.0,
        how: How = How.INSTALLED,
    ) -> Reply:
        """Do an act."""
        del timeout_s, how
        sent = stdin if isinstance(stdin, bytes) else b"".join(stdin)
        return Reply(tuple(self._do(act, arguments, sent)))

    def open(self, act: str, *arguments: object) -> OpenCall:
        """Do an act whose connection stands for as long as the host can be reached."""
        return FakeOpenCall(self._fleet, self.its, arguments, self._do(act, arguments))

    def _do(
        self, act: str, arguments: Sequence[object], stdin: bytes = b""
    ) -> Sequence[Record | bytes]:
        """Do an act over the connection; a slow bot's host answers when it is ready, or back."""
        seconds = 0.5 if act in ("switch", "revert") else COST_S

        def work() -> Sequence[Record | bytes]:
            return self.its.do(act, *arguments, stdin=stdin)

        said = self._fleet.over(self.its, act, work, seconds)
        while act == "switch" and self.its.is_getting_ready():
            self._fleet.pump(0.0)
            self._fleet.pause(0.5)
            said = work()
        return said


class FakeOpenCall(OpenCall):
    """A call that stays open: what it has said, and a lock that is held over it."""

    is_open = True

    def __init__(
        self,
        fleet: FakeFleet,
        its: FakeHost,
        arguments: Sequence[Any],
        said: Sequence[Record | bytes],
    ) -> None:
        """Keep what the program was called with, and what it said first."""
        self._fleet, self.its, self._arguments, self._said = fleet, its, arguments, said

    def items(self, timeout_s: float = 0.0) -> Iterator[Record | bytes]:
        """Give what was said; over a dead connection nothing more comes."""
        del timeout_s
        said, self._said = self._said, ()
        if not said and not self._fleet.can_reach(self.its):
            raise OutcomeUnknown(self.its.name, "the connection ended")
        yield from said

    def write(self, data: bytes) -> None:
        """Renew the lock, or give it back; says nothing when that was refused."""
        token, ttl_s, *_ = self._arguments
        if not self._fleet.can_reach(self.its):
            return
        names = [*self._arguments[ENTER_WORDS:], ""][0].split()
        for one in [self.its.named(name) for name in names] or [self.its]:
            if data == b"renew\n":
                one.renew(token, ttl_s)
            else:
                one.leave(token)

    def close(self) -> None:
        """End it."""


class Late(Future[Any]):
    """An answer that comes when its host hangs no more."""

    def __init__(self, clock: FakeClock, seconds: float, work: Callable[[], Any]) -> None:
        """Do ``work`` in so many seconds, once it is asked for."""
        super().__init__()
        self._clock, self._due, self._work = clock, clock.mono + seconds, work

    def done(self) -> bool:
        """Tell whether it has come."""
        if not super().done() and self._clock.mono >= self._due:
            try:
                self.set_result(self._work())
            except HostError as error:
                self.set_exception(error)
        return super().done()


class FakeFleet:
    """What the engine takes for a fleet; one act after the other, so that each run is the same."""

    def __init__(self, inventory: Inventory, hosts: Mapping[str, FakeHost], stop: FakeStop) -> None:
        """Reach ``hosts`` as ``inventory`` names them."""
        self.inventory = inventory
        self.hosts = hosts
        self.stop = stop
        self.clock = next(iter(hosts.values())).clock
        self.calls: list[tuple[str, str]] = []
        """(host, act) of every act that was begun."""
        self.renewed: list[str] = []
        """Hosts to whose machine a new connection was opened."""
        self.faults: dict[tuple[str, str], list[Callable[[], None] | str]] = defaultdict(list)
        """What goes wrong next time: ``lost`` (before the act), ``unheard`` (after it)."""
        self.before: Callable[[str, str], None] = lambda _host, _act: None
        """Called before each act."""
        self.hangs: dict[str, float] = {}
        """Until which second each host hangs: it takes what is asked, and answers nothing."""
        self.fuse: int | None = None
        """The controller dies at the act so many from now: even: before it, odd: after it."""
        self.is_dead = False
        self.unreached: set[str] = set()
        """Hosts that this controller has failed to reach, and not reached since."""
        self.pump: Callable[[float], None] = lambda _seconds: None
        """What goes on beside the acts on many hosts."""
        self.unreached_before: frozenset[str] = frozenset()
        """The same, when the batch of acts that is under way was decided."""

    def over(self, host: FakeHost, act: str, work: Callable[[], T], seconds: float) -> T:
        """Do an act over a connection."""
        self._burn(0)
        self.calls.append((host.name, act))
        self.before(host.name, act)
        waiting = self.faults.get((host.name, act))
        fault = waiting.pop(0) if waiting else None
        if callable(fault):
            fault()
        if fault == "lost":
            self.unreached.add(host.name)
            raise OutcomeUnknown(host.name, f"{act}: the connection ended (before)")
        self._reach(host)
        self.clock.advance(seconds)
        if not host.is_reachable():  # it went while the act was on its way there
            self.unreached.add(host.name)
            raise OutcomeUnknown(host.name, f"{act}: the connection ended (on the way)")
        self.unreached.discard(host.name)
        result = work()
        self._burn(1)
        if fault == "slow":  # the host is done long before its answer comes
            for _ in range(60):
                self.pump(0.0)
                self.pause(0.5)
        if fault == "unheard" or not host.is_reachable():
            self.unreached.add(host.name)
            raise OutcomeUnknown(host.name, f"{act}: the connection ended (after)")
        return result

    def _burn(self, half: int) -> None:
        if self.is_dead:
            raise ControllerDied
        if self.fuse is None:
            return
        if self.fuse == half:
            self.is_dead = True
            raise ControllerDied
        if half == 1:
            self.fuse -= 2

    def can_reach(self, host: FakeHost) -> bool:
        """Tell whether a word gets there."""
        return not self.is_dead and host.is_reachable()

    def _reach(self, host: FakeHost) -> None:
        if not host.is_reachable():
            self.clock.advance(TIMEOUT_S)
            self.unreached.add(host.name)
            raise Unreachable(host.name, "it does not answer")

    # --- what the engine calls --------------------------------------------------------------

    def host(self, name: str) -> Host:
        """Look a host of the inventory up."""
        return self.inventory.host(name)

    def acts(self, name: str) -> Acts:
        """Give a host's acts, over a connection that may be an old one."""
        if self.is_dead:
            raise ControllerDied
        self._reach(self.hosts[name])
        return Acts(FakeCaller(self, self.hosts[name]))

    def acts_of(self, name: str, instance: str | None, called: str) -> Acts:
        """Give the acts of an instance of a host's machine, whether the inventory has it."""
        del called
        self._reach(self.hosts[name])
        return Acts(FakeCaller(self, self.hosts[name].named(instance or "")))

    def fresh(self, name: str) -> Acts:
        """Give a host's acts over a new connection."""
        self.renewed.append(name)
        return self.acts(name)

    def open_acts(self, name: str) -> Acts | None:
        """Give a host's acts over a connection that stands."""
        host = self.hosts[name]
        return Acts(FakeCaller(self, host)) if self.can_reach(host) else None

    def ask(self, name: str) -> None:
        """Have a host say something."""

    def heard_s_ago(self, name: str) -> float | None:
        """Tell that a host which can be reached has answered just now."""
        return 0.0 if self.can_reach(self.hosts[name]) else None

    def each(
        self,
        names: Iterable[str],
        work: Callable[[str], T],
        *,
        pump: Callable[[float], None] | None = None,
        is_cleanup: bool = False,
        patience_s: float | None = None,
    ) -> dict[str, T | HostError]:
        """Do ``work`` on hosts, one after the other; a host's own error is its result.

        A host that hangs keeps all waiting, but for those who have no patience.
        """
        results: dict[str, T | HostError] = {}
        self.unreached_before = frozenset(self.unreached)
        self.pump = pump or self.pump
        waited_s = 0.0
        for name in list(names):
            if self.stop.is_set() and not is_cleanup:
                raise Interrupted
            hangs_s = min(HANGS_S, self._hangs_until(name) - self.clock.mono)
            if hangs_s > 0 and patience_s is not None:
                waited_s = patience_s
                late = Late(self.clock, hangs_s, lambda name=name: self._heard(name, work))  # type: ignore[misc]
                results[name] = StillAtWork(name, late)
                continue
            self.clock.advance(max(0.0, hangs_s))
            try:
                results[name] = self._heard(name, work)
            except HostError as error:
                results[name] = error
            if pump is not None:
                pump(0.0)
        self.clock.advance(waited_s)
        return results

    def _hangs_until(self, name: str) -> float:
        return max(self.hangs.get(one.name, 0.0) for one in self.hosts[name].of_machine)

    def _heard(self, name: str, work: Callable[[str], T]) -> T:
        if self._hangs_until(name) > self.clock.mono:
            raise OutcomeUnknown(name, f"it did not answer within {HANGS_S:.0f} s")
        return work(name)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do something at once."""
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 (handed on, as an executor does)
            future.set_exception(error)
        return future

    def pause(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.advance(seconds)


class FakeWatch:
    """Knows what releases are like, and says so when one has run for long enough to show it."""

    SHOWS_AFTER_S = 2.0
    SILENCE_S = 5.0
    is_patient = True
    """It says nothing good before the soak is over."""

    def __init__(self, fleet: FakeFleet, clock: FakeClock, make_assembler: Any, *_: Any) -> None:
        """Look at ``fleet``'s hosts."""
        self._fleet, self._clock, self._make = fleet, clock, make_assembler
        self.following = self.judging = self.passed = self.processes = self.prober = self
        self._ring: Ring | None = None
        self._soak_s = 0.0
        self._judged: tuple[str, ...] = ()
        self._unread: frozenset[str] = frozenset()
        self.followed: list[str] = []
        self.forgotten: list[str] = []
        self.after: dict[str, tuple[str, ...]] = {}
        self._pumped = clock.mono
        self._unheard_s = 0.0
        self._in_doubt: frozenset[str] = frozenset()

    def follow(
        self, hosts: Sequence[str], _offsets_us: Mapping[str, int], _read: object = None
    ) -> None:
        """Begin to read."""
        self.followed += hosts

    def catch_up(self, _hosts: Sequence[str], pump: Callable[[float], None]) -> None:
        """Wait until the past has arrived."""
        pump(0.0)

    def close(self) -> None:
        """Stop reading."""

    def make_assembler(self) -> Assembler:
        """Make what turns entries into lines."""
        made: Assembler = self._make()
        return made

    def judge(
        self,
        ring: Ring,
        switched_at_us: Mapping[str, int],
        soak: timedelta,
        _baseline: Sequence[str],
        _states: Mapping[str, HostState],
    ) -> None:
        """Begin to judge."""
        self._ring, self._soak_s = ring, soak.total_seconds()
        self._judged, self._unread = tuple(switched_at_us), frozenset()

    def judge_kept(
        self,
        ring: Ring,
        switched_at_us: Mapping[str, int],
        soak: timedelta,
        evidence: Mapping[str, Evidence],
        _release: str,
        states: Mapping[str, HostState],
    ) -> None:
        """Judge by what was kept."""
        self.judge(ring, switched_at_us, soak, (), states)
        self._unread = frozenset(switched_at_us) - set(evidence)

    def pump(self, in_doubt: Collection[str] = ()) -> bool:
        """Take in what came; what came while nobody pumped is only there the next time."""
        self._unheard_s = self._clock.mono - self._pumped
        self._pumped = self._clock.mono
        self._in_doubt = frozenset(in_doubt)
        return False

    def missed(self, since: float, now: float) -> None:
        """Take it that nobody listened meanwhile."""
        self._pumped += now - since

    def rest(self) -> None:
        """Judge nothing."""
        self._ring = None

    def watch_on(
        self, ring: str, passed_at_us: Mapping[str, int], _baseline: Sequence[str]
    ) -> None:
        """Go on to watch a ring that has passed."""
        self.after[ring] = tuple(passed_at_us)

    def look_after(
        self,
        ring: str,
        passed_at_us: Mapping[str, int],
        _evidence: Mapping[str, Evidence],
        _release: str,
        _states: Mapping[str, HostState],
    ) -> None:
        """Look at what was kept since a ring passed."""
        assert all(passed_at_us.values())
        self.after[ring] = tuple(passed_at_us)

    def leave(self, _hosts: Sequence[str]) -> None:
        """Note who leaves the baseline."""

    def revoked(self, _start_due: Collection[str] = ()) -> dict[str, Verdict]:
        """Say which passes do not hold: what shows itself late, shows itself."""
        found = {}
        for ring, names in self.after.items():
            for host in (self._fleet.hosts[name] for name in names):
                if host.world.kind(host.current, host.name) == "bad" and host.is_reachable():
                    found[ring] = Verdict(Outcome.FAIL, ("errors came late",), host.name)
        return found

    def forget(self, hosts: Sequence[str]) -> None:
        """Forget what hosts said."""
        self.forgotten += hosts

    def verdict(
        self,
        _stopped: Collection[str] = (),
        start_due: Collection[str] = (),  # noqa: ARG002
    ) -> tuple[str, Verdict] | None:
        """Say what the truth shows so far, and take a time without lines for the bot's silence."""
        if self._ring is None:
            return None
        name = self._ring.name
        if self._unheard_s > self.SILENCE_S and not self._unread and not self._in_doubt:
            return name, Verdict(Outcome.FAIL, (f"silent for {self._unheard_s:.0f} s",))
        kinds = set()
        ran_s = []
        for host in (self._fleet.hosts[one] for one in self._judged):
            if host.name in self._unread or not host.is_reachable():
                continue
            for_s = self._clock.mono - host.started
            kind = host.world.kind(host.current, host.name)
            if kind == "bad" and for_s >= self.SHOWS_AFTER_S:
                return name, Verdict(Outcome.FAIL, ("a new error came again and again",), host.name)
            kinds.add(kind)
            ran_s.append(for_s)
        if not ran_s or (self.is_patient and min(ran_s) < self._soak_s):
            return name, Verdict(Outcome.WAIT, ("nothing bad so far",))
        if "unproven" in kinds:
            return name, Verdict(Outcome.WAIT, ("3 times as many errors are not excluded",))
        if "doubtful" in kinds:
            return name, Verdict(Outcome.INCONCLUSIVE, ("too few lines",))
        return name, Verdict(Outcome.PASS, ("nothing bad was seen",))

    def fallen(self) -> frozenset[str]:
        """Name the hosts whose journals tell that the bot ended."""
        hosts = (self._fleet.hosts[name] for name in self._judged)
        return frozenset(one.name for one in hosts if one.is_stopped and not one.is_unread)

    def unread(self) -> frozenset[str]:
        """Name the hosts whose journals hold nothing."""
        return frozenset(one for one in self._judged if self._fleet.hosts[one].is_unread)

    def excused(self) -> frozenset[str]:
        """Name the hosts on which the world fails the bot."""
        return frozenset(one for one in self._judged if self._fleet.hosts[one].is_end_external)

    def silenced(self, _pids: Mapping[str, Any]) -> dict[str, str]:
        """Give nothing: no bot here has more than one process."""
        return {}

    def uptime(self) -> dict[str, float | None]:
        """Give nothing."""
        return {}

    def last_words(self, *_host: object, **_how: object) -> LastWords:
        """Give nothing: bots here say no errors."""
        return NOTHING

    def is_news(self, _line: object) -> bool:
        """Know no errors."""
        return False

    def first(self, _host: str) -> None:
        """Give nothing: no bot here has a probe."""

    def cannot_exclude(self) -> tuple[str, ...]:
        """Say what a pass does not vouch for."""
        return ()

    def evidence(self, _host: str) -> dict[str, object]:
        """Summarise."""
        return {"lines": 0, "errors": 0, "restarts": 0, "new_fingerprints": [], "uptime": None}


def _as_it_came(
    _inventory: Inventory, target: Target, _source: str, _ring: Ring, fetched: Fetched, _: object
) -> FakeBuild:
    """Hold a copy against its digest, where a release is no more than that."""
    assert decoded(fetched.meta)["digest"] == target.digest
    return FakeBuild(target.release, target.digest)


class _Everywhere:
    """The same tree for every host."""

    kinds: tuple[HostKind, ...] = ()

    def __contains__(self, _host: Host) -> bool:
        """Every host gets it."""
        return True


class FakeBuild:
    """A release to be sent."""

    mask = Mask(())

    def __init__(self, release: str, digest: str, recipe: str = "") -> None:
        """Name it."""
        self.release = Release(release, digest, recipe=recipe)
        self.trees = _Everywhere()

    def under(self, release: str) -> FakeBuild:
        """Give it under another name."""
        return FakeBuild(release, self.release.digest, self.release.recipe)

    def manifest(self, _host: Host) -> Manifest:
        """Give none of them."""
        return Manifest("", "", 0)

    def need(self, _host: Host) -> tuple[int, int]:
        """Give the space that it takes, and how many files it has."""
        return 1000, 10

    def delta(self, _host: Host, _base: Manifest | None) -> bytes:
        """Give its files."""
        return b"files"

    def tree_digest(self, host: Host) -> str:
        """Give the digest of its files on hosts of a kind."""
        return f"{host.bot.source}-{self.release.digest}"

    def instance_meta(self, host: Host, ring: Ring | None = None) -> bytes:
        """Give what is one host's beside its tree."""
        return self.meta(host, ring)

    def meta(self, host: Host, ring: Ring | None = None) -> bytes:
        """Give what is one host's."""
        about = {
            "digest": self.release.digest,
            "recipe": self.release.recipe,
            "host": host.name,
            "ring": ring.name if ring else "",
            "numbers": host.numbers,
        }
        return json.dumps(about).encode()


def inventory_of(
    names: Sequence[str], policy: Policy, machines: Mapping[str, Sequence[str]] | None = None
) -> Inventory:
    """Make an environment of hosts with these names; those of ``machines`` are instances there."""
    bot = Bot("tbot", "python3 main.py", "/src")
    of = {name: machine for machine, its in (machines or {}).items() for name in its}
    hosts = tuple(
        Host(
            name,
            Address(name, name),
            bot,
            instance=name if name in of else None,
            machine=of.get(name, ""),
            alike=bot if name in of else None,
        )
        for name in names
    )
    return Inventory("prod", "/inventories/prod.yml", hosts, policy)


DEFAULT_RINGS = (
    Ring("canary", Share(count=1), soak=timedelta(seconds=60), settle=timedelta(seconds=10)),
    Ring("fleet", "all", settle=timedelta(seconds=10)),
)


class Stage:
    """Hosts, a clock, and controllers that act on them."""

    def __init__(
        self,
        count: int = 4,
        policy: Policy | None = None,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        machines: Mapping[str, Sequence[str]] | None = None,
        tick_s: float = 0.1,
    ) -> None:
        """Make ``h1`` … and an inventory; ``groups`` names the hosts of rings that are groups.

        ``machines`` names the hosts that are instances of one machine.
        """
        names = [f"h{number + 1}" for number in range(count)]
        rules = policy or Policy(DEFAULT_RINGS)
        self.inventory = inventory_of(names, _with_hosts(rules, names, groups or {}), machines)
        self.clock = FakeClock()
        self.world = World()
        self.hosts = {name: FakeHost(name, self.clock, self.world) for name in names}
        for machine, its in (machines or {}).items():
            share([self.hosts[name] for name in its], machine)
        self.stop = FakeStop(self.clock, tick_s)
        self.fleet = FakeFleet(self.inventory, self.hosts, self.stop)
        self.events: list[Event] = []
        self.made = 0

    def controller(self) -> FakeFleet:
        """Let another controller come: with no memory of the one before."""
        self.stop.clear()
        self.fleet = FakeFleet(self.inventory, self.hosts, self.stop)
        return self.fleet

    def dependencies(self, owner: str = "ann@laptop") -> Dependencies:
        """Put together what a run needs."""
        return Dependencies(
            fleet=self.fleet,  # type: ignore[arg-type]
            clock=self.clock,
            emit=self.events.append,
            manifests=ManifestCache({}),
            owner=owner,
            stop=self.stop,  # type: ignore[arg-type]
            check_copy=_as_it_came,  # type: ignore[arg-type]
            make_watch=FakeWatch,  # type: ignore[arg-type]
        )

    def build(self, kind: str = "good", host: str = "*") -> FakeBuild:
        """Make a new release of which the world knows what it is like."""
        self.made += 1
        name = f"R{self.made:04d}"
        self.world.is_like(name, kind, host)
        return FakeBuild(name, f"{self.made:064x}")

    def running(self) -> list[str]:
        """List what runs on each host."""
        for host in self.hosts.values():
            host.settle()
        return [host.current if not host.is_stopped else "" for host in self.hosts.values()]


def share(hosts: Sequence[FakeHost], machine: str) -> None:
    """Put hosts on one machine, as instances of their own names."""
    for host in hosts:
        host.instance, host.machine = host.name, machine
        host.neighbours = tuple(one for one in hosts if one is not host)


def _with_hosts(
    policy: Policy, names: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> Policy:
    rings = tuple(
        replace(ring, hosts=tuple(groups.get(str(ring.selector), names))) for ring in policy.rings
    )
    return replace(policy, rings=rings)


__all__ = ["BEGIN", "ControllerDied", "FakeBuild", "FakeFleet", "FakeWatch", "Stage"]
