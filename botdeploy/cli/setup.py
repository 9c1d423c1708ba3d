"""Commands for the beginning: init, setup, schema."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.cli.context import chosen
from botdeploy.cli.schedules import user_name
from botdeploy.core.text.phrases import hosts_on
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, HostError, UserError
from botdeploy.user_dirs import write_whole

if TYPE_CHECKING:
    from botdeploy.cli.context import Context

_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")


def init(context: Context, name: str, *, dry_run: bool) -> int:
    """Write a starter; a file that is there already stays as it is."""
    from botdeploy.starter import files

    program = shutil.which("botdeploy") or str(Path(sys.argv[0]).absolute())
    folder = Path.cwd()
    written = []
    user = user_name()
    for path, text in files(name, folder=str(folder), program=program, user=user).items():
        place = folder / path
        if place.exists():
            context.output.say(f"exists   {path}", "dim")
            continue
        written.append(path)
        context.output.say(f"{'would write' if dry_run else 'writes  '} {path}")
        if dry_run:
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, text)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
    next_step = f"next: edit inventories/{name}.yml, then: botdeploy check {name}"
    return context.ended(Ended(ExitCode.DONE, next_step if written else "all files exist already"))


def setup(
    context: Context, environment: str, limit: str | None, *, user: str | None, dry_run: bool
) -> int:
    """Prepare hosts once, as the administrator ``user``; the inventory's user may then deploy."""
    inventory = context.load(environment)
    names = chosen(inventory, limit)
    from botdeploy.engine.commands.setup import as_user, deployers
    from botdeploy.engine.commands.setup import setup as run

    users = deployers(inventory, names, context.environ)
    if user is not None:
        if not _LOGIN.fullmatch(user):
            raise UserError(f"--user {user!r} is not a valid user name")
        inventory = as_user(inventory, user)
    with context.fleet(inventory) as fleet:
        results = run(fleet, names, users, is_dry=dry_run)
    failed = []
    for name, result in results.items():
        if isinstance(result, HostError):
            failed.append(str(result))
            continue
        for line in result or ["is prepared already"]:
            context.output.say(f"{name}: {line}")
    if failed:
        return context.ended(Ended(ExitCode.UNREACHABLE, "; ".join(failed)))
    prepared = hosts_on(len(names), len({inventory.host(name).on_machine for name in names}))
    done = "nothing was changed (dry run)" if dry_run else f"{prepared} prepared"
    return context.ended(Ended(ExitCode.DONE, done))


def schema(context: Context) -> int:
    """Print the JSON Schema."""
    from botdeploy.inventory import schema as make

    del context
    sys.stdout.write(json.dumps(make(), indent=2) + "\n")
    return int(ExitCode.DONE)
