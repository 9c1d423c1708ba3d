"""The way the lab runs programs on this machine."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


HANG_S = 300.0
"""What has not ended by then hangs. Tests at once share the cores; no such bound is a measure."""


def looks(seconds: float = HANG_S) -> Iterator[None]:
    """Yield for each look at something that is waited for, until the seconds are over.

    A look costs processor time, which tests beside this one need: it gets a third of the time.
    """
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        yield
        now = time.monotonic()
        if now > end:
            return
        time.sleep(min(2.0, max(0.05, 2 * (now - began))))


class LabError(Exception):
    """The lab could not do what it was asked; the text says what and what to try next."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a program answered: its exit status and what it wrote.

    ``returncode`` is negative for a signal, and 255 where ssh itself failed.
    """

    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether the program ended with 0."""
        return self.returncode == 0


class CommandError(LabError):
    """A program ended with something else than 0; ``result`` is what it answered."""

    def __init__(self, what: str, result: Result) -> None:
        self.result = result
        output = (result.stderr.strip() or result.stdout.strip())[-2000:]
        super().__init__(f"{what}: exit {result.returncode}: {output}")


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    timeout: float | None = 60,
    stdin: str | bytes | None = None,
    what: str = "",
) -> Result:
    """Run a program to its end, and answer what it wrote.

    Bytes that are not UTF-8 are replaced. ``timeout`` is in seconds; when it passes, the program
    is killed and ``subprocess.TimeoutExpired`` rises. With ``check``, an exit status other than 0
    raises `CommandError`. Without ``stdin`` the program reads nothing.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    # No standard input at all would be the caller's own, which a host must never read.
    done = subprocess.run(
        argv, capture_output=True, check=False, timeout=timeout, input=data or b""
    )
    result = Result(
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )
    if check and not result.ok:
        raise CommandError(what or " ".join(argv), result)
    return result
