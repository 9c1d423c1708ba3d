"""The filters and tests of Ansible that variables of a deploy use."""

from __future__ import annotations

import base64
import json
import os.path
import re
import shlex
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import jinja2

from botdeploy.inventory import ansible_filters, regex_timeout
from botdeploy.inventory.connection_vars import as_bool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _mandatory(value: Any, msg: str | None = None) -> Any:
    if isinstance(value, jinja2.Undefined):
        raise jinja2.UndefinedError(msg or "a mandatory variable is not defined")
    return value


def _ternary(value: Any, true: Any, false: Any, none: Any = None) -> Any:
    if value is None and none is not None:
        return none
    return true if value else false


def _search(value: Any, pattern: str = "") -> bool:
    return regex_timeout.search(pattern, str(value)) is not None


def _match(value: Any, pattern: str = "") -> bool:
    return regex_timeout.match(pattern, str(value)) is not None


_plain = ansible_filters.plain
_unique = ansible_filters.distinct

_MORE: dict[str, Callable[..., Any]] = {
    "basename": lambda value: os.path.basename(str(value)),  # noqa: PTH119 (text, not a file)
    "b64decode": lambda value: base64.b64decode(str(value)).decode(),
    "b64encode": lambda value: base64.b64encode(str(value).encode()).decode(),
    "bool": as_bool,
    "difference": lambda a, b: [item for item in _unique(a) if item not in _plain(b)],
    "dirname": lambda value: os.path.dirname(str(value)),  # noqa: PTH120 (text, not a file)
    "from_json": lambda value: json.loads(str(value)),
    "intersect": lambda a, b: [item for item in _unique(a) if item in _plain(b)],
    "mandatory": _mandatory,
    "quote": lambda value: shlex.quote(str(value)),
    "split": lambda value, separator=None: str(value).split(separator),
    "ternary": _ternary,
    "tojson": ansible_filters.FILTERS["to_json"],
    "union": lambda a, b: _unique([*_plain(a), *_plain(b)]),
}


def _by_both_names(named: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Let each be called as in a playbook: ``combine`` or ``ansible.builtin.combine``."""
    return {**named, **{f"{BUILTIN}{name}": each for name, each in named.items()}}


BUILTIN = "ansible.builtin."

FILTERS: dict[str, Callable[..., Any]] = _by_both_names({**ansible_filters.FILTERS, **_MORE})
"""Those that Jinja2 does not have itself."""

TESTS: dict[str, Callable[..., bool]] = _by_both_names(
    {**ansible_filters.TESTS, "match": _match, "regex": _search, "search": _search}
)


def unknown(message: str) -> str | None:
    """Explain Jinja2's complaint of a filter or test that it does not know; None for others."""
    found = _NOT_KNOWN.match(message)
    if found is None:
        return None
    kind, name = found.groups()
    bare = name.removeprefix(BUILTIN)
    known = FILTERS if kind == "filter" else TESTS
    if "." in bare or bare in ansible_filters.ONLY_IN_ANSIBLE:
        return f"the {kind} '{name}' works in Ansible, not here (docs/inventory.md lists what does)"
    near = get_close_matches(bare, [one for one in known if "." not in one], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"there is no {kind} '{name}'{hint}"


_NOT_KNOWN = re.compile(r"No (filter|test) named '([^']+)'")
