"""Starting: no command pays for what only others need."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from botdeploy.__main__ import _with_one_command
from botdeploy.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

    import typer

pytestmark = pytest.mark.programs
JUDGE = "botdeploy.core.judge"


def modules_after(program: str) -> set[str]:
    """Run a program in a Python of its own and list what it imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def names_of(one: typer.Typer) -> set[str]:
    """Give the commands that the command line knows."""
    return set(get_command(one).commands)  # type: ignore[attr-defined]


def test_machine_output_does_without_rich() -> None:
    """Nobody reads a table in cron: Rich is imported where people's text is printed."""
    program = "from botdeploy.cli.context import Context\nmade = Context(as_json=True)"
    assert not {"rich", "rich.console"} & modules_after(program)
    assert {"rich", "rich.console"} <= modules_after(f"{program}\nmade.output.console")


def test_fabric_comes_without_its_test_helpers() -> None:
    """The mock of invoke, with asyncio and ssl behind it, is not imported, and still works."""
    program = "import botdeploy.hosts.ssh.connector"
    assert not {"unittest.mock", "asyncio", "ssl"} & modules_after(program)
    use = (
        "import botdeploy.hosts.ssh.connector\nfrom invoke import MockContext, Result\n"
        "assert MockContext(run=Result('yes')).run('x').stdout == 'yes'"
    )
    assert "unittest.mock" in modules_after(use)


def test_the_judge_is_where_these_tests_look_for_it() -> None:
    """A program that judges imports it by this name: renamed, its absence would prove nothing."""
    assert JUDGE in modules_after(f"import {JUDGE}")
    assert judged_by("import botdeploy.cli.judge")


def judged_by(program: str) -> list[str]:
    """Name the judge's modules that a program imports."""
    return [name for name in modules_after(program) if name.startswith(JUDGE)]


@pytest.mark.parametrize(
    "program",
    [
        "import botdeploy.cli.status",
        "import botdeploy.cli.deploy, botdeploy.engine.commands.rollback",
    ],
    ids=["status", "rollback"],
)
def test_who_judges_nothing_does_not_import_the_judge(program: str) -> None:
    """``status`` asks hosts, and who types ``rollback`` is in a hurry."""
    assert not judged_by(program)


@pytest.mark.parametrize("command", sorted(names_of(app)))
def test_the_called_command_is_the_only_one_that_is_made(command: str) -> None:
    """Global options before it, with their values, do not hide its name."""
    for words in ([command, "prod"], ["--json", "-v", "--inventory-dir", "hold", command]):
        assert names_of(_with_one_command(app, words)) == {command}
    assert len(names_of(app)) > 1


@pytest.mark.parametrize("words", [[], ["--help"], ["canry"], ["--inventory-dir", "canary"]])
def test_without_a_command_all_are_known(words: list[str]) -> None:
    """Help lists every command, and a wrong word is answered with the nearest right one."""
    assert names_of(_with_one_command(app, words)) == names_of(app)


def test_completion_knows_all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that completes asks with a variable of its own."""
    monkeypatch.setenv("_BOTDEPLOY_COMPLETE", "complete_bash")
    assert names_of(_with_one_command(app, ["canary"])) == names_of(app)


SLOW = frozenset({"apprise", "invoke", "jinja2", "paramiko", "pydantic", "rich", "typer", "yaml"})
"""What takes longest to import, by the names of packages."""


def started_by(words: list[str], prepare: str = "") -> set[str]:
    """Name what a command imports until it ends, with whatever code it ends."""
    program = f"{prepare}\nfrom botdeploy.__main__ import run\nrun({words!r})\nprint()"
    return modules_after(program)


def slow_of(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names} & SLOW


def ours_of(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "botdeploy"}


def test_the_version_takes_nothing() -> None:
    """Scripts ask for it often."""
    names = started_by(["--version"])
    assert not slow_of(names)
    assert len(ours_of(names)) <= 2


@pytest.mark.parametrize(("words", "most"), [(["--help"], 8), (["canary", "--help"], 20)])
def test_help_takes_the_command_line_alone(words: list[str], most: int) -> None:
    """No inventory, no connection, and of the engine only what an end and a clock are."""
    names = started_by(words)
    assert slow_of(names) - {"pydantic"} == {"typer"}  # newer versions of Typer bring pydantic
    ours = ours_of(names)
    heavy = {"inventory", "hosts", "sources"}
    assert not [name for name in ours if heavy & {*name.split(".")[1:2]}]
    assert len(ours) <= most


# What stands for one host that answers: it runs a release, and nothing is under way.
ANSWERS = """
import sys
from botdeploy.core.host.host_state import HostState
from botdeploy.engine.fleet import by_machine, observe
observe.observe_machine = lambda _fleet, names: {name: HostState() for name in names}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with an inventory of one host, without templates in it."""
    place = tmp_path / "inventories" / "prod.yml"
    place.parent.mkdir()
    place.write_text(
        "all:\n  hosts: {h1: {ansible_host: 192.0.2.1}}\n  vars:\n"
        "    bot: {name: echobot, source: ., command: ./bot}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", [["--json", "promote", "prod"], ["--json", "status", "prod"]])
def test_who_finds_nothing_due_imports_nothing_that_acts(words: list[str]) -> None:
    """Cron asks each minute: what would act, judge, render or print tables stays where it is."""
    names = started_by(words, ANSWERS)
    assert not {"apprise", "jinja2", "rich", "tenacity"} & {name.split(".")[0] for name in names}
    ours = ours_of(names)
    assert "botdeploy.inventory.loading" in ours
    acting = (
        "core.judge",
        "core.lines.assembler",
        "engine.rollout.loop",
        "engine.watch",
        "starter",
    )
    assert not [name for name in ours if name.startswith(tuple(f"botdeploy.{a}" for a in acting))]
    assert len(ours) <= 150, sorted(ours)
