"""A way to deploy: what every tool must be able to do to be measured."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host
from botdeploy.sources.render import service_directives
from tests.bench.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.field import Field


def _unit(name: str) -> str:
    """Write a unit by hand: what botdeploy renders, so that all start the same sandbox."""
    directives = {
        **service_directives(
            Host(name, Address(name, name), Bot(name, "/usr/bin/python3 main.py", source=""))
        ),
        "User": ("nobody",),
        "EnvironmentFile": (f"/opt/{name}/current/.env",),
        "ReadWritePaths": (f"/opt/{name}",),
    }
    lines = "".join(f"{key}={value}\n" for key, many in directives.items() for value in many)
    return f"[Unit]\nDescription={name}\n[Service]\n{lines}[Install]\nWantedBy=multi-user.target\n"


@dataclass(frozen=True, slots=True)
class Order:
    """A program to run and to measure."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] | None = None


class Way(ABC):
    """One tool's way to do the work that is compared.

    The work: send the tree, render an environment file, switch ``current`` atomically with
    ``previous`` remembered, restart, see READY in the journal and the new release running, keep
    five releases. And back.
    """

    name: ClassVar[str]
    bot: ClassVar[str]
    """The bot that it deploys; each way has its own on the same hosts."""

    def __init__(self, field: Field) -> None:
        """Take the field; ``prepare`` comes next."""
        self.field = field

    @staticmethod
    def why_not() -> str:
        """Say why this way can't be measured here; empty where it can."""
        return ""

    def prepare(self) -> None:
        """Write what the tool needs here, and prepare the hosts by hand: folders and a unit."""
        for host in self.field.hosts:
            host.root(
                f"mkdir -p /opt/{self.bot}/releases && chown -R deploy: /opt/{self.bot} && "
                f"cat >/etc/systemd/system/{self.bot}.service && systemctl daemon-reload && "
                f"systemctl enable -q {self.bot}",
                stdin=_unit(self.bot),
            )

    @abstractmethod
    def roll(self, release: str) -> Order:
        """Deploy what stands in the field's source, under this name."""

    @abstractmethod
    def back(self) -> Order:
        """Take every host back to the release before, all at once."""

    def between(self) -> None:  # noqa: B027 (most leave nothing behind)
        """Clean up after a run, unmeasured: the next one begins cold."""

    def check(self, version: int) -> None:
        """See on every host that this version runs; raises BenchError else."""
        for host in self.field.hosts:
            out = host.root(f"journalctl -q -u {self.bot} -o cat --grep '^READY' -n 1").stdout
            found = re.search(r"READY (\d+)", out)
            if found is None or int(found[1]) != version:
                raise BenchError(f"{self.name}: {host.name} runs {out.strip()!r}, not {version}")
