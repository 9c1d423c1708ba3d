"""Ansible's connection variables, turned into an address."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.model.address import Address
from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory.host_range import is_host_name
from botdeploy.inventory.located import Located, Vaulted, type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.inventory.template import Scope

# The last of a row that is set wins, as in Ansible.
_HOST = ("ansible_host", "ansible_ssh_host")
_PORT = ("ansible_port", "ansible_ssh_port")
_USER = ("ansible_user", "ansible_ssh_user")
_KEY = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_BECOME = ("ansible_become",)
_BECOME_USER = ("ansible_become_user", "ansible_sudo_user")
_BECOME_PASSWORD = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
_BECOME_METHOD = ("ansible_become_method",)
_CONNECTION = ("ansible_connection",)
_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")

SECRETS = frozenset({*_BECOME_PASSWORD, "ansible_password", "ansible_ssh_pass"})
"""Variables that templates never see."""

KEYS = (*_HOST, *_PORT, *_USER, *_KEY, *_BECOME, *_BECOME_USER, *_BECOME_PASSWORD, *_ARGS)
"""Every connection variable that is read."""

KINDS = (*_CONNECTION, *_BECOME_METHOD)
"""Those that choose a method; botdeploy supports one or two of each."""

_OVER_SSH = frozenset({"ssh", "paramiko", "paramiko_ssh", "smart"})
_ZONED = re.compile(r"[0-9A-Fa-f:.]+%[A-Za-z0-9_.-]+")
_USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,127}\$?")
_HIGHEST_PORT = 65535
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


def as_bool(value: Any) -> Any:
    """Read Ansible's words for true; all else is false, and nothing stays nothing."""
    if value is None or isinstance(value, bool):
        return value
    return str(value).lower() in _TRUE


class Connection:
    """Reads one host's connection variables, rendered only as far as they are needed."""

    def __init__(self, scope: Scope, base: Path) -> None:
        """Look relative key files up in ``base``, the inventory's folder."""
        self.scope = scope
        self.base = base

    def address(self) -> Address:
        """Build the address; raises InventoryError that names file, line and variable."""
        kind = (self._text(_CONNECTION) or "ssh").removeprefix("ansible.builtin.")
        if kind != "local" and kind not in _OVER_SSH:
            self._fail(_CONNECTION, f"{kind!r} is not supported: use ssh or local")
        method = (self._text(_BECOME_METHOD) or "sudo").removeprefix("ansible.builtin.")
        if method != "sudo":
            self._fail(_BECOME_METHOD, f"{method!r} is not supported: use sudo")
        self._bool(_BECOME)  # sudo is used either way, but a wrong value is an error
        key = self._text(_KEY)
        address = Address(
            host=self.scope.host,
            hostname=self._hostname(),
            port=self._port(),
            user=self._user(_USER),
            identity_files=(self._file(key),) if key else (),
            local=kind == "local",
            become_user=self._user(_BECOME_USER),
            become_password=self._text(_BECOME_PASSWORD),
        )
        for name in _ARGS:
            address = self._with_args(address, name)
        return address

    def _with_args(self, address: Address, name: str) -> Address:
        text = self._text((name,))
        if not text:
            return address
        try:
            grown = address.with_ssh_args(text)
        except UserError as error:
            self._fail((name,), str(error))
        if grown.refused and not address.refused:
            try:
                self._fail((name,), grown.refused)
            except InventoryError as error:  # Other hosts may still be worked on.
                grown = replace(grown, refused=str(error))
        return replace(
            grown,
            options=tuple(
                (key, self._file(value) if key == "certificatefile" else value)
                for key, value in grown.options
            ),
            identity_files=tuple(self._file(path) for path in grown.identity_files),
            known_hosts_files=tuple(self._file(path) for path in grown.known_hosts_files),
        )

    def _file(self, text: str) -> str:
        """Resolve a file as ``ssh`` would from the inventory's folder, else from here.

        A relative path is taken from the inventory's folder when the file, or at least its
        folder, is there; else from the working folder, as Ansible does.
        """
        path = os.path.expanduser(text)  # noqa: PTH111 (~user may not exist: then it stays)
        if path.lower() == "none" or os.path.isabs(path) or path[0] in "~%":  # noqa: PTH117
            return path
        beside, here = self.base / path, Path.cwd() / path
        is_here = os.path.exists(here) and not os.path.exists(beside)  # noqa: PTH110
        folder = os.path.isdir(beside.parent)  # noqa: PTH112
        return os.path.abspath(beside if folder and not is_here else here)  # noqa: PTH100

    def _hostname(self) -> str:
        name = self._text(_HOST) or self.scope.host
        if not (is_host_name(name) or _ZONED.fullmatch(name)):
            self._fail(_HOST, f"{name!r} is not a host name or an IP address")
        return name

    def _port(self) -> int | None:
        name, node = self._find(_PORT)
        if node is None or node.value is None:
            return None
        value = node.value
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value.strip()[:6])
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or not 0 < value <= _HIGHEST_PORT:
            node.fail(f"must be a port from 1 to {_HIGHEST_PORT}", name)
        return int(value)

    def _user(self, names: Sequence[str]) -> str | None:
        text = self._text(names)
        if text and not _USER_NAME.fullmatch(text):
            self._fail(names, f"{text!r} is not a user name")
        return text or None

    def _bool(self, names: Sequence[str]) -> bool:
        name, node = self._find(names)
        if node is None or node.value is None:
            return False
        words = {"yes", "no", "true", "false", "on", "off", "1", "0", "y", "n", "t", "f"}
        if not isinstance(node.value, bool) and str(node.value).lower() not in words:
            node.fail(f"must be true or false, not {type_name(node.value)}", name)
        return bool(as_bool(node.value))

    def _text(self, names: Sequence[str]) -> str | None:
        name, node = self._find(names)
        if node is None or node.value is None:
            return None
        value: Any = node.value
        if isinstance(value, Vaulted):
            node.fail(
                "is encrypted with ansible-vault, which botdeploy cannot open; "
                "use \"{{ lookup('env', 'NAME') }}\"",
                name,
            )
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            node.fail(f"must be text, not {type_name(value)}", name)
        text = value if isinstance(value, str) else (node.text or repr(value))
        if any(ord(char) < 32 for char in text):  # noqa: PLR2004 (control characters)
            node.fail("must not contain line breaks or control characters", name)
        return str(text)

    def _find(self, names: Sequence[str]) -> tuple[str, Located | None]:
        for name in reversed(names):
            node = self.scope.variables.get(name)
            if node is not None:
                return name, self.scope.render(node, name)
        return names[0], None

    def _fail(self, names: Sequence[str], message: str) -> Any:
        name, node = self._find(names)
        if node is None:
            raise InventoryError(f"host '{self.scope.host}': {message}", key=name)
        node.fail(message, name)
