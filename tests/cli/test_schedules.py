"""Whether what calls ``promote`` comes often enough for the lease."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from botdeploy import starter
from botdeploy.cli import schedules
from botdeploy.inventory import load

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.core.model.inventory import Inventory

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
    return load("prod", folder / "inventories", os.environ)


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


def starter_at(folder: Path, user: str) -> None:
    """Write what ``init`` writes."""
    made = starter.files("prod", folder=str(folder), program="/usr/bin/x", user=user)
    for path, text in made.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def test_a_schedule_of_a_user_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Cron passes its line over, and systemd starts nothing, without a word to anybody."""
    starter_at(tmp_path, "no-such-user")
    told = schedules.without_user(inventory(tmp_path, "90s"), tmp_path)
    assert [str(one["where"]).rpartition("/")[2] for one in told] == [
        "prod.cron",
        "botdeploy-prod.service",
    ]
    assert all("no-such-user" in str(one["message"]) for one in told)
    assert all(schedules.user_name() in str(one["mend"]) for one in told)


def test_a_starter_names_who_runs_it(tmp_path: Path) -> None:
    """The user of this machine, not the one who logs in on hosts."""
    starter_at(tmp_path, schedules.user_name())
    assert schedules.without_user(inventory(tmp_path, "90s"), tmp_path) == []
    cron = (tmp_path / "schedule/prod.cron").read_text()
    assert f"*/5 * * * *  {schedules.user_name()}  cd" in cron
    assert (
        f"User={schedules.user_name()}"
        in (tmp_path / "schedule/botdeploy-prod.service").read_text()
    )


def test_schedules_of_others_are_none_of_ours(tmp_path: Path) -> None:
    """Other lines and other environments may name whom they like."""
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d/x").write_text("* * * * * nobody-at-all /usr/bin/backup\n")
    (tmp_path / "cron.d/y").write_text("* * * * * nobody-at-all botdeploy promote other\n")
    assert schedules.without_user(inventory(tmp_path, "90s"), tmp_path) == []
    (tmp_path / "cron.d/z").write_text("@hourly nobody-at-all botdeploy promote prod\n")
    (found,) = schedules.without_user(inventory(tmp_path, "90s"), tmp_path)
    assert found["user"] == "nobody-at-all"
