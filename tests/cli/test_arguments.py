"""The command line's arguments: bad ones are told, with exit 2, before any host is reached."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from botdeploy import __main__ as program
from botdeploy.cli import deploy, status
from botdeploy.inventory import load

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
all:
  vars:
    bot: {name: echobot, source: ../bot, command: python3 main.py}
  hosts:
    w1: {ansible_host: 192.0.2.1}
    w2: {ansible_host: 192.0.2.2}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project folder that is the working folder; nothing can be connected to."""
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "prod.yml").write_text(GOOD)
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "main.py").write_text("print('READY')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def refuse(*_args: object, **_more: object) -> None:
        raise AssertionError("a host was reached")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tmp_path


BAD = [
    "",
    "nonsense",
    "canary",
    "canary prod extra",
    "canary nowhere",
    "canary ../../etc/passwd",
    "canary prod --nonsense",
    "canary prod --source",
    "canary prod --source /there/is/no/such/folder",
    "canary prod --source empty",
    "canary prod --set",
    "canary prod --set NOEQUALS",
    "canary prod --set =x",
    "canary prod --set 1A=x",
    "canary prod --set A-B=x",
    "canary prod --set BOTDEPLOY_RELEASE=x",
    "canary prod --set A=x\ny",
    "canary prod --ring nowhere",
    "canary prod --ring",
    "canary prod --release ../x",
    "canary prod --release 'a b; rm -rf /'",
    "canary prod --release x --source bot",
    "canary prod --release x --set A=b",
    "canary prod --release x --ref main",
    "canary prod --ref --upload-pack=evil",
    "canary prod --ref nowhere",
    "canary prod --limit nowhere",
    "canary prod --limit '~('",
    "canary prod --limit all[99]",
    "canary prod --limit ''",
    "canary prod --force",
    "plan",
    "plan nowhere",
    "plan prod --source /there/is/no/such/folder",
    "plan prod --set X",
    "promote",
    "promote nowhere",
    "promote prod --limit nowhere",
    "rollback nowhere",
    "rollback prod --to ../../x",
    "rollback prod --to 'x;y'",
    "rollback prod --to x+",
    "rollback prod --to x+02",
    "canary prod --release +2",
    "rollback prod --limit nowhere",
    "status nowhere",
    "status prod --limit nowhere",
    "releases",
    "history prod extra",
    "logs prod extra",
    "--inventory-dir /nowhere history",
    "--inventory-dir /nowhere logs",
    "logs prod -n -1",
    "logs prod -n many",
    "logs prod --limit nowhere",
    "check",
    "check nowhere",
    "setup",
    "setup prod --user 'a b'",
    "setup prod --user -x",
    "approve",
    "hold",
    "resume",
    "unlock nowhere",
    "retire",
    "retire prod",
    "retire nowhere w1",
    "retire prod w1",
    "retire prod w9 --delete-data",
    "retire prod w9 --yes --machine '@'",
    "init ../x",
    "init 'a b'",
    "fingerprint /there/is/no/such/file",
    "judge",
    "judge --replay /there/is/no/such/file",
    "judge --replay inventories/prod.yml",
    "judge --replay inventories/prod.yml --soak soon",
    "judge --replay inventories/prod.yml --preset nonsense",
    "--inventory-dir",
    "--inventory-dir /nowhere status prod",
    "status --inventory-dir=/nowhere prod",
]


def words(line: str) -> list[str]:
    return shlex.split(line.replace("\n", "$NL")) if "\n" in line else shlex.split(line)


@pytest.mark.parametrize("line", BAD)
def test_bad_arguments_are_told(
    project: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, a sentence on standard error, no traceback, no report file, no host."""
    (project / "empty").mkdir()
    arguments = [word.replace("$NL", "\n") for word in words(line)]
    code = program.run(program.globals_first(arguments))
    said = capsys.readouterr()
    assert code == 2, said
    assert said.err.strip() or said.out.strip()
    assert "Traceback" not in said.err + said.out
    assert not list(project.glob("botdeploy-fault-*"))


@pytest.mark.usefixtures("project")
def test_errors_are_events_too(capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--json`` the last line is the outcome, with its code."""
    code = program.run(program.globals_first(["canary", "prod", "--source", "/nowhere", "--json"]))
    lines = capsys.readouterr().out.splitlines()
    assert code == 2
    event = json.loads(lines[-1])
    assert (event["event"], event["code"], event["environment"]) == ("outcome", 2, "prod")


def test_global_options_may_stand_anywhere() -> None:
    """They are moved to the front; the value of another option stays where it is."""
    moved = program.globals_first(["status", "prod", "--json", "--inventory-dir", "x", "-v"])
    assert moved == ["--json", "--inventory-dir", "x", "-v", "status", "prod"]
    kept = ["canary", "prod", "--message", "--json"]
    assert program.globals_first(kept) == kept


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both end with 0."""
    assert program.run(["--version"]) == 0
    assert program.run(["--help"]) == 0
    assert "canary" in capsys.readouterr().out


def test_a_fault_is_reported_without_secrets(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug ends with 3 and a report file; what ``--set`` was given is not in it."""

    def broken(*_args: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(status, "status", broken)
    code = program.run(["status", "prod"])
    assert code == 3
    reports = list(project.glob("botdeploy-fault-*.txt"))
    assert len(reports) == 1
    text = reports[0].read_text()
    assert "a bug" in text
    assert "hosts" in capsys.readouterr().err.lower()


def test_init_writes_a_project_that_loads(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``init`` writes is valid, and a second ``init`` changes nothing."""
    assert program.run(["init", "stage"]) == 0
    first = (project / "inventories" / "stage.yml").read_text()
    assert load("stage", project / "inventories", os.environ).environment == "stage"
    assert program.run(["init", "stage"]) == 0
    assert (project / "inventories" / "stage.yml").read_text() == first
    assert "exists" in capsys.readouterr().out


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """``schema`` prints one JSON document."""
    assert program.run(["schema"]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ["--set=TOKEN=hunter2pass", "--message", "for ada@example.org"],
        ["--set", "TOKEN=hunter2pass", "--message=for ada@example.org"],
        ["--source", "https://u:hunter2pass@h/x", "--message", "for ada@example.org"],
        ["--source=https://u:hunter2pass@h/x", "--message", "for ada@example.org"],
    ],
)
def test_a_fault_tells_nothing_that_was_typed(
    words: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Values of options stand in no report, nor in the error itself; and it is for its owner."""

    def broken(*_args: object, **_options: object) -> int:
        raise RuntimeError("a bug with hunter2pass\n for ada@example.org \x9b31m\u202e")

    monkeypatch.setattr(deploy, "canary", broken)
    assert program.run(["canary", "prod", *words]) == 3
    (report,) = project.glob("botdeploy-fault-*.txt")
    told = capsys.readouterr().err
    text = report.read_text().partition("\n\n")[0]
    assert "hunter2pass" not in text
    assert "ada@example.org" not in text
    if "TOKEN" in " ".join(words):
        assert "hunter2pass" not in report.read_text() + told
    assert "ada@example.org" not in report.read_text() + told
    assert not {"\x9b", "\u202e"} & set(told)
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "botdeploy canary prod" in text
