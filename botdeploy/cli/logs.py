"""The command logs: the bot's own lines from all hosts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdeploy.cli.context import known_environments
from botdeploy.cli.environments import of_each
from botdeploy.core.lines.level import Level
from botdeploy.core.release.release_ids import made_of
from botdeploy.errors import ExitCode
from botdeploy.views import sentences

if TYPE_CHECKING:
    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.commands.logs import MarkedLine


def logs(
    context: Context, environment: str | None, limit: str | None, *, follow: bool, count: int
) -> int:
    """Print lines from all hosts, merged by time; with ``follow`` until it is interrupted.

    Without ``environment`` the last lines of one environment come after those of the other; new
    ones are followed in all of them at once.
    """
    from botdeploy.engine.commands.logs import LogReader
    from botdeploy.engine.commands.logs import follow as new_lines

    known = known_environments(context.inventory_dir) if environment is None else []
    columns = _Columns(max(map(len, known)) if len(known) > 1 else 0)
    warn = lambda warning: context.output.say(warning, "yellow")  # noqa: E731
    with ExitStack() as stack:
        readers: list[LogReader] = []

        def look(inventory: Inventory, names: tuple[str, ...]) -> int:
            labels = sentences.labels(inventory)
            columns.hosts |= {(inventory.environment, name): labels[name] for name in names}
            fleet = stack.enter_context(context.fleet(inventory))
            reader = LogReader(fleet, names, context.mask, context.clock, warn)
            readers.append(reader)
            if count or not follow:
                for one in reader.last(count):
                    _print(context, one, columns)
            return int(ExitCode.UNREACHABLE if reader.away else ExitCode.DONE)

        code = of_each(context, environment, limit, look)
        if not follow or not readers:
            return code
        for one in new_lines(readers, context.stop):
            _print(context, one, columns)
        return int(ExitCode.INTERRUPTED)


@dataclass(slots=True)
class _Columns:
    """How wide the names in front of each line are."""

    environment: int
    """0: they are not printed, for there is only one."""
    hosts: dict[tuple[str, str], str] = field(default_factory=dict)
    """What each host of an environment is called there."""

    @property
    def host(self) -> int:
        """How wide the longest of them is."""
        return max(map(len, self.hosts.values()))


def _print(context: Context, one: MarkedLine, columns: _Columns) -> None:
    line = one.line
    at = datetime.fromtimestamp(line.at_us / 1e6, tz=UTC)
    if context.as_json:
        context.output.json.write(
            {
                "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "environment": one.environment,
                **one.host.place,
                "release": one.release or None,
                "level": line.level.name.lower() if line.level is not None else None,
                "message": line.message,
            }
        )
        return
    style = "red" if line.level is not None and line.level >= Level.ERROR else ""
    made = made_of(one.release)
    mark = made[-8:] + one.release.removeprefix(made) or "-"
    head = at.astimezone().isoformat(sep=" ", timespec="milliseconds")
    if columns.environment:
        head += f" {one.environment:<{columns.environment}}"
    name = columns.hosts[one.environment, one.host.name]
    head += f" {name:<{columns.host}} {mark:<8}"
    context.output.copy_out(f"{head} {line.message}", style)
