"""What commands say, and end with, where hosts do not answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from botdeploy import __main__ as program
from botdeploy.engine.fleet.fleet import Fleet
from botdeploy.errors import AddressRefused, HostError, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """\
all:
  vars:
    bot: {name: echobot, source: ../bot, command: python3 main.py}
    rollout: {rings: [{name: canary, hosts: all}]}
  hosts:
    w1: {ansible_host: 192.0.2.1}
    w2: {ansible_host: 192.0.2.2}
"""


def unreached(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HostError] = Unreachable
) -> None:
    """Make a project in the working folder whose hosts nobody can reach."""
    (folder / "inventories").mkdir()
    (folder / "inventories/prod.yml").write_text(INVENTORY)
    (folder / "bot").mkdir()
    (folder / "bot/main.py").write_text("print('READY')\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))

    def refuse(_fleet: Fleet, name: str) -> None:
        raise kind(name, "nothing answers")

    monkeypatch.setattr(Fleet, "_opened", refuse)
    monkeypatch.setattr(Fleet, "fresh", refuse)


LOOKING = [
    *("check", "plan", "status", "releases", "history", "logs", "logs -f", "report"),
    *("approve", "hold", "resume", "unlock", "setup", "setup --dry-run"),
    *("promote", "rollback", "rollback --check"),
    "retire w1 --yes",
]


@pytest.mark.parametrize("line", LOOKING)
def test_where_no_host_answers_the_code_is_6(
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And each host is named with what kept it from being reached, once."""
    unreached(tmp_path, monkeypatch)
    command, *options = line.split()
    assert program.run([command, "prod", *options]) == 6
    said = capsys.readouterr()
    told = said.out + said.err
    assert told.count("nothing answers") == 2
    assert "w1" in told
    assert "w2" in told


@pytest.mark.parametrize("line", ["logs", "report", "approve"])
def test_in_json_the_outcome_has_the_code(
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of commands that have nothing else to print then."""
    unreached(tmp_path, monkeypatch)
    assert program.run(["--json", line, "prod"]) == 6
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["code"] == 6


@pytest.mark.parametrize("line", ["logs", "report", "approve"])
def test_an_address_that_cannot_be_used_is_a_fault_of_usage(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that keeps every host from being reached: waiting would not help."""
    unreached(tmp_path, monkeypatch, AddressRefused)
    assert program.run([line, "prod"]) == 2
