"""What every command shares: folder, output, clock, and how an outcome becomes an exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.events import Event, Kind
from botdeploy.core.text.printable import visible
from botdeploy.core.text.secret_mask import Mask
from botdeploy.engine.fleet.clock import Clock, SystemClock
from botdeploy.engine.outcome import Ended
from botdeploy.errors import BotdeployError, ExitCode, UserError
from botdeploy.views.command_lines import with_commands_apart
from botdeploy.views.jsonlines import JsonLines
from botdeploy.views.local_time import with_local_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from botdeploy.core.events import Listener
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.views.notices.notices import Notices

_FIGURES = re.compile(r"[\d.:T+-]*\d[\d.:T+-]*")
"""Numbers and times: what changes in a sentence that says the same."""
_REFERENCE = re.compile(r"(env|file|command):(?!//)")
MOST_NAMED = 10
"""Hosts that a sentence names."""
_PLACEHOLDER = re.compile(r"(botdeploy [a-z]+ )ENV\b")
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
    mask: Mask = field(default_factory=Mask)
    environment: str = ""
    notices: Notices | None = None
    _fleet: Fleet | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Choose where machine output goes."""
        self.json = JsonLines(sys.stdout, self._masked)

    @cached_property
    def out(self) -> Console:
        """Where people's text goes: away from machine output, which does without Rich."""
        from rich.console import Console

        stream = sys.stderr if self.as_json else sys.stdout
        return Console(
            file=stream,
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=True,
            width=None if stream.isatty() else WIDE,
        )

    def _masked(self, text: str) -> str:
        """Hide secrets, and put the environment where a message could not know it."""
        masked = self.mask(text)
        if not self.environment:
            return masked
        return _PLACEHOLDER.sub(lambda found: f"{found[1]}{self.environment}", masked)

    def _shown(self, text: str) -> str:
        """Give what people may see: their own times, no secrets, nothing that a terminal obeys."""
        return with_local_times(visible(self._masked(text)))

    def load(self, environment: str) -> Inventory:
        """Load an inventory; raises UserError with file, line and key."""
        from botdeploy.inventory import load

        self.environment = environment
        inventory = load(environment, self.inventory_dir)
        self.environment = inventory.environment
        if self.verbose:
            self._say_passed_over(inventory)
        return inventory

    def _say_passed_over(self, inventory: Inventory) -> None:
        """Tell which arguments of ssh mean nothing here, and for which hosts they stand."""
        hosts: dict[str, list[str]] = {}
        for host in inventory.hosts:
            for argument in dict.fromkeys(host.address.passed_over):
                hosts.setdefault(argument, []).append(host.name)
        for argument, names in hosts.items():
            more = f" and {len(names) - 1} more hosts" if len(names) > 1 else ""
            self.say(
                f"{names[0]}{more}: ssh's {argument} means nothing here and is passed over", "dim"
            )

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
        """Print people's text, commands to copy on lines of their own."""
        self.out.print(with_commands_apart(self._shown(text)), style=style or None)

    def copy_out(self, text: str, style: str = "") -> None:
        """Print what a bot wrote: its own times stay as it wrote them."""
        self.out.print(visible(self.mask(text)), style=style or None)

    def say_notes(self, inventory: Inventory) -> None:
        """Say what a person should know of how the inventory was read."""
        for note in inventory.notes:
            self.say(f"note: {note}", "yellow")

    def say_left_out(self, inventory: Inventory) -> None:
        """Say which hosts of the inventory are no part of the environment, and why."""
        by_why: dict[str, list[str]] = {}
        for name, why in inventory.left_out.items():
            by_why.setdefault(why, []).append(name)
        for why, names in by_why.items():
            shown = ", ".join(names[:MOST_NAMED])
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            self.say(f"no part of {inventory.environment}: {shown}{more} ({why})", "dim")

    def is_news(self, inventory: Inventory, ended: Ended) -> bool:
        """Tell whether a step has something to print that it did not print today already.

        What waits for a person would else come in a mail of cron's every five minutes. Terminals,
        ``-v`` and ``--json`` always get all of it.
        """
        from botdeploy.views.notices.repeat_filter import Told

        told = Told(self.environ, f"{inventory.environment}.said", inventory.path)
        if ended.code is not ExitCode.HELD:
            told.forget()
            return True
        if self.verbose or self.as_json or self.out.is_terminal:
            return True
        what = _FIGURES.sub("", ended.summary)
        now = self.clock.now()
        if told.is_known(what, now):
            return False
        told.remember(what, now)
        return True

    def ended(self, ended: Ended, *, is_news: bool = True) -> int:
        """Tell how a command ended, wait a little for its notices, and give its exit code."""
        if ended.summary and is_news and not self.as_json:
            good = ended.code is ExitCode.DONE
            self.say(ended.summary, "" if good else "bold")
        unsent = self.tell_end(ended)
        if self.as_json:
            data: dict[str, Any] = {"code": int(ended.code), "summary": ended.summary}
            if unsent:
                data["unsent_notices"] = unsent
            self.json(Event(Kind.OUTCOME, self.clock.now(), self.environment, data=data))
        return int(ended.code)

    def tell_end(self, ended: Ended) -> list[str]:
        """Tell the team how it ended; says and gives what could not be told. Never raises.

        What could not be told is noted in the history too, where a host can still be reached.
        """
        notices, self.notices = self.notices, None
        if notices is None:
            return []
        data = {"code": int(ended.code), "summary": ended.summary}
        notices(Event(Kind.OUTCOME, self.clock.now(), self.environment, data=data))
        unsent = [self._masked(failure) for failure in notices.close()]
        for failure in unsent:
            sys.stderr.write(f"botdeploy: not told: {visible(failure)}\n")
        if unsent and self._fleet is not None:
            from botdeploy.engine.fleet.audit_note import note
            from botdeploy.engine.fleet.lock import owner_name

            names = [host.name for host in self._fleet.inventory.hosts]
            what = f"could not be told: {'; '.join(unsent)}"
            note(self._fleet, names, owner_name(self.environ), what)
        return unsent

    def failed(self, error: BotdeployError) -> int:
        """Tell an error that a person can mend, and give its exit code."""
        text = self._masked(str(error))
        sys.stderr.write(f"botdeploy: {with_commands_apart(with_local_times(visible(text)))}\n")
        if self.as_json:
            self.ended(Ended(error.exit_code, text))
        else:
            self.tell_end(Ended(error.exit_code, text))
        return int(error.exit_code)

    @contextmanager
    def fleet(self, inventory: Inventory) -> Iterator[Fleet]:
        """Open a fleet and close all of it at the end; SIGINT and SIGTERM end the run.

        After an error it stays open until ``close``, where the team is still to be told: what
        can't be told is written down on a host.
        """
        from botdeploy.engine.fleet.fleet import Fleet
        from botdeploy.hosts.ssh.connector import Connector

        fleet = Fleet(inventory, Connector(environ=self.environ), stop=self.stop, mask=self.mask)
        self._fleet = fleet
        previous = {}
        is_done = False
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, self._interrupt)
        try:
            yield fleet
            is_done = True
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            if is_done or self.notices is None:
                self.close()

    def close(self) -> None:
        """Close what is open still; harmless to repeat."""
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            fleet.close()

    def _interrupt(self, _number: int, _frame: Any) -> None:
        if self.stop.is_set():
            os._exit(int(ExitCode.INTERRUPTED))
        self.stop.set()

    def dependencies(self, fleet: Fleet, emit: Listener) -> Dependencies:
        """Put together what a run needs."""
        from botdeploy.engine.dependencies import Dependencies
        from botdeploy.engine.fleet.lock import owner_name
        from botdeploy.engine.manifest_cache import ManifestCache

        return Dependencies(
            fleet=fleet,
            clock=self.clock,
            emit=emit,
            manifests=ManifestCache(self.environ),
            owner=owner_name(self.environ),
            stop=self.stop,
            mask=self.mask,
        )

    @contextmanager
    def listening(
        self, notices: Notices | None = None, *, is_step: bool = False
    ) -> Iterator[Listener]:
        """Give what events are told to: JSON lines or a person's progress, and the team.

        A step that nobody watches does not say what waits: its summary does, once a day.
        """
        self.notices = notices
        if self.as_json:
            yield self._both(self.json, notices)
            return
        from botdeploy.views.terminal import Progress

        with Progress(self.out, self._shown, verbose=self.verbose, is_step=is_step) as progress:
            yield self._both(progress, notices)

    @staticmethod
    def _both(view: Listener, notices: Notices | None) -> Listener:
        if notices is None:
            return view

        def emit(event: Event) -> None:
            view(event)
            notices(event)

        return emit

    def notices_of(
        self, inventory: Inventory, *, is_attended: bool, changes: Mapping[str, str] | None = None
    ) -> Notices | None:
        """Make what tells the team and the bot's users; None where nobody asked to be told."""
        policy = inventory.policy
        if not policy.notify and not any(ring.announce for ring in policy.rings):
            return None
        from botdeploy.engine.fleet.lock import owner_name
        from botdeploy.sources.secrets import read_secret
        from botdeploy.views.notices.notices import Notices
        from botdeploy.views.notices.repeat_filter import Told

        place = Path(inventory.path)
        folder = place if place.is_dir() else place.parent

        def read_url(value: str) -> str:
            if _REFERENCE.match(value) is None:
                return value
            return read_secret("URL", value, folder, self.environ).reveal()

        return Notices(
            inventory,
            read_url,
            self._masked,
            Told(self.environ, inventory.environment, inventory.path),
            is_attended=is_attended,
            who=owner_name(self.environ),
            changes=changes,
        )
