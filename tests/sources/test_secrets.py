"""Secrets: references become values, and no error tells one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from botdeploy.errors import UserError
from botdeploy.sources import secrets
from botdeploy.sources.secrets import read_secret

if TYPE_CHECKING:
    from pathlib import Path

VALUE = "s3cret-value-of-the-test"


def test_every_kind_of_reference_is_read(tmp_path: Path) -> None:
    """env, file and command give their value; a file's path is relative to the inventory."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/token").write_text(f"{VALUE}\n")
    secrets = {
        "A": "env:MY_TOKEN",
        "B": "file:keys/token",
        "C": f"file:{tmp_path}/keys/token",
        "D": "command:cat keys/token",
        "E": 'command:printf \'%s\' "$MY_TOKEN:$(basename "$PWD")"',
    }
    environ = {"MY_TOKEN": "x y", "PATH": os.environ["PATH"]}
    found = {name: read_secret(name, one, tmp_path, environ) for name, one in secrets.items()}
    assert {name: secret.reveal() for name, secret in found.items()} == {
        "A": "x y",
        "B": VALUE,
        "C": VALUE,
        "D": VALUE,
        "E": f"x y:{tmp_path.name}",
    }
    assert VALUE not in repr(found)
    assert VALUE not in str(found["B"])


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde means the home of whoever runs the deploy."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text(VALUE)
    assert read_secret("T", "file:~/token", "/nowhere", {}).reveal() == VALUE


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"x\n", "x"),
        (b"x\r\n", "x"),
        (b"x\n\n", "x\n"),
        (b" x ", " x "),
        (b"x\r", "x\r"),
        (b"a\nb\n", "a\nb"),
    ],
)
def test_only_one_line_end_is_taken_off(tmp_path: Path, content: bytes, value: str) -> None:
    """What an editor puts at the end does not belong to a token; the rest does."""
    (tmp_path / "token").write_bytes(content)
    assert read_secret("T", "file:token", tmp_path, {}).reveal() == value


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:NOT_SET", "the environment variable NOT_SET is not set"),
        ("env:EMPTY", "the value is empty"),
        ("env:", "a reference is env:NAME, file:PATH or command:CMD"),
        ("vault:x", "a reference is env:NAME, file:PATH or command:CMD"),
        ("no reference", "a reference is env:NAME, file:PATH or command:CMD"),
        ("file:missing", "no such file or directory"),
        ("file:.", "is a directory"),
        ("file:empty", "the value is empty"),
        ("file:binary", "the value is not UTF-8 text"),
        ("file:nul", "the value holds a NUL byte"),
        ("file:huge", "the value is longer than 1 MiB"),
        ("file:/dev/zero", "the value is longer than 1 MiB"),
        ("command:false", "the command ended with 1"),
        ("command:true", "the value is empty"),
        ("command:kill -9 $$", "the command ended with -9"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path, reference: str, words: str) -> None:
    """The error names the secret, the reference and what is wrong."""
    for name, content in {
        "empty": b"\n",
        "binary": b"\xff\xfe",
        "nul": b"a\0b",
        "huge": b"x" * 1024 * 1024 + b"y",
    }.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_secret("TOKEN", reference, tmp_path, {"EMPTY": "", "PATH": os.environ["PATH"]})
    assert str(caught.value).startswith(f"secret TOKEN ({reference}): ")
    assert words in str(caught.value)


@pytest.mark.parametrize("ending", ["exit 3", "kill $$", "printf '\\377'", "printf '\\0'"])
def test_no_error_tells_a_value(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], ending: str
) -> None:
    """A command that fails after it printed the value on both outputs tells nobody."""
    (tmp_path / "token").write_text(VALUE)
    with pytest.raises(UserError) as caught:
        read_secret("T", f"command:cat token; cat token >&2; {ending}", tmp_path, dict(os.environ))
    seen: BaseException | None = caught.value
    while seen is not None:
        assert VALUE not in f"{seen!r} {seen}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    out, err = capfd.readouterr()
    assert VALUE not in out + err


def test_a_command_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password manager that waits for a person must not hold up a cron job for ever."""
    monkeypatch.setattr(secrets, "_COMMAND_TIMEOUT_S", 0.1)
    with pytest.raises(UserError, match=r"did not end within 0\.1 s"):
        read_secret("T", "command:sleep 60 & echo $! >pid; wait", tmp_path, dict(os.environ))
    child = int((tmp_path / "pid").read_text())
    for _ in range(200):
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(child)], capture_output=True, text=True, check=False
        ).stdout.strip()
        if not state or state.startswith("Z"):
            break
        time.sleep(0.005)
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("the command's child lives on")


def test_a_command_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    """It is a mistake, and is told before the memory of the machine is full."""
    with pytest.raises(UserError, match="longer than 1 MiB"):
        read_secret("T", "command:yes", tmp_path, dict(os.environ))


def test_a_command_does_not_wait_for_a_person(tmp_path: Path) -> None:
    """Its standard input is empty, so a question ends at once."""
    program = "command:read -r answer || echo none"
    assert read_secret("T", program, tmp_path, dict(os.environ)).reveal() == "none"
