"""This machine as a host (``ansible_connection: local``), by the same API as a remote one."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from botdeploy.errors import HostError, Unreachable
from botdeploy.hosts.process.pipes import Session
from botdeploy.hosts.process.program import HostConnection
from botdeploy.user_dirs import home_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botdeploy.hosts.process.program import ConnectionCounts

_READ_BYTES = 128 * 1024
_WRITE_BYTES = 64 * 1024

#: How long a program may take to end after SIGTERM before SIGKILL.
_GRACE_S = 0.3

#: How often to look whether a program ended where the system can't tell by a descriptor.
_LOOK_AGAIN_S = 0.2


class LocalSession(Session):
    """A running program on this machine, with all that it starts in one process group."""

    def __init__(
        self, command: str, counts: ConnectionCounts, environ: Mapping[str, str], home: str
    ) -> None:
        """Start it; raise OSError when the system has no room for one more process."""
        super().__init__()
        self._counts = counts
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home if os.path.isdir(home) else "/",  # noqa: PTH112
            env=dict(environ),
            bufsize=0,
            start_new_session=True,
        )
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._pipes = [pipe for pipe in pipes if pipe is not None]
        self._stdin, self._stdout, self._stderr = (pipe.fileno() for pipe in self._pipes)
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        self._open_outputs = {self._stdout, self._stderr}
        self._is_input_open = True
        self._waker, self._wake = os.pipe()
        self._pidfd = _pidfd(self._process.pid)
        self._state = threading.Condition()
        self._was_taken = threading.Event()
        self._using = 0
        self._is_closed = False
        self._was_cut_short = False

    @property
    def exit_status(self) -> int | None:
        """What a shell would say the program ended with; None while it runs or when killed here."""
        code = self._process.poll()
        if code is None or self._was_cut_short:
            return None
        return code if code >= 0 else 128 - code

    @property
    def unknown_because(self) -> str:
        """Why there is no exit status although the session ended."""
        return "botdeploy closed it" if self._was_cut_short else ""

    @property
    def is_over(self) -> bool:
        """Whether the output ended and the program too, or it was closed."""
        return self._is_closed or (not self._open_outputs and self._process.poll() is not None)

    def mark(self) -> int:
        """Give nothing of interest: descriptors stay ready until they are read."""
        return 0

    def wait(self, mark: int, timeout_s: float | None, *, to_write: bool) -> None:
        """Wait until a pipe is ready, the program ended, or it was closed."""
        del mark
        with self._descriptors() as is_open:
            if not is_open or (not self._open_outputs and self._process.returncode is not None):
                return  # it may have ended since its caller looked: then nothing would wake us
            poll = select.poll()
            poll.register(self._waker, select.POLLIN)
            for output in self._open_outputs:
                poll.register(output, select.POLLIN)
            if to_write and self._is_input_open:
                poll.register(self._stdin, select.POLLOUT)
            if self._process.returncode is None:
                if self._pidfd is not None:
                    poll.register(self._pidfd, select.POLLIN)
                else:
                    timeout_s = min(_LOOK_AGAIN_S, timeout_s or _LOOK_AGAIN_S)
            poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000)

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called by a thread: no connection's thread is there to do it."""

        def look() -> None:
            while not self.is_over:
                self._was_taken.clear()
                changed()
                self._was_taken.wait()
                self.wait(0, None, to_write=False)
            changed()

        threading.Thread(target=look, name="follow here", daemon=True).start()

    def take(self) -> tuple[bytes, bytes]:
        """Give what has arrived on standard output and standard error, without waiting."""
        self._was_taken.set()
        with self._descriptors() as is_open:
            if not is_open:
                return b"", b""
            stdout, stderr = self._read(self._stdout), self._read(self._stderr)
        if stdout or stderr:
            self._counts.add(received=len(stdout) + len(stderr))
        return stdout, stderr

    def _read(self, output: int) -> bytes:
        if output not in self._open_outputs:
            return b""
        try:
            data = os.read(output, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            self._open_outputs.discard(output)
        return data

    def write_some(self, data: memoryview) -> int:
        """Send what fits into the pipe; raise OSError when the program reads no more."""
        with self._descriptors() as is_open:
            if not is_open or not self._is_input_open:
                raise BrokenPipeError("the program's input is closed")
            try:
                sent = os.write(self._stdin, data[:_WRITE_BYTES])
            except BlockingIOError:
                return 0
        self._counts.add(sent=sent)
        return sent

    def end_input(self) -> None:
        """Close the program's standard input; harmless when it is closed."""
        with self._descriptors() as is_open:
            if is_open and self._is_input_open:
                self._is_input_open = False
                self._pipes[0].close()

    def close(self) -> None:
        """End the program and its group, from any thread; a reader wakes up and sees the end."""
        with self._state:
            if self._is_closed:
                return
            self._is_closed = True
            self._was_taken.set()
            self._was_cut_short = self._process.poll() is None
        os.close(self._wake)
        if self._was_cut_short:
            # What a program left behind when it ended by itself lives on, as it would on a
            # remote host.
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE_S)
        with self._state:
            self._state.wait_for(lambda: self._using == 0, 1.0)
        for pipe in self._pipes:
            pipe.close()
        os.close(self._waker)
        if self._pidfd is not None:
            os.close(self._pidfd)

    @contextlib.contextmanager
    def _descriptors(self) -> Iterator[bool]:
        """Use the descriptors; they are not closed (and reused for something else) meanwhile."""
        with self._state:
            is_open = not self._is_closed
            self._using += is_open
        try:
            yield is_open
        finally:
            with self._state:
                self._using -= is_open
                self._state.notify_all()


class LocalConnection(HostConnection):
    """This machine, by the same API as a host over SSH."""

    def __init__(self, host: str, environ: Mapping[str, str]) -> None:
        super().__init__(host)
        self._environ = environ
        self._home = str(home_of(environ) or "/")
        self._lock = threading.Lock()
        self._sessions: set[LocalSession] = set()
        self._is_closed = False

    @property
    def heard_s_ago(self) -> float:
        """Give 0: this machine is here."""
        return 0.0

    def ask(self) -> None:
        """Ask nothing."""

    @property
    def sessions_each(self) -> int | None:
        """Give None: nothing limits programs here."""
        return None

    @property
    def is_alive(self) -> bool:
        """Whether it was not closed."""
        return not self._is_closed

    def close(self) -> None:
        """End all that runs, from any thread."""
        self._is_closed = True
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def open(self, command: str, timeout_s: float) -> LocalSession:
        """Start a command; raise HostError when it was not started."""
        del timeout_s  # Nothing limits programs here, so nothing is waited for.
        if self._is_closed:
            raise Unreachable(self._host, "the connection is closed")
        try:
            session = LocalSession(command, self._counts, self._environ, self._home)
        except OSError as error:
            raise HostError(self._host, f"cannot start a process: {error.strerror}") from error
        self._counts.add(programs=1, sent=len(command.encode()))
        with self._lock:
            self._sessions = {one for one in self._sessions if not one.is_over} | {session}
        if self._is_closed:
            session.close()
        return session


def _pidfd(pid: int) -> int | None:
    """Give a descriptor that becomes readable when a process ends, where the system has such."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
