"""What every command shares: folder, output, clock, and how an outcome becomes an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from botdeploy.core.events import Event, Kind
from botdeploy.core.mask import Mask
from botdeploy.engine.clock import Clock, SystemClock
from botdeploy.engine.outcome import Ended
from botdeploy.errors import BotdeployError, ExitCode, UserError
from botdeploy.views.jsonlines import JsonLines
from botdeploy.views.terminal import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botdeploy.core.events import Listener
    from botdeploy.core.model import Inventory
    from botdeploy.engine.canary import Tools
    from botdeploy.engine.fleet import Fleet

WIDE = 240
"""Columns where the output is no terminal: a table in a file or a mail is not folded."""


class Fault(Exception):
    """A bug, on its way to the one handler that writes a report of it."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        """Bring what hides the secrets that the command had read."""
        super().__init__("a fault in botdeploy itself")
        self.mask = mask


@dataclass
class Context:
    """Made once where the program starts, handed to every command."""

    inventory_dir: Path = Path("inventories")
    as_json: bool = False
    verbose: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=SystemClock)
    stop: threading.Event = field(default_factory=threading.Event)
    mask: Mask = field(default_factory=lambda: Mask(()))
    environment: str = ""

    def __post_init__(self) -> None:
        """Choose where people's text goes: away from machine output."""
        stream = sys.stderr if self.as_json else sys.stdout
        self.out = Console(
            file=stream,
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=True,
            width=None if stream.isatty() else WIDE,
        )
        self.json = JsonLines(sys.stdout, self._masked)

    def _masked(self, text: str) -> str:
        return self.mask(text)

    def load(self, environment: str) -> Inventory:
        """Load an inventory; raises UserError with file, line and key."""
        from botdeploy.inventory import load

        self.environment = environment
        inventory = load(environment, self.inventory_dir)
        self.environment = inventory.environment
        return inventory

    def load_known(self, environment: str | None) -> Inventory:
        """Load the named environment, or the only one that there is."""
        if environment is not None:
            return self.load(environment)
        from botdeploy.inventory import environments

        known = environments(self.inventory_dir)
        if len(known) == 1:
            return self.load(known[0])
        if not known:
            raise UserError(f"no inventory in {self.inventory_dir}; next: botdeploy init")
        raise UserError(f"which environment? {', '.join(known)} are known in {self.inventory_dir}")

    def chosen(self, inventory: Inventory, limit: str | None) -> tuple[str, ...]:
        """Name the hosts that ``--limit`` means, in inventory order."""
        if limit is None:
            return tuple(host.name for host in inventory.hosts)
        from botdeploy.inventory import select

        return select(inventory, limit)

    def say(self, text: str, style: str = "") -> None:
        """Print people's text."""
        self.out.print(self._masked(text), style=style or None)

    def ended(self, ended: Ended) -> int:
        """Tell how a command ended and give its exit code."""
        if self.as_json:
            event = Event(
                Kind.OUTCOME,
                self.clock.now(),
                self.environment,
                data={"code": int(ended.code), "summary": ended.summary},
            )
            self.json(event)
        elif ended.summary:
            good = ended.code is ExitCode.DONE
            self.say(ended.summary, "" if good else "bold")
        return int(ended.code)

    def failed(self, error: BotdeployError) -> int:
        """Tell an error that a person can mend, and give its exit code."""
        text = self._masked(str(error))
        sys.stderr.write(f"botdeploy: {text}\n")
        if self.as_json:
            self.ended(Ended(error.exit_code, text))
        return int(error.exit_code)

    @contextmanager
    def fleet(self, inventory: Inventory) -> Iterator[Fleet]:
        """Open a fleet and close all of it, whatever happens; SIGINT and SIGTERM end the run."""
        from botdeploy.engine.fleet import Fleet
        from botdeploy.hosts.connection import Connector

        fleet = Fleet(inventory, Connector(environ=self.environ), stop=self.stop)
        previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, self._interrupt)
        try:
            yield fleet
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            fleet.close()

    def _interrupt(self, _number: int, _frame: Any) -> None:
        if self.stop.is_set():
            os._exit(int(ExitCode.INTERRUPTED))
        self.stop.set()

    def tools(self, fleet: Fleet, emit: Listener) -> Tools:
        """Put together what a run needs."""
        from botdeploy.engine.canary import Tools
        from botdeploy.engine.lock import owner_name
        from botdeploy.engine.manifests import ManifestCache

        return Tools(
            fleet=fleet,
            clock=self.clock,
            emit=emit,
            manifests=ManifestCache(self.environ),
            owner=owner_name(self.environ),
            stop=self.stop,
        )

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Give what events are shown by: JSON lines, or a person's progress."""
        if self.as_json:
            yield self.json
            return
        with Progress(self.out, self._masked, verbose=self.verbose) as progress:
            yield progress
