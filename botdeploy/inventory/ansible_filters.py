"""Ansible's own filters and tests that only work on values: no files, no clock, no chance."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os.path
import re
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import jinja2
import yaml

from botdeploy.inventory import regex_timeout as regex_of

MOST_ITEMS = 100_000
"""What one filter may make of its input."""
_UUID_SPACE = uuid.UUID("361E6D51-FAEC-444A-9079-341386DA8E2E")
_UNITS = {unit: 1 << (10 * power) for power, unit in enumerate("BKMGTPEZY")}
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]*)\s*([A-Za-z]+)?\s*")
_PIECE = re.compile(r"(\d+|[a-z]+|\.)")
_OPERATORS: dict[str, Callable[[int], bool]] = {
    **dict.fromkeys(("==", "=", "eq"), lambda order: order == 0),
    **dict.fromkeys(("!=", "<>", "ne"), lambda order: order != 0),
    **dict.fromkeys(("<", "lt"), lambda order: order < 0),
    **dict.fromkeys(("<=", "le"), lambda order: order <= 0),
    **dict.fromkeys((">", "gt"), lambda order: order > 0),
    **dict.fromkeys((">=", "ge"), lambda order: order >= 0),
}


def plain(value: Any) -> Any:
    """Take lazy values as what they stand for."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    return value


def _bounded(found: Iterable[Any]) -> list[Any]:
    taken = list(itertools.islice(found, MOST_ITEMS + 1))
    if len(taken) > MOST_ITEMS:
        raise ValueError(f"that makes more than {MOST_ITEMS} items")
    return [list(item) if isinstance(item, tuple) else item for item in taken]


# --- mappings -----------------------------------------------------------------------------------

_LISTS: dict[str, Callable[[list[Any], list[Any]], list[Any]]] = {
    "replace": lambda _old, new: new,
    "keep": lambda old, _new: old,
    "append": lambda old, new: old + new,
    "prepend": lambda old, new: new + old,
    "append_rp": lambda old, new: [item for item in old if item not in new] + new,
    "prepend_rp": lambda old, new: new + [item for item in old if item not in new],
}


def _combine(*given: Any, recursive: bool = False, list_merge: str = "replace") -> dict[Any, Any]:
    if list_merge not in _LISTS:
        raise ValueError(f"list_merge is one of {', '.join(_LISTS)}")
    merged: dict[Any, Any] = {}
    for mapping in reversed(list(_mappings(plain(list(given))))):
        merged = _merged(mapping, merged, recursive=recursive, list_merge=list_merge)
    return merged


def _merged(
    old: dict[Any, Any], new: dict[Any, Any], *, recursive: bool, list_merge: str
) -> dict[Any, Any]:
    """Lay one mapping over another; over an equal one it stays as it is, lists too (Ansible's)."""
    if old == new:
        return new
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if recursive and isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merged(before, value, recursive=True, list_merge=list_merge)
        elif isinstance(before, list) and isinstance(value, list):
            merged[key] = _LISTS[list_merge](before, value)
        else:
            merged[key] = value
    return merged


def _mappings(given: list[Any]) -> Iterator[dict[Any, Any]]:
    for one in given:
        if isinstance(one, list):
            yield from _mappings(one)
        elif isinstance(one, dict):
            yield one
        else:
            raise TypeError("combine takes mappings, or lists of them")


def _to_items(mapping: Any, key_name: str = "key", value_name: str = "value") -> list[Any]:
    return [{key_name: key, value_name: value} for key, value in plain(mapping).items()]


def _from_items(items: Any, key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    return {item[key_name]: item[value_name] for item in plain(items)}


@jinja2.pass_environment
def _extract(
    environment: jinja2.Environment, item: Any, container: Any, morekeys: Any = None
) -> Any:
    keys = [item]
    if morekeys is not None:
        keys += plain(morekeys) if isinstance(morekeys, list) else [morekeys]
    for key in keys:
        container = environment.getitem(container, key)
    return container


def _rekey(data: Any, key: str, duplicates: str = "error") -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    given = plain(data)
    for item in given.values() if isinstance(given, dict) else given:
        name = item[key]
        if found.get(name) and duplicates == "error":
            raise ValueError(f"{name!r} is there twice")
        found[name] = item
    return found


def _subelements(items: Any, path: Any, skip_missing: bool = False) -> list[Any]:  # noqa: FBT001, FBT002
    given = plain(items)
    steps = path.split(".") if isinstance(path, str) else list(path)
    pairs = []
    for element in given.values() if isinstance(given, dict) else given:
        value = element
        for step in steps:
            if step not in value and skip_missing:
                value = []
                break
            value = value[step]
        pairs += [[element, one] for one in value]
    return _bounded(pairs)


# --- lists --------------------------------------------------------------------------------------


def _flatten(items: Any, levels: int | None = None, skip_nulls: bool = True) -> list[Any]:  # noqa: FBT001, FBT002
    found: list[Any] = []
    for item in items:
        if skip_nulls and item in (None, "None", "null"):
            continue
        if isinstance(item, (list, tuple)):
            if levels is None or levels >= 1:
                below = None if levels is None else levels - 1
                found += _flatten(item, below, skip_nulls)
            else:
                found.append(item)
        else:
            found.append(item)
    return found


def _unique(
    items: Any,
    case_sensitive: bool = False,  # noqa: FBT001, FBT002
    attribute: Any = None,
) -> list[Any]:
    """Give each item once; text that differs in case is the same unless ``case_sensitive``.

    As in Ansible, whose list of items that cannot be hashed is compared exactly.
    """
    given = plain(items)
    keys = [item[attribute] if attribute is not None else item for item in given]
    if not case_sensitive and not any(isinstance(key, (list, dict)) for key in keys):
        keys = [key.lower() if isinstance(key, str) else key for key in keys]
    return [item for index, item in enumerate(given) if keys[index] not in keys[:index]]


def distinct(items: Any) -> list[Any]:
    """Give each item once, in order."""
    return _unique(items, case_sensitive=True)


def _either(left: Any, right: Any) -> list[Any]:
    one, other = plain(left), plain(right)
    return [item for item in distinct([*one, *other]) if (item in one) != (item in other)]


def _zip_longest(*lists: Any, fillvalue: Any = None) -> list[Any]:
    return _bounded(itertools.zip_longest(*map(plain, lists), fillvalue=fillvalue))


# --- text ---------------------------------------------------------------------------------------


def _flags(ignorecase: bool, multiline: bool) -> re.RegexFlag:  # noqa: FBT001
    flags = re.RegexFlag(0)
    if ignorecase:
        flags |= re.IGNORECASE
    return flags | re.MULTILINE if multiline else flags


def _regex_replace(
    value: Any = "",
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,  # noqa: FBT001, FBT002
    multiline: bool = False,  # noqa: FBT001, FBT002
    count: int = 0,
) -> str:
    flags = _flags(ignorecase, multiline)
    return regex_of.replace(pattern, replacement, str(value), count=count, flags=flags)


def _regex_findall(
    value: Any,
    regex: str,
    multiline: bool = False,  # noqa: FBT001, FBT002
    ignorecase: bool = False,  # noqa: FBT001, FBT002
) -> list[Any]:
    return _bounded(regex_of.find_all(regex, str(value), _flags(ignorecase, multiline)))


def _regex_search(
    value: Any, regex: str, *groups: str, ignorecase: bool = False, multiline: bool = False
) -> Any:
    match = regex_of.search(regex, str(value), _flags(ignorecase, multiline))
    if match is None:
        return None
    if not groups:
        return match.group()
    found = []
    for group in groups:
        named = re.fullmatch(r"\\g<(\S+)>|\\(\d+)", group)
        if named is None:
            raise ValueError(f"{group!r} is no group, such as '\\1' or '\\g<name>'")
        found.append(match.group(named[1] or int(named[2])))
    return found


def _bytes_for_people(size: Any, isbits: bool = False, unit: str | None = None) -> str:  # noqa: FBT001, FBT002
    base = "bits" if isbits else "Bytes"
    wanted = unit.upper() if unit else None
    suffix, limit = "B", 1
    for name, least in reversed(_UNITS.items()):
        if (wanted is None and float(size) >= least) or wanted == name:
            suffix, limit = name, least
            break
    return f"{float(size) / limit:.2f} {suffix + base[0] if limit != 1 else base}"


def _bytes_from_people(size: Any, default_unit: str | None = None) -> int:
    match = _SIZE.fullmatch(str(size))
    unit = ((match[2] if match else None) or default_unit or "B")[0].upper()
    if match is None or not match[1] or unit not in _UNITS:
        raise ValueError(f"{size!r} is not a size such as 10 MB")
    return round(float(match[1]) * _UNITS[unit])


def _hash(value: Any, kind: str = "sha1") -> str:
    return hashlib.new(kind, str(value).encode(), usedforsecurity=False).hexdigest()


def _to_yaml(value: Any, default_flow_style: bool | None = None, **options: Any) -> str:  # noqa: FBT001
    return str(
        yaml.safe_dump(
            plain(value), allow_unicode=True, default_flow_style=default_flow_style, **options
        )
    )


def _to_nice_yaml(value: Any, indent: int = 4, **options: Any) -> str:
    return _to_yaml(value, default_flow_style=False, indent=indent, **options)


def _to_json(value: Any, **options: Any) -> str:
    known = {
        name: options[name] for name in ("indent", "sort_keys", "ensure_ascii") if name in options
    }
    return json.dumps(plain(value), **known)


def _to_nice_json(value: Any, indent: int = 4, sort_keys: bool = True, **options: Any) -> str:  # noqa: FBT001, FBT002
    return _to_json(value, indent=indent, sort_keys=sort_keys, **options)


def _url_parts(value: Any, query: str = "") -> Any:
    parts = urllib.parse.urlsplit(str(value))
    found = {
        name: getattr(parts, name)
        for name in (
            *("fragment", "hostname", "netloc", "password", "path", "port", "query"),
            *("scheme", "username"),
        )
    }
    if query and query not in found:
        raise ValueError(f"a URL has no part {query!r}")
    return found[query] if query else found


def _path_join(paths: Any) -> str:
    return os.path.join(*([paths] if isinstance(paths, str) else plain(paths)))  # noqa: PTH118


def _root(value: float, base: float = 2) -> float:
    return math.sqrt(value) if base == 2 else math.pow(value, 1.0 / float(base))  # noqa: PLR2004


def _log(value: float, base: float = math.e) -> float:
    return math.log10(value) if base == 10 else math.log(value, base)  # noqa: PLR2004


FILTERS: dict[str, Callable[..., Any]] = {
    "checksum": _hash,
    "combinations": lambda items, size: _bounded(itertools.combinations(plain(items), size)),
    "combine": _combine,
    "commonpath": lambda paths: os.path.commonpath(plain(paths)),
    "dict2items": _to_items,
    "extract": _extract,
    "flatten": lambda items, levels=None, skip_nulls=True: _flatten(
        plain(items), levels, skip_nulls
    ),
    "from_yaml": lambda text: yaml.safe_load(str(text)),
    "from_yaml_all": lambda text: list(yaml.safe_load_all(str(text))),
    "hash": _hash,
    "human_readable": _bytes_for_people,
    "human_to_bytes": _bytes_from_people,
    "items2dict": _from_items,
    "log": _log,
    "md5": lambda value: _hash(value, "md5"),
    "normpath": lambda path: os.path.normpath(str(path)),
    "path_join": _path_join,
    "permutations": lambda items, size=None: _bounded(itertools.permutations(plain(items), size)),
    "pow": math.pow,
    "product": lambda *lists, repeat=1: _bounded(
        itertools.product(*map(plain, lists), repeat=repeat)
    ),
    "regex_escape": lambda text: re.escape(str(text)),
    "regex_findall": _regex_findall,
    "regex_replace": _regex_replace,
    "regex_search": _regex_search,
    "rekey_on_member": _rekey,
    "root": _root,
    "sha1": _hash,
    "splitext": lambda path: list(os.path.splitext(str(path))),  # noqa: PTH122 (text, not a file)
    "subelements": _subelements,
    "symmetric_difference": _either,
    "to_datetime": lambda text, form="%Y-%m-%d %H:%M:%S": datetime.strptime(str(text), form),  # noqa: DTZ007 (as Ansible's)
    "to_json": _to_json,
    "to_nice_json": _to_nice_json,
    "to_nice_yaml": _to_nice_yaml,
    "to_uuid": lambda text: str(uuid.uuid5(_UUID_SPACE, str(text))),
    "to_yaml": _to_yaml,
    "unique": _unique,
    "urldecode": lambda text: urllib.parse.unquote_plus(str(text)),
    "urlsplit": _url_parts,
    "zip": lambda *lists: _bounded(zip(*map(plain, lists), strict=False)),
    "zip_longest": _zip_longest,
}
"""As Ansible has them, by the same names."""


# --- tests --------------------------------------------------------------------------------------


def _version(value: Any, other: Any, operator: str = "==", **kind: Any) -> bool:
    if any(kind.values()):
        raise ValueError("only loose versions are compared here")
    if operator not in _OPERATORS:
        raise ValueError(f"{operator!r} compares nothing")
    left, right = _pieces(value), _pieces(other)
    return _OPERATORS[operator]((left > right) - (left < right))


def _pieces(version: Any) -> list[Any]:
    pieces = [piece for piece in _PIECE.split(str(version)) if piece and piece != "."]
    return [int(piece) if piece.isdigit() else piece for piece in pieces]


TESTS: dict[str, Callable[..., bool]] = {
    "abs": lambda path: os.path.isabs(str(path)),  # noqa: PTH117 (text, not a file)
    "all": lambda items: all(plain(items)),
    "any": lambda items: any(plain(items)),
    "contains": lambda items, item: item in plain(items),
    "falsy": lambda value: not plain(value),
    "is_abs": lambda path: os.path.isabs(str(path)),  # noqa: PTH117
    "issubset": lambda one, other: set(plain(one)) <= set(plain(other)),
    "issuperset": lambda one, other: set(plain(one)) >= set(plain(other)),
    "nan": math.isnan,
    "subset": lambda one, other: set(plain(one)) <= set(plain(other)),
    "superset": lambda one, other: set(plain(one)) >= set(plain(other)),
    "truthy": lambda value: bool(plain(value)),
    "version": _version,
    "version_compare": _version,
}

ONLY_IN_ANSIBLE = frozenset(
    (
        *("comment", "expanduser", "expandvars", "fileglob", "password_hash", "realpath"),
        *("relpath", "shuffle", "strftime", "type_debug", "undef", "unvault", "vault"),
        *("win_basename", "win_dirname", "win_splitdrive"),
        *("json_query", "ipaddr", "ipv4", "ipv6", "ipsubnet", "ipwrap", "ipmath", "nthhost"),
        *("dict", "lists_mergeby", "random_mac", "to_time_unit", "to_seconds", "jc", "counter"),
        *("version_sort", "from_csv", "from_ini", "to_ini", "keep_keys", "remove_keys"),
        *("groupby_as_dict", "parse_cli", "parse_xml", "hashids_encode", "hashids_decode"),
        *("directory", "exists", "file", "link", "link_exists", "mount", "same_file", "is_dir"),
        *("is_file", "is_link", "is_mount", "is_same_file", "change", "changed", "failed"),
        *("failure", "finished", "reachable", "skip", "skipped", "started", "succeeded"),
        *("success", "successful", "timedout", "unreachable", "uri", "url", "urn"),
        *("vault_encrypted", "vaulted_file"),
    )
)
"""Those that look at files, the clock, chance or a task's result, or are a collection's."""
