"""The journal's fields: what a host is told to send is what is read of an entry."""

from __future__ import annotations

import re
from pathlib import Path

import botdeploy
from botdeploy.hosts.host_program import PROGRAM

PACKAGE = Path(botdeploy.__file__).parent
READ = re.compile(r"^JOURNAL_FIELDS = \(([^)]*)\)", re.MULTILINE)
GIVEN = {"__CURSOR", "__REALTIME_TIMESTAMP"}
"""What journalctl sends unasked."""


def found(pattern: re.Pattern[str], kind: str) -> list[str]:
    """Give what a pattern finds in all the package's files of a kind."""
    texts = (path.read_text() for path in PACKAGE.rglob(f"*.{kind}"))
    return [text for whole in texts for text in pattern.findall(whole)]


def test_a_host_sends_the_fields_that_are_read() -> None:
    """The program asks for the reader's list, which is written once."""
    (read,) = found(READ, "py")
    wanted = re.findall(r'"(\w+)"', read)
    asked = re.findall(r"^FIELDS=(\S+)", PROGRAM.decode(), re.MULTILINE)
    assert asked == [",".join(wanted)]
    assert len({*wanted}) == len(wanted) > 0


def test_no_field_is_read_that_is_not_in_the_list() -> None:
    """Whoever takes a field out of an entry has to ask the host for it."""
    (read,) = found(READ, "py")
    listed = {*re.findall(r'"(\w+)"', read)} | GIVEN
    taken = {*found(re.compile(r'entry(?:\.get\(|\[)"(\w+)"'), "py")}
    names = {name for name in taken if name.isupper()}
    assert names
    assert names <= listed
