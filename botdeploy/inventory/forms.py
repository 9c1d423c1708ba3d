"""Which of Ansible's forms an inventory file has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botdeploy.errors import InventoryError
from botdeploy.inventory.find import YAML_SUFFIXES
from botdeploy.inventory.script import is_script, read_script
from botdeploy.inventory.yaml_file import is_vault, read_text, read_yaml
from botdeploy.inventory.yaml_form import read_document

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.inventory.groups import GroupTree

_YAML_KEY = re.compile(r"[^\[#;=\s][^=]*:(\s|$)")


def read_source(tree: GroupTree, path: Path) -> None:
    """Put one inventory file into the tree: YAML, INI, or what a program prints.

    Raises InventoryError.
    """
    if is_script(path):
        read_script(tree, path)
        return
    text = read_text(path)
    if is_vault(text):
        raise InventoryError(
            "is encrypted with ansible-vault; only files of variables may be", file=str(path)
        )
    if path.suffix == ".toml":
        raise InventoryError("is TOML, which botdeploy does not read: use YAML", file=str(path))
    if path.suffix in (*YAML_SUFFIXES, ".json") or (not path.suffix and _is_yaml(text)):
        read_document(tree, read_yaml(path, text))
    else:
        from botdeploy.inventory.ini_form import read_ini

        read_ini(tree, str(path), text)


def _is_yaml(text: str) -> bool:
    """Tell YAML from INI by the first line that says something."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", ";")):
            return line.startswith(("---", "{", "%YAML")) or bool(_YAML_KEY.match(line))
    return False
