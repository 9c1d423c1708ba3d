"""JSON Schema of an inventory, for editors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from botdeploy.core.model.policy import Share
from botdeploy.inventory import connection_vars
from botdeploy.inventory._models import BotKeys, KeyModel, RolloutKeys

_TEMPLATE = {"type": "string", "pattern": r"\{\{|\{%"}
_REFERENCE = "#/$defs/{model}"
_SHORT_FORMS: dict[str, dict[str, Any]] = {
    "LeaseKeys": {"type": "string", "pattern": "^[0-9]"},
    "SameKeys": {"type": "string", "format": "regex"},
}
"""What may stand for a mapping where one key says it all."""


def schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of an inventory in YAML.

    It describes groups, hosts and the variables that botdeploy reads; other variables are free.
    A template (``{{ … }}``) may stand wherever a value may.
    """
    definitions: dict[str, Any] = {}
    roots: dict[str, type[KeyModel]] = {"bot": BotKeys, "rollout": RolloutKeys}
    for model in roots.values():
        made = model.model_json_schema(ref_template=_REFERENCE)
        definitions |= made.pop("$defs", {})
        definitions[model.__name__] = made
    for name, definition in definitions.items():
        definitions[name] = _for_editors(definition)
    for model in KeyModel.__subclasses__():
        _add_defaults(model, definitions[model.__name__]["properties"])
    variables = {
        name: {"$ref": f"#/$defs/{model.__name__}"} | {"description": _first_line(model.__doc__)}
        for name, model in roots.items()
    }
    variables |= {
        name: {"description": "Ansible's, for the connection."} for name in connection_vars.KEYS
    }
    mapping = {"type": ["object", "null"]}
    group = {"$ref": "#/$defs/group"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An inventory of botdeploy",
        "type": "object",
        "additionalProperties": group,
        "$defs": {
            "variables": mapping | {"properties": variables},
            "group": mapping
            | {
                "additionalProperties": False,
                "properties": {
                    "vars": {"$ref": "#/$defs/variables"},
                    "hosts": {
                        "type": ["object", "string", "null"],
                        "additionalProperties": {"$ref": "#/$defs/variables"},
                    },
                    "children": {
                        "type": ["object", "string", "null"],
                        "additionalProperties": group,
                    },
                },
            },
            **definitions,
        },
    }


def _for_editors(node: dict[str, Any]) -> dict[str, Any]:
    """Take out what only Python knows, and let templates stand for values."""
    found = {key: value for key, value in node.items() if key not in ("title", "default")}
    if "properties" in found:
        found["properties"] = {name: _value(item) for name, item in found["properties"].items()}
        found["description"] = _first_line(found.get("description", ""))
    return found


def _add_defaults(model: type[KeyModel], properties: dict[str, Any]) -> None:
    """Say what a key means when it is left out, as one would write it."""
    for name, field in model.model_fields.items():
        match field.default:
            case timedelta() as span:
                properties[name]["default"] = f"{span.total_seconds():g}s"
            case Share() as part:
                properties[name]["default"] = part.count if part.count is not None else str(part)
            case str() as text:
                properties[name]["default"] = str(text)
            case int() as number:
                properties[name]["default"] = number


def _value(node: dict[str, Any]) -> dict[str, Any]:
    """Describe one key: its own forms, a list of one as the item alone, or a template."""
    forms = [form for form in node.get("anyOf", [node]) if form.get("type") != "null"]
    kept: list[dict[str, Any]] = []
    for form in forms:
        bare = {key: item for key, item in form.items() if key not in _ANNOTATIONS}
        kept.append(bare)
        kept.extend(_short_forms(bare))
    found: dict[str, Any] = {"anyOf": [*kept, _TEMPLATE]}
    for key in ("description", "examples"):
        if node.get(key) is not None:
            found[key] = node[key]
    return found


_ANNOTATIONS = frozenset({"description", "default", "examples", "title"})


def _short_forms(form: dict[str, Any]) -> list[dict[str, Any]]:
    items = form.get("items", {})
    named = str(form.get("$ref", "")).rpartition("/")[2]
    if named in _SHORT_FORMS:
        return [_SHORT_FORMS[named]]
    inner = str(items.get("$ref", "")).rpartition("/")[2]
    if inner in _SHORT_FORMS:
        form["items"] = {"anyOf": [items, _SHORT_FORMS[inner]]}
        return []
    return [items] if items.get("type") == "string" else []


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].replace("``", "")
