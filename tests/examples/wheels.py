"""Packages for bots on hosts that have no way to an index: fetched once, by pip, as wheels."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PLACE = Path(sys.prefix) / "wheels"


def wheelhouse(*requirements: str) -> Path:
    """Give a folder with the wheels of requirements and of all that they need.

    They are for the Python of the lab's hosts (Debian 12: 3.11). Raises CalledProcessError where
    pip cannot fetch them.
    """
    place = PLACE / "-".join(requirements).replace("=", "-")
    if not place.is_dir():
        aside = place.with_suffix(".part")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(aside)]
        only = ["--only-binary=:all:", "--python-version=3.11"]
        subprocess.run([*pip, *only, *requirements], check=True)
        aside.rename(place)
    return place


def unpacked(requirement: str, place: Path) -> None:
    """Unpack the wheels of a requirement, and of all that it needs, into a folder."""
    for wheel in wheelhouse(requirement).glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(place)
