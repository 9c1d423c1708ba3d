"""The labs of this machine: which there are, whose they are, and which network each has."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab import machine
from tests.lab.network import Network
from tests.lab.shell import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(os.environ.get("BOTDEPLOY_LAB_ROOT", "/var/lib/botdeploy-lab"))
"""Where the records and the hosts' own files stand, for all users of this machine."""
DEFAULT_NAME = "lab"
DEFAULT_NUMBER = 0
"""The network of the lab named `DEFAULT_NAME`: inventories/lab.yml counts on it."""
MAX_HOSTS = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that a lab lives no longer than."""

    pid: int
    started: int

    @classmethod
    def me(cls) -> Owner:
        """Answer the calling process."""
        return cls(os.getpid(), machine.start_time(os.getpid()) or 0)

    def is_alive(self) -> bool:
        """Whether this very process still runs; another one with its pid does not count."""
        return machine.start_time(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Record:
    """What is written down of a lab.

    ``folder`` is where its key, known_hosts and inventory stand; ``base`` the tree its hosts read
    from; ``owner`` is `None` for a lab that stays until somebody takes it down; ``disk_mb`` is the
    size of each host's own disk in MiB, 0 where they write to this machine's.
    """

    name: str
    number: int
    hosts: int
    folder: Path
    base: Path
    user: str
    boot: str
    owner: Owner | None = None
    disk_mb: int = 0

    @property
    def network(self) -> Network:
        """The network that is this lab's."""
        return Network(self.number)

    @property
    def state(self) -> Path:
        """The folder of the lab's files that are not for people."""
        return ROOT / self.name

    def stale(self) -> str | None:
        """Say why nobody can be using this lab any more, or `None`."""
        if self.boot != machine.boot_id():
            return "the machine was rebooted"
        if self.owner is not None and not self.owner.is_alive():
            return f"its owner (process {self.owner.pid}) is dead"
        return None

    def to_json(self) -> str:
        """Render the record as it is stored."""
        return json.dumps(asdict(self), default=str, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record as it is stored, by this version of the lab or by another."""
        stored: dict[str, Any] = json.loads(text)
        data = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        data["folder"], data["base"] = Path(data["folder"]), Path(data["base"])
        data["owner"] = Owner(**data["owner"]) if data.get("owner") else None
        return cls(**data)


def claim(
    name: str, hosts: int, folder: Path, base: Path, *, disk_mb: int = 0, owner: Owner | None = None
) -> Record:
    """Write down a new lab with a free network, and answer its record.

    The default name has a fixed network, other names get the first free one. Raises `LabError`
    when the name is taken or no network is free; the text says by whom.
    """
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is no name for a lab: a-z, 0-9 and -, at most 20 characters")
    if not 1 <= hosts <= MAX_HOSTS:
        raise LabError(f"a lab has 1 to {MAX_HOSTS} hosts, not {hosts}")
    with _lock():
        labs = records()
        if taken := next((record for record in labs if record.name == name), None):
            raise LabError(
                f"there is a lab {name!r} already, of {taken.user} in {taken.folder}"
                f"{f' ({reason})' if (reason := taken.stale()) else ''};"
                f" take it down: python -m tests.lab down --name {name}"
            )
        number = _free_number(name, {record.number for record in labs})
        user = os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"
        record = Record(name, number, hosts, folder, base, user, machine.boot_id(), owner, disk_mb)
        record.state.mkdir(parents=True)
        # Renamed into place: whoever lists the labs meanwhile reads all of it or nothing.
        aside = record.state / "lab.json.new"
        aside.write_text(record.to_json())
        aside.rename(record.state / "lab.json")
        return record


def forget(record: Record) -> None:
    """Remove all that is written of a lab whose hosts are gone. Repeatable."""
    with _lock():
        shutil.rmtree(record.state, ignore_errors=True)


def records() -> list[Record]:
    """Answer all labs of this machine, by name. Changes nothing."""
    found = []
    for path in sorted(ROOT.glob("*/lab.json")):
        # One that goes just now, or that another version wrote, is no reason to fail for all.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.append(Record.from_json(path.read_text()))
    return found


def find(name: str) -> Record:
    """Answer the record of a lab, or raise `LabError` when there is none of that name."""
    for record in records():
        if record.name == name:
            return record
    raise LabError(f"there is no lab {name!r}; start it: python -m tests.lab up --name {name}")


def _free_number(name: str, taken: set[int]) -> int:
    if name == DEFAULT_NAME:
        if not Network(DEFAULT_NUMBER).is_free():
            raise LabError(
                f"{Network(DEFAULT_NUMBER).cidr}, the network of the lab {name!r}, is in use on"
                " this machine (see: ip route); use another --name"
            )
        return DEFAULT_NUMBER
    for number in range(1, 255):
        if number not in taken and Network(number).is_free():
            return number
    raise LabError("no network is free for another lab; see: python -m tests.lab list")


@contextmanager
def _lock() -> Iterator[None]:
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
