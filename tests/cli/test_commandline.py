"""The command line as a whole: its commands, its options, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.main import get_command

from botdeploy import __main__ as program
from botdeploy.cli.app import app
from botdeploy.cli.context import Context
from botdeploy.cli.fault import Fault
from botdeploy.cli.finish import finish
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if option.param_type_name == "option"
]


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a program that meets this."""

    def meet(*_args: object, **_options: object) -> int:
        raise error

    monkeypatch.setattr(program, "_with_one_command", lambda *_: meet)
    return program.run(["status", "prod"])


def test_every_command_is_in_the_help_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """What there is can be found by who types nothing but --help."""
    assert program.run(["--help"]) == 0
    printed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        lines = [line for line in printed.splitlines() if line.split()[:1] == [name]]
        assert len(lines) == 1, name
        assert lines[0].split()[1:], name
        assert command.help.strip().endswith("."), name


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_is_explained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the command's own help, which reaches no host and needs no inventory."""
    assert program.run([command, "--help"]) == 0
    printed = capsys.readouterr().out
    for name, option in OPTIONS:
        if name == command:
            assert option.opts[0] in printed
            assert option.help, option.opts


def test_each_option_with_a_value_keeps_what_follows_it() -> None:
    """A message may be "--json": global options are not taken out of a value."""
    with_value = {opt for _, option in OPTIONS if not option.is_flag for opt in option.opts}
    flags = {opt for _, option in OPTIONS if option.is_flag for opt in option.opts}
    for option in with_value - {"-h"}:
        assert program.globals_first(["canary", option, "--json"]) == ["canary", option, "--json"]
    for option in flags:
        assert program.globals_first(["canary", option, "--json"])[0] == "--json", option


def test_what_follows_two_dashes_is_no_option() -> None:
    """As everywhere."""
    words = ["logs", "prod", "--", "--json"]
    assert program.globals_first(words) == words


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyError("a bug"), 3), (KeyboardInterrupt(), 130), (UserError("no such ring"), 2)],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_the_outcome_is_the_last_line_however_a_command_ends(
    error: BaseException,
    code: int,
    as_json: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also after a fault of ours; a program that reads the lines need not look at the exit code."""
    context = Context(as_json=as_json, environment="prod")

    def work(_context: Context) -> int:
        raise error

    ctx: Any = SimpleNamespace(find_object=lambda _: context)
    with pytest.raises((Fault, KeyboardInterrupt, typer.Exit)):
        finish(ctx, work)
    lines = capsys.readouterr().out.splitlines()
    told = [(one["event"], one["environment"], one["code"]) for one in map(json.loads, lines)]
    assert told == ([("outcome", "prod", code)] if as_json else [])


def test_a_fault_stays_a_fault_where_nobody_reads_the_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The report is written all the same."""

    def refuse(_line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=refuse))
    context = Context(as_json=True, environment="prod")

    def work(_context: Context) -> int:
        raise KeyError("a bug")

    ctx: Any = SimpleNamespace(find_object=lambda _: context)
    with pytest.raises(Fault):
        finish(ctx, work)


def test_an_interrupt_has_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """130, and one line instead of a trace."""
    for error in (KeyboardInterrupt(), typer.Abort()):
        assert ends_with(error, monkeypatch) == 130
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_wrong_word_is_answered_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, on standard error."""
    assert program.run(["canry", "prod"]) == 2
    said = capsys.readouterr()
    assert "canary" in said.err
    assert said.out == ""


@pytest.mark.programs
def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    """``botdeploy … | head`` ends quietly, without a report."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "botdeploy", "schema"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        cwd=tmp_path,
    )
    os.close(writer)
    assert (done.stderr, list(tmp_path.iterdir())) == (b"", [])
    assert done.returncode != 3
