"""Ansible's common filters work as in Ansible; others are told from words that nobody knows."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdeploy.errors import InventoryError
from botdeploy.inventory import ansible_filters, filters
from botdeploy.inventory.located import Place, located
from botdeploy.inventory.template import Engine, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PLACE = Place("prod.yml", 1)
ANSIBLE = "ansible-core==2.19.14"

VARIABLES: dict[str, Any] = {
    "d": {"a": 1, "b": [1, 2], "c": {"x": "y"}},
    "e": {"b": [2, 3], "c": {"z": 0}, "n": None},
    "l": [3, 1, 2, 3, [1, [2, None]]],
    "m": ["b", "a", "B"],
    "people": [{"name": "ann", "keys": ["k1", "k2"]}, {"name": "bob", "keys": ["k3"]}],
    "items": [{"key": "p", "value": 1}, {"key": "q", "value": [2]}],
    "text": "web-01.example.org:8080",
    "path": "/srv/bots/echo.tar.gz",
    "address": "https://ann:pw@example.org:8443/a/b?x=1#top",
}


def evaluated(text: str, variables: dict[str, Any] | None = None) -> Any:
    """Work a template out as an inventory's variable."""
    given = {name: located(value, PLACE) for name, value in (variables or VARIABLES).items()}
    scope = Scope(Engine(os.environ), "h1", given, {})
    return scope.render(located(text, PLACE), "v").value


def as_json(value: Any) -> Any:
    """Give a value as JSON has it, tuples as lists."""
    return json.loads(json.dumps(value))


COMMON = [
    "d | dict2items",
    "d | dict2items(key_name='k', value_name='v')",
    "items | items2dict",
    "people | items2dict(key_name='name', value_name='keys')",
    "d | combine(e)",
    "d | combine(e, recursive=true)",
    "d | combine(e, list_merge='append')",
    "d | combine(e, list_merge='prepend_rp', recursive=true)",
    "[d, e] | combine",
    "['a', 'b'] | map('extract', d) | list",
    "'x' | extract(d, 'c') | default('none')",
    "'c' | extract(d, 'x')",
    "[0, 2] | map('extract', m) | list",
    "l | flatten",
    "l | flatten(levels=1)",
    "l | flatten(skip_nulls=false)",
    "m | unique",
    "m | unique(case_sensitive=false)",
    "m | union(['a', 'z'])",
    "m | intersect(['a', 'z'])",
    "m | difference(['a', 'z'])",
    "m | symmetric_difference(['a', 'z'])",
    "m | zip([1, 2]) | list",
    "m | zip_longest([1, 2], fillvalue='-') | list",
    "[1, 2] | product(['a', 'b']) | list",
    "[1, 2, 3] | combinations(2) | list",
    "[1, 2, 3] | permutations(2) | list",
    "people | subelements('keys')",
    "people | rekey_on_member('name')",
    "text | regex_search('[0-9]+')",
    "text | regex_search('(\\w+)-([0-9]+)', '\\2', '\\1')",
    "text | regex_search('nothing')",
    "text | regex_findall('[0-9]+')",
    "text | regex_findall('([a-z]+)-([0-9])')",
    "text | regex_replace('^web', 'bot')",
    "text | regex_replace('([a-z]+)-([0-9]+)', '\\2-\\1')",
    "text | regex_replace('WEB', 'bot', ignorecase=true)",
    "text | regex_replace('[0-9]', 'n', count=1)",
    "'a.b*c' | regex_escape",
    "text | split(':')",
    "path | splitext",
    "path | basename",
    "path | dirname",
    "['/srv', 'a', 'b'] | path_join",
    "'a/../b/./c' | normpath",
    "['/a/b', '/a/c'] | commonpath",
    "address | urlsplit",
    "address | urlsplit('hostname')",
    "'a%20b' | urldecode",
    "'x' | hash('sha256')",
    "'x' | checksum",
    "'x' | md5",
    "'x' | to_uuid",
    "'x y' | quote",
    "'x' | b64encode | b64decode",
    "d | to_json",
    "d | to_nice_json",
    "d | to_yaml",
    "d | to_nice_yaml",
    "d | to_json | from_json",
    "d | to_yaml | from_yaml",
    "1536 | human_readable",
    "1536 | human_readable(isbits=true)",
    "10000000 | human_readable(unit='K')",
    "'10 MB' | human_to_bytes",
    "'1.5G' | human_to_bytes",
    "16 | root",
    "8 | pow(2)",
    "100 | log(10)",
    "true | ternary('a', 'b')",
    "d | ansible.builtin.dict2items",
    "'1.10.0' is version('1.9', '>')",
    "'2.0' is ansible.builtin.version('2.0.1', 'lt')",
    "[1] is subset([1, 2])",
    "[1, 2] is superset([1])",
    "m is contains('a')",
    "[true, false] is any",
    "[true, false] is all",
    "'' is falsy",
    "'x' is truthy",
    "text is search('example')",
    "text is match('web')",
    "text is regex('org')",
    "path is abs",
]


def recorded() -> dict[str, Any]:
    """Give what Ansible said, once."""
    found: dict[str, Any] = json.loads((HERE / "ansible/filters.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("expression", COMMON)
def test_common_filters_work_as_in_ansible(expression: str) -> None:
    """Each gives what the recorded version of ansible-core gave."""
    found = as_json(evaluated("{{ " + expression + " }}"))
    expected = recorded()["answers"][expression]
    assert found == expected or (_is_a_set(expression) and _sorted(found) == _sorted(expected))


def _is_a_set(expression: str) -> bool:
    """Tell whether Ansible gives items in no order of its own; here it is that of the input."""
    return any(name in expression for name in ("union", "intersect", "difference"))


def _sorted(items: list[Any]) -> list[str]:
    return sorted(map(json.dumps, items))


def test_hostvars_can_be_extracted() -> None:
    """The usual way to ask for other hosts' addresses."""
    engine = Engine(os.environ)
    scopes: dict[str, Scope] = {}
    for name in ("h1", "h2"):
        address = {"ansible_host": located(f"192.0.2.{name[1]}", PLACE)}
        scopes[name] = Scope(engine, name, address, {"hostvars": scopes})
    text = "{{ ['h1', 'h2'] | map('extract', hostvars, 'ansible_host') | join(',') }}"
    assert scopes["h1"].render(located(text, PLACE), "v").value == "192.0.2.1,192.0.2.2"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'*' | fileglob", "the filter 'fileglob' works in Ansible, not here"),
        ("d | community.general.json_query('a')", "json_query' works in Ansible, not here"),
        ("d | json_query('a')", "works in Ansible, not here"),
        ("'10.0.0.1' | ansible.utils.ipaddr", "works in Ansible, not here"),
        ("'x' | password_hash", "works in Ansible, not here"),
        ("path is exists", "the test 'exists' works in Ansible, not here"),
        ("d | dict2item", "there is no filter 'dict2item'; did you mean 'dict2items'?"),
        ("'1' is versoin('2')", "there is no test 'versoin'; did you mean 'version'?"),
        ("'x' if false else 'y' | comment", "works in Ansible, not here"),
        ("lookup('file', '/etc/passwd')", r"lookup('file') works in Ansible, not here"),
        ("(range(400) | list) | product(range(400) | list) | list", "more than 100000 items"),
    ],
)
def test_what_does_not_work_here_says_so(expression: str, message: str) -> None:
    """What Ansible has is told from what nobody has."""
    with pytest.raises(InventoryError) as caught:
        evaluated("{{ " + expression + " }}")
    assert message in str(caught.value)


def test_the_documentation_lists_what_works() -> None:
    """Every filter and test of Ansible's that works here stands in docs/inventory.md."""
    text = (PROJECT / "docs/inventory.md").read_text(encoding="utf-8")
    listed = text[text.index("Ansible's filters work") :].split("\n\n")[0]
    own = {name for name in (*filters.FILTERS, *filters.TESTS) if "." not in name}
    missing = {name for name in own - {"tojson"} if f"`{name}`" not in listed}
    assert not missing
    assert not {name for name in ansible_filters.ONLY_IN_ANSIBLE if name in own}


# --- with Ansible itself, on drawn values -------------------------------------------------------


def with_ansible() -> Path:
    """Give a Python that has Ansible: an environment below ``.ansible`` that is made once.

    Whichever test process comes first makes it, whole or not at all; the others wait. A release
    of Ansible and a Python have one each. Where no package can be had the test is skipped, but in
    CI it fails.
    """
    base = Path(os.environ.get("BOTDEPLOY_ANSIBLE") or PROJECT / ".ansible")
    base.mkdir(parents=True, exist_ok=True)
    home = base / f"{ANSIBLE.replace('==', '-')}-python{sys.version_info[0]}.{sys.version_info[1]}"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / "made").exists():
            return home / "bin/python"
        shutil.rmtree(home, ignore_errors=True)
        for step in (
            [sys.executable, "-m", "venv", str(home)],
            [str(home / "bin/python"), "-m", "pip", "install", "-q", ANSIBLE],
        ):
            done = subprocess.run(step, check=False, capture_output=True, text=True)
            if done.returncode:
                said = f"{ANSIBLE} cannot be installed here: {done.stderr[-2000:]}"
                if os.environ.get("CI") == "true" and is_index_reachable():
                    pytest.fail(said)
                pytest.skip(said)
        (home / "made").touch()
    return home / "bin/python"


def is_index_reachable() -> bool:
    """Tell whether pip gets anything at all from its index."""
    with tempfile.TemporaryDirectory() as folder:
        asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "pip"]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="session")
def oracle() -> Iterator[Callable[[str, dict[str, Any]], Any]]:
    """Start Ansible's own templates, from an environment that only this test has."""
    with subprocess.Popen(
        [with_ansible(), HERE / "oracle.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(text: str, variables: dict[str, Any]) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"variables": variables, "text": text}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.text("ab B1-./", max_size=5))
NAMES = st.text("abc", min_size=1, max_size=2)
LISTS = st.lists(st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), max_size=4)
MAPPINGS = st.dictionaries(
    NAMES,
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(NAMES, SCALARS)),
    max_size=3,
)
DRAWN = [
    "x | dict2items | items2dict",
    "x | combine(y)",
    "x | combine(y, recursive=true)",
    *(f"x | combine(y, recursive=true, list_merge='{way}')" for way in ansible_filters._LISTS),
    "[x, y] | combine",
    "x | to_json(sort_keys=true)",
    "x | to_nice_json",
    "x | to_nice_yaml",
    "p | flatten",
    "p | flatten(levels=1)",
    "p | unique",
    "p | union(q)",
    "p | intersect(q)",
    "p | difference(q)",
    "p | symmetric_difference(q)",
    "p | zip(q) | list",
    "p | zip_longest(q) | list",
    "t | regex_findall('[a-z]')",
    "t | regex_search('[0-9]')",
    "t | regex_replace('[ab]', 'x')",
    "t | regex_escape",
    "t | splitext",
    "t | normpath",
    "t | b64encode",
    "t | quote",
    "t | urldecode",
    "n | human_readable",
    "t is match('a')",
    "v is version(w, '<')",
]


@pytest.mark.programs
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_drawn_values_come_out_as_in_ansible(
    oracle: Callable[[str, dict[str, Any]], Any], data: st.DataObject
) -> None:
    """Whatever goes in, both give the same or both refuse."""
    variables = {
        "x": data.draw(MAPPINGS),
        "y": data.draw(MAPPINGS),
        "p": data.draw(LISTS),
        "q": data.draw(LISTS),
        "t": data.draw(st.text("ab B1-./%", max_size=8)),
        "n": data.draw(st.integers(0, 2**45)),
        "v": data.draw(st.from_regex(r"\A[0-9]{1,2}(\.[0-9]{1,2}){0,2}\Z")),
        "w": data.draw(st.from_regex(r"\A[0-9]{1,2}(\.[0-9]{1,2}){0,2}\Z")),
    }
    text = "{{ " + data.draw(st.sampled_from(DRAWN)) + " }}"
    said = oracle(text, variables)
    if "error" in said:
        with pytest.raises(InventoryError):
            evaluated(text, variables)
    else:
        found = as_json(evaluated(text, variables))
        assert found == said["value"] or (
            _is_a_set(text) and _sorted(found) == _sorted(said["value"])
        )
