"""The commands that look and change nothing: status, releases, history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdeploy.cli.context import chosen
from botdeploy.cli.environments import of_each
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import others
from botdeploy.errors import ExitCode, UserError
from botdeploy.views import sentences

if TYPE_CHECKING:
    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory


def status(context: Context, environment: str | None, limit: str | None) -> int:
    """Say what truly runs in one environment, or in every one of the folder."""
    return of_each(context, environment, limit, lambda *hosts: _status(context, *hosts))


def _status(context: Context, inventory: Inventory, names: tuple[str, ...]) -> int:
    """Say what runs on ``names``; all hosts are asked, for the rollout is about all."""
    from botdeploy.engine.commands.status import sources_told
    from botdeploy.engine.commands.status import status as put_together
    from botdeploy.views import status_record as view

    with context.fleet(inventory) as fleet:
        states, away = observe(fleet, [host.name for host in inventory.hosts])
        sources = sources_told(fleet, states)
    found = put_together(inventory, names, states, away, context.clock.now(), sources)
    record = view.record(found)
    code = int(ExitCode.DONE if away.keys().isdisjoint(names) else ExitCode.UNREACHABLE)
    states = {name: state for name, state in states.items() if name in names}
    if context.as_json:
        context.output.json.write(record)
        return code
    from botdeploy.views import status as status_table

    say = context.output.say
    if rollout := record["rollout"]:
        ring = f"in ring {rollout['ring']} " if rollout["ring"] else ""
        sentence = f"{rollout['release']} {rollout['state']} {ring}since {rollout['since']}"
        say(f"{record['bot']}: {sentence}", "bold")
        for line in view.what_comes(rollout):
            say(line)
    context.output.console.print(status_table.table(record))
    for line in status_table.errors(record):
        say(line, "red")
    for line in sentences.left_out(inventory):
        say(line, "dim")
    left = [one["host"] for one in record["not_in_inventory"]]
    for line in sentences.not_in_inventory(left, inventory.environment):
        say(line, "yellow")
    for line in sentences.changes_of_form(record["changes_of_form"]):
        say(f"with the next rollout, {line}", "yellow")
    told = [
        (name, f"belongs to environment '{other}'")
        for name, other in others(inventory, states).items()
    ]
    for name, state in states.items():
        told += [(name, f"locked by {state.lock}")] if state.lock is not None else []
        told += [(name, f"held by {state.hold}")] if state.hold else []
    for line in status_table.once_a_machine(inventory.machine_of, told):
        say(line, "yellow")
    return code


def releases(context: Context, environment: str, limit: str | None) -> int:
    """List the releases on each host."""
    from botdeploy.views import status_record as view

    inventory = context.load(environment)
    names = chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        states, away = observe(fleet, names)
    record = view.releases(inventory, names, states, away)
    if context.as_json:
        context.output.json.write(record)
    else:
        from botdeploy.views import host_tables

        context.output.console.print(host_tables.releases(record))
    return int(ExitCode.UNREACHABLE if away else ExitCode.DONE)


LAST_ENTRIES = 50
"""What a person is shown who does not say how many."""


def history(
    context: Context,
    environment: str | None,
    limit: str | None,
    *,
    count: int | None = None,
    since: str | None = None,
) -> int:
    """Merge the hosts' audit logs: the last ``count`` entries, those not older than ``since``."""
    begin = _begin_of(since, context.clock.now()) if since is not None else None
    if count is None:
        count = LAST_ENTRIES if since is None and not context.as_json else 0

    def look(inventory: Inventory, names: tuple[str, ...]) -> int:
        return _history(context, inventory, names, begin, count)

    return of_each(context, environment, limit, look)


def _history(
    context: Context,
    inventory: Inventory,
    names: tuple[str, ...],
    begin: datetime | None,
    count: int,
) -> int:
    from botdeploy.engine.commands.history import history as read

    with context.fleet(inventory) as fleet:
        found = read(fleet, names, since=begin, count=count)
    code = int(ExitCode.UNREACHABLE if found.away else ExitCode.DONE)
    if context.as_json:
        context.output.json.write(
            {
                "environment": inventory.environment,
                "bot": inventory.bot_name,
                "entries": found.entries,
                "unreachable": {name: error.message for name, error in found.away.items()},
            }
        )
        return code
    from botdeploy.views import tables

    if len(found.entries) < found.total:
        context.output.say(
            f"the last {len(found.entries)} of {found.total} entries; for all of them: "
            f"botdeploy history {inventory.environment} -n 0",
            "dim",
        )
    for line in tables.history(found.entries, sentences.labels(inventory)):
        context.output.copy_out(line)
    for error in found.away.values():
        context.output.say(str(error), "red")
    return code


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
