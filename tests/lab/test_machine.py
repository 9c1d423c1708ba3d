"""Where the lab can't run, and what its tests do then."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lab import machine
from tests.lab.lab import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.programs

TEST = """
import pytest
from tests.lab import machine

@pytest.fixture(autouse=True, scope="session")
def never(lab):
    raise AssertionError("must not be set up")

machine.why_not = lambda: "no lab today"

@pytest.mark.lab
def test_it():
    pass
"""


def outcome(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a test that needs the lab where there is none."""
    (folder / "test_it.py").write_text(TEST)
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.lab.plugin"]\n')
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = lab\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "--rootdir", str(folder), str(folder)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_lab_its_tests_are_skipped_with_the_reason(tmp_path: Path) -> None:
    """A test that needs the lab is skipped, says why, and sets nothing up."""
    done = outcome(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "no lab today" in done.stdout


def test_where_the_lab_is_required_its_lack_is_a_failure(tmp_path: Path) -> None:
    """With BOTDEPLOY_REQUIRE_LAB=1 the same test fails, and pytest with it."""
    done = outcome(tmp_path, BOTDEPLOY_REQUIRE_LAB="1")
    assert done.returncode == 1
    assert "BOTDEPLOY_REQUIRE_LAB=1, but no lab today" in done.stdout


def test_a_missing_program_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the packages to install, once each, and the script that does it."""
    monkeypatch.setattr(machine, "_os_release", lambda: {"ID": "debian"})
    monkeypatch.setattr("os.geteuid", lambda: 0)
    gone = {"ip", "bridge", "mmdebstrap"}
    monkeypatch.setattr("shutil.which", lambda tool: None if tool in gone else f"/usr/bin/{tool}")
    assert machine.why_not() == (
        "missing packages: iproute2 mmdebstrap (tests/lab/install.sh installs them)"
    )


def test_other_systems_and_other_users_are_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the system, or that root is needed; derivatives of Debian are welcome."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(machine, "_os_release", lambda: {"ID": "fedora"})
    assert "not on fedora" in (machine.why_not() or "")
    monkeypatch.setattr(machine, "_os_release", lambda: {"ID": "mint", "ID_LIKE": "ubuntu debian"})
    assert "needs root" in (machine.why_not() or "")
