"""The journal's fields: what a host is told to send is what is read of an entry."""

from __future__ import annotations

import re
from pathlib import Path

import botdeploy

PACKAGE = Path(botdeploy.__file__).parent
ASKED_FOR = re.compile(r"^FIELDS=([A-Z0-9_,]+)$", re.MULTILINE)
READ = re.compile(r"^JOURNAL_FIELDS = \(([^)]*)\)", re.MULTILINE)
UNREAD = {"JOB_RESULT", "JOB_TYPE", "_TRANSPORT", "CODE_FUNC"}
"""Asked for and not read: they may go with the next change of the host's program."""
GIVEN = {"__CURSOR", "__REALTIME_TIMESTAMP"}
"""What journalctl sends unasked."""


def found(pattern: re.Pattern[str], kind: str) -> list[str]:
    """Give what a pattern finds in all the package's files of a kind."""
    texts = (path.read_text() for path in PACKAGE.rglob(f"*.{kind}"))
    return [text for whole in texts for text in pattern.findall(whole)]


def test_a_host_sends_every_field_that_is_read_and_no_unknown_one() -> None:
    """The program's list and the reader's are each written once, and differ by nothing new."""
    (asked,), (read,) = found(ASKED_FOR, "sh"), found(READ, "py")
    sent, wanted = asked.split(","), re.findall(r'"(\w+)"', read)
    assert len({*sent}) == len(sent)
    assert len({*wanted}) == len(wanted) > 0
    assert {*wanted} <= {*sent}
    assert {*sent} - {*wanted} <= UNREAD


def test_no_field_is_read_that_is_not_in_the_list() -> None:
    """Whoever takes a field out of an entry has to ask the host for it."""
    (read,) = found(READ, "py")
    listed = {*re.findall(r'"(\w+)"', read)} | GIVEN
    taken = {*found(re.compile(r'entry(?:\.get\(|\[)"(\w+)"'), "py")}
    names = {name for name in taken if name.isupper()}
    assert names
    assert names <= listed
