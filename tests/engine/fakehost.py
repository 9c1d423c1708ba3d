"""Hosts in memory that do what the acts do: links, leases, quarantine, reboots, one clock each."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.proven_past import NOBODY
from botdeploy.core.host.host_state import HostState, Phase
from botdeploy.core.host.running import Runs, seen, unit_of
from botdeploy.core.host.state_record import from_record, lock_holder
from botdeploy.errors import ActFailed
from botdeploy.hosts.acts.faults import (
    LeaseLost,
    LockLost,
    LockRefused,
    NotRunning,
    OtherEnvironment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdeploy.hosts.acts.records import Record

BEGIN = datetime(2026, 11, 24, 9, tzinfo=UTC)
MOST_ENTRIES = 5000
ENTER_WORDS = 8
"""Words of ``enter`` before the names of instances."""
SLOW_S = 30.0
"""How long a slow bot takes to be ready."""


class FakeClock:
    """One time for everything; it goes on only when somebody waits or works."""

    def __init__(self) -> None:
        """Begin at nine o'clock."""
        self.mono = 1000.0
        self.jump = timedelta(0)
        """How far the controller's wall clock is off."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        """Give the controller's wall clock."""
        return BEGIN + timedelta(seconds=self.mono) + self.jump

    def monotonic(self) -> float:
        """Give seconds that never jump."""
        return self.mono

    def at(self, seconds: float, happening: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self._due.append((self.mono + seconds, len(self._due), happening))
        self._due.sort(key=lambda one: one[:2])

    def advance(self, seconds: float) -> None:
        """Let time go by, and what is due happen on the way."""
        end = self.mono + seconds
        while self._due and self._due[0][0] <= end:
            at, _, happening = self._due.pop(0)
            self.mono = max(self.mono, at)
            happening()
        self.mono = max(self.mono, end)


class FakeStop:
    """What interrupts a run; waiting on it is how the engine lets time go by."""

    def __init__(self, clock: FakeClock, tick_s: float = 0.1) -> None:
        """Let each wait take ``tick_s`` at least: a slow controller, and a fast test."""
        self._clock = clock
        self._tick_s = tick_s
        self._is_set = False

    def is_set(self) -> bool:
        """Tell whether the run was interrupted."""
        return self._is_set

    def set(self) -> None:
        """Interrupt the run."""
        self._is_set = True

    def clear(self) -> None:
        """Let the next run go."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Let time go by."""
        self._clock.advance(max(timeout or 0.0, self._tick_s))
        return self._is_set


@dataclass
class Staged:
    """A release on a host."""

    digest: str
    order: int = 0
    """Which of the proven ones it is; 0 when it was not proven."""
    proven_in: str = ""
    proven_at: datetime | None = None
    tree: str = ""
    recipe: str = ""
    numbers: str = ""


@dataclass
class Mark:
    """What is pending, confirmed, or went back: one file of a host's state."""

    run: str
    new: str
    old: str
    armed: datetime
    seq: int
    by: str = ""
    why: str = ""
    cause: str = ""
    at: datetime | None = None
    """When it was confirmed."""
    boots: int = 0
    """In which life of the host it was armed."""
    mono: float = 0.0
    """When, by the clock that never jumps."""


@dataclass
class Lock:
    """Who has the host's lock."""

    token: str
    deadline: float
    kind: str
    owner: str
    why: str
    since: datetime
    environment: str = ""


class World:
    """What releases are like when they run; the truth that a rollout has to find out."""

    def __init__(self) -> None:
        """Let every release be good until something else is said."""
        self._kinds: dict[tuple[str, str], str] = {}
        self._deaths: dict[tuple[str, str], tuple[float, float | None]] = {}
        self._contents: dict[tuple[str, str], str] = {}

    def is_like(self, release: str, kind: str, host: str = "*") -> None:
        """Say what a release is like, everywhere or on one host.

        ``good``; ``bad``: its journal shows it; ``doubtful``: nobody can tell;
        ``unproven``: proof is missing, and may come later; ``unready``: it
        never shows the sign; ``slow``: it shows it after half a minute; ``unseen``: its host keeps
        the sign from being seen; ``deaf``: its host can't be reached while it runs.
        """
        self._kinds[release, host] = kind

    def is_made_of(self, release: str, content: str, host: str = "*") -> None:
        """Say what a release is made of, everywhere or on one host; else it is like no other."""
        self._contents[release, host] = content

    def content(self, release: str, host: str) -> str:
        """Tell what a release is made of on a host."""
        known = self._contents
        return known.get((release, host)) or known.get((release, "*"), release)

    def dies_like(
        self, release: str, after_s: float, again_in: float | None = None, host: str = "*"
    ) -> None:
        """Let the bot's process end so long after each start that was asked for."""
        self._deaths[release, host] = (after_s, again_in)

    def dies(self, release: str, host: str) -> tuple[float, float | None] | None:
        """Tell when a release's process ends, and when systemd starts it again, if at all."""
        return self._deaths.get((release, host)) or self._deaths.get((release, "*"))

    def kind(self, release: str, host: str) -> str:
        """Tell what a release is like on a host."""
        return self._kinds.get((release, host)) or self._kinds.get((release, "*"), "good")


@dataclass
class FakeHost:
    """One host. Its acts raise what a host's program tells, never what a connection does."""

    name: str
    clock: FakeClock
    world: World
    is_up: bool = True
    is_cut: bool = False
    jump: timedelta = timedelta(0)
    """How far its wall clock is off."""
    current: str = ""
    previous: str = ""
    is_stopped: bool = False
    """The bot's process is not there."""
    is_due: bool = False
    """systemd is about to start it again."""
    ended_by: str = ""
    """Who ended its last life."""
    lives: int = 0
    restarts: int = 0
    is_mute: bool = False
    """systemd does not answer."""
    is_end_external: bool = False
    """What ends the bot is an error of the world."""
    is_unread: bool = False
    """journald keeps nothing."""
    is_enabled: bool = True
    platform: str = "x86_64"
    slow_return_s: float = 0.0
    """How long a return takes until it is told as done."""
    returning_until: float = 0.0
    releases: dict[str, Staged] = field(default_factory=dict)
    pending: Mark | None = None
    confirmed: Mark | None = None
    reverted: Mark | None = None
    lease: float = 0.0
    held: str = ""
    """The run of a group that is dead and waits for the word to start."""
    stuck: str = ""
    quarantine: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    switches: list[tuple[int, str]] = field(default_factory=list)
    """Since when it runs what, by its wall clock."""
    most_entries: int = 10**9
    """Journal entries that can be read at once."""
    rollout: dict[str, str] = field(default_factory=dict)
    approvals: dict[tuple[str, str], str] = field(default_factory=dict)
    hold: dict[str, str] = field(default_factory=dict)
    lock: Lock | None = None
    kept: dict[str, bytes] = field(default_factory=dict)
    journal: list[dict[str, object]] = field(default_factory=list)
    audit: list[dict[str, str]] = field(default_factory=list)
    boots: int = 1
    booted: float = 0.0
    """When it was started last, by its clock."""
    started: float = 0.0
    """Monotonic second at which the bot was started."""
    born: float = 0.0
    """Monotonic second at which its life began, also where systemd started it again."""
    did: list[tuple[str, ...]] = field(default_factory=list)
    """Everything that truly changed, in order."""
    on_change: Callable[[FakeHost, tuple[str, ...]], None] = lambda _host, _change: None
    entries_written: int = 0
    has_data: bool = True
    instance: str = ""
    form: str = ""
    """Which instance of its machine takes the place of what stands in the other form."""
    predecessor: FakeHost | None = None
    """Whose place it has taken, while that can be undone."""
    left: str = ""
    """What ran here when another one took its place."""
    has_given_back: bool = False
    gave_back_to: dict[str, str] = field(default_factory=dict)
    """Whose place it gave back last: unit and release."""
    joined: FakeHost | None = None
    """With whose change of form it came."""
    trees: set[str] = field(default_factory=set)
    """Those in the store of its machine."""
    arrived: list[str] = field(default_factory=list)
    """Trees whose files were sent, in order."""
    machine: str = ""
    """What its machine calls itself."""
    neighbours: tuple[FakeHost, ...] = field(default=(), repr=False, compare=False)
    """The other instances of its machine, whose fate it shares."""

    @property
    def of_machine(self) -> tuple[FakeHost, ...]:
        """Give all instances of its machine."""
        return (self, *self.neighbours)

    # --- what happens to it -----------------------------------------------------------------

    def wall(self) -> datetime:
        """Give its wall clock."""
        return BEGIN + timedelta(seconds=self.clock.mono) + self.jump

    def is_reachable(self) -> bool:
        """Tell whether a controller can log in now."""
        self.settle()
        return all(one.lets_in() for one in self.of_machine)

    def lets_in(self) -> bool:
        """Tell whether nothing of this instance keeps a controller from its machine."""
        return self.is_up and not self.is_cut and self.world.kind(self.current, self.name) != "deaf"

    def settle(self) -> None:
        """Do what the host has done by itself meanwhile: a lease that is over goes back."""
        if self.is_up and self.pending is not None and self.lease <= self.clock.mono:
            self._go_back("host", "lease", "no controller confirmed the release in time")

    def die(self) -> None:
        """Lose power, with all of its machine."""
        for one in self.of_machine:
            one.settle()
            one.is_up = False

    def boot(self) -> None:
        """Come up again, with all of its machine."""
        for one in self.of_machine:
            one.start_up()

    def start_up(self) -> None:
        """Come up again: what is unconfirmed goes back before the bot starts."""
        if self.is_up:
            return
        self.is_up = True
        self.boots += 1
        self.booted = self.clock.mono
        self.lock = None
        self._start(self.current)
        if self.pending is not None:
            self._go_back("host", "boot", "the host restarted before the release was confirmed")

    def reinstall(self) -> None:
        """Come up as new: nothing of botdeploy is there."""
        keep = (self.name, self.clock, self.world)
        fresh = FakeHost(*keep, jump=self.jump, boots=self.boots + 1, on_change=self.on_change)
        fresh.instance, fresh.machine, fresh.neighbours = (
            self.instance,
            self.machine,
            self.neighbours,
        )
        did = [*self.did, ("reinstall",)]
        self.__dict__.update(fresh.__dict__)
        self.did = did
        self.on_change(self, ("reinstall",))

    def write(self, message: str, **fields: object) -> None:
        """Let the bot write a line to the journal."""
        self.entries_written += 1
        at = int(self.wall().timestamp() * 1e6)
        self.journal.append(
            {
                "__CURSOR": f"s={self.name};i={self.entries_written}",
                "__REALTIME_TIMESTAMP": str(at),
                "MESSAGE": message,
                "PRIORITY": "6",
                "_PID": str(self.boots * 1000 + len(self.did)),
                "_TRANSPORT": "stdout",
                "_SYSTEMD_INVOCATION_ID": self.invocation,
                **fields,
            }
        )

    @property
    def invocation(self) -> str:
        """Name the run of the bot, as systemd does."""
        return f"{self.name}-{self.lives}"

    # --- its unit ---------------------------------------------------------------------------

    def unit(self) -> Record:
        """Say what systemd would say of the bot's unit now."""
        self.settle()
        if self.is_mute:
            return {}
        unit: Record = {
            "active_state": "inactive",
            "sub_state": "dead",
            "result": "success",
            "invocation": self.invocation,
            "restarts": self.restarts,
            "restart": "on-failure",
            "enabled": self.is_enabled,
        }
        if self.current and not self.is_stopped:
            pid = 1000 + self.lives
            unit |= {"active_state": "active", "sub_state": "running", "running": self.current}
            return unit | {"main_pid": pid, "pids": [pid]}
        if self.is_due:
            unit |= {"active_state": "activating", "sub_state": "auto-restart", "status": 1}
            return unit | {"result": "exit-code"}
        return unit | {"ended_by": self.ended_by}

    def end_itself(self, *, again_in: float | None = None) -> None:
        """Let the bot's process end; systemd starts it again in so many seconds, if at all."""
        if not self.current or self.is_stopped:
            return
        self.is_stopped, self.ended_by = True, "itself"
        self.is_due = again_in is not None
        if again_in is not None:
            ended = self.lives
            self.clock.at(again_in, lambda: self._restart(ended))

    def _restart(self, ended: int) -> None:
        if self.is_due and self.lives == ended and self.is_up:
            self.is_stopped, self.is_due = False, False
            self.born = self.clock.mono
            self.lives += 1
            self.restarts += 1

    def become(self, **values: bool) -> None:
        """Change what is true of the host."""
        for name, value in values.items():
            setattr(self, name, value)

    def stop_by_hand(self) -> None:
        """Let a person stop the bot."""
        self.settle()
        self.is_stopped, self.is_due, self.ended_by = True, False, "person"

    def start_release(self, release: str) -> None:
        """Let it run a release, whatever came before."""
        self._start(release)

    def start_by_hand(self) -> None:
        """Let a person start the bot."""
        self._start(self.current)

    def _need_running(self, *, or_stopped: bool) -> None:
        unit = unit_of(self.unit())
        runs = seen(unit, self.current).runs
        if runs is Runs.RUNNING or (or_stopped and runs is Runs.STOPPED):
            return
        raise NotRunning(self.name, "act", "the bot does not run", unit, self.instance or "")

    # --- acts -------------------------------------------------------------------------------

    def do(self, act: str, *arguments: Any, stdin: bytes = b"") -> Sequence[Record | bytes]:
        """Do an act as the host's program does, and give what it would print."""
        if act == "observe" and arguments:
            return [self.named(one).observe() for one in arguments]
        if act == "enter":
            form = [*arguments[ENTER_WORDS + 1 :], ""][0]
            for one in self.of_machine:
                one.form = form
            if len(arguments) > ENTER_WORDS and arguments[ENTER_WORDS]:
                return self.enter_all(*arguments[: ENTER_WORDS + 1])
            arguments = arguments[:ENTER_WORDS]
        more = {"stdin": stdin} if act in ("stage", "keep") else {}
        said = getattr(self, act)(*arguments, **more)
        return said if isinstance(said, list) else [said or {}]

    def state(self) -> HostState:
        """Give what ``observe`` says, as it is read."""
        return from_record(self.observe()["state"])

    def observe(self) -> Record:
        """Say what stands here."""
        self.settle()
        state = {
            **self.unit(),
            "current": self.current,
            "previous": self.previous,
            "active_since_us": max(0, int((self.born - self.booted) * 1e6)),
            "uptime_s": int(self.clock.mono - self.booted),
            "boot_id": f"{self.name}-{self.boots}",
            "at": _stamp(self.wall()),
            "prepared": True,
            "phase": self._phase(),
            "releases": [
                {
                    "id": name,
                    "digest": one.digest,
                    "proven": bool(one.order),
                    "proven_in": one.proven_in,
                    "proven_at": one.proven_at and _stamp(one.proven_at),
                    "tree": one.tree,
                    "recipe": one.recipe,
                    "numbers": one.numbers,
                }
                for name, one in sorted(self.releases.items())
            ],
            "quarantine": dict(self.quarantine),
            "refused": [one for words in self.refused.values() for one in words],
            "switches": list(self.switches),
            "lock": self._holder(),
            "rollout": self.rollout,
            "approved": [
                {"release": release, "ring": ring, "at": at}
                for (release, ring), at in self.approvals.items()
            ],
            "hold": self.hold,
            "stuck": self.stuck,
            "instance": self.instance,
            "machine": self.machine,
            "trees": sorted(self.trees),
            "standing": [
                {
                    "instance": one.instance,
                    "environment": one.rollout.get("environment", ""),
                    "release": one.current,
                }
                for one in self.of_machine
                if (one.rollout or one.current) and not one.left
            ],
            "before": self._before(),
        }
        return {"state": state}

    def check(self, *words: str) -> list[Record | bytes]:
        """Give one item of its machine, unless asked for its own only, and the machine's name."""
        item = {"ok": True, "message": "", "mend": ""}
        names = ["running"] if "instance" in words else ["root", "running"]
        items: list[Record | bytes] = [{"check": {"name": name, **item}} for name in names]
        return [*items, {"check": {**item, "name": "machine", "message": self.machine}}]

    def enter(
        self,
        token: str,
        ttl_s: int,
        kind: str,
        user: str,
        owner: str,
        why: str,
        environment: str = "",
        take_over: str = "",
    ) -> Record:
        """Take the lock, where the bot is not another environment's; tell the state."""
        del user
        self.settle()
        theirs = self.rollout.get("environment", "")
        if environment and theirs and theirs not in (environment, take_over):
            raise OtherEnvironment(self.name, theirs)
        held = self.lock if self.lock and self.lock.deadline > self.clock.mono else None
        if (
            held is not None
            and held.token != token
            and (kind != "rollback" or held.kind == "rollback")
        ):
            raise self._refusal()
        since = held.since if held is not None and held.token == token else self.wall()
        self.lock = Lock(token, self.clock.mono + ttl_s + 1, kind, owner, why, since, environment)
        return self.observe()

    def named(self, instance: str) -> FakeHost:
        """Give an instance of its machine."""
        return next(one for one in self.of_machine if one.instance == instance)

    def enter_all(self, *words: Any) -> list[Record | bytes]:
        """Take the locks of several instances, all or none."""
        token, names = words[0], words[ENTER_WORDS].split()
        entered = [self.named(name) for name in names]
        try:
            return [one.enter(*words[:ENTER_WORDS]) for one in entered]
        except BaseException:
            for one in entered:
                one.leave(token)
            raise

    def renew(self, token: str, ttl_s: int) -> None:
        """Renew the lock, if it is still ours."""
        if self.lock is not None and self.lock.token == token:
            self.lock.deadline = self.clock.mono + ttl_s + 1

    def leave(self, token: str) -> None:
        """Give the lock back."""
        if self.lock is not None and self.lock.token == token:
            self.lock = None

    def unlock(self) -> None:
        """Take the lock away."""
        self.lock = None

    def stage(self, token: str, release: str, *more: Any, stdin: bytes) -> Record:
        """Put a release there; tell where it was there already."""
        base, meta_bytes, _need_bytes, _need_inodes, rollout, ring, *trees = more
        self._need_lock(token)
        sent = decoded(stdin[:meta_bytes])
        known = self.releases.get(release)
        is_new = known is None or known.digest != sent["digest"]
        if known is not None and is_new and release in {self.current, self.previous}:
            raise ActFailed(self.name, "stage", f"{release} ran here", code="taken")
        self._have_tree(base, trees, stdin[meta_bytes:])
        if is_new:
            recipe, numbers = sent.get("recipe", ""), sent.get("numbers", "")
            self.releases[release] = Staged(
                sent["digest"], tree=[*trees, ""][0], recipe=recipe, numbers=numbers
            )
            self._changed("stage", release)
        self._note(rollout, release, ring)
        same = self.rollout.get("same")
        return {"same": same} if same else {} if is_new else {"already": True}

    def _same(self, release: str) -> str:
        """Name what runs here, where it has passed and a release is the same but for its id."""
        now, made_of = self.current, self.world.content
        is_same = now != release and made_of(now, self.name) == made_of(release, self.name)
        return now if is_same and self._is_target(now) else ""

    def _have_tree(self, base: str, trees: Sequence[str], files: bytes) -> None:
        """Put a tree into the machine's store, from what was sent or from what stands there."""
        assert bool(trees) == bool(self.instance), "an instance has a tree, a plain host has none"
        for tree in trees:
            if base == "=" and tree not in self.trees:
                raise ActFailed(self.name, "stage", f"tree {tree} is not here", code="no-tree")
            assert (base == "=") is not bool(files)
            if base != "=":
                self.arrived.append(tree)
            for one in self.of_machine:
                one.trees.add(tree)

    def contents(self) -> Record:
        """Say what the releases here are made of."""
        made = {name: self.world.content(name, self.name) for name in self.releases}
        return {"contents": made, "platform": self.platform}

    def retire(self, who: str, *words: str) -> Record:
        """Take it away; what it was is told."""
        if self.lock is not None and self.lock.deadline > self.clock.mono:
            raise self._refusal()
        ran, self.current, self.is_stopped = self.current, "", True
        self.rollout, self.releases = {}, {}
        self.has_data = self.has_data and "delete-data" not in words
        self._changed("retire", who, *words)
        data = f"/opt/tbot/instances/{self.instance}/shared" if self.has_data else ""
        return {"retired": {"release": ran, "data": data}}

    def fetch(self, token: str, release: str) -> list[Record | bytes]:
        """Give what another host needs to stage it; here its digest alone."""
        self._need_lock(token)
        self._need_staged(release)
        meta = json.dumps({"digest": self.releases[release].digest}).encode()
        about = {"fetch": {"size_bytes": 1000, "inodes": 10}}
        return [about, base64.b64encode(meta), {"part": "files"}, base64.b64encode(b"files")]

    def manifest(self, _release: str) -> Record:
        """Tell of a release without files."""
        return {"manifest": base64.b64encode(gzip.compress(b"\n")).decode()}

    def begin(self, token: str, rollout: str, release: str, ring: str) -> None:
        """Note a rollout whose release is there."""
        self._need_lock(token)
        self._need_staged(release)
        self._note(rollout, release, ring)

    def end(self, token: str, rollout: str, outcome: str, why: str) -> None:
        """Note how a rollout ended."""
        self._need_lock(token)
        if self.rollout.get("id") == rollout and self.rollout.get("outcome") != outcome:
            self.rollout |= {"outcome": outcome, "ended": _stamp(self.wall()), "ended_why": why}
            self._changed("end", rollout, outcome)

    def switch(
        self, token: str, run: str, release: str, ttl_s: int, group: str = "", go: str = ""
    ) -> Record:
        """Stop the old one, start the new one, under lease; of a group not before it may go."""
        self._need_lock(token)
        self._need_id(run)
        self.settle()
        if go:
            self._changed(go, run, group)
        if go == "hold":
            self.held = run
            return {"stopped": True}
        if self.pending is not None and self.pending.run == run:
            return self._tell_switched(self.pending)
        if self.confirmed is not None and self.confirmed.run == run:
            return self._tell_switched(self.confirmed)
        if self.reverted is not None and self.reverted.run == run:
            return self._tell_reverted()
        self._need_staged(release)
        if self.pending is not None:
            self._go_back("controller", "person", "a newer rollout began")
        old = self._return_target(release)
        self._take_place()
        self.pending = Mark(
            run, release, old, self.wall(), self._seq(), boots=self.boots, mono=self.clock.mono
        )
        self.lease = self.clock.mono + ttl_s + 1
        if old:
            self.previous = old
        self._start(release)
        self._changed("switch", run, release)
        if self.world.kind(release, self.name) == "unready":
            self.quarantine[self.releases[release].digest] = "not ready within 5 s"
            self._go_back("host", "ready", "not ready within 5 s")
            return self._tell_reverted()
        if self.world.kind(release, self.name) == "unseen":
            self._go_back("host", "host", "not ready within 5 s: journald keeps nothing")
            return self._tell_reverted()
        return self._tell_switched(self.pending)

    def is_getting_ready(self) -> bool:
        """Tell whether a slow bot was started just now and has not shown its sign yet."""
        self.settle()
        is_slow = self.world.kind(self.current, self.name) == "slow"
        return self.pending is not None and is_slow and self.clock.mono < self.started + SLOW_S

    def confirm(self, token: str, run: str) -> Record:
        """Let it stay, where it runs."""
        self._need_lock(token)
        self.settle()
        if self.pending is not None and self.pending.run == run:
            self._need_running(or_stopped=True)
            self.confirmed, self.pending = self.pending, None
            self.confirmed.at = self.wall()
            self._changed("confirm", run)
        elif self.confirmed is None or self.confirmed.run != run:
            raise self._lease_lost(run)
        return {"unit": self.unit()}

    def extend(self, token: str, run: str, ttl_s: int) -> Record:
        """Renew the lease."""
        self._need_lock(token)
        self.settle()
        if self.pending is not None and self.pending.run == run:
            self.lease = self.clock.mono + ttl_s + 1
        elif self.confirmed is None or self.confirmed.run != run:
            raise self._lease_lost(run)
        return {"unit": self.unit()}

    def revert(self, token: str, run: str, target: str, why: str, *more: str) -> Record:
        """Go back."""
        digest, cause, *refused = more
        self._need_lock(token)
        self._need_id(run)
        if digest != "-":
            self.quarantine[digest] = why
            if refused:
                self.refused[digest] = tuple(refused)
        self.settle()
        if self.pending is not None and target == "-":
            self._go_back("controller", cause, why)
            return self._tell_reverted()
        if self.held == run and (self.confirmed is None or self.confirmed.run != run):
            self._changed("unhold", run)
            return {"unchanged": {"release": self.current}}
        if self.reverted is not None and self.reverted.run == run:
            return self._tell_reverted()
        if self.pending is not None:
            self._go_back("controller", cause, why)
        now = self.current
        if target == "-" and digest != "-" and self._digest() != digest:
            target = now  # it has left the bad release by itself: it goes back no further
        named = "" if target == "none" else target
        to = self._recorded_target() if target == "-" else named
        if to:
            self._need_staged(to)
        if to == now and (not now or not self.is_stopped):
            return {"unchanged": {"release": now}}
        self.reverted = Mark(
            run, now, to, self.wall(), self._seq(), by="controller", why=why, cause=cause
        )
        self._return_to(to, left=now)
        self._changed("revert", run, now, to, cause)
        return self._tell_reverted()

    def prove(self, token: str, release: str, _keep: int, rollout: str, _why: str) -> None:
        """Note that it passed."""
        self._need_lock(token)
        self._need_staged(release)
        self._need_running(or_stopped=False)
        staged = self.releases[release]
        if self.confirmed is not None and self.confirmed.old and self.predecessor is not None:
            self.predecessor.left, self.predecessor = "", None
        if staged.proven_in != rollout or staged.digest in self.quarantine or not staged.order:
            staged.order = max((one.order for one in self.releases.values()), default=0) + 1
            staged.proven_in = rollout
            staged.proven_at = self.wall()
            self.quarantine.pop(staged.digest, None)
            self.refused.pop(staged.digest, None)
            self._changed("prove", release, rollout)

    def condemn(self, token: str, digest: str, why: str, *refused: str) -> None:
        """Put a release into quarantine."""
        self._need_lock(token)
        self.quarantine.setdefault(digest, why)
        if refused:
            self.refused[digest] = tuple(refused)

    def gate(self, act: str, who: str, why: str, release: str = "", ring: str = "") -> None:
        """Record a person's word; needs no lock."""
        match act:
            case "hold":
                self.hold = {"who": who, "why": why, "at": _stamp(self.wall())}
            case "resume":
                self.hold = {}
            case _:
                self.approvals[release, ring] = _stamp(self.wall())
        self._changed(act, release, ring)

    def note(self, who: str, what: str) -> None:
        """Write a line down."""
        self._changed("note", who, what)

    def evidence(self, release: str) -> Record:
        """Give what was kept."""
        kept = self.kept.get(release)
        return {"evidence": kept and base64.b64encode(kept).decode()}

    def keep(self, token: str, release: str, *, stdin: bytes) -> None:
        """Keep evidence."""
        self._need_lock(token)
        self.kept[release] = stdin

    def entries(self, position: str, _hidden: str) -> list[Record | bytes]:
        """Give journal entries from a cursor, or of the last seconds, the newest first."""
        first = 0
        if position.startswith("since:"):
            begin = (self.wall().timestamp() - int(position[6:])) * 1e6
            first = next(
                (
                    number
                    for number, entry in enumerate(self.journal)
                    if int(str(entry["__REALTIME_TIMESTAMP"])) >= begin
                ),
                len(self.journal),
            )
        else:
            first = next(
                (n for n, entry in enumerate(self.journal) if entry["__CURSOR"] == position), 0
            )
        stood = self.journal[first:]
        newest = stood[-self.most_entries :]
        rows = [json.dumps(one).encode() for one in reversed(newest)]
        return [*rows, {"read": {"cut": len(newest) < len(stood)}}]

    def lines(self, count: str, _hidden: str) -> list[Record | bytes]:
        """Give the last journal entries, the newest first."""
        newest = self.journal[-int(count) :]
        rows = [json.dumps(one).encode() for one in reversed(newest)]
        return [*rows, {"read": {"cut": len(newest) < len(self.journal)}}]

    # --- parts ------------------------------------------------------------------------------

    def _changed(self, *change: str) -> None:
        self.did.append(change)
        self.audit.append({"at": _stamp(self.wall()), "act": change[0], "v": " ".join(change)})
        self.on_change(self, change)

    def _seq(self) -> int:
        marks = (self.pending, self.confirmed, self.reverted)
        return max((mark.seq for mark in marks if mark is not None), default=0) + 1

    def _start(self, release: str) -> None:
        self.current = release
        self.is_stopped, self.is_due, self.ended_by = not release, False, ""
        self.started = self.born = self.clock.mono
        self.lives += 1
        if not self.switches or self.switches[-1][1] != (release or NOBODY):
            self.switches.append((int(self.wall().timestamp() * 1e6), release or NOBODY))
        self.restarts = 0
        dies = self.world.dies(release, self.name)
        if dies is not None:
            life = self.lives
            after_s, again_in = dies

            def die() -> None:
                if self.lives == life:
                    self.end_itself(again_in=again_in)

            self.clock.at(after_s, die)

    def _go_back(self, by: str, cause: str, why: str) -> None:
        mark = self.pending
        assert mark is not None
        self.pending, self.reverted = None, mark
        mark.by, mark.cause, mark.why = by, cause, why
        self.returning_until = self.clock.mono + self.slow_return_s
        self._return_to(mark.old, left=mark.new)
        self._changed("back", mark.run, mark.new, mark.old, cause)

    def _take_place(self) -> None:
        """Stop the one in the other form, where this one begins in its place."""
        found = [one for one in self.of_machine if bool(one.instance) is not bool(self.instance)]
        stands = [one for one in found if one.current]
        if self.current:
            return
        if self.form == (self.instance or "-") and stands:
            self.predecessor, self.left, self.has_given_back = stands[0], "", False
            stands[0].left = stands[0].current
            stands[0].start_release("")
        elif self.form:
            self.joined = next(one for one in self.of_machine if (one.instance or "-") == self.form)

    def _give_back(self) -> None:
        """Start the one again whose place this one has taken."""
        before, self.predecessor = self.predecessor, None
        if before is not None:
            before.start_release(before.left)
            self.gave_back_to = {"unit": before.instance or before.name, "release": before.current}
            before.left, self.has_given_back = "", True
            if before.world.kind(before.current, before.name) == "unready":
                self.stuck, before.is_stopped = "not ready within 5 s", True

    def _before(self) -> Record | None:
        if self.predecessor is not None:
            return {"unit": self.predecessor.instance or "plain", "release": self.predecessor.left}
        with_it = self.joined
        is_undoable = with_it is not None and (with_it.predecessor or with_it.has_given_back)
        return {"unit": "", "release": ""} if is_undoable else None

    def _return_to(self, release: str, *, left: str) -> None:
        self._start(release)
        self.stuck = ""
        if not release:
            self._give_back()
        if self.previous == release or not self._is_target(self.previous):
            self.previous = self._last_proven_but(release, left)
        if release and self.world.kind(release, self.name) == "unready":
            self.stuck, self.is_stopped = "not ready within 5 s", True

    def _digest(self) -> str:
        staged = self.releases.get(self.current)
        return staged.digest if staged is not None else ""

    def _is_target(self, release: str) -> bool:
        staged = self.releases.get(release)
        return staged is not None and staged.order > 0 and staged.digest not in self.quarantine

    def _last_proven_but(self, *others: str) -> str:
        found = [name for name in self.releases if name not in others and self._is_target(name)]
        return max(found, key=lambda name: self.releases[name].order, default="")

    def _return_target(self, new: str) -> str:
        now = self.current
        if now != new and self._is_target(now):
            return now
        proven = self._last_proven_but(now, new)
        if proven or now == new or now not in self.releases:
            return proven
        is_good = self.releases[now].digest not in self.quarantine
        is_confirmed = self.confirmed is not None and self.confirmed.new == now
        return now if is_good and is_confirmed else ""

    def _recorded_target(self) -> str:
        now, to = self.current, ""
        if not now or self._before() is not None:
            return ""
        if self.confirmed is not None and self.confirmed.new == now:
            to = self.confirmed.old
            known = self.releases.get(to)
            if to == now or known is None or known.digest in self.quarantine:
                to = ""
        if not to and self.previous != now and self._is_target(self.previous):
            to = self.previous
        to = to or self._last_proven_but(now)
        if not to and self._is_target(now):
            raise ActFailed(
                self.name, "revert", f"nothing to return to; {now} stays", code="no-target"
            )
        return to

    def _note(self, rollout: str, release: str, ring: str) -> None:
        same = self.rollout.get("id") == rollout
        known = (self.rollout.get("release"), self.rollout.get("ring")) == (release, ring)
        if same and known and not self.rollout.get("outcome"):
            return
        since = self.rollout["since"] if same else _stamp(self.wall())
        assert self.lock is not None
        self.rollout = {
            "id": rollout,
            "release": release,
            "digest": self.releases[release].digest,
            "ring": ring,
            "since": since,
            "owner": self.lock.owner,
            "why": self.lock.why,
            "environment": self.lock.environment or self.rollout.get("environment", ""),
            "same": self._same(release),
        }
        self._changed("begin", rollout, release, ring)

    def _need_staged(self, release: str) -> None:
        if release not in self.releases:
            raise ActFailed(self.name, "act", f"release {release} is not here", code="not-staged")

    def _need_id(self, run: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", run):
            raise ActFailed(self.name, "act", "run is not an identifier", code="usage")

    def _need_lock(self, token: str) -> None:
        if self.lock is not None and self.lock.token == token:
            return
        if self.lock is not None and self.lock.deadline > self.clock.mono:
            raise self._refusal()
        raise LockLost(self.name, "the lock lapsed and was given up; nothing was changed")

    def _refusal(self) -> LockRefused:
        holder = self._holder()
        assert holder is not None
        return LockRefused(self.name, lock_holder(holder), self.instance)

    def _holder(self) -> Record | None:
        lock = self.lock
        if lock is None or lock.deadline <= self.clock.mono:
            return None
        about = {"id": lock.token[:8], "owner": lock.owner, "kind": lock.kind, "why": lock.why}
        return about | {"since": _stamp(lock.since)}

    def _lease_lost(self, run: str) -> LeaseLost:
        if self.reverted is not None and self.reverted.run == run:
            return LeaseLost(
                self.name, "act", f"the host went back: {self.reverted.why}", code="lost"
            )
        return LeaseLost(self.name, "act", "the host knows nothing of this run", code="lost")

    def _phase(self) -> Record | None:
        if self.pending is not None:
            age = max(0.0, (self.wall() - self.pending.armed).total_seconds())
            left = max(0, int(self.lease - self.clock.mono))
            return self._told(Phase.PENDING, self.pending, age, left)
        if self.reverted is not None and self.clock.mono < self.returning_until:
            return self._told(Phase.REVERTING, self.reverted, 0.0)
        marks = [
            (mark.seq, phase, mark)
            for phase, mark in ((Phase.CONFIRMED, self.confirmed), (Phase.REVERTED, self.reverted))
            if mark is not None
        ]
        if not marks:
            return None
        _, phase, mark = max(marks, key=lambda one: one[0])
        age = (self.wall() - mark.at).total_seconds() if mark.at is not None else 0.0
        return self._told(phase, mark, max(0.0, age))

    def _told(self, phase: Phase, mark: Mark, age_s: float, lease_left_s: int = 0) -> Record:
        other = self.reverted if phase is Phase.CONFIRMED else self.confirmed
        is_steady = phase is not Phase.REVERTED and mark.boots == self.boots
        age = {"ran_s": self.clock.mono - mark.mono} if is_steady else {"age_s": age_s}
        return {
            "phase": phase,
            "run": mark.run,
            "new": mark.new,
            "old": mark.old,
            "by": mark.by,
            "why": mark.why,
            "cause": mark.cause,
            "armed": _stamp(mark.armed),
            **age,
            "lease_left_s": lease_left_s,
            "earlier": other.run if other is not None else "",
        }

    def _tell_switched(self, mark: Mark) -> Record:
        at_us = int(mark.armed.timestamp() * 1e6)
        return {"switched": {"old": mark.old, "downtime_s": 0.5, "at_us": at_us}}

    def _tell_reverted(self) -> Record:
        mark = self.reverted
        assert mark is not None
        about = {"old": mark.old, "by": mark.by, "why": mark.why, "cause": mark.cause}
        about |= self.gave_back_to
        return {"reverted": {**about, "seconds": 0.5, "runs": not self.stuck}}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def decoded(meta: bytes) -> Mapping[str, str]:
    """Read what ``FakeBuild.meta`` wrote."""
    found: Mapping[str, str] = json.loads(meta)
    return found
