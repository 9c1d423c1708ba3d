"""Trying again to connect: how often, for how long, and with which pauses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botdeploy.hosts.ssh.ssh_errors import TryAgain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from botdeploy.hosts.ssh.link import SshLink

_TRIES = 5
#: Between tries, growing from the first, each with some chance in it.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 3.0


class Deadline:
    """When to stop trying; waiting for a free slot of a gateway does not count."""

    def __init__(self, timeout_s: float) -> None:
        self._ends_at = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Give how long there is to go, at least 0."""
        return max(0.0, self._ends_at - time.monotonic())

    def extend(self, seconds: float) -> None:
        """Move it into the future."""
        self._ends_at += seconds


def with_tries(
    attempt: Callable[[], SshLink], deadline: Deadline, stop: threading.Event
) -> SshLink:
    """Call ``attempt`` until it raises no TryAgain, at most five times.

    Ends early at the deadline or when ``stop`` is set. Raises the last failure's HostError.
    """
    started_at = time.monotonic()
    try:
        return attempt()
    except TryAgain as failure:
        first = [failure]
    import tenacity

    def attempt_again() -> SshLink:
        if first:
            raise first.pop()
        return attempt()

    tries = tenacity.Retrying(
        stop=lambda state: (
            state.attempt_number >= _TRIES or stop.is_set() or deadline.left_s() <= 0
        ),
        wait=tenacity.wait_exponential_jitter(
            multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S, jitter=FIRST_PAUSE_S
        ),
        retry=tenacity.retry_if_exception_type(TryAgain),
        sleep=tenacity.sleep_using_event(stop),
        reraise=True,
    )
    try:
        return tries(attempt_again)
    except TryAgain as failure:
        took_s = time.monotonic() - started_at
        count = tries.statistics.get("attempt_number", 1)
        tried = f" ({count} tries in {took_s:.0f} s)" if count > 1 else ""
        error = failure.error
        raise type(error)(error.host, f"{error.message}{tried}") from failure.__cause__
