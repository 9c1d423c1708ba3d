"""Patterns: the same answers as git gives for a .gitignore."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdeploy.errors import SourceError
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
    "a-b/x]",
    "a-b/x-",
    "a-b/x[",
    "a-b/x:",
    "a-b/x\\",
    "a-b/x#",
    "a-b/x[1",
    "]x",
    "passwords1.txt",
    "Ünï/öö",
]


def git_says(folder: Path, patterns: list[str], paths: list[str] = PATHS) -> set[str]:
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
        input="\0".join([*(path for path in paths if path != "a"), ""]).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return set(done.stdout.decode().split("\0")) - {""}


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
        ["passwords[[:digit:]].txt"],
        ["a-b/x[[:punct:]-1]"],
        ["a-b/x[![:digit:]\\\\]"],
        ["x[[:nothing:]]", "x[1[:nothing:]]", "x[![:nothing:]]", "x[[:]]", "x[[::]]"],
        ["[\\]]x"],
        ["x[1\\-2]"],
        ["x[\\1-\\2]"],
        ["x[--2]"],
        ["x[1-2-]]"],
        ["x[[:]", "x[[:digit]"],
        ["x[1"],
        ["x[", "x[!", "x[]", "x[!]", "x[\\", "x[1\\]", "x[[:digit:]", "x[1-\\"],
        ["x\\"],
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


SIGNS = ["1", "2", "-", "]", "\\", "[", "!", "^", "#", ":", "[:digit:]", "[:punct:]", "[:no:]"]
BRACKETS = st.builds(
    lambda signs, tail: f"x[{''.join(signs)}{tail}",
    st.lists(st.sampled_from(SIGNS), max_size=5),
    st.sampled_from(["]", "]", "]", ""]),
)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(BRACKETS)
def test_any_brackets_mean_what_they_mean_in_git(tmp_path: Path, pattern: str) -> None:
    """Names of classes, escapes, ranges and missing ends mean in brackets what they mean in git."""
    try:
        rules = Ignore([pattern])
    except SourceError:  # A range whose end stands before its beginning.
        return
    covered = {path for path in PATHS if path != "a" and rules.covers(path)}
    assert covered == git_says(tmp_path, [pattern])


@pytest.mark.parametrize(
    "name",
    [
        "alnum",
        "alpha",
        "blank",
        "cntrl",
        "digit",
        "graph",
        "lower",
        "print",
        "punct",
        "space",
        "upper",
        "xdigit",
    ],
)
def test_a_class_in_brackets_holds_the_signs_that_it_holds_in_git(
    tmp_path: Path, name: str
) -> None:
    """Each class covers the same of all ASCII signs."""
    paths = [f"x{chr(code)}" for code in range(1, 128) if chr(code) != "/"]
    rules = Ignore([f"x[[:{name}:]]"])
    assert {path for path in paths if rules.covers(path)} == git_says(
        tmp_path, [f"x[[:{name}:]]"], paths
    )
