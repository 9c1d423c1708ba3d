"""The keys that exist: in the schema, in the documented example, and in the shipped inventories."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from botdeploy.inventory import connection_vars, load, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

INVENTORIES = Path(__file__).parents[2] / "inventories"
EXAMPLE = (INVENTORIES / "example.yml").read_text(encoding="utf-8")


def _keys(definition: dict[str, Any], at: str) -> Iterator[str]:
    """List every key below a definition of the schema, by its path."""
    definitions = schema()["$defs"]
    for name, value in definition.get("properties", {}).items():
        path = f"{at}.{name}"
        yield path
        for reference in re.findall(r"'#/\$defs/(\w+Keys)'", repr(value)):
            yield from _keys(definitions[reference], path)


KEYS = [
    *_keys(schema()["$defs"]["BotKeys"], "bot"),
    *_keys(schema()["$defs"]["RolloutKeys"], "rollout"),
]


def _stated(node: Any, at: str) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield f"{at}.{name}"
            yield from _stated(value, f"{at}.{name}")
    elif isinstance(node, list):
        for item in node:
            yield from _stated(item, at)


def _example_with_comments() -> set[str]:
    """Read the example's keys, with the alternatives that stand in comments."""
    text = re.sub(r"(?m)^( +)# (\w+: \S.*)$", r"\1\2", EXAMPLE)
    variables = yaml.safe_load(text)["all"]["vars"]
    return {*_stated(variables["bot"], "bot"), *_stated(variables["rollout"], "rollout")}


def test_there_are_keys_to_document() -> None:
    """The list of keys reaches into every mapping of the schema."""
    assert {"bot.name", "bot.ready.http", "rollout.rings.gate", "rollout.judge.same.name"} <= set(
        KEYS
    )
    assert {"rollout.lease.ttl", "bot.probe.interval", "rollout.rings.announce.end"} <= set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_example_states_every_key(key: str) -> None:
    """Every key of the schema stands in inventories/example.yml."""
    assert key in _example_with_comments()


def test_the_example_states_no_other_key() -> None:
    """The example shows nothing that the schema does not know."""
    free = ("bot.env.", "bot.secrets.", "bot.unit.", "rollout.rings.env.", "rollout.judge.levels.")
    stated = {key for key in _example_with_comments() if not key.startswith(free)}
    assert stated == set(KEYS)


@pytest.mark.parametrize("name", [n for n in connection_vars.KEYS if "sudo" not in n])
def test_the_example_explains_the_connection(name: str) -> None:
    """Each connection variable stands in the example, by the name that Ansible prefers."""
    preferred = {
        "ansible_ssh_host": "ansible_host",
        "ansible_ssh_port": "ansible_port",
        "ansible_ssh_user": "ansible_user",
        "ansible_private_key_file": "ansible_ssh_private_key_file",
        "ansible_become_pass": "ansible_become_password",
        "ansible_ssh_args": "ansible_ssh_common_args",
    }
    assert f"{preferred.get(name, name)}:" in EXAMPLE


def test_every_key_is_described() -> None:
    """An editor can show a sentence for each key."""
    definitions = schema()["$defs"]
    for name, definition in definitions.items():
        if name.endswith("Keys"):
            for key, value in definition["properties"].items():
                assert value.get("description"), f"{name}.{key}"


def test_defaults_are_what_one_would_write() -> None:
    """Defaults in the schema are durations with units and shares, as in a file."""
    definitions = schema()["$defs"]
    assert definitions["RingKeys"]["properties"]["settle"]["default"] == "10s"
    assert definitions["RingKeys"]["properties"]["batch"]["default"] == 1
    assert definitions["RolloutKeys"]["properties"]["on_fail"]["default"] == "fleet"


@pytest.mark.parametrize("path", sorted(INVENTORIES.glob("*.yml")), ids=lambda path: path.stem)
def test_the_shipped_inventories_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every inventory that comes with botdeploy loads as it is."""
    monkeypatch.setenv("SUDO_PASSWORD", "x")
    inventory = load(path.stem, INVENTORIES, os.environ)
    assert inventory.environment == path.stem
    assert inventory.hosts
