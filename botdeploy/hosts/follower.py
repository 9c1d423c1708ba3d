"""A follower of a bot's journal: loses no line and reads none twice, whatever breaks."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.evidence.past_starts import past_starts
from botdeploy.errors import BotdeployError, OutcomeUnknown
from botdeploy.hosts.acts.faults import NoAnswer
from botdeploy.hosts.acts.journal import Entries
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botdeploy.core.evidence.past_starts import PastStarts
    from botdeploy.core.lines.line import LogLine
    from botdeploy.hosts.acts.acts import Acts
    from botdeploy.hosts.acts.call import OpenCall
    from botdeploy.hosts.journal_reader import LineMaker

IDLE_S = 0.25
"""How often a traceback that waits for its next line is looked at."""
LONGEST_PAUSE_S = 8.0


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
    """Reads one host's journal in a thread of its own until it is stopped.

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
        maker: LineMaker,
        ahead_us: int = 0,
        most_bytes: int | None = None,
    ) -> None:
        """Prepare to read; nothing happens before ``start``.

        ``connect`` gives the host's acts over a live connection; ``position`` is ``since:SECONDS``
        or the cursor of the entry that was read last; ``maker`` turns entries into lines;
        ``ahead_us`` is how far the host's clock is ahead of ours; ``most_bytes`` bounds what is
        read of what stands there.
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
        self._stopped = threading.Event()
        self._call: OpenCall | None = None
        self._came = time.monotonic()
        self._caught_up = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"follow {host}", daemon=True)

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
        self._thread.start()

    def stop(self) -> None:
        """Stop reading soon; does not wait for the thread."""
        self._stopped.set()
        call = self._call
        if call is not None:
            call.close()

    def _follow(self) -> None:
        pause = 0.2
        while not self._stopped.is_set():
            try:
                if self._read():
                    pause = 0.2
            except (BotdeployError, OSError):
                pass
            except Exception as error:  # noqa: BLE001 (a thread has nobody above it to tell)
                self._deliver(Delivery(self.host, gap=f"the journal could not be read: {error!r}"))
                return
            if self._stopped.is_set():
                return
            self._stopped.wait(pause * random.uniform(0.7, 1.3))  # noqa: S311 (jitter)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _read(self) -> bool:
        """Read until the stream ends; tells whether any entry came."""
        self._reader.resume()
        journal = self._connect().journal
        with journal.follow(self._reader.cursor or self._position, self._most_bytes) as call:
            self._call = call
            return not self._stopped.is_set() and self._take_all(call)

    def _take_all(self, call: OpenCall) -> bool:
        came = False
        stood: list[bytes] | None = []
        """What stood there, newest first, until it is whole; then None."""
        starts: list[bytes] = []
        while True:
            try:
                for item in call.items(IDLE_S):
                    if isinstance(item, dict):
                        if stood is not None and "starts" in item:
                            starts, stood = stood, []
                        elif stood is not None and "read" in item:
                            self._take_stood(Entries.of(stood, item), starts)
                            stood = None
                    elif item.startswith(b"{"):
                        came = True
                        if stood is None:
                            self._take(item)
                        else:
                            stood.append(item)
            except NoAnswer:
                self._hand_over(self._reader.flush(self._now_us()))
            except OutcomeUnknown:
                return came  # the stream ended
            else:
                return came

    def _take_stood(self, entries: Entries, starts: list[bytes]) -> None:
        is_first = not self._caught_up.is_set()
        said = self._starts.read(Entries(starts)).lines if is_first else ()
        for row in entries.rows:
            self._take(row)
        self._hand_over(self._reader.flush() if is_first else ())
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
            self._deliver(Delivery(self.host, gap="a journal entry could not be read"))
        if reader.missed > missed:
            why = "the journal was rotated away, or too long, while nobody read it"
            self._deliver(Delivery(self.host, gap=why))
        if reader.last_us != last_us:
            self._came = time.monotonic()
        self._hand_over(lines)

    def _now_us(self) -> int:
        """Give the time: the last entry's, and what has passed here since it came."""
        return self._reader.last_us + int((time.monotonic() - self._came) * 1e6)

    def _hand_over(self, lines: Sequence[LogLine]) -> None:
        if lines:
            self._deliver(Delivery(self.host, tuple(lines)))
