"""A call of an act: which program runs it, what it reads, and what is read of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from botdeploy.core.model.address import Address
from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import OutcomeUnknown
from botdeploy.hosts import host_program
from botdeploy.hosts.acts.call import Caller, OpenCall
from botdeploy.hosts.acts.faults import NoAnswer, ProgramMissing
from botdeploy.hosts.acts.records import RecordReader
from botdeploy.hosts.process.program import Completed
from tests.hosts.test_host_secrets import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botdeploy.hosts.process.pipes import Session
    from botdeploy.hosts.process.program import HostConnection

DONE = {"final": True, "rc": 0}
MISSING = {"fault": "missing", "message": "not there"}


class Connection:
    """A connection that keeps what programs were given, and lets each in turn say something."""

    host = "h1"

    def __init__(self, *answers: list[dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.given: list[bytes] = []

    def run(self, command: str, *, stdin: bytes | Iterable[bytes], timeout_s: float) -> Completed:
        del timeout_s
        self.given.append(stdin if isinstance(stdin, bytes) else b"".join(stdin))
        found = re.search(r"'([0-9a-f]{16})' 'act'", command)
        assert found is not None
        rows = [f"@@{found[1]} {json.dumps(record)}\n" for record in self.answers.pop(0)]
        return Completed(0, "".join(rows).encode(), b"")


def caller_over(connection: Connection, password: str | None = None) -> Caller:
    """Call a bot's acts over a connection."""
    address = Address("h1", "h1", become_password=password)
    return Caller(cast("HostConnection", connection), "echobot", address)


def test_only_who_looks_has_the_program_sent_along() -> None:
    """What changes something is done by an installed program, or not at all."""
    connection = Connection([MISSING], [{"a": 1}, DONE], [MISSING])
    caller = caller_over(connection)
    assert caller.look("act", stdin=b"question").get("a") == 1
    assert connection.given == [b"question", host_program.PROGRAM]
    with pytest.raises(ProgramMissing):
        caller.call("act")


def test_a_password_comes_before_what_the_program_reads() -> None:
    """Also before a program that is sent along; one without root's rights gets none."""
    connection = Connection([DONE], [DONE], [DONE])
    caller = caller_over(connection, "secret")
    caller.call("act", stdin=(b"a", b"b"))
    caller.call("act", how=host_program.How.SENT)
    caller.call("act", how=host_program.How.UNPRIVILEGED)
    program = host_program.PROGRAM
    assert connection.given == [b"secret\nab", b"secret\n" + program, program]


class Slow:
    """A program that says nothing for a while after each line."""

    unknown_because = ""
    exit_status = 137

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)

    def lines(self, timeout_s: float) -> Iterator[bytes]:
        del timeout_s
        if self._lines:
            yield self._lines.pop(0)
            raise TimeoutError

    def read_error(self) -> bytes:
        return b"Killed\n"


def test_an_open_call_goes_on_after_a_silence() -> None:
    """Nothing is lost or repeated, secrets are hidden, and an early end is told."""
    mask = Mask()
    secret = {
        "R1/.botdeploy/environment": "TOKEN=hunter22\n",
        "R1/.botdeploy/credentials/KEY": "opensesame\n",
    }
    hidden = f"@@n1 {json.dumps({'hidden': packed(secret)})}".encode()
    session = cast("Session", Slow(b'{"MESSAGE": "a"}', hidden, b'@@n1 {"read": {}}'))
    call = OpenCall(session, RecordReader("h1", "follow", "n1", "deploy", mask))
    came: list[object] = []
    for _ in range(3):
        with pytest.raises(NoAnswer, match="did not answer in time"):
            came.extend(call.items(0.1))
    assert came == [b'{"MESSAGE": "a"}', {"read": {}}]
    assert "opensesame" not in mask("it is opensesame")
    with pytest.raises(OutcomeUnknown, match=r"^h1: follow: .* with 137 .*\(as deploy: Killed\)$"):
        next(call.items(0.1))
