"""Templates that would never end: told with file, line and key, whatever thread reads them."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory import pattern, regex_timeout, template
from botdeploy.inventory.gather import gather
from tests.effort import examples

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = [
    "{{ ('a' * 60 ~ '!') | regex_replace('(a+)+$', 'b') }}",
    "{{ ('a' * 60 ~ '!') | regex_search('^(a|aa)+$') }}",
    "{{ ('a' * 60 ~ '!') | regex_findall('^(a|a?)+$') }}",
    "{{ ('a' * 60 ~ '!') is match('(a*)*$') }}",
    "{{ ('a' * 60 ~ '!') is search('(a*)*$') }}",
    "{{ ['a' * 60 ~ '!'] | select('match', '(a*)*$') | list }}",
    "{{ ['a' * 60 ~ '!'] | map('regex_replace', '(a+)+$', '') | list }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}x",
    "{% for a in range(9999) %}{% for b in 'abc' * 9999 %}{% endfor %}{% endfor %}x",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
]


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what never ends told after 0.3 s; what ends has all its time."""
    limit(monkeypatch, 0.3)


def limit(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set how long an expression may take."""
    monkeypatch.setattr(regex_timeout, "LIMIT_S", seconds)
    monkeypatch.setattr(template, "LIMIT_S", seconds)
    regex_timeout._try.cache_clear()


def rendered(tmp_path: Path, expression: str) -> Any:
    path = tmp_path / "prod.yml"
    path.write_text(f"all:\n  hosts: {{h1: {{}}}}\n  vars:\n    odd: {expression!r}\n", "utf-8")
    scope = gather(path, os.environ)[1]["h1"]
    return scope.render(scope.variables["odd"], "odd").value


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("expression", ENDLESS)
def test_what_never_ends_is_told_where_it_stands(expression: str, tmp_path: Path) -> None:
    """File, line, key and why."""
    with pytest.raises(InventoryError, match=r"prod\.yml:4: odd: .*takes longer than") as told:
        rendered(tmp_path, expression)
    assert (told.value.line, told.value.key) == (4, "odd")


@pytest.mark.usefixtures("_soon")
def test_so_it_is_in_any_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No signal is needed, and what comes after it is worked out as ever."""
    found: list[object] = []

    def read() -> None:
        try:
            rendered(tmp_path, ENDLESS[0])
        except InventoryError as error:
            found.append(error.line)
        limit(monkeypatch, 60.0)
        found.append(rendered(tmp_path, "{{ 'a1b22' | regex_replace('[0-9]+', '-') }}"))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found == [4, "a-b-"]


@pytest.mark.usefixtures("_soon")
def test_a_host_pattern_that_never_ends_is_wrong_usage() -> None:
    """`--limit '~(a+)+$'` is told, too."""
    names = pattern.names_of(["a" * 60 + "-1"], {})
    with pytest.raises(UserError, match="takes longer than"):
        names.match("~(a+)+$")


@given(
    st.sampled_from([r"a+b*", r"(\d+)-(\w+)", r"^(?P<x>.*?)\s+$", r"[", r"(a", r"x{2,3}y?", ""]),
    st.text("ab-1 x", max_size=30),
)
@settings(max_examples=examples(60), deadline=None)
def test_what_ends_is_as_re_has_it(expression: str, text: str) -> None:
    """Results and errors are Python's own."""
    for ours, theirs in (
        (regex_timeout.search, re.search),
        (regex_timeout.match, re.match),
        (regex_timeout.find_all, re.findall),
        (lambda p, t: regex_timeout.replace(p, "<>", t), lambda p, t: re.sub(p, "<>", t)),
    ):
        try:
            wanted = theirs(expression, text)
        except re.error:
            with pytest.raises(re.error):
                ours(expression, text)
            continue
        found = ours(expression, text)
        if isinstance(wanted, re.Match) and isinstance(found, re.Match):
            assert (found.span(), found.groups()) == (wanted.span(), wanted.groups())
        else:
            assert found == wanted


def test_loops_know_what_they_always_knew(tmp_path: Path) -> None:
    """Length, last and else are those of the list itself."""
    text = (
        "{% for a in [1, 2] %}{{ a }}/{{ loop.length }}{% if not loop.last %},{% endif %}"
        "{% endfor %}{% for a in [] %}{% else %};none{% endfor %}"
    )
    assert rendered(tmp_path, text) == "1/2,2/2;none"
