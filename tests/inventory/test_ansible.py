"""The same file means the same to Ansible: recorded from ansible-inventory and ansible -m debug.

``ansible/expected.json`` holds what the version of ansible-core named in it printed for the
inventories beside it; this suite does not need Ansible.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from botdeploy.errors import UserError
from botdeploy.inventory.gather import gather
from botdeploy.inventory.pattern import names_of

DATA = Path(__file__).parent / "ansible"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give lookup('env', …) what it had when the answers were recorded."""
    monkeypatch.setenv("BOTDEPLOY_TEST_X", "envx")
    monkeypatch.setenv("BOTDEPLOY_TEST_Y", "envy")
    monkeypatch.delenv("BOTDEPLOY_TEST_NOT", raising=False)


@pytest.mark.parametrize("name", EXPECTED["inventories"])
def test_hosts_come_in_ansibles_order(name: str) -> None:
    """Hosts have the names that Ansible gives them, ranges included, in its order."""
    _, scopes = gather(DATA / name, os.environ)
    assert list(scopes) == EXPECTED["inventories"][name]["hosts"]


@pytest.mark.parametrize("name", EXPECTED["inventories"])
def test_groups_hold_ansibles_hosts(name: str) -> None:
    """Groups hold their own hosts and their children's, and nothing else."""
    tree, _ = gather(DATA / name, os.environ)
    expected = EXPECTED["inventories"][name]["groups"]
    found = {group: sorted(tree.hosts_of(group)) for group in tree.groups}
    assert {group: hosts for group, hosts in found.items() if hosts} == {
        group: hosts for group, hosts in expected.items() if hosts
    }


@pytest.mark.parametrize("name", EXPECTED["inventories"])
def test_variables_merge_by_ansibles_precedence(name: str) -> None:
    """Each host has the variables, with the values and types, that Ansible merges for it."""
    _, scopes = gather(DATA / name, os.environ)
    found = {
        host: {name: node.value for name, node in scope.variables.items()}
        for host, scope in scopes.items()
    }
    assert found == EXPECTED["inventories"][name]["variables"]


@pytest.mark.parametrize("pattern", EXPECTED["patterns"])
def test_patterns_choose_ansibles_hosts(pattern: str) -> None:
    """A host pattern means the hosts that Ansible lists for it, here in inventory order."""
    tree, scopes = gather(DATA / "precedence/inv.yml", os.environ)
    names = names_of(list(scopes), {group: tree.hosts_of(group) for group in tree.groups})
    found = names.match(pattern)
    assert set(found) == set(EXPECTED["patterns"][pattern])
    assert list(found) == [host for host in scopes if host in found]


@pytest.mark.parametrize("name", EXPECTED["templates"])
def test_templates_give_ansibles_values(name: str) -> None:
    """A templated variable has the value and the type that Ansible works out."""
    _, scopes = gather(DATA / "templates.yml", os.environ)
    scope = scopes["w1"]
    found = scope.render(scope.variables[name], name).value
    expected = EXPECTED["templates"][name]
    assert found == expected
    assert isinstance(found, str) or type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t46", "'undef2' is undefined"),
        ("t47", "'undef2' is undefined"),
        ("t48", "refers to itself: t48 → loop_a → loop_b → loop_a"),
    ],
)
def test_templates_that_fail_in_ansible_fail_here(name: str, message: str) -> None:
    """What Ansible cannot work out is an error that names the place."""
    _, scopes = gather(DATA / "templates.yml", os.environ)
    scope = scopes["w1"]
    with pytest.raises(UserError, match=r"templates\.yml:\d+: .*") as caught:
        scope.render(scope.variables[name], name)
    assert message in str(caught.value)
