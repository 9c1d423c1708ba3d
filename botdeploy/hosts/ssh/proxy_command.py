"""A ProxyCommand: a local process that carries the connection to a host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING

from botdeploy.user_dirs import shell_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAST_LINE_BYTES = 4096


class ProxyProcess:
    """Runs a ProxyCommand and gives a socket to talk over.

    paramiko's own spins when the command ends, and leaves a zombie.
    """

    def __init__(self, command: str, environ: Mapping[str, str]) -> None:
        """Start the command with the user's shell; raise OSError when that is impossible."""
        self.command = command
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 # closed in close()
        try:
            self._process = subprocess.Popen(
                [shell_of(environ), "-c", f"exec {command}"],
                env=dict(environ),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()
        self.sock = ours

    def last_line(self) -> str:
        """Give the last line that the command wrote on standard error, for a message."""
        try:
            size = os.fstat(self._stderr.fileno()).st_size
            data = os.pread(
                self._stderr.fileno(), _LAST_LINE_BYTES, max(0, size - _LAST_LINE_BYTES)
            )
        except (OSError, ValueError):
            return ""
        lines = data.decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def close(self) -> None:
        """End the command and what it started; harmless to repeat."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.3)
        self._stderr.close()
