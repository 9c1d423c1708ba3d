"""Groups, hosts and variables of an inventory, whatever forms its files have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import InventoryError
from botdeploy.inventory.find import sources
from botdeploy.inventory.forms import read_source
from botdeploy.inventory.groups import GroupTree
from botdeploy.inventory.similar_names import refuse
from botdeploy.inventory.template import Engine, Scope
from botdeploy.inventory.variables import scopes
from botdeploy.inventory.vars_files import VarsFiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def gather(path: Path, environ: Mapping[str, str]) -> tuple[GroupTree, dict[str, Scope]]:
    """Read all files of an inventory; give its tree, and each host's variables in order.

    Raises InventoryError, also when there is no host.
    """
    tree = GroupTree()
    for source in sources(path):
        read_source(tree, source)
    tree.complete()
    if not tree.members:
        raise InventoryError("has no hosts", file=str(path))
    files = VarsFiles(folder_of(path))
    engine = Engine(environ, lambda: _hint(files))
    by_host = scopes(tree, files, engine)
    refuse(
        [*tree.suspects, *files.suspects],
        (node for scope in by_host.values() for node in scope.variables.values()),
    )
    return tree, by_host


def folder_of(path: Path) -> Path:
    """Give the folder whose ``group_vars/`` and key files belong to an inventory."""
    return path if path.is_dir() else path.parent


def _hint(files: VarsFiles) -> str:
    if not files.vaults:
        return ""
    names = ", ".join(files.vaults)
    return f" (not read, because ansible-vault encrypted it: {names})"
