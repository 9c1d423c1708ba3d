"""The cgroups of one lab host: one in every mounted hierarchy.

Without machined, hosts that are started from one shell would share its cgroup, their systemds
would manage each other's processes, and units would fail at random.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import machine
from tests.lab.shell import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAVES = ("firmware", "machine", "visits")
PREFIX = "botdeploy-lab-"


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups named ``name``, one in each hierarchy of this machine."""

    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the groups are, whether or not they exist."""
        return tuple(top / f"{PREFIX}{self.name}" for top in machine.hierarchies())

    def make(self) -> None:
        """Make the groups and their leaves. Repeatable."""
        for top, path in zip(machine.hierarchies(), self.paths, strict=True):
            _make(path, like=top)
            for leaf in LEAVES:
                _make(path / leaf, like=top)

    def booted(self) -> list[int]:
        """Answer the processes of the machine and its nspawn, oldest first as a rule.

        Asked is one hierarchy: what has booted is in all of them.
        """
        return sorted(self._pids(self.paths[:1], "machine"))

    def pids(self, leaf: str = "") -> set[int]:
        """Answer the processes in the groups, or in one leaf of them, at any depth."""
        return self._pids(self.paths, leaf)

    def _pids(self, paths: Iterable[Path], leaf: str) -> set[int]:
        found: set[int] = set()
        for path in paths:
            # A group may go while it is read; `walk` passes over what is gone.
            for folder, _, _ in os.walk(path / leaf):
                with contextlib.suppress(OSError):
                    found.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
        return found

    def kill(self, seconds: float = 10) -> None:
        """Kill everything in the groups, and answer when nothing is left.

        Raises `LabError` when something survives for so long (it then waits for a disk).
        """
        deadline = time.monotonic() + seconds
        while pids := self.pids():
            for path in self.paths:
                # cgroup v2 kills a whole tree at once, children being forked included.
                with contextlib.suppress(OSError):
                    (path / "cgroup.kill").write_text("1")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: processes survive SIGKILL: {sorted(pids)}")
            time.sleep(0.01)

    def remove(self) -> None:
        """Remove the groups, which must be empty of processes. Repeatable."""
        for path in self.paths:
            for folder, _, _ in os.walk(path, topdown=False):
                _rmdir(Path(folder))


def _make(path: Path, *, like: Path) -> None:
    path.mkdir(exist_ok=True)
    # A cpuset without cpus takes no process; its parent's are the ones to have.
    for name in ("cpuset.cpus", "cpuset.mems"):
        mine, parents = path / name, like / name
        if mine.exists() and parents.exists() and not mine.read_text().strip():
            mine.write_text(parents.read_text())
    # On a machine with cgroup v2 alone, controllers are handed down level by level.
    if path.parent == like and (path / "cgroup.subtree_control").exists():
        for controller in (path / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (path / "cgroup.subtree_control").write_text(f"+{controller}")


def _rmdir(path: Path) -> None:
    # The kernel lets go of a dead process a moment after its parent has seen it die.
    for _ in range(200):
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.01)
        else:
            return
    raise LabError(f"{path} stays busy")
