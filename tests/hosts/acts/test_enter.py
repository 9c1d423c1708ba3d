"""Taking a host's lock: what was opened for it is closed, however it went."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from botdeploy.core.model.address import Address
from botdeploy.errors import ActFailed, ExitCode, OutcomeUnknown
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller
from botdeploy.hosts.acts.faults import LockRefused, NameTaken
from botdeploy.hosts.acts.lock import LockRequest
from botdeploy.hosts.process.program import Completed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.hosts.process.program import HostConnection

HOLDER = {"id": "1234", "owner": "ben", "kind": "rollout", "why": "", "since": "", "left_s": 30}
REFUSED = {"fault": "locked", "message": "somebody else has the lock", "lock": HOLDER}


class Session:
    """What a program says, and whether its channel was closed."""

    unknown_because = ""
    exit_status = None

    def __init__(self, nonce: str, *records: dict[str, Any]) -> None:
        """Take what it will say."""
        self._rows = [f"@@{nonce} {json.dumps(record)}".encode() for record in records]
        self.is_open = True

    def lines(self, *, timeout_s: float) -> Iterator[bytes]:
        """Give it all."""
        del timeout_s
        yield from self._rows

    def read_error(self) -> bytes:
        """Say nothing more."""
        return b""

    def close(self) -> None:
        """Note it."""
        self.is_open = False


class Connection:
    """A connection over which every program says the same."""

    host = "h1"

    def __init__(self, *records: dict[str, Any]) -> None:
        """Take what each program will say."""
        self._records = records
        self.sessions: list[Session] = []

    def start(self, command: str, *, stdin: bytes = b"") -> Session:
        """Open a channel."""
        del stdin
        found = re.search(r"'([0-9a-f]{16})' 'enter'", command)
        assert found is not None, command
        self.sessions.append(Session(found[1], *self._records))
        return self.sessions[-1]


def acts_over(connection: Connection, bot: str) -> Acts:
    """Make a bot's acts over a connection, under a lock."""
    return Acts(Caller(cast("HostConnection", connection), bot, Address("h1", "h1")), "T1")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ((REFUSED,), LockRefused),
        ((), OutcomeUnknown),
    ],
    ids=["refused", "cut"],
)
def test_who_does_not_get_a_lock_leaves_no_channel_open(
    said: tuple[dict[str, Any], ...], error: type[Exception]
) -> None:
    """Who asks again and again would run out of what sshd allows a connection, and hang."""
    connection = Connection(*said)
    acts = acts_over(connection, "echobot")
    for _ in range(3):
        with pytest.raises(error):
            acts.lock.enter(30, LockRequest("rollout", "ada", "a test", "echobot"))
    assert [session.is_open for session in connection.sessions] == [False] * 3


class Sudoless:
    """A connection over which sudo refuses each act, and the rest of a check goes on without."""

    host = "h1"

    def run(self, command: str, *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Answer as the host's shell would."""
        del stdin, timeout_s
        found = re.search(r"'([0-9a-f]{16})' 'check'", command)
        assert found is not None, command
        records: list[dict[str, Any]] = [
            {"fault": "sudo", "message": "Sorry, try again. sudo: 1 incorrect password attempt"}
        ]
        if "sudo" not in command:
            item = {"name": "root", "ok": False, "message": "deploy is not root", "mend": "setup"}
            records = [{"check": item}, {"final": True, "rc": 0}]
        rows = [f"@@{found[1]} {json.dumps(record)}" for record in records]
        return Completed(0, "\n".join(rows).encode(), b"")


def test_check_keeps_sudos_words() -> None:
    """A check that sudo refuses says why, before what can be seen without it."""
    address = Address("h1", "h1", become_password="guess")
    items = Acts(Caller(cast("HostConnection", Sudoless()), "echobot", address)).setup.check()
    assert items[0] == {
        "name": "sudo",
        "ok": False,
        "message": "Sorry, try again. sudo: 1 incorrect password attempt",
        "mend": "correct ansible_become_password",
    }
    assert [item["name"] for item in items] == ["sudo", "root"]


@pytest.mark.parametrize(
    "code", ["foreign-unit", "foreign-folder", "form", "other-user", "succession"]
)
def test_a_name_that_is_taken_is_wrong_usage_but_on_the_way_back(code: str) -> None:
    """A rollout ends with 2 and touches nothing; a rollback goes on with the other hosts."""
    place = "/lib/systemd/system/rsync.service was not written by botdeploy"
    connection = Connection({"fault": code, "message": place})
    acts = acts_over(connection, "rsync")
    with pytest.raises(NameTaken, match=f"h1: .*{place}") as taken:
        acts.lock.enter(30, LockRequest("rollout", "ada", "a test", "rsync"))
    assert taken.value.exit_code is ExitCode.USAGE
    with pytest.raises(ActFailed):
        acts.lock.enter(30, LockRequest("rollback", "ada", "a test", "rsync"))
