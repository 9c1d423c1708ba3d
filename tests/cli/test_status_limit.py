"""``status --limit``: fewer hosts are shown, and the rollout is told as it is."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy import __main__ as program
from botdeploy.core.model.policy import Policy, Ring, Share
from botdeploy.engine.fleet.observe import observe
from botdeploy.errors import ExitCode
from tests.engine.commands.test_canary import release
from tests.engine.fakefleet import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INVENTORY = """\
all:
  vars:
    bot: {name: tbot, source: ../bot, command: run}
    rollout:
      rings: [{name: canary, hosts: 1, soak: 2h}, {name: fleet, hosts: all}]
  hosts: {h1: {}, h2: {}, h3: {}, h4: {}}
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give a rollout whose first ring soaks, and the project that it is of."""
    rings = (Ring("canary", Share(count=1), soak=timedelta(hours=2)), Ring("fleet", "all"))
    made = Stage(policy=Policy(rings))
    assert release(made).code is ExitCode.DONE
    made.clock.advance(600)
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/prod.yml").write_text(INVENTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    fleet = made.controller()

    def look(_fleet: object, names: Iterable[str]) -> object:
        return observe(fleet, names)  # type: ignore[arg-type]

    monkeypatch.setattr("botdeploy.cli.status.observe", look)
    monkeypatch.setattr("botdeploy.cli.context.SystemClock.now", lambda _clock: made.clock.now())
    return made


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    """Give what ``status --json`` prints."""
    assert program.run(["--json", "status", "prod", *words]) == code
    record = json.loads(capsys.readouterr().out)
    assert isinstance(record, dict)
    return record


def test_a_limit_makes_no_other_host_unreachable(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rollout soaks as without it; that it shows one host only says nothing of the others."""
    assert stage
    rollout = told(capsys)["rollout"]
    assert (rollout["state"], rollout["next"]) == ("soaking", "botdeploy promote prod")
    for name in ("h1", "h4"):
        found = told(capsys, "--limit", name)
        assert found["rollout"] == rollout
        assert [host["host"] for host in found["hosts"]] == [name]


def test_who_else_is_away_or_held_is_not_told_with_a_limit(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is about the hosts that are shown, and so is what stands below them."""
    stage.hosts["h3"].is_cut = True
    stage.hosts["h4"].gate("hold", "ann", "wait")
    told(capsys, code=6)
    told(capsys, "--limit", "h1")
    told(capsys, "--limit", "h3", code=6)
    assert program.run(["status", "prod", "--limit", "h1"]) == 0
    printed = capsys.readouterr().out
    assert "held by" not in printed
    assert "h3: h3: it does not answer" in printed.splitlines()[1]  # why the rollout can't go on
    assert "h3" not in "".join(printed.splitlines()[2:])
    assert program.run(["status", "prod", "--limit", "h4"]) == 0
    assert "held by" in capsys.readouterr().out
