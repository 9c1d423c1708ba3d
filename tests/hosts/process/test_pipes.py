"""Lines, tails and places: the small parts that sessions are made of."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.hosts.process import pipes
from botdeploy.hosts.process.pipes import LineBuffer, Tail
from botdeploy.hosts.process.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PIECES = st.lists(st.one_of(st.binary(max_size=9), st.sampled_from([b"\n", b"\n\n", b"a\n", b""])))


@given(PIECES)
def test_lines_do_not_depend_on_the_pieces(pieces: list[bytes]) -> None:
    """However bytes are cut into pieces, the lines are those of the whole."""
    buffer = LineBuffer()
    lines = [line for piece in pieces for line in buffer.feed(piece)]
    lines += buffer.rest()
    whole = b"".join(pieces).split(b"\n")
    if whole[-1] == b"":
        whole.pop()
    assert lines == whole
    assert buffer.rest() == []


def test_endless_line_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line longer than the limit is given in pieces that add up, and the next one is whole."""
    monkeypatch.setattr(pipes, "LINE_LIMIT_BYTES", 10)
    buffer = LineBuffer()
    lines = [line for _ in range(7) for line in buffer.feed(b"abc")] + buffer.feed(b"\nd\n")
    assert b"".join(lines[:-1]) == b"abc" * 7
    assert lines[-1] == b"d"


@given(st.lists(st.binary(max_size=30)), st.integers(1, 20))
def test_tail_is_the_end_of_the_whole(pieces: list[bytes], limit: int) -> None:
    """A tail keeps exactly the last bytes, however they came."""
    tail = Tail(limit)
    for piece in pieces:
        tail.feed(piece)
    assert tail.read() == b"".join(pieces)[-limit:]


class Late(pipes.Session):
    """A program that is silent for long, and whose status comes before its last line."""

    unknown_because = ""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock, self.steps = clock, 0

    @property
    def exit_status(self) -> int | None:
        return 0 if self.steps else None

    @property
    def is_over(self) -> bool:
        return self.steps > 2

    def mark(self) -> int:
        return 0

    def wait(self, mark: int, timeout_s: float | None, *, to_write: bool) -> None:
        del mark, timeout_s, to_write
        self.clock[0] += 60.0 if not self.steps else 0.5
        self.steps += 1

    def watch(self, changed: Callable[[], None]) -> None:
        changed()

    def take(self) -> tuple[bytes, bytes]:
        if self.steps != 2:
            return b"", b""
        self.steps += 1
        return b"last\n", b""

    def write_some(self, data: memoryview) -> int:
        return len(data)

    def end_input(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_last_line_that_comes_behind_the_status_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy sshd tells a program's end before it hands on what that wrote last."""
    clock = [0.0]
    monkeypatch.setattr("botdeploy.hosts.process.pipes.time.monotonic", lambda: clock[0])
    done = Late(clock).run(b"", ends_at=900.0, timeout_s=900.0)
    assert (done.exit_status, done.stdout) == (0, b"last\n")


def test_places_are_limited_and_given_back() -> None:
    """No more are taken than there are; one that is given back can be taken."""
    slots = Slots(2)
    assert slots.take(0)
    assert slots.take(0)
    assert not slots.take(0)
    slots.give_back()
    assert slots.take(0)
    assert slots.taken == 2


def test_waiting_for_a_place_ends_when_one_is_given_back() -> None:
    """Who waits gets the place that somebody gives back."""
    slots = Slots(1)
    slots.take(0)
    got: list[bool] = []
    waiter = threading.Thread(target=lambda: got.append(slots.take(60)))
    waiter.start()
    slots.give_back()
    waiter.join()
    assert got == [True]


def test_waiting_for_a_place_ends_when_all_is_closed() -> None:
    """Closing wakes who waits, empty-handed, now and later."""
    slots = Slots(1)
    slots.take(0)
    got: list[bool] = []
    waiter = threading.Thread(target=lambda: got.append(slots.take(60)))
    waiter.start()
    slots.close()
    waiter.join()
    assert got == [False]
    slots.give_back()
    assert not slots.take(60)


def test_more_places_let_who_waits_in() -> None:
    """And a lower number takes none away."""
    slots = Slots(1)
    assert slots.take(0.0)
    assert not slots.take(0.0)
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(slots.take, 10.0)
        slots.widen(2)
        assert waits.result(timeout=5)
    slots.widen(1)
    slots.give_back()
    assert slots.take(0.0)
