"""What every connection promises, whatever is underneath: run on each kind of connection."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botdeploy.errors import HostError
from botdeploy.hosts.process import pipes
from botdeploy.hosts.process.pipes import Session
from botdeploy.hosts.process.program import HostConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024


class ConnectionContract:
    """Tests for a fixture ``connection``, which gives an open connection to some host."""

    def test_satisfies_the_protocols(self, connection: HostConnection) -> None:
        """A connection and its sessions have all that the protocols name."""
        assert isinstance(connection, HostConnection)
        session = connection.start("true")
        assert isinstance(session, Session)
        session.close()

    def test_gives_output_error_and_status(self, connection: HostConnection) -> None:
        """What a program writes and returns comes back, its streams kept apart."""
        done = connection.run("printf out; printf err >&2; exit 3")
        assert (done.exit_status, done.stdout, done.stderr) == (3, b"out", b"err")
        assert done.unknown_because == ""

    def test_says_which_signal_ended_a_program(self, connection: HostConnection) -> None:
        """A program that a signal ended has the status that a shell would give it."""
        assert connection.run("kill -9 $$").exit_status == 137
        assert connection.run("kill -TERM $$").exit_status == 143

    def test_command_may_be_any_text(self, connection: HostConnection) -> None:
        """A command of several lines with quotes, umlauts and dollars arrives as it is."""
        done = connection.run("x='ü $y \"z\"'\nprintf '%s' \"$x\"\n")
        assert done.stdout == 'ü $y "z"'.encode()

    def test_passes_bytes_unchanged(self, connection: HostConnection) -> None:
        """Any bytes go in and come out as they are, whatever line ends they look like."""
        data = bytes(range(256)) * 40 + os.urandom(100_000) + b"\r\n\0\n"
        assert connection.run("cat", stdin=data).stdout == data

    def test_input_may_come_in_pieces(self, connection: HostConnection) -> None:
        """Standard input may be an iterable of pieces of any size, empty ones among them."""
        pieces = [b"", b"a" * 300_000, b"", b"b", b"c" * 70_000]
        done = connection.run("sha256sum", stdin=iter(pieces))
        assert done.stdout.split()[0].decode() == hashlib.sha256(b"".join(pieces)).hexdigest()

    def test_input_is_at_its_end_without_data(self, connection: HostConnection) -> None:
        """A program that reads its input finds it empty when none is given."""
        assert connection.run("wc -c").stdout.split() == [b"0"]

    def test_does_not_stall_when_all_streams_are_full(self, connection: HostConnection) -> None:
        """Input, output and error of many megabytes move at the same time."""
        size = 5 * MIB
        done = connection.run(
            f"head -c {size} /dev/zero >&2; tee /dev/stderr", stdin=b"x" * size, timeout_s=60
        )
        assert done.exit_status == 0
        assert (len(done.stdout), len(done.stderr)) == (size, 2 * size)

    def test_program_need_not_read_its_input(self, connection: HostConnection) -> None:
        """A program that ends without reading megabytes of input still says how it ended."""
        done = connection.run("echo early; exit 4", stdin=b"x" * (8 * MIB))
        assert (done.exit_status, done.stdout) == (4, b"early\n")

    def test_outcome_is_unknown_after_a_timeout(self, connection: HostConnection) -> None:
        """When time is up nobody knows the outcome; what was said before is kept."""
        done = connection.run("echo begun; exec sleep 60", timeout_s=0.5)
        assert done.exit_status is None
        assert done.stdout == b"begun\n"
        assert "did not end within 0.5 s" in done.unknown_because

    def test_timeout_counts_while_output_flows(self, connection: HostConnection) -> None:
        """A program that talks without end is stopped by the deadline all the same."""
        done = connection.run("while :; do echo on and on; sleep 0.01; done", timeout_s=0.4)
        assert done.exit_status is None
        assert done.stdout.startswith(b"on and on\n")

    def test_stops_a_program_that_writes_too_much(
        self, connection: HostConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A runaway program does not take the controller's memory."""
        monkeypatch.setattr(pipes, "OUTPUT_LIMIT_BYTES", 2 * MIB)
        done = connection.run("exec cat /dev/zero")
        assert done.exit_status is None
        assert "more than 2 MiB" in done.unknown_because

    def test_does_not_wait_for_what_a_program_left_behind(
        self, connection: HostConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A child in the background that keeps the output open does not hold up the result."""
        monkeypatch.setattr(pipes, "LINGER_S", 0.2)
        done = connection.run("sleep 3 & echo done; exit 5", timeout_s=60)
        assert (done.exit_status, done.stdout) == (5, b"done\n")

    def test_session_answers_what_is_written(self, connection: HostConnection) -> None:
        """Lines come as soon as they are written, and input reaches the running program."""
        session = connection.start("read a; echo first $a; read b; echo then $b; exit 7")
        lines = session.lines(timeout_s=20)
        session.write(b"one\n")
        assert next(lines) == b"first one"
        session.write(b"two\n")
        assert list(lines) == [b"then two"]
        assert session.exit_status == 7
        assert session.unknown_because == ""

    def test_session_takes_first_input_and_keeps_it_open(self, connection: HostConnection) -> None:
        """Input given at the start comes first, and more may follow until it is ended."""
        session = connection.start("cat; echo end", stdin=b"a\n")
        session.write(b"b\n")
        session.end_input()
        session.end_input()
        assert list(session.lines(timeout_s=20)) == [b"a", b"b", b"end"]

    def test_writing_to_a_program_that_ended_is_an_os_error(
        self, connection: HostConnection
    ) -> None:
        """A program that takes no more input makes write raise OSError, and nothing else."""
        session = connection.start("exit 0")
        assert list(session.lines(timeout_s=20)) == []
        with pytest.raises(OSError, match=r"closed|ended"):
            session.write(b"x" * MIB)
        session.close()

    def test_last_line_needs_no_newline(self, connection: HostConnection) -> None:
        """What a program wrote after its last newline is a line when the program ended."""
        session = connection.start("printf 'a\\n\\nb'")
        assert list(session.lines(timeout_s=20)) == [b"a", b"", b"b"]

    def test_lines_go_on_after_a_timeout(self, connection: HostConnection) -> None:
        """A timeout in the middle of a line loses nothing; the next call goes on."""
        session = connection.start("printf 'a\\nhal'; read x; printf 'f\\nc\\n'")
        lines = session.lines(timeout_s=0.3)
        assert next(lines) == b"a"
        with pytest.raises(TimeoutError, match="nothing came"):
            next(lines)
        session.write(b"go\n")
        assert list(session.lines(timeout_s=20)) == [b"half", b"c"]

    def test_lines_go_on_where_a_reader_stopped(self, connection: HostConnection) -> None:
        """A reader that stops early leaves the lines that it did not take."""
        session = connection.start("seq 1 1000")
        for number, line in enumerate(session.lines(timeout_s=20), start=1):
            assert line == str(number).encode()
            if number == 400:
                break
        rest = [int(line) for line in session.lines(timeout_s=20)]
        assert rest == list(range(401, 1001))

    def test_error_is_drained_beside_the_lines(self, connection: HostConnection) -> None:
        """Megabytes on standard error don't stall the lines; the last part of them is kept."""
        session = connection.start(
            f"head -c {4 * MIB} /dev/zero | tr '\\0' e >&2; echo ' the reason' >&2; echo line"
        )
        assert list(session.lines(timeout_s=30)) == [b"line"]
        error = session.read_error()
        assert error.endswith(b"eee the reason\n")
        assert len(error) == pipes.ERROR_LIMIT_BYTES

    def test_a_watcher_is_told_of_output_and_of_the_end(self, connection: HostConnection) -> None:
        """Who is told takes what is there without waiting, and need not look in between."""
        told = threading.Semaphore(0)
        session = connection.start("read x; echo $x; read y; exit 3")
        session.watch(told.release)
        for word in (b"one", b""):
            session.write(word + b"\n")
            seen: list[bytes] = []
            while (seen != [word]) if word else not session.is_over:
                assert told.acquire(timeout=30)
                with contextlib.suppress(TimeoutError):
                    seen += session.lines(0.0)
        assert session.exit_status == 3
        assert connection.heard_s_ago < 30
        connection.ask()

    def test_closing_wakes_a_reader(self, connection: HostConnection) -> None:
        """Another thread may close a session; its reader sees the end, and no status."""
        session = connection.start("echo up; exec sleep 60")
        lines = session.lines()
        assert next(lines) == b"up"
        closer = threading.Timer(0.05, session.close)
        closer.start()
        assert list(lines) == []
        closer.join()
        assert session.exit_status is None
        assert session.unknown_because == "botdeploy closed it"
        session.close()

    def test_closing_the_connection_wakes_a_reader(self, connection: HostConnection) -> None:
        """Closing a connection ends all that runs over it."""
        session = connection.start("echo up; exec sleep 60")
        lines = session.lines()
        assert next(lines) == b"up"
        assert connection.is_alive
        closer = threading.Timer(0.05, connection.close)
        closer.start()
        assert list(lines) == []
        closer.join()
        assert session.exit_status is None
        assert not connection.is_alive
        with pytest.raises(HostError):
            connection.run("true")
        connection.close()

    def test_many_programs_at_a_time(self, connection: HostConnection) -> None:
        """Twenty threads may run programs over one connection at once."""
        statuses: dict[int, int | None] = {}

        def run(number: int) -> None:
            statuses[number] = connection.run(f"sleep 0.05; exit {number}").exit_status

        threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == {number: number for number in range(20)}

    def test_counts_programs_and_bytes(self, connection: HostConnection) -> None:
        """Each program is counted, and the bytes of its input and output."""
        before = (connection.counts.programs_started, connection.counts.bytes_received)
        connection.run("cat", stdin=b"x" * 1000)
        session = connection.start("echo hello")
        list(session.lines(timeout_s=20))
        assert connection.counts.programs_started == before[0] + 2
        assert connection.counts.bytes_received == before[1] + 1006
        assert connection.counts.bytes_sent >= 1000


def wait_until(condition: object, timeout_s: float = 20.0) -> None:
    """Wait until a call gives something true; fail when it never does."""
    assert callable(condition)
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at, "it never came true"
        time.sleep(0.005)


def count_descriptors() -> int:
    """Count this process's open descriptors; skip the test where that can't be done."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("no /proc here")
    return sum(1 for _ in folder.iterdir())


def closing(connection: HostConnection) -> Iterator[HostConnection]:
    """Yield a connection and close it, for fixtures."""
    try:
        yield connection
    finally:
        connection.close()
