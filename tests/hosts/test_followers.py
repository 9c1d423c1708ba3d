"""Many followers: one thread for all of them, which sleeps while nothing comes."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.assembler import Assembler
from botdeploy.errors import OutcomeUnknown
from botdeploy.hosts.acts.faults import NoAnswer
from botdeploy.hosts.follower import FIRST_PAUSE_S, IDLE_S, MOST_ITEMS, Delivery, Follower
from botdeploy.hosts.follower_threads import FollowerThreads
from tests.hosts.at_once import AtOnce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ = {"read": {"cut": False}}


def row(number: int, text: str = "handled") -> bytes:
    at_us = 1_800_000_000_000_000 + number
    fields = {"__CURSOR": f"c{number}", "__REALTIME_TIMESTAMP": str(at_us), "_PID": "7"}
    return json.dumps({**fields, "MESSAGE": text, "PRIORITY": "6"}).encode()


class Call:
    """A journal's stream that brings what it is told to."""

    def __init__(self, *items: Any) -> None:
        self.waiting: list[Any] = [READ, *items]
        self.is_over = self.is_closed = False
        self.looks = 0
        self.changed: Callable[[], None] = lambda: None

    def watch(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        changed()

    def brings(self, *items: Any) -> None:
        self.waiting += items
        self.changed()

    def ends(self) -> None:
        self.is_over = True
        self.changed()

    def items(self, timeout_s: float) -> Iterator[Any]:
        assert timeout_s == 0, "nobody waits in the thread of all"
        self.looks += 1
        while self.waiting:
            yield self.waiting.pop(0)
        if self.is_over:
            raise OutcomeUnknown("w1", "the connection ended")
        raise NoAnswer("w1", "nothing came")

    def close(self) -> None:
        self.is_closed = True


class Journals:
    """Gives the streams one after the other; stands for a host's acts, too."""

    def __init__(self, *calls: Call) -> None:
        self.calls = list(calls)
        self.positions: list[str] = []
        self.journal = self

    def follow(self, position: str, _most_bytes: int | None = None) -> Call:
        self.positions.append(position)
        return self.calls.pop(0)


def follower(
    journals: Journals, threads: FollowerThreads, deliver: Callable[[Delivery], None]
) -> Follower:
    connect: Any = lambda: journals  # noqa: E731
    how: dict[str, Any] = {"position": "since:60", "threads": threads, "maker": Assembler()}
    return Follower("w1", connect, deliver, **how)


class Watched(threading.Condition):
    """Tells how the thread of all waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self.is_waiting = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self.is_waiting.set()
        return super().wait(timeout)


def test_hundreds_of_quiet_hosts_have_one_thread_that_nothing_wakes() -> None:
    """It waits without a time limit: no look at a clock, none at a host that said nothing."""
    threads = FollowerThreads()
    watched = threads._changed = Watched()
    calls = [Call(row(1)) for _ in range(300)]
    delivered = threading.Semaphore(0)
    before = set(threading.enumerate())
    for call in calls:
        one = follower(Journals(call), threads, lambda _one: delivered.release())
        one.open()
    for _ in calls:
        assert delivered.acquire(timeout=30)
    watched.is_waiting.clear()
    calls[0].brings(row(2))
    assert delivered.acquire(timeout=30)
    assert watched.is_waiting.wait(30)
    (more,) = set(threading.enumerate()) - before
    assert set(watched.waits) == {None}
    looks = [call.looks for call in calls]
    assert sum(looks) == len(calls) + 1
    threads.close()
    more.join(30)
    assert not more.is_alive()


def test_only_the_beginning_of_a_trace_has_it_look_again() -> None:
    threads, got = AtOnce(), list[Delivery]()
    call = Call()
    one = follower(Journals(call), threads, got.append)
    one.open()
    call.brings(row(1))
    assert threads.due == []
    call.brings(row(2, "Traceback (most recent call last):"), row(3, '  File "a.py", line 1'))
    call.brings(row(4, '  File "b.py", line 2'))
    assert [seconds for seconds, _ in threads.due] == [IDLE_S], "once, however much comes"
    assert len(got) == 1
    one._came -= 60.0
    threads.due.pop()[1]()
    assert got[-1].lines[0].message.startswith("Traceback")
    assert threads.due == []


def test_a_host_that_says_much_leaves_the_others_their_turn() -> None:
    asked: list[Callable[[], None]] = []
    threads = AtOnce()
    threads.soon = asked.append  # type: ignore[assignment, method-assign]
    got: list[Delivery] = []
    call = Call(*(row(number) for number in range(2 * MOST_ITEMS)))
    follower(Journals(call), threads, got.append).open()
    turns = 0
    while asked:
        asked.pop()()
        turns += 1
    assert turns == 3
    assert [len(one.lines) for one in got] == [MOST_ITEMS - 1, MOST_ITEMS, 1]


def test_a_stream_that_ends_is_opened_again_after_a_pause_that_grows() -> None:
    threads, got = AtOnce(), list[Delivery]()
    first, second, third, last = Call(row(1)), Call(row(1)), Call(), Call()
    journals = Journals(first, second, third, last)
    one = follower(journals, threads, got.append)
    one.open()
    pauses = []
    for call in (first, second, third):
        call.ends()
        assert call.is_closed
        ((seconds, again),) = threads.due
        threads.due.clear()
        pauses.append(seconds / FIRST_PAUSE_S)
        again()
    assert journals.positions == ["since:60", "c1", "c1", "c1"]
    assert [0.7 <= one <= 1.3 for one in pauses[:2]] == [True, True], "an entry came each time"
    assert 1.4 <= pauses[2] <= 2.6
    one.stop()
    assert last.is_closed
    last.ends()
    assert threads.due == []


def test_an_error_nobody_expects_is_told_and_ends_the_follower() -> None:
    threads, got = AtOnce(), list[Delivery]()
    call = Call(7)
    follower(Journals(call), threads, got.append).open()
    assert [one.gap for one in got if "could not be read" in one.gap]
    assert threads.due == [] or all(work() is None for _, work in threads.due)
    assert call.is_closed
