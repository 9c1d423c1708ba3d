"""The command retire: take an instance away from its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.cli.deploy import ask
from botdeploy.engine.commands.retire import Retirement, at_machine, retire_there
from botdeploy.engine.commands.retire import retire as run
from botdeploy.engine.fleet.lock import owner_name

if TYPE_CHECKING:
    from botdeploy.cli.context import Context


@dataclass(frozen=True, slots=True)
class RetireRequest:
    """What a person asked of ``retire``."""

    host: str
    machine: str | None = None
    delete_data: bool = False
    yes: bool = False


def retire(context: Context, environment: str, request: RetireRequest) -> int:
    """Stop an instance and take it away; what would be lost, or come back, is asked first."""
    inventory = context.load(environment)
    name = request.host
    is_named = any(host.name == name for host in inventory.hosts) and request.machine is None
    if is_named:
        again = f"{name} is in {inventory.path}, and the next canary deploys to it again"
        ask(context, f"retire it all the same ({again})", yes=request.yes)
    if request.delete_data:
        ask(context, f"delete all data of {name}", yes=request.yes)
    asked = Retirement(name, owner_name(context.environ), deletes_data=request.delete_data)
    if request.machine is not None:
        inventory = at_machine(inventory, request.machine, name)
    with context.fleet(inventory) as fleet:
        do = retire_there if request.machine is not None else run
        return context.ended(do(inventory, fleet, asked))
