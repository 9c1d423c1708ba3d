"""Threads of followers that are none: what may be done at once is, the rest when it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.hosts.follower_threads import FollowerThreads

if TYPE_CHECKING:
    from collections.abc import Callable


class AtOnce(FollowerThreads):
    """Does works in the caller's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.due: list[tuple[float, Callable[[], None]]] = []

    def soon(self, work: Callable[[], None]) -> None:
        work()

    def beside(self, work: Callable[[], None]) -> None:
        work()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        self.due.append((seconds, work))
