"""The commands approve, hold, resume and unlock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.engine.commands import gates
from botdeploy.engine.commands.gates import Signed
from botdeploy.engine.fleet.lock import owner_name

if TYPE_CHECKING:
    from botdeploy.cli.context import Context

_ACTS = {
    "approve": gates.approve,
    "hold": gates.hold,
    "resume": gates.resume,
    "unlock": gates.unlock,
}


def gate(context: Context, act: str, environment: str, message: str, *, dry_run: bool) -> int:
    """Do one of these acts on all hosts, in the name of who types it."""
    inventory = context.load(environment)
    by = Signed(owner_name(context.environ), message)
    with context.fleet(inventory) as fleet:
        return context.ended(_ACTS[act](inventory, fleet, by, is_dry=dry_run))
