"""Commands to copy stand whole on lines of their own, with real names."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from botdeploy.cli.context import Context
from botdeploy.core.text.printable import visible
from botdeploy.errors import UserError
from botdeploy.views import host_tables, tables
from botdeploy.views.command_lines import with_commands_apart


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "ring fleet needs an approval; next: botdeploy approve prod",
            "ring fleet needs an approval; next:\nbotdeploy approve prod",
        ),
        (
            "down; see: botdeploy logs prod; then: botdeploy rollback prod --keep; lost",
            "down; see:\nbotdeploy logs prod\nthen:\nbotdeploy rollback prod --keep\nlost",
        ),
        (
            "back on R1. Next: botdeploy canary prod. Bye",
            "back on R1. Next:\nbotdeploy canary prod\nBye",
        ),
        ("said:\nbotdeploy status prod", "said:\nbotdeploy status prod"),
        ("this: botdeploy knows ssh and local", "this: botdeploy knows ssh and local"),
        ("'botdeploy init' writes one", "'botdeploy init' writes one"),
        ("", ""),
    ],
)
def test_a_command_has_a_line_of_its_own(text: str, shown: str) -> None:
    """However many there are; sentences that name us are none."""
    assert with_commands_apart(text) == shown
    assert with_commands_apart(shown) == shown


def test_no_command_is_broken_by_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault's mend stands below the table, and not in a column of it."""
    command = "botdeploy setup production --user root --limit a-long-name.example.org"
    record = {
        "controller": [],
        "hosts": [
            {
                "host": "w1",
                "checks": [
                    {"name": "root", "ok": False, "message": "sudo refuses " * 9, "mend": command}
                ],
            }
        ],
    }
    out = io.StringIO()
    context = Context(environ={})
    console = Console(file=out, width=40, soft_wrap=True)
    console.print(host_tables.checks(record, verbose=False))
    assert "botdeploy" not in out.getvalue()
    assert tables.mends(record) == {command: ["root on w1"]}
    context.output.say(f"to mend it: {command}")
    assert command in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("as_json", [False, True])
def test_messages_name_the_environment(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """What a host's error could not know is put in where it is told."""
    context = Context(environ={}, as_json=as_json, environment="prod")
    context.failed(UserError("w1: sudo refuses; as root: botdeploy setup ENV --user root"))
    said = capsys.readouterr()
    assert "botdeploy setup prod --user root" in said.err.splitlines()
    assert "ENV" not in said.err + said.out
    assert visible(said.out) == said.out
