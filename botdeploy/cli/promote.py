"""The command promote, for cron: prints nothing where nothing is due, and nothing twice a day."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.cli.team_notices import notices_of
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode
from botdeploy.views import sentences

if TYPE_CHECKING:
    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory

from botdeploy.cli.deploy import limited, project_templates

_FIGURES = re.compile(r"[\d.:T+-]*\d[\d.:T+-]*")
"""Numbers and times: what changes in a sentence that says the same."""


def promote(context: Context, environment: str, limit: str | None, *, dry_run: bool) -> int:
    """Do what is due now."""
    from botdeploy.engine.commands.promote import due
    from botdeploy.engine.commands.promote import promote as run
    from botdeploy.engine.rollout.options import Options

    inventory = limited(context.load(environment), limit)
    with context.fleet(inventory) as fleet:
        notices = None if dry_run else notices_of(context, inventory, is_attended=False)
        with context.listening(notices, is_step=True) as listener:
            dependencies = context.dependencies(fleet, listener)
            options = Options(templates=project_templates(Path(inventory.path)))
            if dry_run:
                sentence = sentences.due(due(inventory, dependencies))
                return context.ended(Ended(ExitCode.DONE, sentence))
            ended = run(inventory, dependencies, options)
        is_printed = is_news(context, inventory, ended)
        if ended.is_silent and context.verbose:
            why = f": {ended.waits_for}" if ended.waits_for else ""
            ended = replace(ended, summary=f"nothing is due{why}")
        return context.ended(ended, is_news=is_printed and not ended.is_silent)


def is_news(context: Context, inventory: Inventory, ended: Ended) -> bool:
    """Tell whether a step has something to print that it did not print today already.

    What waits for a person would else come in a mail of cron's every five minutes. Terminals,
    ``-v`` and ``--json`` always get all of it.
    """
    from botdeploy.views.notices.repeat_filter import RepeatFilter

    repeats = RepeatFilter(context.environ, f"{inventory.environment}.said", inventory.path)
    if ended.code is not ExitCode.HELD:
        repeats.forget()
        return True
    if context.verbose or context.as_json or context.output.console.is_terminal:
        return True
    message, now = _FIGURES.sub("", context.sentence(ended)), context.clock.now()
    if repeats.is_known(message, now):
        return False
    repeats.remember(message, now)
    return True
