"""Patterns: the same answers as git gives for a .gitignore."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdeploy.sources.ignore import Ignore
from tests.effort import examples

if TYPE_CHECKING:
    from pathlib import Path

PATHS = [
    "a",
    "b.py",
    "a/b.py",
    "a/b/c.pyc",
    "data/x",
    "data/keep",
    "src/data/x",
    "src/a/b.py",
    "docs/a/b/c.md",
    "docs/c.md",
    "foo bar",
    "#hash",
    "!bang",
    "[x]",
    "a-b/x1",
    "a-b/x2",
    "a-b/x^",
    "Ünï/öö",
]


def git_says(folder: Path, patterns: list[str]) -> set[str]:
    """Ask git which of the paths a .gitignore with these patterns covers."""
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        for path in PATHS:
            if path != "a":
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).touch()
    (folder / ".gitignore").write_text("\n".join(patterns) + "\n")
    done = subprocess.run(
        ["git", "-C", str(folder), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(path for path in PATHS if path != "a") + "\0",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return set(done.stdout.split("\0")) - {""}


@pytest.mark.parametrize(
    "patterns",
    [
        ["*.py"],
        ["/b.py"],
        ["a/"],
        ["b.py/"],
        ["data"],
        ["/data"],
        ["data/*", "!data/keep"],
        ["data/", "!data/keep"],
        ["**/b.py"],
        ["a/**"],
        ["docs/**/c.md"],
        ["docs/*/c.md"],
        ["docs/*"],
        ["src/**/b.py"],
        ["**"],
        ["*", "!*/", "!b.py"],
        ["foo bar", "\\#hash", "\\!bang"],
        ["#hash"],
        ["foo\\ bar   "],
        ["\\[x\\]"],
        ["a-b/x[0-9]"],
        ["a-b/x[!1]"],
        ["a-b/x[\\^]"],
        ["a-b/x[]^]"],
        ["x?"],
        ["?-b"],
        ["Ünï"],
        ["a/b"],
        ["b/c.pyc"],
        ["/*", "!/src"],
        ["", "   ", "# nothing"],
        ["*.md", "!c.md", "/docs/c.md"],
    ],
    ids=" ".join,
)
def test_patterns_mean_what_they_mean_in_git(tmp_path: Path, patterns: list[str]) -> None:
    """Each of git's forms covers the same paths here."""
    rules = Ignore(patterns)
    covered = {path for path in PATHS if path != "a" and rules.covers(path)}
    assert covered == git_says(tmp_path, patterns)


PARTS = st.sampled_from(["a", "b", "*", "**", "?", "data", "src", "docs", "*.py", "c.*", "x[12]"])
PATTERNS = st.builds(
    lambda bang, lead, parts, tail: bang + lead + "/".join(parts) + tail,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(PARTS, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(PATTERNS, min_size=1, max_size=4))
def test_any_patterns_mean_what_they_mean_in_git(tmp_path: Path, patterns: list[str]) -> None:
    """Patterns in any order and mixture cover the same paths here as in git."""
    rules = Ignore(patterns)
    covered = {path for path in PATHS if path != "a" and rules.covers(path)}
    assert covered == git_says(tmp_path, patterns)
