"""Ansible's YAML form of an inventory."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from botdeploy.inventory.host_range import expand_host_key
from botdeploy.inventory.located import Located, located, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.inventory.groups import GroupTree
    from botdeploy.inventory.located import Place

_SECTIONS = ("hosts", "vars", "children")


def read_document(tree: GroupTree, document: Located) -> None:
    """Put what a YAML inventory states into the tree; raises InventoryError."""
    if document.value is None:
        document.fail("is empty")
    if not isinstance(document.value, dict):
        document.fail(f"an inventory is a mapping of groups, not {type_name(document.value)}")
    if document.value.get("plugin"):
        document.fail(
            "is the configuration of an inventory plugin; botdeploy reads inventories only: "
            "write its result with 'ansible-inventory --list --yaml'",
            "plugin",
            ("plugin",),
        )
    for name, group, place in _entries(document, "a group's name"):
        _read_group(tree, name, group, place)


def _entries(node: Located, what: str) -> Iterator[tuple[str, Located, Place]]:
    for key, item in node.items.items():
        place = node.keys[key]
        if not isinstance(key, str) or not key:
            raise place.fault(f"{what} must be text: put it in quotes", str(key))
        yield key, item, place


def _read_group(tree: GroupTree, name: str, node: Located, place: Place) -> None:
    tree.group(name)
    if node.value is None:
        return
    if not isinstance(node.value, dict):
        raise place.fault(
            f"a group is a mapping of hosts, vars and children, not {type_name(node.value)}", name
        )
    for key, section, where in _entries(node, "a key"):
        if key not in _SECTIONS:
            near = get_close_matches(key, _SECTIONS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise where.fault(
                f"'{key}' is not a part of a group (hosts, vars, children){hint}", name
            )
        entries = _section(section, key, name, where)
        match key:
            case "vars":
                for variable, value, at in _entries(entries, "a variable's name"):
                    tree.set_variable(name, variable, value, at)
            case "children":
                for child, inside, at in _entries(entries, "a group's name"):
                    tree.add_child(name, child, at)
                    _read_group(tree, child, inside, at)
            case _:
                for host, variables, at in _entries(entries, "a host's name"):
                    _read_hosts(tree, name, host, variables, at)


def _section(node: Located, key: str, group: str, place: Place) -> Located:
    """Take a section as a mapping; Ansible lets a lone name stand for one."""
    if node.value is None:
        return Located({}, place)
    if isinstance(node.value, str) and key != "vars":
        return located({str(node.value): None}, node.place)
    if not isinstance(node.value, dict):
        hint = f"; write '{key}: {{a: {{}}, b: {{}}}}'" if isinstance(node.value, list) else ""
        raise place.fault(f"must be a mapping, not {type_name(node.value)}{hint}", f"{group}.{key}")
    return node


def _read_hosts(tree: GroupTree, group: str, key: str, node: Located, place: Place) -> None:
    if node.value is not None and not isinstance(node.value, dict):
        raise place.fault(
            f"a host's variables are a mapping, not {type_name(node.value)}", f"{group}.hosts.{key}"
        )
    try:
        names, port = expand_host_key(key)
    except ValueError as error:
        raise place.fault(str(error), f"{group}.hosts") from None
    variables = list(_entries(node, "a variable's name"))
    for name in names:
        is_new = name not in tree.members
        member = tree.add_host(group, name, place)
        if port is not None and is_new:
            member.variables["ansible_port"] = located(port, place)
        for variable, value, at in variables:
            tree.set_host_variable(member, variable, value, at)
