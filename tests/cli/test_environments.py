"""Commands without ENV: every environment of the folder, one after the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy import __main__ as program
from botdeploy.core.host.host_state import HostState
from botdeploy.engine.fleet.fleet import Fleet, Interrupted
from botdeploy.errors import Unreachable

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """\
all:
  vars:
    bot: {name: echobot, source: ../bot, command: python3 main.py}
  hosts:
    HOST: {ansible_host: 192.0.2.1}
"""


class Answer:
    """What a host answers that has nothing."""

    state = property(lambda self: self)

    def observe(self) -> HostState:
        """Say nothing of itself."""
        return HostState()

    def audit(self) -> list[dict[str, Any]]:
        """Give one entry."""
        return [{"at": "2026-01-01T00:00:00Z", "act": "stage"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with dev and prod, whose hosts answer, and what is no environment."""
    inventories = tmp_path / "inventories"
    inventories.mkdir()
    (inventories / "prod.yml").write_text(INVENTORY.replace("HOST", "p1"))
    (inventories / "dev").mkdir()
    (inventories / "dev/hosts.yaml").write_text(INVENTORY.replace("HOST", "d1"))
    (inventories / "group_vars").mkdir()
    (inventories / "group_vars/all.yml").write_text("x: 1\n")
    for other in ("prod.yml~", "prod.yml.bak", ".prod.yml.swp", "#prod.yml#", "README.md"):
        (inventories / other).write_text("no inventory")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Fleet, "acts", lambda _fleet, _name: Answer())
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Read what was printed as JSON."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("command", ["status", "history"])
def test_each_environment_has_a_line(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In JSON one; for people its name stands above what is said of it."""
    assert folder
    assert program.run(["--json", command]) == 0
    assert [one["environment"] for one in lines(capsys)] == ["dev", "prod"]
    assert program.run([command]) == 0
    printed = capsys.readouterr().out.splitlines()
    heads = [printed.index(name) for name in ("dev:", "prod:")]
    assert heads == sorted(heads)
    assert "d1" in "\n".join(printed[heads[0] : heads[1]])


@pytest.mark.parametrize("command", ["status", "history"])
def test_the_only_environment_needs_no_name(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is it named above what is said of it."""
    (folder / "inventories/prod.yml").unlink()
    assert program.run([command]) == 0
    assert "dev:" not in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("command", ["status", "history", "logs"])
def test_a_broken_inventory_has_its_error_and_hides_no_other(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, with file and line; 2 counts more than hosts that are away."""

    def refuse(_fleet: Fleet, name: str) -> None:
        raise Unreachable(name, "nothing answers")

    (folder / "inventories/broken.yml").write_text("all:\n  hosts: {w1: {}}\n  nonsense: [\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fleet, "acts", refuse)
        assert program.run(["--json", command]) == 2
        said = capsys.readouterr()
        records = [json.loads(line) for line in said.out.splitlines()]
        assert [one["environment"] for one in records] == ["broken", "dev", "prod"]
        assert "broken.yml:" in records[0]["error"]
        assert "broken.yml:" in said.err
        (folder / "inventories/broken.yml").unlink()
        assert program.run([command]) == 6


def test_two_inventories_of_one_name_are_an_error_of_that_environment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """prod.yml beside prod.ini: nobody knows which one is meant."""
    (folder / "inventories/prod.ini").write_text("[all]\nw1\n")
    assert program.run(["--json", "status"]) == 2
    dev, prod = lines(capsys)
    assert "error" not in dev
    assert "more than one inventory" in prod["error"]


def test_a_pattern_passes_over_environments_without_such_a_host(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no environment has one it is wrong usage."""
    assert folder
    assert program.run(["--json", "status", "--limit", "p*"]) == 0
    assert [one["environment"] for one in lines(capsys)] == ["prod"]
    assert program.run(["status", "--limit", "x*"]) == 2
    assert "x*" in capsys.readouterr().err


def test_a_folder_without_inventories_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2."""
    monkeypatch.chdir(tmp_path)
    for command in ("status", "history", "logs"):
        assert program.run([command]) == 2
        assert "botdeploy init" in capsys.readouterr().err


def test_an_interrupt_ends_all_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next environment is not begun."""

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted

    assert folder
    monkeypatch.setattr(Fleet, "each", interrupted)
    assert program.run(["status"]) == 130
    assert "prod" not in capsys.readouterr().out


@pytest.mark.parametrize(("begun", "names"), [("", ["dev", "prod"]), ("p", ["prod"]), ("x", [])])
def test_a_shell_completes_the_names_of_environments(
    begun: str, names: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the folder that is named before the command; nothing is run for it."""
    (folder / "inventories").rename(folder / "elsewhere")
    words = f"botdeploy --inventory-dir elsewhere canary {begun}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["botdeploy"])
        patch.setenv("_BOTDEPLOY_COMPLETE", "complete_bash")
        patch.setenv("COMP_WORDS", words)
        patch.setenv("COMP_CWORD", "4")
        with pytest.raises(SystemExit):
            program.run([])
    assert capsys.readouterr().out.split() == names
