"""The proof that two copies never ran at once: reading ``lives.log``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from examples import lives

if TYPE_CHECKING:
    from pathlib import Path


def entry(event: str, mono_ns: int, release: str = "r1", boot: str = "b") -> str:
    """Make one line of ``lives.log``."""
    fields = {"event": event, "mono_ns": mono_ns, "release": release, "boot": boot}
    return json.dumps({**fields, "pid": 1, "version": "1"})


@pytest.mark.parametrize(
    ("log", "count", "overlaps"),
    [
        ([], 0, 0),
        ([entry("start", 1)], 1, 0),
        ([entry("start", 1), entry("end", 5), entry("start", 5, "r2")], 2, 0),
        ([entry("start", 1), entry("start", 9, "r2")], 2, 0),
        ([entry("start", 1), entry("end", 5), entry("start", 4, "r2")], 2, 1),
        ([entry("start", 9), entry("end", 95), entry("start", 4, "r2", "other")], 2, 0),
        ([entry("start", 1), entry("clash", 2, "r2"), entry("end", 5)], 1, 1),
    ],
    ids=["none", "one", "in order", "killed", "overlap", "reboot", "clash"],
)
def test_overlaps_are_found(log: list[str], count: int, overlaps: int) -> None:
    """A start before the end of the life before it, and a clash, are overlaps; a kill is not."""
    found, faults = lives.read(log)
    assert (len(found), len(faults)) == (count, overlaps)


def test_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a shell, an overlap is exit code 1 and is named."""
    log = tmp_path / "lives.log"
    log.write_text("\n".join([entry("start", 1), entry("end", 5_000_000)]) + "\n")
    assert lives.main([str(log)]) == 0
    with log.open("a") as file:
        file.write(entry("start", 2_000_000, "r2") + "\n")
    assert lives.main([str(log)]) == 1
    assert "r2 began 3.0 ms before r1 ended" in capsys.readouterr().out


def test_unknown_event_is_not_swallowed() -> None:
    """A line that is not understood raises, so that a proof never rests on it."""
    with pytest.raises(ValueError, match="unknown event"):
        lives.read([entry("pause", 1)])
