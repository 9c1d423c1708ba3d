"""Commands that look and change nothing: check, status, releases, history, logs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.cli.schedules import too_seldom, without_user
from botdeploy.core.host_state import HostState, Phase, what_is_wrong
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.rollout_records import newest, newest_under_way
from botdeploy.engine.commands.ownership import OWNER, others, own
from botdeploy.engine.fleet.observe import observe
from botdeploy.errors import ExitCode, HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.host_state import RolloutRecord
    from botdeploy.core.model.inventory import Inventory


def status(context: Context, environment: str | None, limit: str | None) -> int:
    """Say what truly runs."""
    inventory = context.load_known(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        states, away = observe(fleet, names)
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
            for line in _ahead_in_words(rollout):
                context.say(line)
        from botdeploy.views import tables

        context.out.print(tables.status(record))
        for host in record["hosts"]:
            if host["error"]:
                context.say(f"{host['host']}: {host['error']}", "red")
        context.say_left_out(inventory)
        for name, other in others(inventory, states).items():
            context.say(f"{name}: belongs to environment '{other}'", "yellow")
        for name, state in states.items():
            if state.lock is not None:
                context.say(f"{name}: locked by {state.lock}", "yellow")
            if state.hold:
                context.say(f"{name}: held by {state.hold}", "yellow")
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


def _ahead_in_words(rollout: Mapping[str, Any]) -> Iterator[str]:
    """Say what is missing and when it is due; the command stands on a line of its own."""
    if rollout["why"]:
        due = f", due {rollout['until']}" if rollout["until"] else ""
        yield f"  {rollout['reason'] or 'next'}: {rollout['why']}{due}"
    if rollout["unproven"]:
        yield f"  no verdict yet: {', '.join(rollout['unproven'])}"
    if rollout["next"]:
        yield "  next:"
        yield str(rollout["next"])


def status_record(
    inventory: Inventory,
    names: tuple[str, ...],
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
    now: datetime,
) -> dict[str, Any]:
    """Put together what ``status --json`` prints."""
    every, states = states, own(inventory, states)
    record = newest_under_way(states, inventory.policy)
    rings = ring_members.members(
        inventory,
        states,
        away,
        rollout=record.id if record else "",
        release=record.release if record else "",
    )
    last = newest(states)
    rollout = None
    if last is not None:
        ring = _reached(inventory, rings, states, last.release)
        ahead = _ahead(inventory, states, away, record, now)
        state = _rollout_state(states, last.release, is_open=record is not None)
        rollout = {
            "id": last.id,
            "release": last.release,
            "ring": ring,
            "state": ahead.pop("state") or state,
            "since": last.since,
            "unproven": _unproven(rings.get(ring, ()), states, last.release),
            **ahead,
        }
    return {
        "environment": inventory.environment,
        "bot": inventory.bot_name,
        "rollout": rollout,
        "hosts": [
            _host_record(inventory, name, rings, every.get(name), away.get(name), now)
            for name in names
        ],
        "left_out": dict(inventory.left_out),
    }


def _ahead(
    inventory: Inventory,
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
    record: RolloutRecord | None,
    now: datetime,
) -> dict[str, Any]:
    """Say what a rollout waits for, when that is over, and which command takes it on."""
    nothing = dict.fromkeys(("state", "reason", "why", "until", "next"))
    if record is None:
        return nothing
    # Only where a rollout is open: these bring the engine.
    from botdeploy.core.rollout.decision import Reason, Wait, command_of, describe
    from botdeploy.engine.commands.next_step import next_decision

    decision = next_decision(inventory, states, away, record, now)
    command = command_of(decision, inventory.environment, record.release) or None
    if not isinstance(decision, Wait):
        return {**nothing, "why": describe(decision), "next": command}
    is_soak = decision.reason is Reason.SOAK
    # Hosts keep what was read, not what it is worth: that is judged anew by each step.
    is_unjudged = decision.reason is Reason.VERDICT
    judged = "; the next step judges it, and with -v tells which proof is missing"
    is_act = decision.reason in (Reason.ACT, Reason.SETTLE)
    return {
        "state": None if is_act else "soaking" if is_soak else "waiting",
        "reason": decision.reason.value,
        "why": decision.why + (judged if is_unjudged else ""),
        "until": _stamp(decision.until),
        "next": command,
    }


def _unproven(names: tuple[str, ...], states: Mapping[str, HostState], release: str) -> list[str]:
    """Name the hosts of a ring that run a release which has not passed its verdict there."""
    return [
        name
        for name in names
        if name in states
        and states[name].running == release
        and not states[name].is_proven(release)
    ]


def _reached(
    inventory: Inventory,
    rings: Mapping[str, tuple[str, ...]],
    states: Mapping[str, HostState],
    release: str,
) -> str:
    """Name the last ring of which a host runs the release, or ran it and went back."""
    reached = ""
    for ring in inventory.policy.rings:
        for name in rings[ring.name]:
            state = states.get(name)
            switch = state.switch if state is not None else None
            if state is not None and (
                state.running == release or (switch is not None and switch.new == release)
            ):
                reached = ring.name
    return reached


def _rollout_state(states: Mapping[str, HostState], release: str, *, is_open: bool) -> str:
    if is_open:
        pending = any(
            state.switch is not None
            and state.switch.phase is Phase.PENDING
            and state.switch.new == release
            for state in states.values()
        )
        return "pending" if pending else "under way"
    if any(release in (state.running, state.current) for state in states.values()):
        return "done"
    return "reverted"


def _host_record(
    inventory: Inventory,
    name: str,
    rings: Mapping[str, tuple[str, ...]],
    state: HostState | None,
    error: HostError | None,
    now: datetime,
) -> dict[str, Any]:
    ring = ring_members.ring_of(rings, name)
    empty = dict.fromkeys(
        (
            "current",
            "previous",
            "environment",
            "running",
            "active_state",
            "restarts",
            "since",
            "lease_until",
            "runs",
            "enabled",
        )
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
        "environment": (state.rollout.environment if state.rollout else "") or None,
        "running": state.running or None,
        "active_state": state.active_state,
        "restarts": state.restarts,
        "since": _stamp(state.active_since),
        "lease_until": lease,
        "runs": state.sees(state.current).runs.value if state.current else None,
        "enabled": state.unit.is_enabled,
        "error": state.stuck
        or what_is_wrong(inventory.environment, inventory.bot_name, name, state)
        or None,
    }


def _stamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def releases(context: Context, environment: str, limit: str | None) -> int:
    """List the releases on each host."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        states, away = observe(fleet, names)
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
                        "proven": state.is_proven(one.id),
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
        from botdeploy.views import tables

        context.out.print(tables.releases(record))
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


def history(
    context: Context,
    environment: str,
    limit: str | None,
    *,
    count: int | None = None,
    since: str | None = None,
) -> int:
    """Merge the hosts' audit logs: the last ``count`` entries, those not older than ``since``."""
    from botdeploy.views import tables

    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    begin = _begin_of(since, context.clock.now()) if since is not None else None
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
    if begin is not None:
        entries = [entry for entry in entries if _is_since(entry, begin)]
    every = len(entries)
    if count is None and not context.as_json and since is None:
        count = LAST_ENTRIES
    if count:
        entries = entries[-count:]
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
        if len(entries) < every:
            context.say(
                f"the last {len(entries)} of {every} entries; all of them: "
                f"botdeploy history {inventory.environment} -n 0",
                "dim",
            )
        for line in tables.history(entries):
            context.copy_out(line)
        for error in away.values():
            context.say(str(error), "red")
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


LAST_ENTRIES = 50
"""What a person is shown who does not say how many."""


def _begin_of(text: str, now: datetime) -> datetime:
    """Read ``--since``: a duration back from now (2h, 3d), or a time (local without offset).

    Raises UserError.
    """
    from botdeploy.inventory import parse_duration

    try:
        span = parse_duration(text)
    except ValueError:
        span = None
    try:
        if span is not None:
            return now - span
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None else at.astimezone()).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"--since {text!r} is neither a duration (2h, 3d) nor a time (2026-11-30, "
            "2026-11-30 22:05)"
        ) from None


def _is_since(entry: Mapping[str, Any], begin: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(entry.get("at"))) >= begin
    except (ValueError, TypeError):
        return True


def check(context: Context, environment: str, limit: str | None) -> int:
    """Try every host as a rollout would."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        fleet.connect_early()
        # Imported while hosts answer.
        from botdeploy.cli.deploy import Request, project_templates, source_of
        from botdeploy.engine.commands.check import RolloutNeeds, checked

        needs = RolloutNeeds.of(
            inventory,
            lambda: source_of(context, inventory, Request()),
            project_templates(Path(inventory.path)),
            context.environ,
        )
        seen = fleet.each(names, lambda name: checked(fleet, name, needs))
    hosts = []
    is_fine = is_own = True
    for name in names:
        result = seen[name]
        if isinstance(result, HostError):
            items = [{"name": "reachable", "ok": False, "message": result.message, "mend": ""}]
        else:
            items = [{"name": "reachable", "ok": True, "message": "", "mend": ""}, *result]
        ok = all(item.get("ok") for item in items)
        is_fine = is_fine and all(item.get("ok") or item["name"] == OWNER for item in items)
        is_own = is_own and all(item.get("ok") or item["name"] != OWNER for item in items)
        hosts.append({"host": name, "ok": ok, "checks": items})
    project = context.inventory_dir.parent
    seldom = [*too_seldom(inventory, project), *without_user(inventory, project)]
    record = {
        "environment": inventory.environment,
        "bot": inventory.bot_name,
        "controller": needs.items,
        "hosts": hosts,
        "schedules": seldom,
        "notes": list(inventory.notes),
    }
    if context.as_json:
        context.json.write(record)
    else:
        from botdeploy.views import tables

        context.out.print(tables.checks(record, verbose=context.verbose))
        context.say_left_out(inventory)
        context.say_notes(inventory)
        for mend, faults in tables.mends(record).items():
            context.say(f"to mend {', '.join(faults)}:", "bold")
            context.say(mend)
        for one in seldom:
            context.say(f"{one['where']}: {one['message']}; next: {one['mend']}", "yellow")
    if not is_fine:
        return int(ExitCode.UNREACHABLE)
    is_ready = all(item["ok"] for item in needs.items)
    return int(ExitCode.USAGE if seldom or not is_ready or not is_own else ExitCode.DONE)
