"""Fabric as its documentation shows it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.ways.way import Order, Way

SCRIPT = Path(__file__).with_name("naive_fabric.py")


class ByFabric(Way):
    """One ``run`` a step, one connection a host."""

    name = "naive Fabric"
    bot = "fabric"

    def roll(self, release: str) -> Order:
        """Run the script."""
        return self._order("roll", release)

    def back(self) -> Order:
        """Run the script, on all hosts at once."""
        return self._order("back", "-")

    def _order(self, act: str, release: str) -> Order:
        mode = "parallel" if self.field.is_parallel or act == "back" else "serial"
        places = [f"deploy@{one.address}:{one.port}" for one in self.field.targets]
        argv = [SCRIPT, act, self.bot, release, self.field.source, self.field.key, mode, *places]
        return Order((sys.executable, *map(str, argv)))
