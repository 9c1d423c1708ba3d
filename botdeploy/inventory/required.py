"""The environment that ``rollout.requires`` names: read, and it must not lead back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory.find import folder_of_environments
from botdeploy.inventory.loading import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Requires

_KEY = "rollout.requires.environment"


def load_required(inventory: Inventory, environ: Mapping[str, str]) -> Inventory | None:
    """Load the environment that must have proven a release first; None where none must.

    Raises UserError where its inventory is at fault, and InventoryError, with file, line and key,
    where one requires itself by way of others.
    """
    requires = inventory.policy.requires
    if requires is None:
        return None
    way = [inventory, _load(inventory, requires, environ)]
    while (wanted := way[-1].policy.requires) is not None:
        if way[-1].path in (one.path for one in way[:-1]):
            names = " → ".join(one.environment for one in way)
            why = f"goes in a circle: {names}"
            raise InventoryError(why, file=requires.file, line=requires.line, key=_KEY)
        try:
            way.append(_load(way[-1], wanted, environ))
        except UserError:
            break  # its own commands tell that
    return way[1]


def _load(inventory: Inventory, requires: Requires, environ: Mapping[str, str]) -> Inventory:
    folder = folder_of_environments(inventory.environment, Path(inventory.path))
    return load(requires.environment, folder, environ)
