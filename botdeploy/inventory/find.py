"""Where the inventory of an environment is."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path

from botdeploy.errors import UserError
from botdeploy.inventory.script import is_script

VARS_FOLDERS = frozenset({"group_vars", "host_vars", "vars_plugins"})
"""Folders beside an inventory that are none themselves."""

YAML_SUFFIXES = (".yml", ".yaml")
_SUFFIXES = (*YAML_SUFFIXES, ".ini")
_IGNORED_SUFFIXES = (
    *(".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst"),
    *(".orig", ".cfg", ".retry"),
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_GENERAL_STEMS = frozenset({"hosts", "inventory"})


def environments(inventory_dir: Path) -> list[str]:
    """List the environments of a folder by name; a folder that is not there has none."""
    return sorted({_name_of(entry) for entry in _entries(inventory_dir)})


def find(environment: str, inventory_dir: Path) -> tuple[str, Path]:
    """Give an environment's name and the file or folder that holds its inventory.

    ``environment`` is a name in ``inventory_dir`` or a path. Raises UserError when there is no
    such inventory, or more than one.
    """
    if not environment or "\0" in environment:
        raise UserError(f"{environment!r} is not the name of an environment")
    found = _named(environment, inventory_dir)
    if found is not None:
        return _name_of(found), found
    if os.path.exists(environment):  # noqa: PTH110 (a path that is too long is just not there)
        return _name_of_path(Path(environment)), Path(environment)
    raise UserError(_not_found(environment, inventory_dir))


def beside(environment: str, name: str, path: Path) -> Path:
    """Give the inventory of another environment in the folder of ``path``, which is ``name``'s.

    Raises UserError when there is no such inventory, more than one, or it is the same one.
    """
    folder = folder_of_environments(name, path)
    found = _named(environment, folder)
    if found is None:
        raise UserError(_not_found(environment, folder))
    if found.resolve() == path.resolve() or path.resolve().is_relative_to(found.resolve()):
        raise UserError(f"'{name}' can't be asked about itself")
    return found


def folder_of_environments(name: str, path: Path) -> Path:
    """Give the folder of an environment and its like: of prod/hosts.yml that is prod's folder."""
    is_inside = not path.is_dir() and _name_of(path) != name
    return path.absolute().parent.parent if is_inside else path.parent


def _named(environment: str, inventory_dir: Path) -> Path | None:
    """Find an environment's inventory by name; raises UserError where there are several."""
    found = [
        entry for entry in _entries(inventory_dir) if environment in (_name_of(entry), entry.name)
    ]
    if len(found) > 1:
        names = " and ".join(str(path) for path in found)
        raise UserError(f"'{environment}' has more than one inventory: {names}; keep one")
    return found[0] if found else None


def sources(path: Path) -> list[Path]:
    """List the inventory files of a path in Ansible's order: itself, or a folder's files."""
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir(), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return [source for entry in entries if _is_source(entry) for source in sources(entry)]


def _is_source(path: Path) -> bool:
    """Leave out what Ansible ignores, and pipes and sockets, which would block."""
    return not _is_ignored(path.name) and (path.is_file() or path.is_dir() or path.is_symlink())


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in VARS_FOLDERS or name.endswith(_IGNORED_SUFFIXES)


def _entries(inventory_dir: Path) -> list[Path]:
    """List what is an environment in a folder: files, folders and programs."""
    try:
        return sorted(entry for entry in inventory_dir.iterdir() if _is_environment(entry))
    except OSError:
        return []


def _is_environment(path: Path) -> bool:
    if _is_ignored(path.name) or not _NAME.fullmatch(path.name):
        return False
    if path.is_dir():
        try:
            return any(map(_is_inventory, sources(path)))
        except UserError:
            return False
    return _is_inventory(path)


def _is_inventory(path: Path) -> bool:
    """Tell an inventory by its name or its first bytes, not by what it says."""
    return path.is_file() and (
        path.suffix in _SUFFIXES or path.name in _GENERAL_STEMS or is_script(path)
    )


def _name_of(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _name_of_path(path: Path) -> str:
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
