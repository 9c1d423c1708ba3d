"""Where Ansible finds more about a connection, and we don't: found, it is told."""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.errors import InventoryError
from botdeploy.inventory import connection_vars
from botdeploy.inventory.vars_files import VarsFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from botdeploy.inventory.groups import GroupTree
    from botdeploy.inventory.template import Scope

# Option of ansible.cfg, variable of the environment, variables of an inventory that win over both,
# and values that change nothing.
_SETTINGS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("defaults.remote_user", "ANSIBLE_REMOTE_USER", ("ansible_user", "ansible_ssh_user"), ()),
    ("defaults.remote_port", "ANSIBLE_REMOTE_PORT", ("ansible_port", "ansible_ssh_port"), ("22",)),
    (
        "defaults.private_key_file",
        "ANSIBLE_PRIVATE_KEY_FILE",
        ("ansible_ssh_private_key_file", "ansible_private_key_file"),
        (),
    ),
    ("defaults.transport", "ANSIBLE_TRANSPORT", ("ansible_connection",), ("ssh", "smart")),
    ("defaults.host_key_checking", "ANSIBLE_HOST_KEY_CHECKING", (), ("true", "yes", "1", "on")),
    (
        "defaults.connection_password_file",
        "ANSIBLE_CONNECTION_PASSWORD_FILE",
        ("ansible_password",),
        (),
    ),
    (
        "privilege_escalation.become",
        "ANSIBLE_BECOME",
        ("ansible_become",),
        ("false", "no", "0", "off"),
    ),
    (
        "privilege_escalation.become_user",
        "ANSIBLE_BECOME_USER",
        ("ansible_become_user",),
        ("root",),
    ),
    (
        "privilege_escalation.become_method",
        "ANSIBLE_BECOME_METHOD",
        ("ansible_become_method",),
        ("sudo",),
    ),
    (
        "defaults.become_password_file",
        "ANSIBLE_BECOME_PASSWORD_FILE",
        ("ansible_become_password", "ansible_become_pass"),
        (),
    ),
    ("ssh_connection.ssh_args", "ANSIBLE_SSH_ARGS", ("ansible_ssh_args",), ()),
    (
        "ssh_connection.ssh_common_args",
        "ANSIBLE_SSH_COMMON_ARGS",
        ("ansible_ssh_common_args",),
        (),
    ),
    (
        "ssh_connection.ssh_extra_args",
        "ANSIBLE_SSH_EXTRA_ARGS",
        ("ansible_ssh_extra_args",),
        (),
    ),
    ("ssh_connection.ssh_executable", "ANSIBLE_SSH_EXECUTABLE", (), ("ssh",)),
)
_OURS = frozenset({*connection_vars.KEYS, *connection_vars.KINDS, "bot", "rollout"})


def elsewhere(
    base: Path, tree: GroupTree, chosen: Mapping[str, Scope], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Say what Ansible would use for these hosts beyond the inventory, a sentence each.

    Of ``ansible.cfg`` and ``ANSIBLE_…`` what changes how hosts are reached, where the inventory
    does not say it itself; and ``group_vars/`` and ``host_vars/`` beside a playbook.
    """
    try:
        here = Path.cwd()
    except OSError:  # it was removed meanwhile
        here = base
    return (*_settings(chosen, environ, here), *_beside_playbooks(base, here, tree, chosen))


def _settings(chosen: Mapping[str, Scope], environ: Mapping[str, str], here: Path) -> Iterator[str]:
    file = _config_file(environ, here)
    config = _read(file)
    for option, variable, wins, harmless in _SETTINGS:
        section, name = option.split(".")
        if environ.get(variable, "").strip():
            told, value = f"{variable} is set", environ[variable]
        elif config is not None and config.get(section, name, fallback="").strip():
            told, value = f"{file} sets {name}", config.get(section, name)
        else:
            continue
        is_said = wins and all(
            any(one in scope.variables for one in wins) for scope in chosen.values()
        )
        if is_said or value.strip().lower() in harmless:
            continue
        instead = f"set {wins[0]} in the inventory" if wins else _INSTEAD[name]
        yield f"{told}, which Ansible uses and botdeploy does not: {instead}"


_INSTEAD = {
    "host_key_checking": "host keys are always checked here",
    "ssh_executable": "botdeploy connects by itself",
}


def _config_file(environ: Mapping[str, str], here: Path) -> Path | None:
    """Give the one that Ansible would take from here."""
    places: list[str | Path] = [here / "ansible.cfg"]
    if environ.get("HOME"):
        places.append(Path(environ["HOME"], ".ansible.cfg"))
    places.append("/etc/ansible/ansible.cfg")
    given = environ.get("ANSIBLE_CONFIG")
    if given:
        place = Path(os.path.expanduser(given))  # noqa: PTH111 (~user may not exist)
        places.insert(0, place / "ansible.cfg" if place.is_dir() else place)
    return next((Path(place) for place in places if os.path.isfile(place)), None)  # noqa: PTH113


def _read(file: Path | None) -> configparser.ConfigParser | None:
    if file is None:
        return None
    config = configparser.ConfigParser(
        interpolation=None, inline_comment_prefixes=(";",), strict=False
    )
    try:
        config.read_string(file.read_text(encoding="utf-8", errors="replace"))
    except (OSError, configparser.Error):
        return None
    return config


def _beside_playbooks(
    base: Path, here: Path, tree: GroupTree, chosen: Mapping[str, Scope]
) -> Iterator[str]:
    """Tell of variables that Ansible reads beside a playbook: here, or above the inventories."""
    seen = {os.path.realpath(base)}
    for folder in (here, base.absolute().parent):
        if os.path.realpath(folder) in seen:
            continue
        seen.add(os.path.realpath(folder))
        names = [name for name in ("group_vars", "host_vars") if (folder / name).is_dir()]
        found = _of_ours(folder, tree.groups, chosen) if names else []
        if found:
            yield (
                f"{' and '.join(str(folder / name) for name in names)} set {', '.join(found)}, "
                "which Ansible reads for playbooks there and botdeploy does not: move them to "
                f"{base}"
            )


def _of_ours(folder: Path, groups: Iterable[str], hosts: Iterable[str]) -> Sequence[str]:
    files = VarsFiles(folder)
    found: set[str] = set()
    for read, names in ((files.of_group, groups), (files.of_host, hosts)):
        for name in names:
            try:
                found |= read(name).keys() & _OURS
            except InventoryError:
                continue
    return sorted(found)
