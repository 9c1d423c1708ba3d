"""A journal is read once, by our clock, and what was not read is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from botdeploy.core.lines.assembler import Assembler
from botdeploy.hosts.acts.journal import Entries
from botdeploy.hosts.follower import Delivery, Follower
from botdeploy.hosts.journal_reader import JournalReader
from tests.hosts.at_once import AtOnce

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000
T0 = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND


def row(number: int, text: str | None = None, **fields: str) -> bytes:
    entry: dict[str, Any] = {
        "__CURSOR": f"c{number}",
        "__REALTIME_TIMESTAMP": str(T0 + HOUR + number * SECOND),
        "MESSAGE": f"line {number}" if text is None else text,
        "_PID": "7",
        "PRIORITY": "6",
        **fields,
    }
    return json.dumps(entry).encode()


def rows(*numbers: int) -> list[bytes]:
    return [row(number) for number in numbers]


def test_times_are_by_our_clock() -> None:
    reader = JournalReader(Assembler(), ahead_us=HOUR)
    read = reader.read(Entries(rows(1, 2)))
    assert [line.at_us for line in read.lines] == [T0 + SECOND, T0 + 2 * SECOND]
    assert (read.first_us, reader.first_us, reader.last_us) == (
        T0 + SECOND,
        T0 + SECOND,
        T0 + 2 * SECOND,
    )


def test_what_waits_for_more_is_given_by_our_clock_as_well() -> None:
    """An error may be the begin of a trace: half a second later by our clock it is not."""
    reader = JournalReader(Assembler(), ahead_us=HOUR)
    assert reader.feed(row(1, "ERROR boom")) == []
    assert reader.flush(T0 + SECOND) == []
    (line,) = reader.flush(T0 + 4 * SECOND)
    assert (line.message, line.at_us) == ("ERROR boom", T0 + SECOND)


def test_a_trace_that_is_under_way_stays_with_the_assembler() -> None:
    assembler = Assembler()
    last = row(2, "Traceback (most recent call last):")
    reader = JournalReader(assembler)
    read = reader.read(Entries([row(1), last]), now_us=T0 + HOUR + 2 * SECOND)
    assert [line.message for line in read.lines] == ["line 1"]
    assert len(assembler.flush()) == 1


def test_the_entry_that_was_read_last_is_not_read_again() -> None:
    first = JournalReader(Assembler())
    first.read(Entries(rows(1, 2)))
    assert first.cursor == "c2"
    read = JournalReader(Assembler(), cursor=first.cursor).read(Entries(rows(2, 3)))
    assert [line.message for line in read.lines] == ["line 3"]
    assert read.goes_on


def test_an_entry_that_is_not_there_any_more_is_missed() -> None:
    reader = JournalReader(Assembler(), cursor="c2")
    read = reader.read(Entries(rows(5, 6)))
    assert [line.message for line in read.lines] == ["line 5", "line 6"]
    assert (read.goes_on, reader.missed) == (False, 1)
    reader.resume()
    reader.feed(row(6))
    assert reader.feed(row(7))
    assert reader.missed == 1
    assert not JournalReader(Assembler(), cursor="c2").read(Entries([])).goes_on


def test_what_was_not_read_is_said_once() -> None:
    whole = JournalReader(Assembler()).read(Entries(rows(1, 2)))
    assert whole.unread() == ""
    cut = JournalReader(Assembler(), ahead_us=HOUR).read(Entries(rows(1, 2), is_cut=True))
    assert cut.unread() == ("only the last 2 journal entries could be read (from 08:00:01 UTC on)")
    damaged = JournalReader(Assembler()).read(Entries([b"{nothing", *rows(1)]))
    assert damaged.unread() == "1 journal entry could not be read"
    nothing = JournalReader(Assembler()).read(Entries([], is_cut=True))
    assert nothing.unread() == "only the last 0 journal entries could be read"


class Stream:
    """A journal's stream: what stands, newest first, then what comes."""

    def __init__(self, stood: list[bytes], came: list[bytes]) -> None:
        self.all: list[Any] = [*stood[::-1], {"read": {"cut": False}}, *came]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def items(self, _timeout_s: float) -> Any:
        while self.all:
            yield self.all.pop(0)

    def watch(self, changed: Callable[[], None]) -> None:
        changed()

    def close(self) -> None:
        """End."""


class Streams:
    """One stream for each connection."""

    def __init__(self, *streams: Stream) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.journal = self

    def follow(self, position: str, _most_bytes: int | None = None) -> Stream:
        self.asked.append(position)
        return self.streams.pop(0)


def followed(acts: Streams, position: str, times: int) -> list[Delivery]:
    got: list[Delivery] = []
    follower = Follower(
        "w1",
        lambda: acts,  # type: ignore[arg-type,return-value]
        got.append,
        position=position,
        threads=AtOnce(),
        maker=Assembler(),
        ahead_us=HOUR,
    )
    for _ in range(times):
        follower.open()
    return got


def test_a_stream_that_breaks_goes_on_where_it_was() -> None:
    acts = Streams(Stream(rows(1, 2), rows(2, 3)), Stream(rows(3, 4), rows(4, 5)))
    got = followed(acts, "since:60", 2)
    assert acts.asked == ["since:60", "c3"]
    assert [line.message for one in got for line in one.lines] == [f"line {n}" for n in range(1, 6)]
    assert next(line.at_us for one in got for line in one.lines) == T0 + SECOND
    assert not [one.gap for one in got if one.gap]


def test_what_was_counted_before_is_not_followed_again() -> None:
    """Whoever goes on from another reader's cursor has counted that entry, or it is gone."""
    got = followed(Streams(Stream(rows(3, 4), rows(4))), "c3", 1)
    assert [line.message for one in got for line in one.lines] == ["line 4"]
    (gap, *_) = followed(Streams(Stream(rows(7), rows(7))), "c3", 1)
    assert "rotated away" in gap.gap


def started(number: int) -> bytes:
    return row(
        number, "Started bot.service.", MESSAGE_ID="39f53479d3a045ac8e11786248231fbf", _PID="1"
    )


def test_what_the_last_starts_said_is_told_apart() -> None:
    """Oldest first, before the rest; what is among the rest as well is told there alone."""
    days = 400 * 86400
    stream = Stream(rows(1, 2), rows(2, 3))
    stream.all[:0] = [started(-days), row(3 - days), started(1), row(2), {"starts": 2}]
    got = followed(Streams(stream), "since:60", 1)
    (said,) = [one.starts for one in got if one.starts is not None]
    assert [line.message for line in said.lines] == ["Started bot.service.", f"line {3 - days}"]
    ((end_us, begin_us),) = said.unread
    assert end_us == T0 + (60 - days) * SECOND
    assert begin_us <= T0 + SECOND
    assert [line.message for one in got for line in one.lines] == [f"line {n}" for n in range(1, 4)]
