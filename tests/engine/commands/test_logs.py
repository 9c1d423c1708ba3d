"""Each line of ``logs`` is marked with the release that wrote it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from botdeploy.core.host.host_state import HostState
from botdeploy.core.host.running import Unit
from botdeploy.core.text.secret_mask import Mask
from botdeploy.engine.commands.logs import AsWritten, Writers, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECOND = 1_000_000


def marks(state: HostState, lines: list[tuple[int, str]]) -> list[str]:
    """Give the mark of each line: (seconds, run)."""
    reader, writers = AsWritten(Mask()), Writers(state)
    found = []
    for at, run in lines:
        entry = {
            "__REALTIME_TIMESTAMP": str(at * SECOND),
            "MESSAGE": "x",
            "_SYSTEMD_INVOCATION_ID": run,
        }
        found += [writers.release_of(line) for line in reader.feed(entry)]
    return found


STATE = HostState(
    current="R1",
    unit=Unit("active", release="R1", invocation="c" * 32),
    switches=((100 * SECOND, "R1"), (200 * SECOND, "R2"), (230 * SECOND, "R1")),
)
"""A first release, a failed second one, and the return."""


def test_lines_of_releases_that_are_gone_have_their_mark() -> None:
    """Not only those of the process that runs."""
    lines = [(50, "0"), (120, "a"), (190, "a"), (205, "b"), (229, "b"), (231, "c" * 32)]
    assert marks(STATE, lines) == ["", "R1", "R1", "R2", "R2", "R1"]


def test_a_last_word_after_the_switch_is_the_old_process_s() -> None:
    """The old process says goodbye while the new release is being switched to."""
    assert marks(STATE, [(199, "a"), (201, "a"), (202, "b"), (231, "b")]) == [
        "R1",
        "R1",
        "R2",
        "R2",
    ]


def test_where_nobody_knows_there_is_no_mark() -> None:
    """A host of an older version wrote nothing down; what runs is known."""
    state = HostState(current="R1", unit=STATE.unit)
    assert marks(state, [(10, "a"), (20, "c" * 32)])[1] == "R1"


class Followed:
    """An environment that delivers one thing as soon as it is followed."""

    def __init__(self, name: str) -> None:
        """Name it."""
        self.name, self.is_followed = name, False

    def followers(self, deliver: Callable[[Any], None], _threads: object) -> list[Followed]:
        """Give what follows its hosts."""
        self.deliver = deliver
        return [self]

    def start(self) -> None:
        """Deliver."""
        self.is_followed = True
        self.deliver("a line")

    def stop(self) -> None:
        """Follow no more."""
        self.is_followed = False

    def marked(self, delivery: str) -> Iterator[str]:
        """Say whose it is."""
        yield f"{delivery} of {self.name}"


def test_all_environments_are_followed_at_once() -> None:
    """And each line is marked by its own; at the end nothing is followed any more."""
    both, stop = [Followed("dev"), Followed("prod")], threading.Event()
    lines = follow(both, stop)  # type: ignore[arg-type]
    assert {str(next(lines)), str(next(lines))} == {"a line of dev", "a line of prod"}
    assert all(one.is_followed for one in both)
    stop.set()
    assert list(lines) == []
    assert not any(one.is_followed for one in both)
