"""The commands that look and change nothing: status, releases, history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import others
from botdeploy.errors import ExitCode, HostError, UserError
from botdeploy.views import sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.cli.context import Context


def status(context: Context, environment: str | None, limit: str | None) -> int:
    """Say what truly runs."""
    from botdeploy.engine.commands.status import status as put_together
    from botdeploy.views import status as view

    inventory = context.load_known(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        states, away = observe(fleet, names)
    record = view.record(put_together(inventory, names, states, away, context.clock.now()))
    code = int(ExitCode.UNREACHABLE if away else ExitCode.DONE)
    if context.as_json:
        context.output.json.write(record)
        return code
    from botdeploy.views import tables

    say = context.output.say
    if rollout := record["rollout"]:
        ring = f"in ring {rollout['ring']} " if rollout["ring"] else ""
        said = f"{rollout['release']} {rollout['state']} {ring}since {rollout['since']}"
        say(f"{record['bot']}: {said}", "bold")
        for line in view.what_comes(rollout):
            say(line)
    context.output.console.print(tables.status(record))
    for host in record["hosts"]:
        if host["error"]:
            say(f"{host['host']}: {host['error']}", "red")
    for line in sentences.left_out(inventory):
        say(line, "dim")
    for name, other in others(inventory, states).items():
        say(f"{name}: belongs to environment '{other}'", "yellow")
    for name, state in states.items():
        if state.lock is not None:
            say(f"{name}: locked by {state.lock}", "yellow")
        if state.hold:
            say(f"{name}: held by {state.hold}", "yellow")
    return code


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
        context.output.json.write(record)
    else:
        from botdeploy.views import tables

        context.output.console.print(tables.releases(record))
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
        seen = fleet.each(names, lambda name: fleet.acts(name).state.audit())
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
        context.output.json.write(
            {
                "environment": inventory.environment,
                "bot": inventory.bot_name,
                "entries": entries,
                "unreachable": {name: error.message for name, error in away.items()},
            }
        )
    else:
        if len(entries) < every:
            context.output.say(
                f"the last {len(entries)} of {every} entries; all of them: "
                f"botdeploy history {inventory.environment} -n 0",
                "dim",
            )
        for line in tables.history(entries):
            context.output.copy_out(line)
        for error in away.values():
            context.output.say(str(error), "red")
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
