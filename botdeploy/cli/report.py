"""The command report: one HTML page of the last rollout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.text.printable import visible
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, UserError
from botdeploy.user_dirs import write_whole
from botdeploy.views import sentences

if TYPE_CHECKING:
    from botdeploy.cli.context import Context


def report(context: Context, environment: str, out: Path | None) -> int:
    """Write the report; raises UserError where there was no rollout."""
    from botdeploy.engine.commands.report import report as read
    from botdeploy.views.report.page import page

    inventory = context.load(environment)
    with context.fleet(inventory) as fleet:
        found = read(inventory, fleet, context.clock, context.environ)
    place = out or Path(f"botdeploy-report-{inventory.environment}.html")
    text = page(found, now=context.clock.now(), mask=lambda text: visible(context.mask(text)))
    _write(place, text)
    unread = [host.name for host in found.hosts if not host.is_reached]
    suffix = f"; could not be reached: {', '.join(unread)}" if unread else ""
    code = ExitCode.UNREACHABLE if unread else ExitCode.DONE
    return context.ended(
        Ended(code, f"{place}: {found.release} {sentences.ended(found.result)}{suffix}")
    )


def _write(place: Path, text: str) -> None:
    """Write the page whole or not at all, for whom the umask says; raises UserError."""
    try:
        write_whole(place, text)
    except OSError as error:
        raise UserError(
            f"--out {place} cannot be written: {(error.strerror or '').lower()}"
        ) from error
