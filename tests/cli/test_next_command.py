"""The next command that is printed finds the environment as the one before it did."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdeploy.cli.context import Context
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, Hint, Todo
from botdeploy.inventory import load

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory

TEXT = "all:\n  hosts: {w1: {bot: {name: echobot, source: ., command: run}}}\n"
BEFORE = "w1 waits; next: botdeploy approve prod; to go back: botdeploy rollback prod --limit w1"


def context(folder: Path, typed: str, **options: object) -> Context:
    """Load an inventory as it was typed."""
    made = Context(environ={"HOME": str(folder)}, **options)  # type: ignore[arg-type]
    made.load(typed)
    return made


def commands(text: str) -> list[list[str]]:
    """List the commands of ours that stand on lines of their own, as a shell reads them."""
    return [shlex.split(line) for line in text.splitlines() if line.startswith("botdeploy ")]


def found_by(words: list[str]) -> Inventory:
    """Load what a printed command would load."""
    folder = Path(words[2]) if words[1] == "--inventory-dir" else Path("inventories")
    return load(words[4] if words[1] == "--inventory-dir" else words[2], folder, {})


@pytest.mark.parametrize(
    ("place", "typed", "folder"),
    [
        ("inventories/prod.yml", "prod", None),
        ("inventories/prod.yml", "prod.yml", None),
        ("bots/prod/inventory.yml", "bots/prod/inventory.yml", None),
        ("bots/prod/inventory.yml", "./bots/prod", None),
        ("my bots/prod.yml", "my bots/prod.yml", None),
        ("hosts/prod.yml", "prod", "hosts"),
        ("our hosts/prod.yml", "prod", "our hosts"),
    ],
)
def test_a_printed_command_finds_what_was_typed(
    place: str,
    typed: str,
    folder: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Copied to the prompt, it is about the same inventory."""
    monkeypatch.chdir(tmp_path)
    Path(place).parent.mkdir(parents=True)
    Path(place).write_text(TEXT, encoding="utf-8")
    one = context(tmp_path, typed, **({"inventory_dir": Path(folder)} if folder else {}))
    one.ended(Ended(ExitCode.HELD, BEFORE, hints=(Hint(Todo.RELEASES),)))
    printed = commands(capsys.readouterr().out)
    assert len(printed) >= 2
    assert {found_by(words).path for words in printed} == {one.load(typed).path}


def test_only_commands_about_this_environment_are_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one keeps its name, and a name that only begins so is another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts/prod.yml").write_text(TEXT, encoding="utf-8")
    one = context(tmp_path, "hosts/prod.yml")
    others = "botdeploy status dev; botdeploy status prod-eu; botdeploy status prod.eu; prod"
    assert one.output.masked(others) == others
    assert one.output.masked("botdeploy status prod.") == "botdeploy status hosts/prod.yml."
