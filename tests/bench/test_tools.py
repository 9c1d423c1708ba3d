"""What the bench measures with must itself be right."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.bench import bots
from tests.bench.census import Counted
from tests.bench.field import PROJECT, _free_port
from tests.bench.figures import BenchError, Cost, cost_of, ratio, table
from tests.bench.roll import Job, Taken, round_trips, shown

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.programs


def sums(folder: Path) -> dict[str, str]:
    """Give the sum of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_version_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    """The small bot has 40 files of 273 kB, and six of them differ in the next version."""
    bots.write(tmp_path, bots.SMALL, 1)
    first = sums(tmp_path)
    bots.write(tmp_path, bots.SMALL, 2)
    second = sums(tmp_path)
    assert first.keys() == second.keys()
    assert len(first) == bots.SMALL.files
    assert len([path for path in first if first[path] != second[path]]) == bots.SMALL.changed
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert abs(size - bots.SMALL.size_bytes) < 0.05 * bots.SMALL.size_bytes


def test_the_same_version_is_the_same_everywhere(tmp_path: Path) -> None:
    """Every tool is given the same bytes."""
    bots.write(tmp_path / "a", bots.SMALL, 7)
    bots.write(tmp_path / "b", bots.SMALL, 7)
    assert sums(tmp_path / "a") == sums(tmp_path / "b")


def test_a_program_s_cost_is_its_own() -> None:
    """Processor time and memory are those of the program, not of the bench that started it."""
    idle = cost_of((sys.executable, "-c", "import time; time.sleep(0.3)"))
    busy = cost_of((sys.executable, "-c", "x = bytearray(80_000_000)\nfor _ in range(10**7): pass"))
    assert busy.cpu_s > idle.cpu_s
    assert busy.rss_mb - idle.rss_mb > 60
    assert idle.wall_s >= 0.3


def test_a_program_that_fails_is_no_figure() -> None:
    """A tool that did not do the work must not look fast."""
    with pytest.raises(BenchError, match="ended with 3: oh no"):
        cost_of((sys.executable, "-c", "print('oh no'); raise SystemExit(3)"))


def test_a_table_stands_in_columns() -> None:
    """What is printed can be put into a page as it is."""
    assert table(("a", "b"), [("xyz", 1)]).splitlines() == [
        "| a   | b |",
        "|-----|---|",
        "| xyz | 1 |",
    ]
    assert ratio(3, 2) == "\N{MULTIPLICATION SIGN}1.50"
    assert ratio(3, 0) == "-"


def taken(wall_s: float) -> Taken:
    """Give a result of a way that took so long."""
    return Taken(Cost(wall_s, 0.1, 10), Counted(1, 2, 3, 4, 5), 0.1)


def test_results_are_told_against_the_floor() -> None:
    """Each row says how many times the floor's median its own is."""
    text = shown({"floor": [taken(2), taken(4)], "botdeploy": [taken(6), taken(6)]})
    assert "\N{MULTIPLICATION SIGN}2.00" in text.splitlines()[3]


def test_distance_tells_round_trips() -> None:
    """What 40 ms of distance add to a roll, divided by 40 ms, is how often it waited for it."""
    close, away = Job(1, bots.SMALL), Job(1, bots.SMALL, rtt_ms=40)
    text = round_trips({close: {"floor": [taken(1)]}, away: {"floor": [taken(1.4)]}})
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert cells == ["floor", "1", "10", "10"]


def test_the_relay_carries_every_byte_both_ways() -> None:
    """Distance changes nothing but time."""
    payload = bytes(range(256)) * 4000
    port = _free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                while piece := connection.recv(65536):
                    connection.sendall(piece)

        threading.Thread(target=echo, daemon=True).start()
        way = f"{port}=127.0.0.1:{server.getsockname()[1]}"
        relay = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.delay", "10", way],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert relay.stdout is not None
        try:
            assert relay.stdout.readline() == "ready\n"
            with socket.create_connection(("127.0.0.1", port)) as client:

                def send() -> None:
                    client.sendall(payload)
                    client.shutdown(socket.SHUT_WR)

                threading.Thread(target=send, daemon=True).start()
                back = b""
                while piece := client.recv(65536):
                    back += piece
            assert back == payload
        finally:
            relay.kill()
            relay.wait()
            relay.stdout.close()
