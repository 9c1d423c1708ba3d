"""Commands for the beginning: init, setup, schema."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, HostError, UserError

if TYPE_CHECKING:
    from botdeploy.cli.context import Context


def init(context: Context, name: str, *, dry_run: bool) -> int:
    """Write a starter; a file that is there already stays as it is."""
    from botdeploy.starter import files

    program = shutil.which("botdeploy") or str(Path(sys.argv[0]).absolute())
    folder = Path.cwd()
    written = []
    for path, text in files(name, folder=str(folder), program=program).items():
        place = folder / path
        if place.exists():
            context.say(f"stays    {path}", "dim")
            continue
        written.append(path)
        context.say(f"{'would write' if dry_run else 'writes  '} {path}")
        if dry_run:
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            aside = place.with_name(f".{place.name}.{os.getpid()}")
            aside.write_text(text, encoding="utf-8")
            aside.rename(place)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
    next_step = f"next: edit inventories/{name}.yml, then: botdeploy check {name}"
    return context.ended(Ended(ExitCode.DONE, next_step if written else "everything is there"))


def setup(context: Context, environment: str, limit: str | None, *, dry_run: bool) -> int:
    """Prepare hosts once, with an administrator's user."""
    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:

        def prepare(name: str) -> list[str]:
            return fleet.acts(name).setup(fleet.host(name).bot.run_as, is_dry=dry_run)

        results = fleet.each(names, prepare)
    failed = []
    for name, result in results.items():
        if isinstance(result, HostError):
            failed.append(str(result))
            continue
        for line in result or ["nothing to change"]:
            context.say(f"{name}: {line}")
    if failed:
        return context.ended(Ended(ExitCode.UNREACHABLE, "; ".join(failed)))
    done = "nothing was changed (dry run)" if dry_run else f"{len(names)} hosts are prepared"
    return context.ended(Ended(ExitCode.DONE, done))


def schema(context: Context) -> int:
    """Print the JSON Schema."""
    from botdeploy.inventory import schema as make

    del context
    sys.stdout.write(json.dumps(make(), indent=2) + "\n")
    return int(ExitCode.DONE)
