"""Whatever an inventory holds, loading it ends, and ends with an inventory or a user's error."""

from __future__ import annotations

import os
import string
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdeploy.errors import UserError
from botdeploy.inventory import load
from botdeploy.inventory.pattern import names_of
from tests.effort import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.model.inventory import Inventory

GOOD_FILES = (
    Path(__file__).parents[2] / "inventories/example.yml",
    Path(__file__).parent / "contract.yml",
    Path(__file__).parent / "ansible/templates.yml",
)
GOOD_TEXTS = tuple(path.read_text(encoding="utf-8") for path in GOOD_FILES)
GOOD = yaml.safe_load(GOOD_TEXTS[0])
INI_TEXT = (Path(__file__).parent / "ansible/forms.ini").read_text(encoding="utf-8")

relaxed = settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def attempt(data: bytes, name: str = "prod.yml") -> Inventory | None:
    """Load a file's bytes; any error but a user's one goes through."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        for kind in ("group_vars", "host_vars"):
            (Path(folder) / kind).mkdir()
        try:
            return load("prod", Path(folder), os.environ)
        except UserError as error:
            assert str(error)  # noqa: PT017 (any number of calls, not all of which raise)
            return None


odd_text = st.one_of(
    st.text(max_size=30),
    st.text(st.sampled_from("{}%#'\"[]()|.:,!&~*@$`\\ \n\tab10_-"), max_size=40),
    st.sampled_from(
        [
            *("{{ bot }}", "{{ bot.name }}", "{{ rollout }}", "{{ hostvars }}", "{{ vars }}"),
            *("{{ groups }}", "{{ x.y.z }}", "{{ [] }}", "{{ {} }}", "{{ lookup }}", "{{ omit }}"),
            *("{{ range(99999) | list }}", "{{ inventory_hostname }}", "{{ none }}", "{{ 1e999 }}"),
            *("{{ self }}", "{{ self.x() }}", "{{ cycler }}", "{{ namespace() }}", "{{ loop }}"),
            *("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "{% set x = x %}{{ x }}"),
            *("{{ groups | map('first') }}", "{{ hostvars.keys() }}", "{{ vars.bot.env }}"),
            *("{{ lookup('env', hostvars) }}", "{{ lookup('vars', 'bot') }}", "{{ query() }}"),
            *("{{ dict(a=bot) }}", "{{ bot | tojson }}", "{{ bot | combine(1) }}", "{{ q(1) }}"),
            *("all[0]", "all[-9]", "~[", "!all", "&", ",", ":", "all:!all", "w[1:999999999]"),
            *("90s", "-5m", "1h1h", "9" * 400 + "d", "٣s", "1e5s", "100%", "101%", "0%", "٣%"),
            *("env:A", "file:", "command:\0", "://", "~", "~root", "~nobody/x", "\ud800"),
        ]
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**64), 10**30, 0, 1, -1]),
    st.floats(),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=5),
    odd_text,
)
keys = st.one_of(
    st.sampled_from(
        [
            *("all", "hosts", "vars", "children", "bot", "rollout", "rings", "name", "source"),
            *("command", "env", "unit", "ready", "judge", "lease", "ansible_host", "plugin"),
            *("ansible_port", "ansible_connection", "ansible_ssh_common_args", "<<", "groups"),
            *("inventory_hostname", "hostvars", "vars", "ansible_group_priority", "ungrouped"),
        ]
    ),
    scalars,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


def dump(value: Any) -> bytes:
    """Write a value as YAML; what YAML cannot state is left to the parser to refuse."""
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False).encode(
        "utf-8", "surrogatepass"
    )


def paths(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the way to every part of a value."""
    yield at
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, item in items:
        yield from paths(item, (*at, key))


PATHS = [path for path in paths(GOOD) if path]


def changed(node: Any, path: tuple[Any, ...], change: tuple[str, Any]) -> Any:
    """Copy a value with one part replaced, removed, or with a key added beside it."""
    if not path:
        return change[1]
    key, *rest = path
    if isinstance(node, dict):
        if key not in node:
            return node
        if rest:
            return {**node, key: changed(node[key], tuple(rest), change)}
        kind, value = change
        if kind == "remove":
            return {name: item for name, item in node.items() if name != key}
        if kind == "rename":
            return {(value if name == key else name): item for name, item in node.items()}
        return {**node, key: value}
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        new = changed(node[key], tuple(rest), change) if rest else change[1]
        return [*node[:key], new, *node[key + 1 :]]
    return node


@relaxed
@given(st.one_of(st.text(), st.text(st.sampled_from("all:hosts {}[]-&*!|>'\"#\n ?,%@`"))))
def test_any_text_is_an_inventory_or_a_users_error(text: str) -> None:
    """Arbitrary text never causes a fault of botdeploy's own."""
    attempt(text.encode("utf-8", "surrogatepass"))


@relaxed
@given(st.binary(max_size=200))
def test_any_bytes_are_an_inventory_or_a_users_error(data: bytes) -> None:
    """Arbitrary bytes never cause a fault of botdeploy's own, in YAML or INI."""
    attempt(data)
    attempt(data, "prod.ini")


@relaxed
@given(values)
def test_any_yaml_is_an_inventory_or_a_users_error(value: Any) -> None:
    """Arbitrary YAML documents never cause a fault of botdeploy's own."""
    attempt(dump(value))
    attempt(dump({"all": value}))
    attempt(dump({"all": {"hosts": {"h": {}}, "vars": value}}))


@relaxed
@given(values, values)
def test_any_bot_and_rollout_are_settings_or_a_users_error(bot: Any, rollout: Any) -> None:
    """Arbitrary values of botdeploy's own variables never cause a fault of its own."""
    attempt(dump({"all": {"hosts": {"h": {}}, "vars": {"bot": bot, "rollout": rollout}}}))


@settings(parent=relaxed, max_examples=examples(400))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PATHS),
            st.one_of(
                st.tuples(st.just("set"), values),
                st.tuples(st.just("remove"), st.none()),
                st.tuples(st.just("rename"), keys),
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_changed_inventory_is_one_or_a_users_error(changes: list[Any]) -> None:
    """Replacing, removing and renaming parts of a good inventory never causes a fault."""
    value = GOOD
    for path, change in changes:
        value = changed(value, path, change)
    attempt(dump(value))


@settings(parent=relaxed, max_examples=examples(300))
@given(
    st.sampled_from(GOOD_TEXTS),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 30), odd_text), min_size=1, max_size=3
    ),
)
def test_a_garbled_inventory_is_one_or_a_users_error(
    text: str, cuts: list[tuple[int, int, str]]
) -> None:
    """Cutting and pasting in a good inventory's text never causes a fault."""
    for at, length, new in cuts:
        begin = at % (len(text) + 1)
        text = text[:begin] + new + text[begin + length :]
    attempt(text.encode("utf-8", "surrogatepass"))


@relaxed
@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 20), odd_text), max_size=4))
def test_a_garbled_ini_is_one_or_a_users_error(cuts: list[tuple[int, int, str]]) -> None:
    """Cutting and pasting in an INI inventory never causes a fault."""
    text = INI_TEXT
    for at, length, new in cuts:
        begin = at % (len(text) + 1)
        text = text[:begin] + new + text[begin + length :]
    attempt(text.encode("utf-8", "surrogatepass"), "prod.ini")


@relaxed
@given(st.text(st.sampled_from("abw12*?[]:,!&~() -." + string.ascii_lowercase[:3]), max_size=25))
def test_any_pattern_means_hosts_or_a_users_error(pattern: str) -> None:
    """A host pattern gives hosts of the inventory, in its order, or a user's error."""
    hosts = ["a1", "a2", "b1", "w1", "w2"]
    names = names_of(hosts, {"a": ["a1", "a2"], "w": ["w2", "w1"]})
    try:
        found = names.match(pattern)
    except UserError:
        return
    assert list(found) == [host for host in hosts if host in found]
    assert set(names.match(f"all:!{hosts[0]}")) == set(hosts[1:])
