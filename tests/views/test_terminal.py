"""What a person reads while a rollout runs."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from botdeploy.core.events import Event, Kind
from botdeploy.views.terminal import Progress

AT = datetime(2026, 11, 22, 21, 5, 7, tzinfo=UTC)
NEW, OLD = "20261122T210459Z-1111bbbb", "20261101T000000Z-0000aaaa"
SEEN = {"lines": 40, "errors": 2, "restarts": 1, "new_fingerprints": ["KeyError bot.py:pay"]}
EVENTS: dict[Kind, tuple[dict[str, Any], list[str]]] = {
    Kind.ROLLOUT_STARTED: (
        {"rings": [{"name": "canary", "hosts": ["w1"]}, {"name": "fleet", "hosts": ["w2", "w3"]}]},
        [NEW, "canary (1)", "fleet (2)"],
    ),
    Kind.STAGED: (
        {
            "bytes_sent": 1_240_000,
            "seconds": 0.414,
            "values_changed": {"env": ["LEVEL", "MODE"], "secrets": ["TOKEN"]},
        },
        ["1.2 MB", "0.41 s", "the same files, values changed: env LEVEL, MODE, secrets TOKEN"],
    ),
    Kind.SWITCHED: (
        {"downtime_s": 0.3, "unseen": "its port was not looked at"},
        ["canary", "0.30 s", "its port was not looked at"],
    ),
    Kind.EVIDENCE: (SEEN, ["40 lines", "2 errors", "1 restarts", "KeyError bot.py:pay"]),
    Kind.VERDICT: (
        {"outcome": "fail", "reasons": ["9 errors\nin 2 minutes", "a new error"]},
        ["canary", "fail", "9 errors in 2 minutes", "a new error"],
    ),
    Kind.PROMOTED: ({"hosts": ["w1", "w2"]}, ["canary", "w1, w2"]),
    Kind.REVERTED: ({"to": OLD, "seconds": 1.5, "by": "host"}, [OLD, "1.50 s", "host"]),
    Kind.HOST_FAILED: ({"error": "the disk is full"}, ["the disk is full"]),
    Kind.WAITING: ({"why": "an approval is needed", "until": "noon"}, ["an approval", "noon"]),
    Kind.OUTCOME: ({"code": 0, "summary": "all is well"}, []),
}
"""Of each kind of event: what it holds, and what of it a person has to find in the line."""


def event(kind: Kind, host: str | None = "w1", **data: Any) -> Event:
    """Give an event as a rollout tells it."""
    return Event(kind, AT, "prod", "r1", NEW, "canary", host, data or EVENTS[kind][0])


class Screen:
    """A console that keeps what is printed on it; a terminal, or a file that nobody watches."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        self._file = io.StringIO()
        self.console = Console(
            file=self._file, force_terminal=is_terminal, width=200, color_system=None, markup=False
        )

    @property
    def lines(self) -> list[str]:
        """What was printed, without what moves the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._file.getvalue()).splitlines()


@pytest.mark.parametrize("kind", Kind)
def test_each_event_is_one_line_with_its_figures(kind: Kind) -> None:
    """Time, host and all that it tells; the end is told by the command itself."""
    screen = Screen()
    Progress(screen.console, verbose=True)(event(kind))
    wanted = EVENTS[kind][1]
    assert len(screen.lines) == bool(wanted)
    for line in screen.lines:
        assert re.match(rf"{AT.astimezone():%H:%M:%S}  w1 +\S", line)
        assert [part for part in wanted if part not in line] == []


def test_machines_are_counted_where_hosts_share_them() -> None:
    """Else nothing is said of them."""
    rings = EVENTS[Kind.ROLLOUT_STARTED][0]["rings"]
    screen = Screen()
    for machines in ({"m1:22": ["w1", "w2", "w3"]}, {name: [name] for name in ("w1", "w2", "w3")}):
        begun = event(Kind.ROLLOUT_STARTED, None, rings=rings, machines=machines)
        Progress(screen.console, verbose=False)(begun)
    assert screen.lines[0].endswith("canary (1) → fleet (2): 3 hosts on 1 machine")
    assert screen.lines[1].endswith("canary (1) → fleet (2)")


def test_counts_of_lines_are_printed_only_when_asked() -> None:
    """They come every few seconds: in a mail of cron's nobody wants them."""
    screen = Screen()
    Progress(screen.console, verbose=False)(event(Kind.EVIDENCE))
    assert screen.lines == []


@pytest.mark.parametrize(
    ("verbose", "is_step", "is_told"),
    [(False, True, False), (True, True, True), (False, False, True)],
)
def test_a_step_that_nobody_watches_does_not_print_what_waits(
    *, verbose: bool, is_step: bool, is_told: bool
) -> None:
    """Somebody who watches, or asks for more, gets it."""
    screen = Screen()
    Progress(screen.console, verbose=verbose, is_step=is_step)(event(Kind.WAITING))
    assert bool(screen.lines) is is_told


def test_a_first_release_that_goes_back_leaves_nothing_running() -> None:
    """No release is named that nobody returned to."""
    screen = Screen()
    Progress(screen.console, verbose=False)(event(Kind.REVERTED, to="", seconds=1.0, by="host"))
    assert "None" not in screen.lines[0]
    assert "no previous release" in screen.lines[0]


def test_what_is_to_be_hidden_is_hidden() -> None:
    """Everything that is told goes through the mask; markup in it is text."""
    screen = Screen()
    progress = Progress(screen.console, lambda text: text.replace("hunter2", "***"), verbose=False)
    progress(event(Kind.HOST_FAILED, error="[bold]token hunter2[/bold]"))
    assert "[bold]token ***[/bold]" in screen.lines[0]


def test_a_terminal_shows_below_what_soaks() -> None:
    """Ring, time and what was seen of each switched host; what went back is gone from it."""
    screen = Screen(is_terminal=True)
    with Progress(screen.console, verbose=False) as progress:
        progress(event(Kind.ROLLOUT_STARTED, host=None))
        progress(event(Kind.SWITCHED))
        progress(event(Kind.EVIDENCE))
        drawn = "\n".join(redrawn(progress, screen))
        assert re.search(r"w1 +canary +\w+ 0 s +40 lines, 2 errors", drawn)
        assert "3 hosts" in drawn
        progress(event(Kind.REVERTED))
        assert "40 lines" not in "\n".join(redrawn(progress, screen))


def redrawn(progress: Progress, screen: Screen) -> list[str]:
    """Draw the table anew, which else happens four times a second; gives the lines of it."""
    assert progress._live is not None
    before = len(screen.lines)
    progress._live.refresh()
    return screen.lines[before:]
