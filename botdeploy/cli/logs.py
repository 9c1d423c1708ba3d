"""The command logs: the bot's own lines from all hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdeploy.core.lines.level import Level
from botdeploy.errors import ExitCode

if TYPE_CHECKING:
    from botdeploy.cli.context import Context
    from botdeploy.engine.commands.logs import MarkedLine


def logs(context: Context, environment: str, limit: str | None, *, follow: bool, count: int) -> int:
    """Print lines from all hosts, merged by time; with ``follow`` until it is interrupted."""
    from botdeploy.engine.commands.logs import LogReader

    inventory = context.load(environment)
    names = context.chosen(inventory, limit)
    width = max(len(name) for name in names)
    with context.fleet(inventory) as fleet:
        reader = LogReader(
            fleet,
            names,
            context.mask,
            context.clock,
            lambda warning: context.output.say(warning, "yellow"),
        )
        if count or not follow:
            for one in reader.last(count):
                _print(context, one, width)
        if not follow:
            return int(ExitCode.UNREACHABLE if reader.away else ExitCode.DONE)
        for one in reader.follow(context.stop):
            _print(context, one, width)
        return int(ExitCode.INTERRUPTED)


def _print(context: Context, one: MarkedLine, width: int) -> None:
    line = one.line
    at = datetime.fromtimestamp(line.at_us / 1e6, tz=UTC)
    if context.as_json:
        context.output.json.write(
            {
                "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "host": one.host,
                "release": one.release or None,
                "level": line.level.name.lower() if line.level is not None else None,
                "message": line.message,
            }
        )
        return
    style = "red" if line.level is not None and line.level >= Level.ERROR else ""
    mark = one.release[-8:] if one.release else "-"
    head = at.astimezone().isoformat(sep=" ", timespec="milliseconds")
    context.output.copy_out(f"{head} {one.host:<{width}} {mark:<8} {line.message}", style)
