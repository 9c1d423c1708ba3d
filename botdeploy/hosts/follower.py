"""A follower of a bot's journal: loses no line and reads none twice, whatever breaks."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.evidence.past_starts import past_starts
from botdeploy.errors import BotdeployError
from botdeploy.hosts.acts.faults import NoAnswer
from botdeploy.hosts.acts.journal import Entries
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdeploy.core.evidence.past_starts import PastStarts
    from botdeploy.core.lines.line import LogLine
    from botdeploy.hosts.acts.acts import Acts
    from botdeploy.hosts.acts.call import OpenCall
    from botdeploy.hosts.acts.records import Record
    from botdeploy.hosts.follower_threads import FollowerThreads
    from botdeploy.hosts.journal_reader import LineMaker

IDLE_S = 0.25
"""How often a traceback that waits for its next line is looked at."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 8.0
"""Between two tries to read on."""
MOST_ITEMS = 2000
"""Entries taken of one host before it is another one's turn."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one host's journal brought, or that it could not be read for a while."""

    host: str
    lines: Sequence[LogLine] = ()
    gap: str = ""
    """Why lines may be missing between this delivery and the one before."""
    starts: PastStarts | None = None
    """What the bot said after its last starts, before what is delivered otherwise."""


class Follower:
    """Reads one host's journal until it is stopped, in a thread that many followers share.

    It resumes at the last entry it has: the host gives that entry again, and where it does not,
    the journal was rotated away meanwhile, or too much was written, and a gap is told. What stands
    there is bounded (``JournalActs.entries``) and comes newest first: it is kept until it is whole.
    """

    def __init__(
        self,
        host: str,
        connect: Callable[[], Acts],
        deliver: Callable[[Delivery], None],
        *,
        position: str,
        threads: FollowerThreads,
        maker: LineMaker,
        ahead_us: int = 0,
        most_bytes: int | None = None,
    ) -> None:
        """Prepare to read; nothing happens before ``start``.

        ``connect`` gives the host's acts over a live connection; ``position`` is ``since:SECONDS``
        or the cursor of the entry that was read last; ``threads`` do the work, ``deliver`` is
        called by them; ``maker`` turns entries into lines; ``ahead_us`` is how far the host's clock
        is ahead of ours; ``most_bytes`` bounds what is read of what stands there.
        """
        self.host = host
        self._connect = connect
        self._deliver = deliver
        self._position = position
        cursor = "" if position.startswith("since:") else position
        self._reader = JournalReader(maker, ahead_us=ahead_us, cursor=cursor)
        self._starts = JournalReader(maker, ahead_us=ahead_us)
        self._most_bytes = most_bytes
        self._cut_us: int | None = None
        self._threads = threads
        self._opening = threading.Lock()
        self._is_stopped = False
        self._call: OpenCall | None = None
        self._pause_s = FIRST_PAUSE_S
        self._stood: list[bytes] | None = []
        """What stood there, newest first, until it is whole; then None."""
        self._said: list[bytes] = []
        """What the last starts said."""
        self._has_come = False
        """Whether this stream brought an entry."""
        self._lines: list[LogLine] = []
        """Not delivered yet."""
        self._is_look_due = False
        self._came = time.monotonic()
        self._caught_up = threading.Event()

    @property
    def has_caught_up(self) -> bool:
        """Tell whether what stood in the journal at the start has been delivered."""
        return self._caught_up.is_set()

    @property
    def cut_us(self) -> int | None:
        """The time of the oldest entry read, where older were left out: microseconds, our clock.

        None where everything was read that was asked for at the start.
        """
        return self._cut_us

    def start(self) -> None:
        """Begin to read."""
        self._threads.beside(self.open)

    def stop(self) -> None:
        """Stop reading soon; waits for nothing."""
        with self._opening:
            self._is_stopped = True
            call = self._call
        if call is not None:
            call.close()

    # --- the stream -------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to read where the last stream ended, over a connection that may have to be made."""
        if self._is_stopped:
            return
        self._reader.resume()
        self._stood, self._said, self._has_come = [], [], False
        try:
            journal = self._connect().journal
            call = journal.follow(self._reader.cursor or self._position, self._most_bytes)
        except (BotdeployError, OSError):
            self._open_later()
            return
        except Exception as error:  # noqa: BLE001 (a thread has nobody above it to tell)
            self._give_up(error)
            return
        with self._opening:
            self._call = call
            is_stopped = self._is_stopped
        if is_stopped:
            call.close()
        else:
            call.watch(self._look_soon)

    def _look_soon(self) -> None:
        self._threads.soon(self.look)

    def look(self) -> None:
        """Take what has come, without waiting for more."""
        call = self._call
        if call is None or self._is_stopped:
            return
        try:
            has_more = self._take_some(call)
        except NoAnswer:
            self._lines += self._reader.flush(self._now_us())
            self._look_later()
        except (BotdeployError, OSError):
            self._end(call)
        except Exception as error:  # noqa: BLE001 (as above)
            self._end(call)
            self._give_up(error)
        else:
            if has_more:
                self._look_soon()
            else:
                self._end(call)
        self._hand_over()

    def _look_later(self) -> None:
        """Look again in a while where the beginning of something waits for what does not come."""
        if self._reader.has_waiting and not self._is_look_due:
            self._is_look_due = True
            self._threads.later(IDLE_S, self._look_when_due)

    def _look_when_due(self) -> None:
        self._is_look_due = False
        self.look()

    def _end(self, call: OpenCall) -> None:
        """Let go of a stream that has ended, and read on over another one in a while."""
        call.close()
        self._call = None
        if self._has_come:
            self._pause_s = FIRST_PAUSE_S
        self._open_later()

    def _open_later(self) -> None:
        pause_s = self._pause_s * random.uniform(0.7, 1.3)  # noqa: S311 (jitter)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._threads.later(pause_s, self._open_beside)

    def _open_beside(self) -> None:
        self._threads.beside(self.open)

    def _give_up(self, error: Exception) -> None:
        self._is_stopped = True
        self._deliver(Delivery(self.host, gap=f"the journal could not be read: {error!r}"))

    def _take_some(self, call: OpenCall) -> bool:
        """Take items in; True when there may be more. Raises as ``OpenCall.items`` does."""
        for taken, item in enumerate(call.items(0.0), start=1):
            self._take_item(item)
            if taken == MOST_ITEMS:
                return True
        return False

    def _take_item(self, item: Record | bytes) -> None:
        if isinstance(item, dict):
            if self._stood is not None and "starts" in item:
                self._said, self._stood = self._stood, []
            elif self._stood is not None and "read" in item:
                stood, self._stood = self._stood, None
                self._take_stood(Entries.of(stood, item), self._said)
        elif item.startswith(b"{"):
            self._has_come = True
            if self._stood is None:
                self._take(item)
            else:
                self._stood.append(item)

    def _take_stood(self, entries: Entries, starts: list[bytes]) -> None:
        is_first = not self._caught_up.is_set()
        said = self._starts.read(Entries(starts)).lines if is_first else ()
        for row in entries.rows:
            self._take(row)
        if is_first:
            self._lines += self._reader.flush()
        self._hand_over()
        if is_first and entries.is_cut:
            self._cut_us = self._reader.first_us or int(time.time() * 1e6)
        if said:
            self._deliver(Delivery(self.host, starts=past_starts(said, self._begin_us())))
        self._caught_up.set()

    def _begin_us(self) -> int:
        """Give since when all is read that was asked for: microseconds, our clock."""
        if self._cut_us is not None or not self._position.startswith("since:"):
            return self._cut_us or self._reader.first_us
        since_us = int(time.time() * 1e6) - int(self._position.split(":")[1]) * 1_000_000
        return min(since_us, self._reader.first_us or since_us)

    def _take(self, row: bytes) -> None:
        reader = self._reader
        missed, unreadable, last_us = reader.missed, reader.unreadable, reader.last_us
        lines = reader.feed(row)
        if reader.unreadable > unreadable:
            self._tell_gap("a journal entry could not be read")
        if reader.missed > missed:
            self._tell_gap("the journal was rotated away, or too long, while nobody read it")
        if reader.last_us != last_us:
            self._came = time.monotonic()
        self._lines += lines

    def _tell_gap(self, why: str) -> None:
        self._hand_over()
        self._deliver(Delivery(self.host, gap=why))

    def _now_us(self) -> int:
        """Give the time: the last entry's, and what has passed here since it came."""
        return self._reader.last_us + int((time.monotonic() - self._came) * 1e6)

    def _hand_over(self) -> None:
        if self._lines:
            self._deliver(Delivery(self.host, tuple(self._lines)))
            self._lines = []
