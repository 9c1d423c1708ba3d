"""An executable that prints an inventory as Ansible's dynamic JSON."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn

from botdeploy.errors import InventoryError
from botdeploy.inventory.host_range import is_host_name
from botdeploy.inventory.located import Place, located, short, type_name

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.inventory.groups import GroupTree

TIMEOUT_S = 120.0
_LONGEST_COMPLAINT = 500


def is_script(path: Path) -> bool:
    """Tell whether a file is a program: executable, and a script with ``#!`` or a binary."""
    if not path.is_file() or not os.access(path, os.X_OK):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start.startswith((b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe"))


def read_script(tree: GroupTree, path: Path) -> None:
    """Run the program with ``--list`` and put what it prints into the tree.

    Raises InventoryError. Variables of hosts come from ``_meta``, or else from ``--host NAME``.
    """
    place = Place(str(path))
    groups = _run(path, "--list")
    meta = groups.pop("_meta", None)
    hostvars = meta.get("hostvars") if isinstance(meta, dict) else None
    if meta is not None and not isinstance(hostvars, dict):
        raise place.fault("must hold hostvars, a mapping of hosts to variables", "_meta")
    for name, group in groups.items():
        _read_group(tree, name, group, place)
    for name, member in tree.members.items():
        if member.place is not place:
            continue
        given = _run(path, "--host", name) if hostvars is None else hostvars.get(name, {})
        if not isinstance(given, dict):
            raise place.fault(
                f"a host's variables are a mapping, not {type_name(given)}",
                f"_meta.hostvars.{name}",
            )
        for variable, value in given.items():
            tree.set_host_variable(member, str(variable), located(value, place), place)


def _read_group(tree: GroupTree, name: str, group: Any, place: Place) -> None:
    if not isinstance(group, dict):
        group = {"hosts": group}
    elif not group.keys() & {"hosts", "vars", "children"}:
        group = {"hosts": [name], "vars": group}
    tree.group(name)
    for host in _list(group, name, "hosts", place):
        if not is_host_name(host):
            raise place.fault(f"{short(host)} is not a host name", f"{name}.hosts")
        tree.add_host(name, host, place)
    variables = group.get("vars", {})
    if not isinstance(variables, dict):
        raise place.fault(f"must be a mapping, not {type_name(variables)}", f"{name}.vars")
    for variable, value in variables.items():
        tree.set_variable(name, variable, located(value, place), place)
    for child in _list(group, name, "children", place):
        tree.group(child)
        tree.add_child(name, child, place)


def _list(group: dict[str, Any], name: str, key: str, place: Place) -> list[str]:
    items = group.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise place.fault("must be a list of names", f"{name}.{key}")
    return items


def _run(path: Path, *arguments: str) -> dict[str, Any]:
    """Run the program and read the mapping that it prints; nothing is an empty one."""
    command = " ".join((path.name, *arguments))

    def fail(message: str, complaint: str = "") -> NoReturn:
        shown = f": {complaint.strip()[-_LONGEST_COMPLAINT:]}" if complaint.strip() else ""
        raise InventoryError(f"'{command}' {message}{shown}", file=str(path))

    try:
        done = subprocess.run(
            [os.path.abspath(path), *arguments],  # noqa: PTH100 (a link keeps its own folder)
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        fail(f"did not end within {TIMEOUT_S:g} s")
    except (OSError, ValueError) as error:
        fail("cannot be run", str(error))
    complaint = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0:
        fail(f"ended with {done.returncode}", complaint)
    try:
        found = json.loads(done.stdout.decode("utf-8").strip() or "{}")
    except (ValueError, RecursionError) as error:
        fail(f"did not print JSON ({error})", complaint)
    if not isinstance(found, dict):
        fail(f"must print a mapping of groups, not {type_name(found)}", complaint)
    return found
