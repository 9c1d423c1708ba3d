"""The files of ``group_vars/`` and ``host_vars/`` beside an inventory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from botdeploy.inventory.located import type_name
from botdeploy.inventory.similar_names import suspect
from botdeploy.inventory.yaml_file import is_vault, read_text, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.inventory.groups import Variables
    from botdeploy.inventory.similar_names import Suspect

_SUFFIXES = ("", ".yml", ".yaml", ".json")


class VarsFiles:
    """Reads each variables file once; vaulted files are counted, not read."""

    def __init__(self, base: Path) -> None:
        """Read below the folder that holds the inventory file (or is the inventory)."""
        self.base = base
        self.vaults: list[str] = []
        """Files that ansible-vault encrypted: what they define is unknown here."""
        self.suspects: list[Suspect] = []
        """Variables whose names are nearly one of ours."""
        self._read: dict[tuple[str, str], Variables] = {}

    def of_group(self, name: str) -> Variables:
        """Merge the variables that ``group_vars/`` states for a group."""
        return self._of("group_vars", name)

    def of_host(self, name: str) -> Variables:
        """Merge the variables that ``host_vars/`` states for a host."""
        return self._of("host_vars", name)

    def _of(self, kind: str, name: str) -> Variables:
        key = (kind, name)
        if key not in self._read:
            folder = self.base / kind
            merged: Variables = {}
            if folder.is_dir() and "/" not in name and "\0" not in name and name not in (".", ".."):
                for path in _files(folder / name):
                    merged |= self._variables(path)
            self._read[key] = merged
        return self._read[key]

    def _variables(self, path: Path) -> Variables:
        text = read_text(path)
        if is_vault(text):
            self.vaults.append(str(path))
            return {}
        document = read_yaml(path, text)
        if document.value is None:
            return {}
        if not isinstance(document.value, dict):
            document.fail(f"a file of variables is a mapping, not {type_name(document.value)}")
        for name, node in document.items.items():
            if not isinstance(name, str):
                document.fail("a variable's name must be text: quote it", str(name), (name,))
            if (found := suspect(name, node, document.keys[name])) is not None:
                self.suspects.append(found)
        return dict(document.items)


def _files(path: Path) -> list[Path]:
    """Find a name's files as Ansible does: the first of folder, NAME, NAME.yml … wins."""
    for suffix in _SUFFIXES:
        candidate = path.with_name(path.name + suffix)
        if os.path.isdir(candidate):  # noqa: PTH112 (a name that is too long is just not there)
            return _folder_files(candidate)
        if os.path.exists(candidate):  # noqa: PTH110
            return [candidate]
    return []


def _folder_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if entry.is_dir() and not entry.suffix:
            found.extend(_folder_files(entry))
        elif entry.is_file() and entry.suffix in _SUFFIXES:
            found.append(entry)
    return found
