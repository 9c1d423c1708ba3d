"""Where the inventory of an environment is."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path

from botdeploy.errors import UserError

VARS_FOLDERS = frozenset({"group_vars", "host_vars", "vars_plugins"})
"""Folders beside an inventory that are none themselves."""

YAML_SUFFIXES = (".yml", ".yaml")
_SUFFIXES = (*YAML_SUFFIXES, ".ini", "")
_IGNORED_SUFFIXES = (
    *(".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst"),
    *(".orig", ".cfg", ".retry"),
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_GENERAL_STEMS = frozenset({"hosts", "inventory"})


def environments(inventory_dir: Path) -> list[str]:
    """List the environments of a folder by name; a folder that is not there has none."""
    try:
        entries = sorted(inventory_dir.iterdir())
    except OSError:
        return []
    return sorted({_name_of(entry) for entry in entries if _is_environment(entry)})


def find(environment: str, inventory_dir: Path) -> tuple[str, Path]:
    """Give an environment's name and the file or folder that holds its inventory.

    ``environment`` is a name in ``inventory_dir`` or a path. Raises UserError when there is no
    such inventory, or more than one.
    """
    if not environment or "\0" in environment:
        raise UserError(f"{environment!r} is not the name of an environment")
    found: list[Path] = []
    if _NAME.fullmatch(environment):
        candidates = [inventory_dir / (environment + suffix) for suffix in _SUFFIXES]
        found = [path for path in candidates if _is_environment(path)]
    if len(found) > 1:
        names = " and ".join(str(path) for path in found)
        raise UserError(f"'{environment}' has more than one inventory: {names}; keep one")
    if not found and os.path.exists(environment):  # noqa: PTH110 (a path that is too long is no fault here)
        found = [Path(environment)]
    if not found:
        raise UserError(_not_found(environment, inventory_dir))
    return _checked_name(found[0]), found[0]


def sources(path: Path) -> list[Path]:
    """List the inventory files of a path in Ansible's order: itself, or a folder's files."""
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir(), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return [source for entry in entries if not _is_ignored(entry.name) for source in sources(entry)]


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in VARS_FOLDERS or name.endswith(_IGNORED_SUFFIXES)


def _is_environment(path: Path) -> bool:
    if not os.path.exists(path) or _is_ignored(path.name) or not _NAME.fullmatch(path.name):  # noqa: PTH110
        return False
    if path.is_dir():
        try:
            return bool(sources(path))
        except UserError:
            return False
    return path.suffix in _SUFFIXES[:-1] or os.access(path, os.X_OK)


def _name_of(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _checked_name(path: Path) -> str:
    """Name the environment of a path: ``prod`` for prod.yml, prod/ and prod/hosts.yml."""
    resolved = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its own name)
    name = _name_of(resolved)
    if not resolved.is_dir() and name in _GENERAL_STEMS and resolved.parent.name:
        name = resolved.parent.name
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{path}: an environment's name has letters, digits, '_', '.' and '-', not {name!r}"
        )
    return name


def _not_found(environment: str, inventory_dir: Path) -> str:
    known = environments(inventory_dir)
    message = f"no inventory for '{environment}' in {inventory_dir}/"
    near = get_close_matches(environment, known, n=1)
    if near:
        return f"{message}; did you mean '{near[0]}'?"
    if known:
        return f"{message}; there are: {', '.join(known)}"
    return f"{message}, which holds no inventory; 'botdeploy init' writes one"
