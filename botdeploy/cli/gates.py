"""The commands approve, hold, resume and unlock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.engine.commands import gates
from botdeploy.engine.commands.gates import Signed
from botdeploy.engine.fleet.lock import owner_name
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode

if TYPE_CHECKING:
    from botdeploy.cli.context import Context


def hold(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """Stop promotions."""
    inventory = context.load(environment)
    if dry_run:
        return context.ended(Ended(ExitCode.DONE, f"would hold {inventory.environment}"))
    with context.fleet(inventory) as fleet:
        return context.ended(gates.hold(inventory, fleet, _signed(context, message)))


def resume(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """End a hold."""
    inventory = context.load(environment)
    if dry_run:
        return context.ended(Ended(ExitCode.DONE, f"would resume {inventory.environment}"))
    with context.fleet(inventory) as fleet:
        return context.ended(gates.resume(inventory, fleet, _signed(context, message)))


def approve(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """Open the gate of the ring that waits."""
    inventory = context.load(environment)
    with context.fleet(inventory) as fleet:
        by = _signed(context, message)
        return context.ended(gates.approve(inventory, fleet, by, is_dry=dry_run))


def unlock(context: Context, environment: str, message: str, *, dry_run: bool) -> int:
    """Remove a lock."""
    inventory = context.load(environment)
    with context.fleet(inventory) as fleet:
        by = _signed(context, message)
        return context.ended(gates.unlock(inventory, fleet, by, is_dry=dry_run))


def _signed(context: Context, message: str) -> Signed:
    return Signed(owner_name(context.environ), message)
