"""Commands that look and change nothing: check, status, releases, history, logs."""

from __future__ import annotations

import heapq
import queue
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botdeploy.core import plan
from botdeploy.core.hoststate import HostState, Phase
from botdeploy.core.logline import Assembler
from botdeploy.engine.canary import line_rules, newest_under_way
from botdeploy.errors import ExitCode, HostError, UserError
from botdeploy.views import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.logline import LogLine
    from botdeploy.core.model import Inventory
    from botdeploy.engine.fleet import Fleet
    from botdeploy.hosts.journal import Delivery


def _observe(
    fleet: Fleet, names: tuple[str, ...]
) -> tuple[dict[str, HostState], dict[str, HostError]]:
    seen = fleet.each(names, lambda name: fleet.acts(name).observe())
    return (
        {name: one for name, one in seen.items() if not isinstance(one, HostError)},
        {name: one for name, one in seen.items() if isinstance(one, HostError)},
    )


def status(context: Context, environment: str | None, limit: str | None) -> int:
    """Say what truly runs."""
    inventory = context.load_known(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        states, away = _observe(fleet, names)
    record = status_record(inventory, names, states, away, context.clock.now())
    if context.as_json:
        context.json.write(record)
    else:
        rollout = record["rollout"]
        if rollout:
            context.say(
                f"{record['bot']}: {rollout['release']} {rollout['state']} in ring "
                f"{rollout['ring'] or '?'} since {rollout['since']}",
                "bold",
            )
        context.out.print(tables.status(record))
        for name, state in states.items():
            if state.lock is not None:
                context.say(f"{name}: locked by {state.lock}", "yellow")
            if state.hold:
                context.say(f"{name}: held by {state.hold}", "yellow")
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


def status_record(
    inventory: Inventory,
    names: tuple[str, ...],
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
    now: datetime,
) -> dict[str, Any]:
    """Put together what ``status --json`` prints."""
    record = newest_under_way(states)
    rings = plan.members(
        inventory,
        states,
        away,
        rollout=record.id if record else "",
        release=record.release if record else "",
    )
    last = record or max(
        (state.rollout for state in states.values() if state.rollout is not None),
        key=lambda one: one.since,
        default=None,
    )
    rollout = None
    if last is not None:
        on_it = [name for name, state in states.items() if state.running == last.release]
        ring = plan.ring_of(rings, on_it[-1]) if on_it else last.ring
        rollout = {
            "id": last.id,
            "release": last.release,
            "ring": ring,
            "state": _rollout_state(states, last.release, is_open=record is not None),
            "since": last.since,
        }
    return {
        "environment": inventory.environment,
        "bot": inventory.bot_name,
        "rollout": rollout,
        "hosts": [
            _host_record(name, plan.ring_of(rings, name), states.get(name), away.get(name), now)
            for name in names
        ],
    }


def _rollout_state(states: Mapping[str, HostState], release: str, *, is_open: bool) -> str:
    if is_open:
        pending = any(
            state.switch is not None
            and state.switch.phase is Phase.PENDING
            and state.switch.new == release
            for state in states.values()
        )
        return "pending" if pending else "under way"
    if any(state.running == release for state in states.values()):
        return "done"
    return "reverted"


def _host_record(
    name: str, ring: str, state: HostState | None, error: HostError | None, now: datetime
) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("current", "previous", "running", "active_state", "restarts", "since", "lease_until")
    )
    record: dict[str, Any] = {"host": name, "ring": ring or None, "reachable": state is not None}
    if state is None:
        return {**record, **empty, "error": error.message if error else "not observed"}
    switch = state.switch
    lease = None
    if switch is not None and switch.phase is Phase.PENDING:
        lease = _stamp(now + timedelta(seconds=switch.lease_left_s))
    return {
        **record,
        "current": state.current or None,
        "previous": state.previous or None,
        "running": state.running or None,
        "active_state": state.active_state,
        "restarts": state.restarts,
        "since": _stamp(state.active_since),
        "lease_until": lease,
        "error": state.stuck or None,
    }


def _stamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def releases(context: Context, environment: str, limit: str | None) -> int:
    """List the releases on each host."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        states, away = _observe(fleet, names)
    hosts = []
    for name in names:
        state = states.get(name)
        if state is None:
            hosts.append({"host": name, "reachable": False, "error": away[name].message})
            continue
        hosts.append(
            {
                "host": name,
                "reachable": True,
                "error": None,
                "releases": [
                    {
                        "id": one.id,
                        "digest": one.digest,
                        "current": one.id == state.current,
                        "previous": one.id == state.previous,
                        "running": one.id == state.running,
                        "proven": one.is_proven,
                        "quarantined": state.quarantine.get(one.digest),
                    }
                    for one in sorted(state.releases, key=lambda one: one.id, reverse=True)
                ],
            }
        )
    record = {"environment": inventory.environment, "bot": inventory.bot_name, "hosts": hosts}
    if context.as_json:
        context.json.write(record)
    else:
        context.out.print(tables.releases(record))
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


def history(context: Context, environment: str, limit: str | None) -> int:
    """Merge the hosts' audit logs."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        seen = fleet.each(names, lambda name: fleet.acts(name).audit())
    entries: list[dict[str, Any]] = []
    away = {}
    for name, result in seen.items():
        if isinstance(result, HostError):
            away[name] = result
        else:
            entries += [{"host": name, **entry} for entry in result]
    entries.sort(key=lambda entry: str(entry.get("at", "")))
    if context.as_json:
        context.json.write(
            {
                "environment": inventory.environment,
                "bot": inventory.bot_name,
                "entries": entries,
                "unreachable": {name: error.message for name, error in away.items()},
            }
        )
    else:
        context.out.print(tables.history(entries))
        for error in away.values():
            context.say(str(error), "red")
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


def check(context: Context, environment: str, limit: str | None) -> int:
    """Try every host as a rollout would."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        seen = fleet.each(names, lambda name: fleet.acts(name).check())
    hosts = []
    is_fine = True
    for name in names:
        result = seen[name]
        if isinstance(result, HostError):
            items = [{"name": "reachable", "ok": False, "message": result.message, "mend": ""}]
        else:
            items = [{"name": "reachable", "ok": True, "message": "", "mend": ""}, *result]
        ok = all(item.get("ok") for item in items)
        is_fine = is_fine and ok
        hosts.append({"host": name, "ok": ok, "checks": items})
    record = {"environment": inventory.environment, "bot": inventory.bot_name, "hosts": hosts}
    if context.as_json:
        context.json.write(record)
    else:
        context.out.print(tables.checks(record, verbose=context.verbose))
    return int(ExitCode.DONE if is_fine else ExitCode.UNREACHABLE)


# --- logs ---------------------------------------------------------------------------------------


def logs(context: Context, environment: str, limit: str | None, *, follow: bool, count: int) -> int:
    """Print lines from all hosts, merged by time."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        printer = _Printer(context, inventory, fleet, names)
        return printer.follow(count) if follow else printer.last(count)


class _Printer:
    """Prints log lines with host and release."""

    def __init__(
        self, context: Context, inventory: Inventory, fleet: Fleet, names: tuple[str, ...]
    ) -> None:
        self.context = context
        self.inventory = inventory
        self.fleet = fleet
        self.names = names
        self.releases: dict[tuple[str, str], str] = {}
        self.width = max(len(name) for name in names)
        states, self.away = _observe(fleet, names)
        for name, state in states.items():
            if state.invocation and state.running:
                self.releases[name, state.invocation] = state.running
        for error in self.away.values():
            context.say(str(error), "red")
        if not states:
            raise UserError("no host can be reached")
        self.reachable = tuple(states)

    def last(self, count: int) -> int:
        """Print the last ``count`` entries of each host."""
        seen = self.fleet.each(self.reachable, lambda name: self._read(name, count))
        streams = []
        for name, result in seen.items():
            if isinstance(result, HostError):
                self.context.say(str(result), "red")
            else:
                streams.append([(line.at_us, name, line) for line in result])
        for _at, name, line in heapq.merge(*streams, key=lambda item: item[:2]):
            self._print(name, line)
        return int(ExitCode.UNREACHABLE if self.away else ExitCode.DONE)

    def _read(self, name: str, count: int) -> list[LogLine]:
        import json

        assembler = Assembler(line_rules(self.inventory.policy.judge))
        lines: list[LogLine] = []
        for row in self.fleet.acts(name).lines(count):
            try:
                lines += assembler.feed(json.loads(row))
            except ValueError:
                continue
        return lines + assembler.flush()

    def follow(self, count: int) -> int:
        """Print new lines until interrupted."""
        from botdeploy.hosts.journal import Follower

        if count:
            self.last(count)
        arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        followers = [
            Follower(
                name,
                lambda name=name: self.fleet.acts(name),  # type: ignore[misc]
                arrived.put,
                position="since:0",
                assembler=Assembler(line_rules(self.inventory.policy.judge)),
            )
            for name in self.reachable
        ]
        for follower in followers:
            follower.start()
        try:
            while not self.context.stop.is_set():
                try:
                    delivery = arrived.get(timeout=0.2)
                except queue.Empty:
                    continue
                if delivery.gap:
                    self.context.say(f"{delivery.host}: {delivery.gap}", "yellow")
                for line in delivery.lines:
                    self._print(delivery.host, line)
        finally:
            for follower in followers:
                follower.stop()
        return int(ExitCode.INTERRUPTED)

    def _print(self, name: str, line: LogLine) -> None:
        release = self.releases.get((name, line.invocation or ""), "")
        at = datetime.fromtimestamp(line.at_us / 1e6, tz=UTC)
        if self.context.as_json:
            self.context.json.write(
                {
                    "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                    "host": name,
                    "release": release or None,
                    "level": line.level.name.lower() if line.level is not None else None,
                    "message": line.message,
                    "fingerprint": line.fingerprint,
                }
            )
            return
        style = "red" if line.fingerprint is not None else ""
        mark = release[-8:] if release else "-"
        head = f"{at.astimezone():%H:%M:%S.%f}"[:-3]
        self.context.say(f"{head} {name:<{self.width}} {mark:<8} {line.message}", style)
