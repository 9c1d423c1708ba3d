"""What was told last is remembered where there is a place for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.views.notices.repeat_filter import AGAIN_AFTER, RepeatFilter

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)


def told(folder: Path, environment: str = "prod") -> RepeatFilter:
    return RepeatFilter({"XDG_CACHE_HOME": str(folder)}, environment, f"/x/{environment}.yml")


def test_what_was_told_is_known_to_the_next_process(tmp_path: Path) -> None:
    """It is known for a day, and only in its environment."""
    told(tmp_path).remember("gate", NOW)
    assert told(tmp_path).is_known("gate", NOW + timedelta(hours=1))
    assert not told(tmp_path).is_known("failed", NOW)
    assert not told(tmp_path, "test").is_known("gate", NOW)
    assert not told(tmp_path).is_known("gate", NOW + AGAIN_AFTER)


def test_a_clock_that_went_back_tells_again(tmp_path: Path) -> None:
    """Something told in the future is not trusted."""
    told(tmp_path).remember("gate", NOW)
    assert not told(tmp_path).is_known("gate", NOW - timedelta(hours=1))


def test_what_is_over_is_forgotten(tmp_path: Path) -> None:
    """After all was well the same trouble is news."""
    one = told(tmp_path)
    one.remember("gate", NOW)
    one.forget()
    one.forget()
    assert not one.is_known("gate", NOW)


def test_without_a_place_nothing_is_remembered_and_nothing_fails(tmp_path: Path) -> None:
    """Cron without HOME, a folder that can't be written, and a damaged file are all fine."""
    nowhere = RepeatFilter({}, "prod", "prod.yml")
    assert not nowhere.can_remember
    nowhere.remember("gate", NOW)
    nowhere.forget()
    assert not nowhere.is_known("gate", NOW)
    (tmp_path / "file").write_text("")
    blocked = told(tmp_path / "file")
    blocked.remember("gate", NOW)
    assert not blocked.is_known("gate", NOW)
    one = told(tmp_path)
    one.remember("gate", NOW)
    next((tmp_path / "botdeploy" / "told").iterdir()).write_text("{")
    assert not one.is_known("gate", NOW)
