"""Commands that move a release: plan, canary, promote, rollback."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.release.manifest import delta
from botdeploy.core.rollout import ring_members as planning
from botdeploy.engine.commands.ownership import others
from botdeploy.engine.fleet.observe import observe
from botdeploy.errors import ExitCode, HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.host_state import HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Ring
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.sources.build import Build

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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


def canary(context: Context, environment: str, request: Request) -> int:
    """Build and roll out; the exit code says how it ended."""
    inventory = context.load(environment)
    _check(inventory, request)
    context.say_left_out(inventory)
    context.say_notes(inventory)
    inventory = _limited(context, inventory, request.limit)
    if request.take_over:
        _ask(
            context,
            f"take hosts from environment '{request.take_over}' for good",
            yes=request.yes,
        )
    if request.force:
        _ask(context, "release it although it may be in quarantine", yes=request.yes)
    with context.fleet(inventory) as fleet:
        fleet.connect_early()
        # Imported while hosts answer: the engine with its judge takes about as long.
        from botdeploy.engine.commands.canary import canary as run
        from botdeploy.engine.rollout.loop import Options

        build = source_of(context, inventory, request)
        notices = context.notices_of(inventory, is_attended=True, changes=changes(request.changes))
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
            )
        return context.ended(ended)


def promote(context: Context, environment: str, limit: str | None, *, dry_run: bool) -> int:
    """Do what is due now."""
    from botdeploy.engine.commands.canary import due
    from botdeploy.engine.commands.canary import promote as run
    from botdeploy.engine.rollout.loop import Options

    inventory = _limited(context, context.load(environment), limit)
    with context.fleet(inventory) as fleet:
        notices = None if dry_run else context.notices_of(inventory, is_attended=False)
        with context.listening(notices, is_step=True) as listener:
            dependencies = context.dependencies(fleet, listener)
            options = Options(templates=project_templates(Path(inventory.path)))
            ended = (
                due(inventory, dependencies) if dry_run else run(inventory, dependencies, options)
            )
        is_news = dry_run or context.is_news(inventory, ended)
        if not ended.summary and context.verbose:
            why = f": {ended.waits_for}" if ended.waits_for else ""
            ended = replace(ended, summary=f"nothing is due{why}")
        return context.ended(ended, is_news=is_news)


def rollback(
    context: Context,
    environment: str | None,
    limit: str | None,
    *,
    to: str | None,
    is_check: bool,
    keep: bool,
    message: str,
) -> int:
    """Take hosts back."""
    from botdeploy.engine.commands.rollback import rollback as run

    if to is not None and not _ID.fullmatch(to):
        raise UserError(f"--to {to!r} is no release's name; see: botdeploy releases")
    inventory = context.load_known(environment)
    hosts = context.chosen(inventory, limit)
    with context.fleet(inventory) as fleet:
        notices = None if is_check else context.notices_of(inventory, is_attended=True)
        with context.listening(notices) as listener:
            ended = run(
                inventory,
                hosts,
                context.dependencies(fleet, listener),
                to=to,
                keep=keep,
                is_check=is_check,
                why=message or "rollback",
            )
        return context.ended(ended)


# --- plan ---------------------------------------------------------------------------------------


def plan(context: Context, environment: str, request: Request) -> int:
    """Show what canary would do."""
    from botdeploy.engine.commands.target import named

    inventory = context.load(environment)
    _check(inventory, request)
    inventory = _limited(context, inventory, request.limit)
    build = source_of(context, inventory, request)
    names = [host.name for host in inventory.hosts]
    with context.fleet(inventory) as fleet:
        states, away = observe(fleet, names)
        theirs = others(inventory, states)
        release = named(
            inventory, states, build, request.release, context.clock, is_forced=request.force
        ).release
        if build is not None:
            build = build.under(release)
        rings = planning.members(inventory, states, away, release=release)
        hosts = [
            _planned(context, fleet, inventory, build, release, name, states, away, rings)
            for name in (one for ring in inventory.policy.rings for one in rings[ring.name])
        ]
        seen_traffic, power = _power(fleet, inventory, states, rings)
    digest = build.release.digest if build else ""
    refused = next(
        (
            f"{name}: {state.quarantine[digest]}"
            for name, state in states.items()
            if digest in state.quarantine
        ),
        None,
    )
    record: dict[str, Any] = {
        "environment": inventory.environment,
        "bot": inventory.bot_name,
        "release": release,
        "digest": digest or None,
        "source": build.release.source if build else None,
        "quarantined": refused,
        "other_environment": theirs,
        "rings": [_ring_record(ring, rings[ring.name]) for ring in inventory.policy.rings],
        "hosts": hosts,
        "left_out": dict(inventory.left_out),
        "power": {"traffic": seen_traffic, "rings": power},
    }
    if context.as_json:
        context.json.write(record)
    else:
        _show_plan(context, record)
        context.say_left_out(inventory)
        context.say_notes(inventory)
    too_many = len(away) > inventory.policy.max_unreachable.at_most(len(names))
    return int(ExitCode.UNREACHABLE if too_many else ExitCode.DONE)


def _power(
    fleet: Fleet,
    inventory: Inventory,
    states: dict[str, HostState],
    rings: dict[str, tuple[str, ...]],
) -> tuple[dict[str, object] | None, dict[str, dict[str, object]]]:
    """Say what each ring's soak finds with the traffic that there is."""
    from botdeploy.core.lines.line import LineRules
    from botdeploy.engine.evidence.traffic import foretold, traffic

    names = [one for ring in inventory.policy.rings for one in rings[ring.name]]
    seen = traffic(fleet, states, LineRules.from_policy(inventory.policy.judge), names)
    return seen.record() if seen is not None else None, foretold(inventory, rings, seen)


def _planned(
    context: Context,
    fleet: Fleet,
    inventory: Inventory,
    build: Build | None,
    release: str,
    name: str,
    states: dict[str, HostState],
    away: dict[str, HostError],
    rings: dict[str, tuple[str, ...]],
) -> dict[str, object]:
    from botdeploy.views import tables

    ring_name = planning.ring_of(rings, name)
    record: dict[str, object] = {"host": name, "ring": ring_name}
    if name in away:
        return {**record, "error": away[name].message}
    state = states[name]
    record |= {"from": state.running or None, "to": release, "error": None}
    if build is None or state.release(release) is not None:
        record |= {"bytes": 0, "files": 0}
    if build is None:
        return record
    ring = next(one for one in inventory.policy.rings if one.name == ring_name)
    host = fleet.host(name)
    base = state.release(state.current)
    manifest = None
    unit = environment = ""
    if base is not None:
        try:
            manifest = fleet.acts(name).manifest(base.id)
            shown = fleet.acts(name).show(base.id)
            unit, environment = shown.unit, shown.environment
        except HostError as error:
            context.say(f"{name}: {error.message}", "yellow")
    if "bytes" not in record:
        record["bytes"] = len(build.delta(manifest)) + len(build.meta(host, ring))
        record["files"] = len(delta(build.release.manifest, manifest))
    plain = _neutral(build.unit(host, ring), release)
    record["unit_diff"] = tables.diff(_neutral(unit, base.id if base else ""), plain, "unit")
    record["environment_diff"] = tables.diff(
        _neutral(environment, base.id if base else ""),
        _neutral(build.masked_environment(host, ring), release),
        "environment",
    )
    return record


def _neutral(text: str, release: str) -> str:
    """Take a release's own id out of a text, so that a diff shows what a person changed."""
    return text.replace(release, "RELEASE") if release else text


def _ring_record(ring: Ring, hosts: tuple[str, ...]) -> dict[str, object]:
    return {
        "name": ring.name,
        "hosts": list(hosts),
        "batch": str(ring.batch),
        "batches": _batches(ring, len(hosts)),
        "soak_s": ring.soak.total_seconds(),
        "settle_s": ring.settle.total_seconds(),
        "gate": ring.gate.value,
        "window": ring.window,
    }


def _batches(ring: Ring, count: int) -> int:
    size = max(1, ring.batch.of(count))
    return -(-count // size)


def _show_plan(context: Context, record: Mapping[str, Any]) -> None:
    from botdeploy.core.judge.quick import NO_LEVELS
    from botdeploy.views import tables
    from botdeploy.views.local_time import duration

    context.say(f"{record['bot']} → {record['release']} ({record['source'] or 'staged'})", "bold")
    if record["quarantined"]:
        context.say(f"in quarantine: {record['quarantined']}; canary would refuse it", "red")
    for name, other in record["other_environment"].items():
        context.say(f"{name} belongs to environment '{other}'; canary would refuse it", "red")
    for ring in record["rings"]:
        parts = [f"{len(ring['hosts'])} hosts in {ring['batches']} batches of {ring['batch']}"]
        if ring["soak_s"]:
            parts.append(f"soak {duration(ring['soak_s'])}")
        parts.append(f"settle {duration(ring['settle_s'])}")
        if ring["gate"] != "none":
            parts.append("needs an approval")
        if ring["window"]:
            parts.append(f"only {ring['window']}")
        context.say(f"ring {ring['name']}: {', '.join(parts)}")
        if ring["name"] in record["power"]["rings"]:
            foretold = record["power"]["rings"][ring["name"]]
            context.say(f"  {foretold['text']}")
            if foretold["lacking"]:
                context.say(f"  {foretold['lacking']}", "yellow")
    traffic = record["power"]["traffic"]
    if traffic is not None and not traffic["states_levels"]:
        context.say(f"no soak can exclude {NO_LEVELS}", "yellow")
    rows = []
    for host in record["hosts"]:
        if host["error"]:
            rows.append([host["host"], host["ring"], f"cannot be reached: {host['error']}", "", ""])
            continue
        change = f"{host['from'] or 'nothing'} → {host['to']}"
        if host["from"] == host["to"]:
            change = f"{host['to']} (runs already)"
        rows.append(
            [host["host"], host["ring"], change, f"{host['bytes']} B", f"{host['files']} files"]
        )
    context.out.print(tables.table(("host", "ring", "release", "to send", "changed"), rows))
    shown: set[str] = set()
    for host in record["hosts"]:
        for key, title in (("unit_diff", "unit"), ("environment_diff", "environment")):
            lines = host.get(key) or []
            text = "\n".join(lines)
            if lines and text not in shown:
                shown.add(text)
                context.say(f"{title} on {host['host']}:")
                context.say(text, "dim")


# --- parts ---------------------------------------------------------------------------------------


def _check(inventory: Inventory, request: Request) -> None:
    """Refuse what makes no sense before anything is read or reached."""
    for option, given in (("--source", request.source), ("--ref", request.ref)):
        # A script's variable that was not set: what the inventory names is not what was meant.
        if given is not None and not given.strip():
            raise UserError(f"{option} is empty")
    if request.release is not None:
        if request.source or request.ref or request.changes:
            raise UserError("--release names a staged release; --source, --ref and --set make one")
        if not _ID.fullmatch(request.release):
            raise UserError(f"--release {request.release!r} is no release's name")
    known = [ring.name for ring in inventory.policy.rings]
    if request.ring is not None and request.ring not in known:
        raise UserError(f"--ring {request.ring}: the rings are {', '.join(known)}")
    if "\0" in request.message or len(request.message) > 500:  # noqa: PLR2004
        raise UserError("--message: at most 500 characters")
    if request.take_over and not _ENVIRONMENT.fullmatch(request.take_over):
        raise UserError(f"--take-over {request.take_over!r} is no environment's name")
    changes(request.changes)


def changes(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ``--set KEY=VALUE``; raises UserError."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise UserError(f"--set {pair!r} is not KEY=VALUE")
        if key.startswith("BOTDEPLOY_"):
            raise UserError(f"--set {key}: names that begin with BOTDEPLOY_ are botdeploy's own")
        if "\0" in value or "\n" in value or "\r" in value:
            raise UserError(f"--set {key}: the value must be one line")
        found[key] = value
    return found


def _limited(context: Context, inventory: Inventory, limit: str | None) -> Inventory:
    """Leave in the rings only the hosts of ``--limit``; the lock still covers all hosts."""
    if limit is None:
        return inventory
    chosen = context.chosen(inventory, limit)
    return replace(inventory, policy=replace(inventory.policy, only=frozenset(chosen)))


def source_of(context: Context, inventory: Inventory, request: Request) -> Build | None:
    """Make a release of the source that was asked for; None where a staged one was."""
    if request.release is not None:
        return None
    from botdeploy.engine.fleet.lock import owner_name
    from botdeploy.inventory.settings import absolute_source
    from botdeploy.sources import read
    from botdeploy.sources.build import build

    bot = inventory.hosts[0].bot
    source = bot.source
    if request.source is not None:
        source = absolute_source(request.source, str(Path.cwd() / "x"))
    tree = read(source, ref=request.ref or bot.ref, exclude=bot.exclude)
    for note in tree.notes:
        context.say(f"note: {note}", "yellow")
    place = Path(inventory.path)
    made = build(
        inventory,
        tree,
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


def _ask(context: Context, what: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"to {what}, add --yes (nobody can be asked here)")
    context.out.print(f"{what}? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("nothing was changed")
