"""This machine as a host keeps the connection's promises, and ends what it started."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.model.address import Address
from botdeploy.hosts.process.local import LocalConnection, LocalSession
from botdeploy.hosts.ssh.connector import Connector
from tests.hosts.connection_contract import (
    ConnectionContract,
    closing,
    count_descriptors,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.hosts.process.program import HostConnection

pytestmark = pytest.mark.programs


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[HostConnection]:
    """Give an open connection to this machine."""
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    yield from closing(LocalConnection("here", environ))


class TestLocalConnection(ConnectionContract):
    """The contract, on this machine."""


def test_connector_gives_it_for_local_hosts(tmp_path: Path) -> None:
    """An address with a local connection needs no ssh at all."""
    connector = Connector({"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, time.time)
    connection = connector.connect(Address("here", "no.such.name.invalid", local=True))
    assert isinstance(connection, LocalConnection)
    assert connection.run("echo $HOME; pwd").stdout.decode().split() == [str(tmp_path)] * 2
    connector.close()
    assert not connection.is_alive


def test_close_ends_the_whole_group(connection: HostConnection) -> None:
    """Closing ends the program and what it started, even when it ignores SIGTERM."""
    session = connection.start("trap '' TERM; sleep 600 & echo $! $$; wait; wait")
    child, parent = (int(number) for number in next(session.lines()).split())
    session.close()
    for pid in (child, parent):
        wait_until(lambda pid=pid: not _is_running(pid))


def test_what_a_finished_program_left_behind_lives_on(connection: HostConnection) -> None:
    """A program that ended by itself may leave something running, as on a remote host."""
    done = connection.run("sleep 600 >/dev/null 2>&1 & echo $!")
    pid = int(done.stdout)
    assert _is_running(pid)
    os.kill(pid, 9)


def test_leaves_no_descriptors_behind(connection: HostConnection) -> None:
    """Programs that ended, timed out or were closed give all descriptors back."""
    connection.run("true")
    before = count_descriptors()
    for _ in range(5):
        connection.run("cat", stdin=b"x" * 100_000)
        connection.run("exec sleep 60", timeout_s=0.01)
        session = connection.start("echo a; exec sleep 60")
        next(session.lines())
        session.close()
        list(connection.start("echo a").lines())
    assert count_descriptors() == before


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_end_that_came_between_two_looks_is_not_waited_for(connection: HostConnection) -> None:
    """A program whose output and status are all in wakes nobody any more: no wait may begin."""
    session = connection.start("true")
    assert isinstance(session, LocalSession)
    wait_until(lambda: session.exit_status is not None)
    wait_until(lambda: session.take() == (b"", b"") and session.is_over)
    waiting = threading.Thread(
        target=lambda: session.wait(session.mark(), 60.0, to_write=False), daemon=True
    )
    waiting.start()
    waiting.join(20.0)
    assert not waiting.is_alive()
