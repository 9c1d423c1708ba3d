"""Whether what calls ``promote`` comes often enough for the lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from botdeploy import starter
from botdeploy.cli import schedules
from botdeploy.inventory import load

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.core.model import Inventory

TEXT = """
all:
  hosts: {w1: {}}
  vars:
    bot: {name: tbot, source: v1, command: ./tbot}
    rollout: {lease: LEASE}
"""


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no schedule of this machine speak."""
    monkeypatch.setattr(schedules, "CRON", tmp_path / "cron.d")
    monkeypatch.setattr(schedules, "TIMERS", tmp_path / "systemd")
    monkeypatch.setattr(schedules, "_crontab", lambda: "")


def inventory(folder: Path, lease: str) -> Inventory:
    """Load an inventory with this lease."""
    (folder / "inventories").mkdir(exist_ok=True)
    (folder / "v1").mkdir(exist_ok=True)
    (folder / "v1/tbot").touch()
    (folder / "inventories/prod.yml").write_text(TEXT.replace("LEASE", lease))
    return load("prod", folder / "inventories")


@pytest.mark.parametrize(
    ("lease", "count"),
    [
        ("{until: verdict, ttl: 4m}", 2),
        ("{until: verdict, ttl: 15m}", 0),
        ("90s", 0),
    ],
)
def test_a_schedule_slower_than_the_lease_is_told(tmp_path: Path, lease: str, count: int) -> None:
    """The starter's cron line and timer come every five minutes: too seldom for four."""
    for path, text in starter.files("prod", folder=str(tmp_path), program="/usr/bin/x").items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    told = schedules.too_seldom(inventory(tmp_path, lease), tmp_path)
    assert [one["every_s"] for one in told] == [300] * count
    assert all("4 min" in str(one["message"]) or "240 s" in str(one["message"]) for one in told)


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("0 * * * * deploy cd /srv && botdeploy promote prod", True),
        ("0 * * * * deploy cd /srv && botdeploy --json promote -v prod >>log", True),
        ("0 * * * * deploy cd /srv && botdeploy promote production", False),
        ("0 * * * * deploy cd /srv && botdeploy promote staging", False),
        ("0 * * * * deploy backup prod", False),
        ("*/2 * * * * deploy botdeploy promote prod", False),
    ],
)
def test_only_this_environments_steps_count(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    is_told: bool,  # noqa: FBT001
) -> None:
    """An installed line is found by its command; other environments and programs are not meant."""
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d/deploys").write_text(f"# steps\nMAILTO=root\n{line}\n")
    made = inventory(tmp_path, "{until: verdict, ttl: 15m}")
    assert bool(schedules.too_seldom(made, tmp_path)) is is_told
    (tmp_path / "cron.d/deploys").unlink()
    monkeypatch.setattr(schedules, "_crontab", lambda: line)
    assert bool(schedules.too_seldom(made, tmp_path)) is is_told
