"""What the demo claims is read from the hosts, and a claim that is not so ends it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from examples import demo
from tests.lab.shell import Result

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab


@dataclass
class FakeHost:
    """A host that answers each command that begins as a key does."""

    name: str
    answers: dict[str, str] = field(default_factory=dict)

    def root(self, command: str) -> Result:
        """Answer as the machine would."""
        text = next(text for begin, text in self.answers.items() if command.startswith(begin))
        return Result(0, text, "")


def host(name: str = "h1", *, lives: list[dict[str, Any]], lines: list[str] | None = None) -> Host:
    """Make a host whose bot left these records and lines."""
    log = "\n".join(json.dumps({"boot": "b", "pid": 1, **life}) for life in lives)
    fake = FakeHost(name, {"cat ": log, "journalctl ": "\n".join(lines or [])})
    return cast("Host", fake)


def start(version: str, at: int) -> dict[str, Any]:
    """Make the record of a start."""
    return {"event": "start", "mono_ns": at, "version": version, "release": f"r{version}"}


def end(version: str, at: int) -> dict[str, Any]:
    """Make the record of an end."""
    return {"event": "end", "mono_ns": at, "version": version, "release": f"r{version}"}


def test_versions_are_those_that_ever_ran() -> None:
    """Every start counts, in order, whatever became of it."""
    one = host(lives=[start("1", 1), end("1", 2), start("2", 3)])
    assert demo.versions_of(one) == ["1", "2"]


def test_running_is_the_release_of_the_living_process() -> None:
    """The last life tells what runs, where it has not ended."""
    lab = [
        host("h1", lives=[start("1", 1), end("1", 2), start("2", 3)]),
        host("h2", lives=[start("1", 1)]),
    ]
    assert demo.running(cast("Lab", lab)) == {"h1": "r2", "h2": "r1"}


def test_dead_bot_ends_the_demo() -> None:
    """A host on which no bot lives is not passed over."""
    lab = [host("h1", lives=[start("1", 1)]), host("h2", lives=[start("1", 1), end("1", 2)])]
    with pytest.raises(demo.Unexpected, match="no bot lives on h2"):
        demo.running(cast("Lab", lab))


def test_first_job_of_a_version_shows_whether_the_queue_lives_on() -> None:
    """It is the first job answered after that version started, plain lines passed over."""
    lines = [
        json.dumps({"ts": "t", "event": "started", "version": "1"}),
        json.dumps({"ts": "t", "event": "replied", "job": 1}),
        json.dumps({"ts": "t", "event": "started", "version": "2"}),
        "READY echobot 2",
        json.dumps({"ts": "t", "event": "replied", "job": 7}),
    ]
    assert demo.first_job_of(host(lives=[], lines=lines), "2") == 7


@pytest.mark.parametrize("is_so", [True, False])
def test_only_what_is_not_so_ends_the_demo(is_so: bool) -> None:  # noqa: FBT001
    """The demo ends with the sentence that says what is, where it was to be otherwise."""
    if is_so:
        demo.expect(is_so, "never told")
        return
    with pytest.raises(demo.Unexpected, match="what is"):
        demo.expect(is_so, "what is")


def test_two_copies_at_once_end_the_demo() -> None:
    """A clash in any host's record is told with the host's name."""
    lab = [host("h3", lives=[start("1", 1), {**start("2", 2), "event": "clash"}])]
    with pytest.raises(demo.Unexpected, match="h3: r2 began while another copy was alive"):
        demo.two_at_once(demo.Teller(), cast("Lab", lab))
