"""The command check: try every host, and what calls ``promote`` on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.cli.context import chosen
from botdeploy.cli.schedules import too_seldom, without_user
from botdeploy.errors import ExitCode
from botdeploy.views import sentences
from botdeploy.views.plan import required

if TYPE_CHECKING:
    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory


def check(context: Context, environment: str, limit: str | None) -> int:
    """Try every host as a rollout would."""
    inventory = context.load(environment)
    context.required(inventory)
    names = chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        fleet.connect_early()
        # Imported while hosts answer.
        from botdeploy.cli.deploy import Request, project_templates, source_of
        from botdeploy.engine.commands.check import RolloutNeeds
        from botdeploy.engine.commands.check import check as run
        from botdeploy.engine.fleet.required import ask_built

        needs = RolloutNeeds.of(
            inventory,
            lambda: source_of(context, inventory, Request()),
            project_templates(Path(inventory.path)),
            context.environ,
        )
        hosts = run(fleet, names, needs)
        answer = None
        if (other := context.required(inventory)) is not None and needs.build is not None:
            answer = ask_built(fleet, names, needs.build, other, context.clock.now())
    project = context.inventory_dir.parent
    schedules = [*too_seldom(inventory, project), *without_user(inventory, project)]
    record = {
        "environment": inventory.environment,
        "bot": inventory.bot_name,
        "controller": needs.items,
        "hosts": [
            {
                **inventory.host(one.name).place,
                "ok": all(item["ok"] for item in one.items),
                "checks": [sentences.check_item(item, inventory, one.name) for item in one.items],
            }
            for one in hosts
        ],
        "schedules": schedules,
        "requires": answer.record() if answer is not None else None,
        "notes": list(inventory.notes),
    }
    if context.as_json:
        context.output.json.write(record)
    else:
        _show(context, inventory, record)
    is_away = answer is not None and answer.is_away
    if is_away or not all(one.is_fine(usage=False) for one in hosts):
        return int(ExitCode.UNREACHABLE)
    is_ready = all(item["ok"] for item in needs.items) and not schedules
    is_own = all(one.is_fine(usage=True) for one in hosts)
    return int(ExitCode.DONE if is_ready and is_own else ExitCode.USAGE)


def _show(context: Context, inventory: Inventory, record: dict[str, Any]) -> None:
    """Print what was found, and what mends it, for a person."""
    from botdeploy.views import host_tables, tables

    context.output.console.print(host_tables.checks(record, verbose=context.verbose))
    context.output.say_notes(inventory)
    for text, style in required(record["requires"]):
        context.output.say(text, style)
    for mend, faults in tables.mends(record).items():
        context.output.say(f"to mend {', '.join(faults)}:", "bold")
        context.output.say(mend)
    for text in tables.level_notes(record):
        context.output.say(text, "yellow")
    for one in record["schedules"]:
        context.output.say(f"{one['where']}: {one['message']}; next: {one['mend']}", "yellow")
