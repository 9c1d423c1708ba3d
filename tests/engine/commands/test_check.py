"""What check and report do on the controller itself; no host answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.programs

PROJECT = Path(__file__).parents[3]


def checked(folder: Path, *, hosts: str = "h", **bot: Any) -> tuple[int, list[dict[str, Any]]]:
    """Let check look at an inventory whose host is out of reach; gives what it says of here."""
    (folder / "v1").mkdir(exist_ok=True)
    (folder / "v1/bot.py").write_text("print('READY')\n")
    made = {"name": "tbot", "source": "v1", "command": "python3 bot.py", **bot}
    inventory = {
        "all": {
            "vars": {
                "bot": {key: value for key, value in made.items() if value is not None},
                "rollout": {"rings": [{"name": "canary", "hosts": "all", "soak": "1m"}]},
            },
            "hosts": {
                name: {"ansible_host": "127.0.0.1", "ansible_port": port, "kind": f"v{port}"}
                for port, name in enumerate(hosts, 1)
            },
        }
    }
    (folder / "prod.yml").write_text(yaml.safe_dump(inventory))
    done = subprocess.run(
        [sys.executable, "-m", "botdeploy", "--json", "check", "prod.yml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "HOME": str(folder)},
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)["controller"]


def test_a_release_that_can_be_made_is_told(tmp_path: Path) -> None:
    """Where its source is."""
    code, items = checked(tmp_path)
    assert (code, [(one["name"], one["ok"]) for one in items]) == (6, [("source", True)])


def test_each_source_is_told_with_its_hosts(tmp_path: Path) -> None:
    """Where hosts have several; one that is not there is told with its hosts."""
    _, (gone,) = checked(tmp_path, hosts="ab", source="{{ kind }}")
    assert gone["message"].startswith(f"b: {tmp_path}/v2: no such file")
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2/bot.py").write_text("print('READY 2')\n")
    _, items = checked(tmp_path, hosts="ab", source="{{ kind }}")
    assert [(one["message"], one["ok"]) for one in items] == [
        (f"folder {tmp_path}/v1: a", True),
        (f"folder {tmp_path}/v2: b", True),
    ]


def test_every_unset_secret_is_told(tmp_path: Path) -> None:
    """All at once, with their references and without values."""
    secrets = {"A": "env:NOT_SET_A", "B": "file:not-there", "C": "command:false", "D": "env:HOME"}
    _, items = checked(tmp_path, secrets=secrets)
    assert [one["ok"] for one in items] == [False] * 3
    told = " ".join(one["message"] for one in items)
    assert all(one in told for one in ("NOT_SET_A", "not-there", "command:false"))
    assert all(one["mend"] for one in items)


@pytest.mark.parametrize("source", ["not-there", "https://127.0.0.1:1/bot.git"])
def test_a_source_that_is_not_there_is_told(source: str, tmp_path: Path) -> None:
    """A folder or a repository, beside the secrets that are missing too."""
    _, items = checked(tmp_path, source=source, secrets={"A": "env:NOT_SET_A"})
    assert [(one["name"], one["ok"]) for one in items] == [("source", False), ("secret", False)]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_a_report_is_for_whom_the_umask_says(mask: int, mode: int, tmp_path: Path) -> None:
    """Whole or not at all, and nothing is left beside it."""
    place = tmp_path / "report.html"
    place.write_text("the one before")
    script = (
        f"import os, pathlib; os.umask({mask}); from botdeploy.cli.report import _write;"
        f" _write(pathlib.Path({str(place)!r}), 'new')"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)
    assert (place.read_text(), place.stat().st_mode & 0o777) == ("new", mode)
    assert list(tmp_path.iterdir()) == [place]
