"""Each line belongs to the release that wrote it."""

from __future__ import annotations

from botdeploy.core.evidence.attribution import Attribution
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord


def said(at_us: int, run: str | None, kind: SystemKind | None = None) -> LogLine:
    record = SystemRecord(kind) if kind else None
    return LogLine(at_us, LineKind.LOG, None, "text", invocation=run, system=record)


def test_a_known_run_names_its_release() -> None:
    """What the host has on record of a run decides, whenever its lines come."""
    attribution = Attribution({"old": "r1", "new": "r2"}, [(100, "r2")])
    assert attribution.release_of(said(50, "old")) == "r1"
    assert attribution.release_of(said(150, "old")) == "r1"
    assert attribution.release_of(said(150, "new")) == "r2"


def test_a_run_that_begins_after_a_switch_is_of_the_new_release() -> None:
    """PID 1's first record of a new run decides its release once and for all."""
    attribution = Attribution({"old": "r1"}, [(100, "r2")], first="r1")
    assert attribution.release_of(said(120, "new", SystemKind.STARTING)) == "r2"
    assert attribution.release_of(said(250, "new")) == "r2"
    assert attribution.runs["new"] == "r2"


def test_lines_without_a_run_go_by_their_time() -> None:
    """A line that bears no id belongs to what was current when it came."""
    attribution = Attribution({}, [(100, "r2")], first="r1")
    assert attribution.release_of(said(99, None)) == "r1"
    assert attribution.release_of(said(100, None)) == "r2"


def test_what_nobody_knows_is_said_so() -> None:
    """Without any record, a line has no release."""
    attribution = Attribution()
    assert attribution.release_of(said(5, None)) is None
    assert attribution.release_of(said(5, "x", SystemKind.STARTED)) is None
