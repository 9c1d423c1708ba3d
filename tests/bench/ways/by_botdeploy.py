"""botdeploy's own way: ``canary`` without soaks, and ``rollback``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from tests.bench.field import PROJECT
from tests.bench.ways.way import Order, Way

if TYPE_CHECKING:
    from pathlib import Path

NOW = {"soak": "0s", "settle": "0s"}


class ByBotdeploy(Way):
    """Rings canary and fleet, one host after the other or each ring at once."""

    name = "botdeploy"
    bot = "bench-bot"
    rings: ClassVar[list[dict[str, Any]]] = []

    def prepare(self) -> None:
        """Write the inventory; the hosts are prepared by the first deploy itself."""
        if self.field.is_parallel:
            rings: list[dict[str, Any]] = [
                {"name": "fleet", "hosts": "all", "batch": "100%", **NOW}
            ]
        else:
            rings = [{"name": "canary", "hosts": 1, "batch": 1, **NOW}]
            if len(self.field.targets) > 1:
                rings.append({"name": "fleet", "hosts": "all", "batch": 1, **NOW})
        options = f"-o UserKnownHostsFile={self.field.known_hosts} -o IdentitiesOnly=yes"
        inventory = {
            "all": {
                "vars": {
                    "ansible_user": "deploy",
                    "ansible_ssh_private_key_file": str(self.field.key),
                    "ansible_ssh_common_args": options,
                    "bot": {
                        "name": self.bot,
                        "source": str(self.field.source),
                        "command": "/usr/bin/python3 main.py",
                        "env": {"LOG_LEVEL": "info"},
                        "ready": {"pattern": "^READY"},
                        "keep": 5,
                    },
                    "rollout": {"rings": rings, "lease": "30s"},
                },
                "hosts": {
                    one.name: {"ansible_host": one.address, "ansible_port": one.port}
                    for one in self.field.targets
                },
            }
        }
        place = self.field.folder / "inventories" / "bench.yml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(yaml.safe_dump(inventory, sort_keys=False))

    def roll(self, release: str) -> Order:
        """Run ``canary``; it names the release itself."""
        return self._order("canary", "bench", "--message", release)

    def back(self) -> Order:
        """Run ``rollback``."""
        return self._order("rollback", "bench", "--keep")

    def _order(self, *words: str) -> Order:
        argv = (sys.executable, "-m", "botdeploy", "--json", *words)
        env = {
            "HOME": str(self.field.folder),
            "PYTHONPATH": str(PROJECT),
            "XDG_CACHE_HOME": "",
            **compiled_in(self.field.folder),
        }
        return Order(argv, self.field.folder, env)


def compiled_in(folder: Path) -> dict[str, str]:
    """Have Python keep what it compiled, as for an installed program, whatever is set here."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def events(out: str, kind: str) -> list[dict[str, Any]]:
    """Give the events of one kind of a command's machine output."""
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [row for row in rows if row.get("event") == kind]
