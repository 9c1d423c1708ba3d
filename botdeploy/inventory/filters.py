"""The filters and tests of Ansible that variables of a deploy use."""

from __future__ import annotations

import base64
import json
import os.path
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jinja2

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


def _plain(value: Any) -> Any:
    """Take lazy values as what they stand for."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    return value


def as_bool(value: Any) -> Any:
    """Read Ansible's words for true; all else is false, and nothing stays nothing."""
    if value is None or isinstance(value, bool):
        return value
    return str(value).lower() in _TRUE


def _combine(*mappings: Any, recursive: bool = False) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    for mapping in mappings:
        for key, value in _plain(mapping).items():
            base = merged.get(key)
            if recursive and isinstance(base, dict) and isinstance(value, dict):
                merged[key] = _combine(base, value, recursive=True)
            else:
                merged[key] = value
    return merged


def _mandatory(value: Any, msg: str | None = None) -> Any:
    if isinstance(value, jinja2.Undefined):
        raise jinja2.UndefinedError(msg or "a mandatory variable is not defined")
    return value


def _ternary(value: Any, true: Any, false: Any, none: Any = None) -> Any:
    if value is None and none is not None:
        return none
    return true if value else false


def _flatten(items: Any) -> list[Any]:
    return [
        part
        for item in items
        for part in (_flatten(item) if isinstance(item, (list, tuple)) else [item])
    ]


def _unique(*lists: Any) -> list[Any]:
    found: list[Any] = []
    for item in (item for part in lists for item in _plain(part)):
        if item not in found:
            found.append(item)
    return found


def _replace(value: Any, pattern: str = "", replacement: str = "") -> str:
    return re.sub(pattern, replacement, str(value))


def _search(value: Any, pattern: str = "") -> bool:
    return re.search(pattern, str(value)) is not None


def _match(value: Any, pattern: str = "") -> bool:
    return re.match(pattern, str(value)) is not None


FILTERS: dict[str, Callable[..., Any]] = {
    "basename": lambda value: os.path.basename(str(value)),  # noqa: PTH119 (text, not a file)
    "b64decode": lambda value: base64.b64decode(str(value)).decode(),
    "b64encode": lambda value: base64.b64encode(str(value).encode()).decode(),
    "bool": as_bool,
    "combine": _combine,
    "difference": lambda a, b: [item for item in _unique(a) if item not in _plain(b)],
    "dirname": lambda value: os.path.dirname(str(value)),  # noqa: PTH120 (text, not a file)
    "flatten": lambda items: _flatten(_plain(items)),
    "from_json": lambda value: json.loads(str(value)),
    "intersect": lambda a, b: [item for item in _unique(a) if item in _plain(b)],
    "mandatory": _mandatory,
    "quote": lambda value: shlex.quote(str(value)),
    "regex_replace": _replace,
    "split": lambda value, separator=None: str(value).split(separator),
    "ternary": _ternary,
    "to_json": lambda value, **_: json.dumps(_plain(value)),
    "tojson": lambda value, **_: json.dumps(_plain(value)),
    "union": _unique,
}
"""Those that Jinja2 does not have itself."""

TESTS: dict[str, Callable[..., bool]] = {"match": _match, "regex": _search, "search": _search}
