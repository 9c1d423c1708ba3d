"""A running program, here or on a host, and how its input and output move."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.hosts.process.program import Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: How much of one stream ``run`` keeps; a program that says more is stopped, because one
#: runaway host must not take the controller's memory.
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024

#: How much of a session's standard error is kept: the last part, where the reason stands.
ERROR_LIMIT_BYTES = 256 * 1024

#: The longest line that ``lines`` gives; longer ones come in pieces.
LINE_LIMIT_BYTES = 16 * 1024 * 1024

#: A program that ended may have left a child behind that holds its output open, which would
#: keep us waiting for ever. After this much silence its output counts as complete.
LINGER_S = 10.0

#: How much is handed to a program in one go.
_CHUNK_BYTES = 256 * 1024


class LineBuffer:
    """Bytes in whatever pieces they come, lines out; in time linear in the bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and give the lines that they complete, without newlines."""
        *lines, rest = data.split(b"\n")
        if lines and self._parts:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > LINE_LIMIT_BYTES:
                lines.extend(self.rest())
        return lines

    def rest(self) -> list[bytes]:
        """Give what came after the last newline as a last line, if anything did."""
        lines = [b"".join(self._parts)] if self._parts else []
        self._parts, self._size = [], 0
        return lines


class Tail:
    """The last bytes of a stream that may be endless."""

    def __init__(self, limit_bytes: int = ERROR_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._data = bytearray()
        self._lock = threading.Lock()

    def feed(self, data: bytes) -> None:
        """Keep these bytes, and of those before only as many as still fit."""
        with self._lock:
            self._data += data
            if len(self._data) > 2 * self._limit:
                del self._data[: -self._limit]

    def read(self) -> bytes:
        """Give what is kept."""
        with self._lock:
            return bytes(self._data[-self._limit :])


class Session(ABC):
    """A running program on a host: raw bytes, no terminal.

    A subclass moves bytes without ever waiting, and waits for a change when told to. One
    thread reads, one may write, any may close.
    """

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._ready: list[bytes] = []
        self._error = Tail()

    @property
    @abstractmethod
    def exit_status(self) -> int | None:
        """What the program ended with; None while it runs, or when nobody knows."""

    @property
    @abstractmethod
    def unknown_because(self) -> str:
        """Why ``exit_status`` is None after the end; empty while it runs or when it is known."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether nothing more can come and, where it can be known, the status is in."""

    @abstractmethod
    def mark(self) -> int:
        """Remember now, for ``wait``: read before looking whether there is something to do."""

    @abstractmethod
    def wait(self, mark: int, timeout_s: float | None, *, to_write: bool) -> None:
        """Wait for a change since the mark: output, an end, or (``to_write``) room for input."""

    @abstractmethod
    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called now, and whenever more may be there to take, or it is over.

        From any thread, so it must not wait.
        """

    @abstractmethod
    def take(self) -> tuple[bytes, bytes]:
        """Give what has arrived on standard output and standard error, without waiting."""

    @abstractmethod
    def write_some(self, data: memoryview) -> int:
        """Send what is taken at once; raise OSError when the program can take no more."""

    @abstractmethod
    def end_input(self) -> None:
        """Close the program's standard input; harmless when it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the program, from any thread; a reader wakes up and sees the end."""

    def write(self, data: bytes) -> None:
        """Send all of it to the program's input; raise OSError when it can take no more."""
        view = memoryview(data)
        while view:
            mark = self.mark()
            sent = self.write_some(view[:_CHUNK_BYTES])
            view = view[sent:]
            if not sent:
                self.wait(mark, None, to_write=True)

    def lines(self, timeout_s: float | None = None) -> Iterator[bytes]:
        """Give each line of standard output without its newline, until it ends.

        A last line without a newline counts when the program ended, not when it was cut off.
        Raises TimeoutError when nothing came for ``timeout_s``; another call then goes on
        where this one stopped.
        """
        ends_at = _after(timeout_s)
        while True:
            if self._ready:
                yield from self._give()
                ends_at = _after(timeout_s)
            mark = self.mark()
            stdout, stderr = self.take()
            self._error.feed(stderr)
            if stdout:
                self._ready = self._lines.feed(stdout)
                ends_at = _after(timeout_s)
            elif not stderr and self.is_over:
                rest = self._lines.rest()
                # What a cut connection leaves of a line is no line.
                self._ready = rest if self.exit_status is not None else []
                if not self._ready:
                    self.close()
                    return
            elif not stderr:
                wait_s = None if ends_at is None else ends_at - time.monotonic()
                if wait_s is not None and wait_s <= 0:
                    raise TimeoutError(f"nothing came for {timeout_s:.3g} s")
                self.wait(mark, wait_s, to_write=False)

    def _give(self) -> Iterator[bytes]:
        """Give the lines that are ready; a reader who stops early leaves the rest for later."""
        batch, self._ready = self._ready, []
        given = 0
        try:
            for line in batch:
                given += 1
                yield line
        finally:
            self._ready = batch[given:]

    def read_error(self) -> bytes:
        """Give what came on standard error so far (its last 256 KiB)."""
        return self._error.read()

    def run(self, stdin: bytes | Iterable[bytes], ends_at: float, timeout_s: float) -> Completed:
        """Feed the program its input and give its output, until it ends or time is up.

        ``ends_at`` is on the monotonic clock; ``timeout_s`` is only for the message.
        """
        return _Pump(self, stdin).run(ends_at, timeout_s)


def _after(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


class _Pump:
    """Moves a program's input and output at the same time, so that no side can stall."""

    def __init__(self, session: Session, stdin: bytes | Iterable[bytes]) -> None:
        self._session = session
        self._input = iter((stdin,) if isinstance(stdin, bytes) else stdin)
        self._pending: memoryview | None = memoryview(b"")
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        self._out_size = 0
        self._err_size = 0

    def run(self, ends_at: float, timeout_s: float) -> Completed:
        session = self._session
        silent_since, is_ended = time.monotonic(), False
        while True:
            mark = session.mark()
            moved = self._send()
            moved = self._receive() or moved
            now = time.monotonic()
            if moved:
                silent_since = now
            elif session.is_over:
                return self._completed(session.exit_status, session.unknown_because)
            if max(self._out_size, self._err_size) > OUTPUT_LIMIT_BYTES:
                return self._completed(None, f"it wrote more than {OUTPUT_LIMIT_BYTES >> 20} MiB")
            wait_s = ends_at - now
            if session.exit_status is not None:
                if not is_ended:  # before the last of its output, maybe, and after a long silence
                    silent_since, is_ended = now, True
                wait_s = min(wait_s, silent_since + LINGER_S - now)
                if wait_s <= 0:
                    return self._completed(session.exit_status, "")
            if wait_s <= 0:
                late = f"it did not end within {timeout_s:.3g} s"
                return replace(self._completed(None, late), is_late=True)
            if not moved:
                session.wait(mark, wait_s, to_write=self._pending is not None)

    def _send(self) -> bool:
        """Send some input if there is any left; True when something moved."""
        if self._pending is None:
            return False
        if not self._pending:
            chunk = next(self._input, None)
            if chunk is None:
                self._pending = None
                self._session.end_input()
                return True
            self._pending = memoryview(chunk)
        try:
            sent = self._session.write_some(self._pending[:_CHUNK_BYTES])
        except OSError:
            self._pending = None  # The program reads no more, as a pipe's reader may.
            return True
        self._pending = self._pending[sent:]
        return sent > 0 or not self._pending

    def _receive(self) -> bool:
        stdout, stderr = self._session.take()
        if stdout:
            self._out.append(stdout)
            self._out_size += len(stdout)
        if stderr:
            self._err.append(stderr)
            self._err_size += len(stderr)
        return bool(stdout or stderr)

    def _completed(self, exit_status: int | None, unknown_because: str) -> Completed:
        return Completed(exit_status, b"".join(self._out), b"".join(self._err), unknown_because)
