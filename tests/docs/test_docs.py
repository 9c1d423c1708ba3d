"""The documentation and the program say the same."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.errors import ExitCode
from botdeploy.inventory._models import BotKeys, RolloutKeys
from tests.docs.reference import DOCS, PAGE, page_with_keys, paths

if TYPE_CHECKING:
    from pathlib import Path

    import click

PROJECT = DOCS.parent
HEADING = re.compile(r"^## `botdeploy ([a-z-]+)`$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")


def sections() -> dict[str, str]:
    """Split docs/commands.md by command; what stands before the first is under an empty name."""
    text = (DOCS / "commands.md").read_text("utf-8")
    parts = HEADING.split(text)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented_options(section: str) -> set[str]:
    """Read the long options from the first cells of a section's tables."""
    rows = re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE)
    return {option for row in rows for option in re.findall(r"--[a-z-]+", row)}


@pytest.fixture(scope="module")
def program() -> click.Group:
    """Give the command line as click sees it."""
    if importlib.util.find_spec("botdeploy.cli.app") is None:
        pytest.skip("the command line is not built yet")
    app: Any = importlib.import_module("botdeploy.cli.app").app
    typer: Any = importlib.import_module("typer.main")
    group: click.Group = typer.get_command(app)
    return group


def commands(program: click.Group) -> dict[str, click.Command]:
    """Give the commands that ``--help`` lists."""
    return {name: each for name, each in program.commands.items() if not each.hidden}


def options(command: click.Command) -> set[str]:
    """Give the long options that ``--help`` lists; ``--help`` itself is documented once."""
    shown = (each for each in command.params if not getattr(each, "hidden", False))
    return {name for each in shown for name in (*each.opts, *each.secondary_opts) if _is_long(name)}


def _is_long(name: str) -> bool:
    return name.startswith("--") and name not in {
        "--help",
        "--install-completion",
        "--show-completion",
    }


def test_every_command_is_documented_and_exists(program: click.Group) -> None:
    """docs/commands.md has a section for each command, and for nothing else."""
    assert set(sections()) - {""} == set(commands(program))


def test_every_option_is_documented_and_exists(program: click.Group) -> None:
    """Each command's section has a row for each of its options, and for nothing else."""
    written = sections()
    said = {name: documented_options(written.get(name, "")) for name in commands(program)}
    assert said == {name: options(command) for name, command in commands(program).items()}


def test_global_options_are_documented_and_exist(program: click.Group) -> None:
    """The options before the command are those of the page's first table."""
    first = sections()[""].partition("Many commands share these")[0]
    assert documented_options(first) - {"--help"} == options(program)


def test_options_are_read_from_tables() -> None:
    """The reader of the page finds the long options, with and without a value or a short form."""
    section = "| `--limit PATTERN` | x |\n| `--follow`, `-f` | `--no` |\ntext `--other`\n"
    assert documented_options(section) == {"--limit", "--follow"}


def test_inventory_page_has_every_key() -> None:
    """docs/inventory.md names each key that the schema knows."""
    page = PAGE.read_text("utf-8")
    known = [*paths("bot", BotKeys), *paths("rollout", RolloutKeys)]
    assert len(known) > 40
    missing = [
        path
        for path in known
        if not re.search(
            rf"^### `{re.escape(path.rpartition('.')[0])}`\n(?:(?!^#).*\n)*?"
            rf"\| `{re.escape(path.rpartition('.')[2])}` \|",
            page,
            re.MULTILINE,
        )
    ]
    assert not missing


def test_inventory_page_is_made_from_the_schema() -> None:
    """The tables of keys are as the schema has them; ``make docs`` makes them anew."""
    page = PAGE.read_text("utf-8")
    assert page == page_with_keys(page), "run: make docs"


def test_every_exit_code_is_documented() -> None:
    """docs/exit-codes.md has a row for each exit code, and for nothing else."""
    page = (DOCS / "exit-codes.md").read_text("utf-8")
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == [str(int(code)) for code in ExitCode]


@pytest.mark.parametrize(
    "page",
    sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *DOCS.glob("*.md")]),
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link names a file that is there, and a heading that it has."""
    text = without_blocks(page)
    wrong = []
    for name, anchor in re.findall(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)", text):
        target = page.parent / name if name else page
        if "://" in name:
            continue
        if not target.exists() or (anchor and anchor[1:] not in anchors(target)):
            wrong.append(name + anchor)
    assert wrong == []


def without_blocks(page: Path) -> str:
    """Give a page's text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Give the names of a page's headings in links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_page_is_in_the_index() -> None:
    """docs/index.md leads to each page."""
    index = (DOCS / "index.md").read_text("utf-8")
    pages = {path.name for path in DOCS.glob("*.md")} - {"index.md"}
    assert pages <= {target for target, _ in LINK.findall(index)}
