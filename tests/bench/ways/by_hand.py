"""The floor: OpenSSH with a ControlMaster, rsync, and one compound command a host."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.bench.ways.way import Order, Way

if TYPE_CHECKING:
    from tests.bench.field import Field

FLOOR = Path(__file__).with_name("floor.sh")
TUNED = ("KexAlgorithms curve25519-sha256", "Ciphers aes128-gcm@openssh.com")


class ByHand(Way):
    """ssh as it comes."""

    name = "floor"
    bot = "floor"
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self._config = field.folder / f"ssh_config.{self.bot}"

    def prepare(self) -> None:
        """Write ssh's configuration too. Its sockets' names must be short."""
        super().prepare()
        sockets = self.field.folder / "s"
        sockets.mkdir(exist_ok=True)
        master = ("ControlMaster auto", f"ControlPath {sockets}/{self.bot[-5:]}%C")
        self._config.write_text(self.field.ssh_config(*master, "ControlPersist 60", *self.options))

    def roll(self, release: str) -> Order:
        """Run the script."""
        return self._order("roll", release)

    def back(self) -> Order:
        """Run the script, on all hosts at once."""
        return self._order("back", "-")

    def _order(self, act: str, release: str) -> Order:
        mode = "parallel" if self.field.is_parallel or act == "back" else "serial"
        names = [one.name for one in self.field.targets]
        argv = [FLOOR, act, self.bot, release, self.field.source, self._config, mode, *names]
        return Order(("bash", *map(str, argv)))

    def between(self) -> None:
        """End the masters."""
        for one in self.field.targets:
            argv = ["ssh", "-F", str(self._config), "-O", "exit", one.name]
            subprocess.run(argv, capture_output=True, check=False)


class ByHandTuned(ByHand):
    """ssh told to use what costs least."""

    name = "floor, tuned ssh"
    bot = "floor-tuned"
    options = TUNED
