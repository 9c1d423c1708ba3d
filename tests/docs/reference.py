"""The tables of docs/inventory.md, made from the models that check an inventory's keys."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.inventory._models import BotKeys, RolloutKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "inventory.md"
BEGIN = "<!-- keys: made by `make docs` from the schema; change the descriptions there -->"
END = "<!-- end of keys -->"
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def page_with_keys(page: str) -> str:
    """Give the page with its tables made anew; raises ValueError where their marks are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no {BEGIN} … {END}")
    tables = "\n".join((*_tables("bot", BotKeys), *_tables("rollout", RolloutKeys)))
    return f"{head}{BEGIN}\n\n{tables}\n{END}{tail}"


def paths(name: str, model: type[BaseModel]) -> Iterator[str]:
    """Give every key below ``name``, dotted; a list's items are marked ``[]``."""
    for key, field in model.model_fields.items():
        here = f"{name}.{key}"
        yield here
        inner = _inner(field)
        if inner is not None:
            yield from paths(here + _brackets(model, key), inner)


def _tables(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"### `{name}`\n"
    yield "| key | takes | default | means |\n| --- | --- | --- | --- |"
    schema = model.model_json_schema()
    below = []
    for key, field in model.model_fields.items():
        takes = _takes(schema["properties"][key], schema.get("$defs", {}))
        yield f"| `{key}` | {takes} | {_default(field)} | {_cell(field.description or '')} |"
        inner = _inner(field)
        if inner is not None:
            below.append((f"{name}.{key}{_brackets(model, key)}", inner))
    yield ""
    for path, inner in below:
        yield from _tables(path, inner)


def _inner(field: FieldInfo) -> type[BaseModel] | None:
    """Find the model whose keys a value has."""
    pending: list[Any] = [field.annotation]
    while pending:
        part = pending.pop()
        if hasattr(part, "model_fields") and isinstance(part, type):
            return part
        pending.extend(getattr(part, "__args__", ()))
    return None


def _brackets(model: type[BaseModel], key: str) -> str:
    kinds = [each.get("type") for each in _choices(model.model_json_schema()["properties"][key])]
    return "[]" if "array" in kinds else ""


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten ``anyOf``, without null."""
    if "anyOf" not in schema:
        return [schema]
    inner = [each for part in schema["anyOf"] for each in _choices(part)]
    return [each for each in inner if each.get("type") != "null"]


def _takes(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    """Say in words what a key takes."""
    examples = _examples(schema)
    if "90s" in examples:
        return "duration"
    if "25%" in examples:
        return "count or percentage" if len(examples) == 2 else "pattern, count or percentage"
    words = []
    for choice in _choices(schema):
        target = defs.get(choice.get("$ref", "").rpartition("/")[2], choice)
        match target:
            case {"enum": values}:
                words += [f"`{value}`" for value in values]
            case {"const": value}:
                words.append(f"`{str(value).lower()}`")
            case {"properties": _}:
                words.append("keys, see below")
            case {"type": "array", "items": {"$ref": _}}:
                words.append("list of keys, see below")
            case {"type": "array"}:
                words.append("list")
            case {"type": "object"}:
                words.append("map")
            case {"type": "integer", "minimum": low, "maximum": high}:
                words.append(f"{low} to {high}")
            case {"type": "number"}:
                words.append("number")
            case {"format": "regex"}:
                words.append("regular expression")
            case _:
                words.append("text")
    return " or ".join(dict.fromkeys(words))


def _examples(schema: dict[str, Any]) -> list[Any]:
    found = list(schema.get("examples", ()))
    for part in schema.get("anyOf", ()):
        found += _examples(part)
    return found


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    match field.default:
        case None | [] | {}:
            return ""
        case timedelta() as span:
            return f"`{_span(span)}`"
        case Enum() as member:
            return f"`{member.value}`"
        case other:
            return f"`{other}`"


def _span(span: timedelta) -> str:
    """Write a duration as an inventory would: in the largest unit that is even."""
    seconds = int(span.total_seconds())
    for size, unit in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return "0"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
