"""Templates in variables: what expressions see, and what they cannot reach."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.errors import InventoryError
from botdeploy.inventory.gather import gather

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.inventory.template import Scope


def scope_of(tmp_path: Path, lines: str) -> Scope:
    """Give the scope of host h1, which has these variables; h2 stands beside it."""
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    path = tmp_path / "prod.yml"
    path.write_text(f"all:\n  hosts: {{h1: {{}}, h2: {{}}}}\n  vars:\n{body}", encoding="utf-8")
    return gather(path, os.environ)[1]["h1"]


def value(tmp_path: Path, expression: str, lines: str = "x: 1") -> Any:
    """Work out one template among other variables."""
    scope = scope_of(tmp_path, f"{lines}\nresult: {expression!r}")
    return scope.render(scope.variables["result"], "result").value


@pytest.mark.parametrize(
    "name", ["engine", "host", "variables", "magic", "value", "render", "part", "plain", "node"]
)
def test_a_variable_may_have_any_name(name: str, tmp_path: Path) -> None:
    """Names of Python's side never hide a variable, wherever it is looked up."""
    lines = f"{name}: found\ninside: {{{name}: '{{{{ 1 }}}}', other: 2}}"
    for expression in (name, f"vars.{name}", f"hostvars.h2.{name}", f"hostvars['h2']['{name}']"):
        assert value(tmp_path, f"{{{{ {expression} }}}}", lines) == "found"
    assert value(tmp_path, f"{{{{ inside.{name} }}}}", lines) == 1


@pytest.mark.parametrize(
    "expression",
    [
        "vars.engine",
        "vars['engine']",
        "vars | attr('engine')",
        "hostvars.h1.engine.environment",
        "hostvars | attr('_scopes')",
        "lazy.node",
        "lazy | attr('scope')",
        "items.scope",
        "lookup.__globals__",
        "''.__class__.__mro__",
        "self.__init__",
        "cycler.__init__.__globals__",
        "lazy.items.__func__",
    ],
)
def test_templates_do_not_reach_what_is_no_data(expression: str, tmp_path: Path) -> None:
    """An expression sees values only: no attributes of botdeploy's own objects, no internals."""
    lines = "lazy: {a: '{{ 1 }}'}\nitems: ['{{ 1 }}']"
    with pytest.raises(InventoryError):
        value(tmp_path, f"{{{{ {expression} }}}}", lines)


def test_mappings_and_lists_with_templates_behave_like_others(tmp_path: Path) -> None:
    """What is worked out lazily has the methods, tests and operators of plain values."""
    lines = "m: {a: '{{ 1 }}', b: 2}\nl: ['{{ 1 }}', 2, 3]"
    expected = {
        "m.items() | list": [["a", 1], ["b", 2]],
        "m.keys() | list": ["a", "b"],
        "m.get('c', 9)": 9,
        "m['a']": 1,
        "'a' in m": True,
        "m is mapping": True,
        "l is sequence": True,
        "l[1:]": [2, 3],
        "l[-1]": 3,
        "l + [4]": [1, 2, 3, 4],
        "[0] + l": [0, 1, 2, 3],
        "2 in l": True,
        "l | length": 3,
        "m | dictsort": [["a", 1], ["b", 2]],
        "l == [1, 2, 3]": True,
        "m == {'a': 1, 'b': 2}": True,
        "m.c | default('none')": "none",
        "l[7] | default('none')": "none",
        "m | to_json": '{"a": 1, "b": 2}',
    }
    assert {one: value(tmp_path, f"{{{{ {one} }}}}", lines) for one in expected} == expected


def test_filters_of_ansible_that_variables_use(tmp_path: Path) -> None:
    """The filters that inventories commonly use are there."""
    expected = {
        "'YWJj' | b64decode": "abc",
        "'abc' | b64encode": "YWJj",
        "'a b' | quote": "'a b'",
        "[1, [2, [3]]] | flatten": [1, 2, 3],
        "[1, 2] | union([2, 3])": [1, 2, 3],
        "[1, 2] | difference([2])": [1],
        "[1, 2] | intersect([2, 3])": [2],
        "none | ternary(1, 2, 3)": 3,
        "'no' | bool": False,
        "'[1]' | from_json": [1],
        "'web1' is match('web')": True,
        "'web1' is search('1')": True,
        "'/a/b.c' | basename": "b.c",
    }
    assert {one: value(tmp_path, f"{{{{ {one} }}}}") for one in expected} == expected
    with pytest.raises(InventoryError, match="mandatory"):
        value(tmp_path, "{{ nothing | mandatory }}")


def test_an_unsafe_text_is_never_a_template(tmp_path: Path) -> None:
    """What is marked !unsafe stays as it is, also when another variable passes it on."""
    assert value(tmp_path, "{{ raw }}", 'raw: !unsafe "{{ x }}"') == "{{ x }}"


def test_a_fault_names_the_variable_that_has_it(tmp_path: Path) -> None:
    """An error in a variable behind a variable is told with the inner one's line."""
    scope = scope_of(tmp_path, "outer: '{{ inner }}'\ninner: '{{ 1 / 0 }}'")
    with pytest.raises(InventoryError, match=r"prod\.yml:5: inner: .*division by zero"):
        scope.render(scope.variables["outer"], "outer")


def test_threads_may_work_variables_out_at_once(tmp_path: Path) -> None:
    """Two threads that look at the same variable do not look like a variable in a circle."""
    scope = scope_of(tmp_path, "a: '{{ b }}'\nb: '{{ range(2000) | sum }}'")
    found: list[Any] = []

    def look() -> None:
        for _ in range(20):
            found.append(scope.render(scope.variables["a"], "a").value)
            found.append(scope["a"])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1999000] * 160
