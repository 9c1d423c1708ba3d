"""The commands plan, canary and rollback."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.cli.context import chosen
from botdeploy.cli.team_notices import notices_of
from botdeploy.errors import ExitCode, Hint, Todo, UserError

if TYPE_CHECKING:
    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.sources.build import Build

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\+[1-9][0-9]{0,8})?")


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked of ``canary`` or ``plan``."""

    source: str | None = None
    ref: str | None = None
    release: str | None = None
    changes: tuple[str, ...] = ()
    ring: str | None = None
    message: str = ""
    limit: str | None = None
    force: bool = False
    yes: bool = False
    take_over: str = ""


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """What a person asked of ``rollback``."""

    to: str | None = None
    limit: str | None = None
    message: str = ""
    keep: bool = False
    is_check: bool = False


def canary(context: Context, environment: str, request: Request) -> int:
    """Build and roll out; the exit code says how it ended."""
    inventory = context.load(environment)
    _check(inventory, request)
    context.output.say_notes(inventory)
    inventory = limited(inventory, request.limit)
    if request.take_over:
        ask(
            context,
            f"take hosts from environment '{request.take_over}' for good",
            yes=request.yes,
        )
    context.required(inventory)  # what is wrong with its inventory is told before all else
    if request.force:
        ask(context, _what_is_forced(inventory), yes=request.yes)
    with context.fleet(inventory) as fleet:
        fleet.connect_early()
        # Imported while hosts answer: the engine with its judge takes about as long.
        from botdeploy.engine.commands.canary import canary as run
        from botdeploy.engine.rollout.options import Options

        build = source_of(context, inventory, request)
        notices = notices_of(context, inventory, is_attended=True, changes=changes(request.changes))
        with context.listening(notices) as listener:
            ended = run(
                inventory,
                build,
                replace(context.dependencies(fleet, listener), take_over=request.take_over),
                Options(
                    last_ring=request.ring,
                    message=request.message,
                    templates=project_templates(Path(inventory.path)),
                ),
                release=request.release,
                is_forced=request.force,
                is_agreed=request.yes,
            )
        return context.ended(ended)


def plan(context: Context, environment: str, request: Request) -> int:
    """Show what canary would do."""
    from botdeploy.engine.commands.plan import plan as run
    from botdeploy.views import plan as view

    inventory = context.load(environment)
    _check(inventory, request)
    inventory = limited(inventory, request.limit)
    context.required(inventory)
    build = source_of(context, inventory, request)
    with context.fleet(inventory) as fleet:
        found = run(
            inventory,
            fleet,
            build,
            request.release,
            context.clock,
            is_forced=request.force,
            required=context.required(inventory),
        )
    for warning in found.warnings:
        context.output.say(warning, "yellow")
    record = found.record()
    if context.as_json:
        context.output.json.write(record)
    else:
        for text, style in view.head(record):
            context.output.say(text, style)
        context.output.console.print(view.hosts(record))
        for text, style in view.changes(record):
            context.output.say(text, style)
        context.output.say_notes(inventory)
    return int(ExitCode.UNREACHABLE if found.is_out_of_reach else ExitCode.DONE)


def rollback(context: Context, environment: str | None, asked: RollbackRequest) -> int:
    """Revert hosts."""
    from botdeploy.engine.commands import rollback as command

    inventory = context.load_known(environment)
    if asked.to is not None and not _ID.fullmatch(asked.to):
        raise UserError(f"--to {asked.to!r} is not a valid release id", hint=Hint(Todo.RELEASES))
    hosts = chosen(inventory, asked.limit)
    with context.fleet(inventory) as fleet:
        notices = (
            None
            if asked.is_check
            else notices_of(context, inventory, is_attended=True, is_rollback=True)
        )
        with context.listening(notices) as listener:
            dependencies = context.dependencies(fleet, listener)
            if asked.is_check:
                ended = command.would_roll_back(inventory, hosts, dependencies, asked.to)
            else:
                ended = command.rollback(
                    inventory,
                    hosts,
                    dependencies,
                    to=asked.to,
                    keep=asked.keep,
                    why=asked.message or "rollback",
                )
        return context.ended(ended)


# --- parts ---------------------------------------------------------------------------------------


def _what_is_forced(inventory: Inventory) -> str:
    what = "release it even if it is in quarantine"
    requires = inventory.policy.requires
    return f"{what} or {requires.environment} has not proven it" if requires is not None else what


def _check(inventory: Inventory, request: Request) -> None:
    """Refuse wrong options before anything is read or reached."""
    for option, given in (("--source", request.source), ("--ref", request.ref)):
        # A script's variable that was not set: what the inventory names is not what was meant.
        if given is not None and not given.strip():
            raise UserError(f"{option} is empty")
    if request.release is not None:
        if request.source or request.ref or request.changes:
            raise UserError("--release can't be combined with --source, --ref or --set")
        if not _ID.fullmatch(request.release):
            raise UserError(f"--release {request.release!r} is not a valid release id")
    known = [ring.name for ring in inventory.policy.rings]
    if request.ring is not None and request.ring not in known:
        raise UserError(f"--ring {request.ring} does not exist; the rings are {', '.join(known)}")
    if "\0" in request.message or len(request.message) > 500:  # noqa: PLR2004
        raise UserError("--message: at most 500 characters")
    if request.take_over and not _ENVIRONMENT.fullmatch(request.take_over):
        raise UserError(f"--take-over {request.take_over!r} is not a valid environment name")
    changes(request.changes)


def changes(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ``--set KEY=VALUE``; raises UserError."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise UserError(f"--set {pair!r} is not KEY=VALUE")
        if key.startswith("BOTDEPLOY_"):
            raise UserError(f"--set {key}: names that begin with BOTDEPLOY_ are reserved")
        if "\0" in value or "\n" in value or "\r" in value:
            raise UserError(f"--set {key}: the value must be one line")
        found[key] = value
    return found


def limited(inventory: Inventory, limit: str | None) -> Inventory:
    """Leave in the rings only the hosts of ``--limit``; the lock still covers all hosts."""
    if limit is None:
        return inventory
    names = chosen(inventory, limit)
    return replace(inventory, policy=replace(inventory.policy, only=frozenset(names)))


def source_of(context: Context, inventory: Inventory, request: Request) -> Build | None:
    """Make a release of the source that was asked for; None where a staged one was."""
    if request.release is not None:
        return None
    from botdeploy.engine.fleet.lock import owner_name
    from botdeploy.inventory.settings import absolute_source
    from botdeploy.sources.build import build
    from botdeploy.sources.host_trees import read_trees

    source = request.source
    if source is not None:
        source = absolute_source(source, str(Path.cwd() / "x"))
    trees = read_trees(inventory, context.environ, source=source, ref=request.ref)
    for note in trees.notes:
        context.output.say(f"note: {note}", "yellow")
    place = Path(inventory.path)
    made = build(
        inventory,
        trees,
        now=context.clock.now(),
        who=owner_name(context.environ),
        message=request.message,
        set_env=changes(request.changes),
        environ=context.environ,
        templates=project_templates(place),
    )
    context.mask.add(made.mask)
    return made


def project_templates(inventory_path: Path) -> Path | None:
    """Find the project's ``templates/`` beside the folder of its inventories."""
    folder = inventory_path.absolute().parent
    for base in (folder.parent, folder):
        if (base / "templates").is_dir():
            return base / "templates"
    return None


def ask(context: Context, what: str, *, yes: bool) -> None:
    """Have a person agree; raises UserError where nobody does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"add --yes to {what}; there is no terminal to ask on")
    context.output.console.print(f"{what}? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("nothing was changed")
