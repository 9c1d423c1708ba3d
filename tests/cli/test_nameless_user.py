"""A uid without a passwd entry, as in a CI container: every command works."""

from __future__ import annotations

import os
import pwd
import socket
from typing import TYPE_CHECKING

import pytest

from botdeploy import __main__ as program
from botdeploy.errors import ExitCode, SourceError
from botdeploy.hosts.ssh import retry
from botdeploy.sources.git_repo import read_url

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = [
    "check prod",
    "plan prod",
    "canary prod --yes",
    "promote prod",
    "rollback prod --yes",
    "status prod",
    "history prod",
    "logs prod",
    "releases prod",
    "setup prod",
    "hold prod",
    "unlock prod",
    "init other",
]


@pytest.fixture
def nameless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project in which nobody knows the user's name or home, and no host answers."""
    (tmp_path / "inventories").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (tmp_path / "inventories" / "prod.yml").write_text(
        "all:\n  vars:\n    bot: {name: b, source: ../bot, command: python3 main.py}\n"
        f"  hosts: {{w1: {{ansible_host: 127.0.0.1, ansible_port: {port}}}}}\n"
    )
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "main.py").write_text("print()\n")
    monkeypatch.chdir(tmp_path)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.002)
    return tmp_path


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_knows_what_to_call_the_user(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fails for the host that does not answer, and for nothing else."""
    code = program.run(program.globals_first(command.split()))
    printed = "".join(capsys.readouterr())
    assert (code == 0) == command.startswith("init"), printed
    assert code != ExitCode.FAULT
    assert command.startswith("init") or "connection refused by 127.0.0.1" in printed


def test_git_without_a_home_says_what_to_set(nameless: Path) -> None:
    """A copy of a repository needs a place: which variable names one is told."""
    with pytest.raises(SourceError, match="set HOME or XDG_CACHE_HOME"):
        read_url(f"file://{nameless}/bot", None, os.environ)
