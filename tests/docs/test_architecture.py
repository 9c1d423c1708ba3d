"""docs/architecture.md names files, functions and folders that are there."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.reference import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = DOCS.parent
PACKAGE = PROJECT / "botdeploy"
PAGE = DOCS / "architecture.md"
SPAN = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"([\w./-]+\.(?:py|sh|md|yml|j2))(?:: ([\w.]+(?:, [\w.]+)*))?")
FOLDER = re.compile(r"[\w./-]+/")


def spans() -> list[str]:
    """Give what stands in code marks on the page, each once."""
    return list(dict.fromkeys(SPAN.findall(PAGE.read_text("utf-8"))))


def found(path: str) -> Path | None:
    """Find a path of the page, in the package or beside it."""
    return next((base / path for base in (PACKAGE, PROJECT) if (base / path).exists()), None)


def defined(place: Path) -> set[str]:
    """Name what a Python file or a shell file defines; methods as ``Class.method``."""
    text = place.read_text("utf-8")
    if place.suffix == ".sh":
        return set(re.findall(r"^(\w+)\(\)", text, re.MULTILINE))
    return set(names(ast.parse(text).body))


def names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef():
                yield prefix + node.name
                yield from names(node.body, f"{prefix}{node.name}.")
            case ast.FunctionDef():
                yield prefix + node.name
            case ast.Assign():
                yield from (prefix + one.id for one in node.targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
            case _:
                pass


NAMED = [span for span in spans() if FILE.fullmatch(span)]


@pytest.mark.parametrize("span", NAMED)
def test_files_and_functions_exist(span: str) -> None:
    """Each file that the page names is there, and defines what the page says."""
    match = FILE.fullmatch(span)
    assert match is not None
    place = found(match[1])
    assert place is not None, f"{match[1]} does not exist"
    if match[2]:
        assert set(match[2].split(", ")) <= defined(place)


def test_names_are_checked() -> None:
    """The page names many functions, in Python and in shell."""
    assert len([span for span in NAMED if ".py: " in span]) > 50
    assert len([span for span in NAMED if ".sh: " in span]) > 10


def test_folders_exist() -> None:
    """Each folder that the page names is there."""
    folders = [span for span in spans() if FOLDER.fullmatch(span) and not span.startswith("/")]
    assert len(folders) > 20
    missing = [one for one in folders if one != "botdeploy/" and found(one) is None]
    assert missing == []


def test_every_folder_of_the_package_is_named() -> None:
    """The page says of each folder of the package what is in it."""
    folders = {
        f"{path.parent.relative_to(PACKAGE)}/"
        for path in PACKAGE.rglob("*")
        if path.suffix in {".py", ".sh"} and path.parent != PACKAGE
    }
    rows = set(re.findall(r"^\| `([\w/]+/)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert folders <= rows
