"""A check that heard nothing, or not all, is a fault; one that sudo cuts in two names sudo."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from botdeploy.core.model.address import Address
from botdeploy.errors import OutcomeUnknown
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller
from botdeploy.hosts.process.program import Completed

if TYPE_CHECKING:
    from botdeploy.hosts.process.program import HostConnection

FINE = {"check": {"name": "root", "ok": True, "message": "", "mend": ""}}
DONE = {"final": True, "rc": 0}
FAULT = {"final": True, "rc": 3}


class Connection:
    """A connection over which each program in turn says something."""

    host = "h1"

    def __init__(self, *answers: list[dict[str, Any]]) -> None:
        self.answers = list(answers)

    def run(self, command: str, *, stdin: object = b"", timeout_s: float = 60.0) -> Completed:
        """Let the next program speak, with its own mark."""
        del stdin, timeout_s
        found = re.search(r"'([0-9a-f]{16})' 'check'", command)
        assert found is not None
        rows = [f"@@{found[1]} {json.dumps(record)}\n" for record in self.answers.pop(0)]
        return Completed(0, "".join(["hello\n", *rows]).encode(), b"")


def check(*answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check a host that answers so."""
    connection = cast("HostConnection", Connection(*answers))
    acts = Acts(Caller(connection, "tbot", Address("h1", "127.0.0.1")))
    return acts.setup.check("tbot", "cmVhZHk9")


@pytest.mark.parametrize(
    "answer", [[DONE], [FAULT], [FINE], [FINE, FAULT], []], ids=lambda one: str(len(one))
)
def test_a_check_that_did_not_hear_all_is_a_fault(answer: list[dict[str, Any]]) -> None:
    """Nothing but an end, an end that tells of a fault which nobody heard, no end at all."""
    with pytest.raises(OutcomeUnknown):
        check(answer)


def test_what_was_heard_is_told() -> None:
    """One item, whole."""
    assert check([FINE, DONE]) == [FINE["check"]]


def test_a_program_that_was_cut_in_two_names_sudo() -> None:
    """It is not on the host, and what is sent along does not arrive: looked at without root."""
    missing = {"fault": "missing", "message": "not there"}
    cut = {"fault": "input", "message": "of what was sent the beginning is missing"}
    first, second = check([missing], [cut], [FINE, DONE])
    assert (first["name"], first["ok"]) == ("input", False)
    assert first["message"] == "of what was sent the beginning is missing"
    assert "sudo-rs" in first["mend"]
    assert second == FINE["check"]


def test_a_check_that_took_too_long_says_so() -> None:
    """Nobody knows how it went, and it was not the connection."""

    class Slow(Connection):
        """A host whose programs do not end."""

        def run(self, command: str, *, stdin: object = b"", timeout_s: float = 60.0) -> Completed:
            del command, stdin
            return Completed(None, b"", b"", f"it did not end within {timeout_s:.0f} s")

    acts = Acts(Caller(cast("HostConnection", Slow()), "tbot", Address("h1", "127.0.0.1")))
    with pytest.raises(OutcomeUnknown, match=r"^h1: check: .* it did not end within 180 s$"):
        acts.setup.check()
