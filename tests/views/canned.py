"""Canned hosts for the report: what they say of themselves, their audit logs and journals.

Shapes are those of real hosts: a state record as ``observe`` prints it, audit entries as
``history --json`` shows them, journal entries as ``journalctl -o json`` gives them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botdeploy.core.host import state_record
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import moved
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.core.report.audit_log import acts_of, frame_of, read_acts
from botdeploy.core.report.report_model import HostAnswers, JournalRead, Report
from botdeploy.core.report.rollout_report import rollout_report
from botdeploy.core.text.secret_mask import Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState, RolloutRecord

BEGIN = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
OLD, NEW = "20261101T000000Z-0000aaaa", "20261122T210459Z-1111bbbb"
DIGEST = "1111bbbb" + "0" * 56
ROLLOUT = "20261122T210500Z-00ff"
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
CRASHED = "98e322203f7a4ed290d09fe03c09fe15"


def stamp(at: datetime) -> str:
    """Write an instant as a host does."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(count: float) -> datetime:
    """Give the instant so many seconds after the rollout's begin."""
    return BEGIN + timedelta(seconds=count)


@dataclass
class Canned:
    """One host."""

    name: str
    old: str = OLD
    acts: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    ahead: timedelta = timedelta(0)
    kept: Evidence | None = None

    def act(
        self, at_s: float, what: str, outcome: str = "done", why: str = "", **more: str
    ) -> None:
        """Write an entry into the audit log."""
        self.acts.append(
            {
                "at": stamp(seconds(at_s) + self.ahead),
                "act": what,
                "release": NEW,
                "outcome": outcome,
                "who": "ann@laptop",
                "why": why,
                "rollout": ROLLOUT,
                "v": 1,
                **more,
            }
        )

    def say(
        self, at_s: float, text: str, run: str = "old", *, priority: int = 6, **fields: str
    ) -> None:
        """Write a line of the bot's into the journal."""
        at_us = int((seconds(at_s) + self.ahead).timestamp() * 1e6)
        self.rows.append(
            {
                "MESSAGE": text,
                "PRIORITY": str(priority),
                "_PID": "77",
                "_SYSTEMD_INVOCATION_ID": run,
                "__REALTIME_TIMESTAMP": str(at_us),
                "__CURSOR": f"c{len(self.rows)}",
                **fields,
            }
        )

    def system(self, at_s: float, message_id: str, text: str, run: str, **fields: str) -> None:
        """Write a record of PID 1's about the unit."""
        own = {"_PID": "1", "MESSAGE_ID": message_id, "INVOCATION_ID": run}
        self.say(at_s, text, "")
        self.rows[-1].update(own | fields)

    def works(self, from_s: float, to_s: float, run: str, every_s: float = 5.0) -> None:
        """Let the bot work without fault."""
        at_s = from_s
        while at_s < to_s:
            self.say(at_s, f"handled message {int(at_s)}", run)
            at_s += every_s

    def starts(self, at_s: float, run: str) -> None:
        """Let systemd start the bot: the readiness is noted in the audit log a second later."""
        self.system(at_s, STARTING, "Starting echobot", run)
        self.system(at_s + 0.2, STARTED, "Started echobot", run)

    def staged(self, at_s: float = 0.0) -> None:
        """Take part in the rollout."""
        self.act(at_s, "begin", why="new replies")
        self.act(at_s + 0.1, "stage")

    def switched(self, at_s: float) -> None:
        """Run the new release from here on."""
        self.starts(at_s - 1, "new")
        self.act(at_s, "switch", "ready")
        self.state |= self._runs(NEW, self.old)
        self.state["phase"] = {"phase": "confirmed", "run": ROLLOUT, "new": NEW, "old": self.old}

    def proven(self, at_s: float) -> None:
        """Pass."""
        self.act(at_s, "confirm")
        self.act(at_s + 0.1, "prove")
        self.state["releases"] = [{"id": NEW, "digest": DIGEST, "proven": True}]

    def reverted(self, at_s: float, why: str) -> None:
        """Go back."""
        self.starts(at_s - 1, "back")
        self.act(at_s, "revert", why=why)
        self.state |= self._runs(self.old, "")
        self.state["releases"] = [{"id": NEW, "digest": DIGEST}]
        self.state["phase"] = {
            "phase": "reverted", "run": ROLLOUT, "new": NEW, "old": self.old,
            "cause": "verdict", "why": why,
        }  # fmt: skip

    def ended(self, at_s: float, outcome: str, why: str = "") -> None:
        """Note the end."""
        self.act(at_s, "end", outcome, why)
        self.record(outcome)

    def record(self, outcome: str = "") -> None:
        """Know of the rollout."""
        self.state["rollout"] = {
            "id": ROLLOUT, "release": NEW, "digest": DIGEST, "since": stamp(BEGIN),
            "owner": "ann@laptop", "why": "new replies", "outcome": outcome,
        }  # fmt: skip

    def _runs(self, release: str, previous: str) -> dict[str, Any]:
        return {"current": release, "previous": previous, "running": release}

    def seen(self, now: datetime) -> HostState:
        """Be observed."""
        return state_record.from_record(
            {
                "active_state": "active",
                "main_pid": 4711,
                "prepared": True,
                "at": stamp(now + self.ahead),
                **self._runs(self.old, ""),
                **self.state,
            }
        )


def inventory(names: Iterable[str], canaries: int = 1) -> Inventory:
    """Give an environment with a canary ring and the rest."""
    hosts = tuple(Host(name, Address(name, name), Bot("echobot", "run", "/src")) for name in names)
    everybody = tuple(host.name for host in hosts)
    rings = (
        Ring("canary", Share(count=canaries), hosts=everybody, soak=timedelta(seconds=60)),
        Ring("fleet", "all", hosts=everybody),
    )
    return Inventory("prod", "inventories/prod.yml", hosts, Policy(rings))


def failed_canary(text: str = "KeyError: 'balance'", why: str = "") -> list[Canned]:
    """Three hosts; the canary begins to fail ten seconds after its switch and goes back."""
    why = why or "h1: 10 errors in 3.6 s, where 0.08 are usual here"
    hosts = [Canned("h1"), Canned("h2"), Canned("h3")]
    for host in hosts:
        host.works(-1800, 5 if host.name == "h1" else 120, "old")
        host.say(-600, "ERROR timeout of shard 3", "old", priority=3)
        host.staged()
        host.record("failed")
    canary = hosts[0]
    canary.switched(5)
    canary.works(5, 24, "new")
    for number in range(10):
        canary.say(15 + number / 2, f"ERROR job failed: {text}", "new", priority=3)
    canary.say(20, "ERROR timeout of shard 4", "new", priority=3)
    canary.reverted(24, why)
    canary.works(24, 120, "back")
    for host in hosts:
        host.act(24.5, "quarantine", why=why, release=DIGEST)
        host.state["quarantine"] = {DIGEST: why}
        host.ended(25, "failed", why)
    return hosts


def passed(count: int = 3, soak_s: float = 60.0) -> list[Canned]:
    """Hosts that all got the release: the canary first, the others one after the other."""
    hosts = [Canned(f"h{number}") for number in range(1, count + 1)]
    every_s = max(5.0, soak_s / 40)
    for place, host in enumerate(hosts):
        at_s = 5.0 if place == 0 else 5 + soak_s + 3 * place
        until = 5 + soak_s + 3 * count + 60
        host.works(-1800, at_s, "old", every_s)
        host.staged()
        host.switched(at_s)
        host.works(at_s, until, "new", every_s)
        host.proven(5 + soak_s if place == 0 else 5 + soak_s + 3 * count)
        host.record()
    return hosts


def told(
    hosts: list[Canned],
    *,
    now: datetime | None = None,
    away: tuple[str, ...] = (),
    is_open: bool = False,
    mask: Callable[[str], str] | None = None,
    canaries: int = 1,
) -> Report:
    """Make a report as the command does, without a network."""
    now = now or seconds(3600)
    states = {host.name: host.seen(now) for host in hosts if host.name not in away}
    acts = [
        act
        for host in hosts
        if host.name in states
        for act in read_acts(host.name, host.acts, states[host.name].ahead(now))
    ]
    record: RolloutRecord = next(state.rollout for state in states.values() if state.rollout)
    acts = acts_of(record, acts)
    frame = frame_of(record, acts, now, is_open=is_open)
    answers = HostAnswers(
        states,
        dict.fromkeys(away, "no route to host"),
        acts,
        {host.name: _read(host, mask or Mask()) for host in hosts if host.name in states},
    )
    made = inventory([host.name for host in hosts], canaries)
    return rollout_report(made, record, answers, frame, is_open=is_open)


def _read(host: Canned, mask: Callable[[str], str]) -> JournalRead:
    assembler = Assembler(mask=mask)
    rows = sorted(host.rows, key=lambda row: int(row["__REALTIME_TIMESTAMP"]))
    lines = [line for row in rows for line in assembler.feed(row)] + assembler.flush()
    ahead_us = host.ahead // timedelta(microseconds=1)
    kept = None if host.ahead else host.kept
    return JournalRead(list(moved(lines, -ahead_us)), kept=kept, ahead_us=ahead_us)
