"""Odd words from a user or a script: told with exit 2, and nothing reaches the terminal raw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from botdeploy import __main__ as program

pytestmark = pytest.mark.programs

GOOD = """\
all:
  vars:
    bot: {name: echobot, source: ../bot, command: python3 main.py}
  hosts: {w1: {ansible_host: 192.0.2.1}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project folder that is the working folder."""
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "prod.yml").write_text(GOOD)
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "main.py").write_text("print('READY')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("option", ["--source", "--ref"])
@pytest.mark.parametrize("command", ["plan", "canary"])
def test_an_empty_value_is_not_the_default(
    command: str, option: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script whose variable was not set must not release something else."""
    del project
    assert program.run([command, "prod", option, ""]) == 2
    assert f"{option} is empty" in capsys.readouterr().err


def test_a_device_is_no_inventory(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that never ends is refused before the memory is full."""
    del project
    assert program.run(["status", "/dev/zero"]) == 2
    assert "no inventory" in capsys.readouterr().err


def test_no_escape_code_reaches_the_terminal(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was typed, or stands in an inventory, is shown and not obeyed."""
    (project / "inventories" / "odd.yml").write_text('all: {hosts: {"\\e[31mw1": {}}}')
    for word in ("\x1b]0;title\x07", "odd"):
        assert program.run(["status", word]) == 2
        said = capsys.readouterr()
        assert "\x1b" not in said.err + said.out


def test_a_poor_locale_is_no_fault(project: Path) -> None:
    """Where the output takes ASCII only, arrows and quotes become escapes."""
    done = subprocess.run(
        [sys.executable, "-m", "botdeploy", "status", "“no→such”"],
        cwd=project,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert b"no\\u2192such" in done.stderr
