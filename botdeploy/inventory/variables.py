"""Each host's variables, merged in Ansible's order of precedence."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botdeploy.errors import InventoryError
from botdeploy.inventory.connection_vars import SECRETS
from botdeploy.inventory.pattern import ALL
from botdeploy.inventory.template import Engine, HostVars, Scope

if TYPE_CHECKING:
    from botdeploy.inventory.groups import GroupHost, GroupTree, Variables
    from botdeploy.inventory.vars_files import VarsFiles


def scopes(tree: GroupTree, files: VarsFiles, engine: Engine) -> dict[str, Scope]:
    """Give each host, in inventory order, its variables and Ansible's magic ones."""
    groups = {name: tree.hosts_of(name) for name in tree.groups}
    found: dict[str, Scope] = {}
    hostvars = HostVars(found)
    merged: dict[tuple[str, ...], Variables] = {}
    for name in groups[ALL]:
        member = tree.members[name]
        inside = tuple(member.groups)
        if inside not in merged:
            merged[inside] = _of_groups(tree, files, inside)
        file = os.path.abspath(member.place.file)  # noqa: PTH100 (links keep their names)
        magic = {
            "inventory_hostname": name,
            "inventory_hostname_short": name.split(".")[0],
            "inventory_dir": os.path.dirname(file),  # noqa: PTH120 (text for templates)
            "inventory_file": file,
            "group_names": sorted(group for group in inside if group != ALL),
            "groups": groups,
            "hostvars": hostvars,
        }
        found[name] = Scope(engine, name, _of_host(merged[inside], files, member), magic)
    return found


def _of_groups(tree: GroupTree, files: VarsFiles, inside: tuple[str, ...]) -> Variables:
    """Merge group variables: what files beside the inventory state wins over the inventory."""
    found: Variables = {}
    ranked = [ALL, *(name for name in inside if name != ALL)]
    for name in ranked:
        found |= tree.groups[name].variables
    for name in ranked:
        found |= files.of_group(name)
    return found


def _of_host(groups: Variables, files: VarsFiles, member: GroupHost) -> Variables:
    return {**groups, **member.variables, **files.of_host(member.name)}


class Plain(Mapping[str, Any]):
    """One host's variables as plain values, for templates, each worked out when asked for.

    Asking for a variable that cannot be worked out raises InventoryError; going through all
    leaves it out, since an Ansible inventory may hold much that is meant for Ansible alone.
    Passwords are not among them.
    """

    def __init__(self, scope: Scope) -> None:
        """Show a scope."""
        self._scope = scope
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name in SECRETS or name not in self._scope:
            raise KeyError(name)
        if name not in self._known:
            node = self._scope.variables.get(name)
            if node is None or name in self._scope.magic:
                self._known[name] = self._scope.value(name)
            else:
                self._known[name] = self._scope.render(node, name).value
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except (KeyError, InventoryError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._scope if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Plain({self._scope.host})"
