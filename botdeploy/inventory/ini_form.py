"""Ansible's INI form of an inventory."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from typing import TYPE_CHECKING, Any

from botdeploy.inventory.host_range import expand_host_key
from botdeploy.inventory.located import Located, Place, located, short
from botdeploy.inventory.pattern import UNGROUPED

if TYPE_CHECKING:
    from botdeploy.inventory.groups import GroupTree

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_GROUP = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_KINDS = ("hosts", "children", "vars")


def read_ini(tree: GroupTree, file: str, text: str) -> None:
    """Put what an INI inventory states into the tree; raises InventoryError."""
    _Reader(tree, file).read(text)


class _Reader:
    """Goes through the lines once; groups may be used before they are declared."""

    def __init__(self, tree: GroupTree, file: str) -> None:
        self.tree = tree
        self.file = file
        self.group = UNGROUPED
        self.kind = "hosts"
        self.children: dict[str, list[tuple[str, Place]]] = {}
        """Undeclared groups, with those that name them as a child."""
        self.variables: dict[str, Place] = {}
        """Undeclared groups that have a section of variables."""

    def read(self, text: str) -> None:
        for number, raw in enumerate(text.splitlines(), start=1):
            line = raw.strip()
            if line and line[0] not in "#;":
                self._line(line, Place(self.file, number))
        for name, parents in self.children.items():
            parent, place = parents[-1]
            raise place.fault(f"the group '{name}' is not declared", f"[{parent}:children]")
        for name, place in self.variables.items():
            raise place.fault(f"the group '{name}' is not declared", f"[{name}:vars]")

    def _line(self, line: str, place: Place) -> None:
        section = _SECTION.fullmatch(line)
        if section is not None:
            self._section(section[1], section[2] or "hosts", place)
        elif line.startswith("[") and line.endswith("]"):
            raise place.fault(f"{short(line)} is not a section such as [web] or [web:vars]")
        elif self.kind == "hosts":
            self._hosts(line, place)
        elif self.kind == "vars":
            name, equals, value = (part.strip() for part in line.partition("="))
            if not equals or not name:
                raise place.fault(f"{short(line)} is not NAME=VALUE", f"[{self.group}:vars]")
            self.tree.set_variable(self.group, name, _value(value, place), place)
        else:
            self._child(line, place)

    def _section(self, group: str, kind: str, place: Place) -> None:
        if kind not in _KINDS:
            raise place.fault(f"'{kind}' is not a kind of section ({', '.join(_KINDS)})")
        self.group, self.kind = group, kind
        is_new = group not in self.tree.groups
        if kind == "vars":
            if is_new and group not in self.children:
                self.variables[group] = place
        else:
            self.variables.pop(group, None)
        self.tree.group(group)
        if kind != "vars":
            for parent, at in self.children.pop(group, []):
                self.tree.add_child(parent, group, at)

    def _child(self, line: str, place: Place) -> None:
        match = _GROUP.fullmatch(line)
        if match is None:
            raise place.fault(f"{short(line)} is not a group's name", f"[{self.group}:children]")
        child = match[1]
        is_declared = child in self.tree.groups and child not in self.variables
        if is_declared and child not in self.children:
            self.tree.add_child(self.group, child, place)
        else:
            self.children.setdefault(child, []).append((self.group, place))

    def _hosts(self, line: str, place: Place) -> None:
        key = f"[{self.group}]"
        try:
            words = shlex.split(line, comments=True)
            names, port = expand_host_key(words[0]) if words else ([], None)
        except ValueError as error:
            raise place.fault(str(error), key) from None
        variables: dict[str, Located] = {}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not equals or not name:
                raise place.fault(f"{short(word)} is not NAME=VALUE", key)
            variables[name] = _value(value, place)
        for name in names:
            is_new = name not in self.tree.members
            member = self.tree.add_host(self.group, name, place)
            if port is not None and is_new:
                member.variables["ansible_port"] = located(port, place)
            for variable, found in variables.items():
                self.tree.set_host_variable(member, variable, found, place)


def _value(text: str, place: Place) -> Located:
    """Read a value as Ansible does: as a Python literal where it is one, else as text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = _plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Located(text, place, text=text)
    if isinstance(value, (dict, list)):
        return located(value, place)
    return Located(value, place, text=text if not isinstance(value, str) else value)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is ... or isinstance(value, complex):
        return str(value) if isinstance(value, complex) else "..."
    return value
