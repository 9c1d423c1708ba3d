"""What ``promote`` prints when cron calls it again and again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botdeploy.cli.context import Context
from botdeploy.cli.promote import is_news
from botdeploy.core.events import Event, Kind
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode
from tests.cli.test_schedules import inventory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SAID = "ring beta needs an approval"
WAITS = f"{SAID}; next: botdeploy approve prod"


def step(folder: Path, ended: Ended, **options: object) -> int:
    """End a step as ``promote`` does, as a program of its own would."""
    context = Context(environ={"HOME": str(folder)}, **options)  # type: ignore[arg-type]
    made = inventory(folder, "90s")
    return context.ended(ended, is_news=is_news(context, made, ended))


def test_what_waits_for_a_person_is_printed_once_a_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code is 5 each time; a mail comes once, and again when something else waits."""
    for _ in range(3):
        assert step(tmp_path, Ended(ExitCode.HELD, WAITS)) == 5
    assert capsys.readouterr().out.count(SAID) == 1
    step(tmp_path, Ended(ExitCode.HELD, "held by ann since 2026-11-25T01:02:03Z"))
    assert "held by ann" in capsys.readouterr().out
    step(tmp_path, Ended(ExitCode.DONE, ""))
    step(tmp_path, Ended(ExitCode.HELD, WAITS))
    assert capsys.readouterr().out.count(SAID) == 1


def test_figures_that_grow_are_no_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An inconclusive verdict whose counts went on says the same."""
    step(tmp_path, Ended(ExitCode.HELD, "inconclusive: 12 lines in 3.5 min; nothing was promoted"))
    step(tmp_path, Ended(ExitCode.HELD, "inconclusive: 48 lines in 8.5 min; nothing was promoted"))
    assert capsys.readouterr().out.count("inconclusive") == 1


def test_who_asks_for_more_gets_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With -v every step tells, and a failure is told each time."""
    for _ in range(2):
        step(tmp_path, Ended(ExitCode.HELD, WAITS), verbose=True)
        step(tmp_path, Ended(ExitCode.UNREACHABLE, "h1 cannot be reached"))
    printed = capsys.readouterr().out
    assert printed.count(SAID) == 2
    assert printed.count("h1 cannot") == 2


def test_arguments_of_ssh_that_mean_nothing_are_told_to_who_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With -v each argument that is passed over is named once, with its hosts."""
    (tmp_path / "prod.yml").write_text(
        "all:\n  vars:\n    bot: {name: b, source: ., command: x}\n"
        "    ansible_ssh_common_args: -o IPQoS=throughput\n  hosts: {w1: {}, w2: {}}\n"
    )
    for verbose in (False, True):
        Context(inventory_dir=tmp_path, verbose=verbose).load("prod")
    assert capsys.readouterr().out == (
        "w1 and 1 more: ssh's -o ipqos=throughput has no effect in botdeploy and is ignored\n"
    )


def test_a_step_that_nobody_watches_says_what_waits_in_its_summary_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The event would come with every step; cron would mail it every five minutes."""
    waiting = Event(Kind.WAITING, datetime.now(UTC), "prod", data={"why": WAITS, "until": None})
    for verbose in (False, True):
        context = Context(environ={"HOME": str(tmp_path)}, verbose=verbose)
        with context.listening(is_step=True) as listener:
            listener(waiting)
        assert (SAID in capsys.readouterr().out) is verbose
    with Context(environ={"HOME": str(tmp_path)}).listening() as listener:
        listener(waiting)
    assert SAID in capsys.readouterr().out
