"""What every command shares: folder, output, clock, and how an outcome becomes an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.cli.output import Output, TypedEnvironment
from botdeploy.core.text.secret_mask import Mask
from botdeploy.engine.fleet.clock import Clock, SystemClock
from botdeploy.engine.outcome import Ended
from botdeploy.errors import BotdeployError, ExitCode, NotAgreed, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botdeploy.core.events import Event, Listener
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.views.notices.notices import Notices

USUAL_INVENTORIES = Path("inventories")


@dataclass
class Context:
    """Made once where the program starts, handed to every command."""

    inventory_dir: Path = USUAL_INVENTORIES
    as_json: bool = False
    verbose: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=SystemClock)
    stop: threading.Event = field(default_factory=threading.Event)
    mask: Mask = field(default_factory=Mask)
    environment: InitVar[str] = ""
    notices: Notices | None = None
    hosts: Mapping[str, Host] = field(default_factory=dict, init=False)
    """Those of the inventory that was loaded last."""
    _fleet: Fleet | None = field(default=None, init=False)
    _required: Fleet | None = field(default=None, init=False)

    def __post_init__(self, environment: str) -> None:
        """Choose where output goes."""
        self.output = Output(self.mask, environment, as_json=self.as_json)

    def load(self, environment: str) -> Inventory:
        """Load an inventory; raises UserError with file, line and key."""
        from botdeploy.inventory import load

        self.output.environment = environment
        inventory = load(environment, self.inventory_dir, self.environ)
        self.output.environment = inventory.environment
        folder = "" if self.inventory_dir == USUAL_INVENTORIES else str(self.inventory_dir)
        place = "" if environment == inventory.environment else environment
        self.output.typed = TypedEnvironment(place, folder)
        self.hosts = {host.name: host for host in inventory.hosts}
        if self.verbose:
            from botdeploy.views import sentences

            for line in sentences.ignored_arguments(inventory):
                self.output.say(line, "dim")
        return inventory

    def load_known(self, environment: str | None) -> Inventory:
        """Load the named environment, or the only one that there is."""
        if environment is not None:
            return self.load(environment)
        known = known_environments(self.inventory_dir)
        if len(known) == 1:
            return self.load(known[0])
        raise UserError(
            f"name an environment: {self.inventory_dir} has more than one ({', '.join(known)})"
        )

    def sentence(self, ended: Ended) -> str:
        """Say how a command ended."""
        from botdeploy.views import sentences

        return sentences.outcome(ended, self.output.environment, self.hosts)

    def ended(self, ended: Ended, *, is_news: bool = True) -> int:
        """Tell how a command ended, wait a little for its notices, and give its exit code."""
        summary = self.sentence(ended)
        if summary and is_news and not self.as_json:
            self.output.say(summary, "" if ended.code is ExitCode.DONE else "bold")
        unsent = self.tell_end(ended)
        if self.as_json:
            data: dict[str, Any] = {"code": int(ended.code), "summary": summary}
            if unsent:
                data["unsent_notices"] = unsent
            self.output.json(self._outcome(data))
        return int(ended.code)

    def _outcome(self, data: Mapping[str, Any]) -> Event:
        from botdeploy.core.events import Event, Kind

        return Event(Kind.OUTCOME, self.clock.now(), self.output.environment, data=data)

    def tell_end(self, ended: Ended) -> list[str]:
        """Tell the team how it ended; says and gives what could not be told. Never raises.

        What could not be told is noted in the history too, where a host can still be reached.
        """
        notices, self.notices = self.notices, None
        if notices is None:
            return []
        notices(self._outcome({"code": int(ended.code), "summary": self.sentence(ended)}))
        unsent = [self.output.masked(failure) for failure in notices.close()]
        for failure in unsent:
            from botdeploy.core.text.printable import visible

            sys.stderr.write(f"botdeploy: could not be told: {visible(failure)}\n")
        if unsent and self._fleet is not None:
            from botdeploy.engine.fleet.audit_note import note
            from botdeploy.engine.fleet.lock import owner_name

            names = [host.name for host in self._fleet.inventory.hosts]
            what = f"could not be told: {'; '.join(unsent)}"
            note(self._fleet, names, owner_name(self.environ), what)
        return unsent

    def _of(self, error: BotdeployError) -> Ended:
        text = str(error)
        if isinstance(error, NotAgreed):
            from botdeploy.views import sentences

            text = sentences.not_agreed(error.numbers)
        return Ended(error.exit_code, self.output.masked(text), hints=error.hints)

    def told(self, error: BotdeployError) -> str:
        """Say what an error is, and what may be done about it."""
        return self.sentence(self._of(error))

    def failed(self, error: BotdeployError) -> int:
        """Tell an error that a person can mend, and give its exit code."""
        ended = self._of(error)
        self.output.complain(self.sentence(ended))
        self.record_end(ended)
        return int(error.exit_code)

    def record_end(self, ended: Ended) -> None:
        """Tell programs and the team how it ended; what people read is said by the caller."""
        if self.as_json:
            self.ended(ended)
        else:
            self.tell_end(ended)

    @contextmanager
    def fleet(self, inventory: Inventory) -> Iterator[Fleet]:
        """Open a fleet and close all of it at the end; SIGINT and SIGTERM end the run.

        After an error it stays open until ``close``, where the team is still to be told: what
        can't be told is written down on a host. Several may be open, closed in reverse order.
        """
        from botdeploy.engine.fleet.fleet import Fleet
        from botdeploy.hosts.ssh.connector import Connector

        def interrupt(_number: int, _frame: Any) -> None:
            if self.stop.is_set():
                os._exit(int(ExitCode.INTERRUPTED))
            self.stop.set()

        fleet = Fleet(inventory, Connector(self.environ, time.time), stop=self.stop, mask=self.mask)
        outer, self._fleet = self._fleet, fleet
        previous = {}
        is_done = False
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, interrupt)
        try:
            yield fleet
            is_done = True
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            if is_done or self.notices is None:
                self.close()
                self._fleet = outer

    def close(self) -> None:
        """Close what is open still; harmless to repeat."""
        for fleet in (self._fleet, self._required):
            if fleet is not None:
                fleet.close()
        self._fleet = self._required = None

    def required(self, inventory: Inventory) -> Fleet | None:
        """Give the hosts of the environment that ``rollout.requires`` names, not reached yet.

        None where it names none. Raises UserError where its inventory is at fault.
        """
        from botdeploy.engine.fleet.fleet import Fleet
        from botdeploy.hosts.ssh.connector import Connector
        from botdeploy.inventory import load_required

        if self._required is None and (other := load_required(inventory, self.environ)) is not None:
            connector = Connector(self.environ, time.time)
            self._required = Fleet(other, connector, stop=self.stop, mask=self.mask)
        return self._required

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
            required=lambda: self.required(fleet.inventory),
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
            yield _both(self.output.json, notices)
            return
        from botdeploy.views.terminal import Progress

        console, shown = self.output.console, self.output.shown
        with Progress(console, shown, verbose=self.verbose, is_step=is_step) as progress:
            yield _both(progress, notices)


def _both(view: Listener, notices: Notices | None) -> Listener:
    if notices is None:
        return view

    def emit(event: Event) -> None:
        view(event)
        notices(event)

    return emit


def chosen(inventory: Inventory, limit: str | None) -> tuple[str, ...]:
    """Name the hosts that ``--limit`` means, in inventory order."""
    if limit is None:
        return tuple(host.name for host in inventory.hosts)
    from botdeploy.inventory import select

    return select(inventory, limit)


def known_environments(folder: Path) -> list[str]:
    """Name the environments of a folder; raises UserError where there is none."""
    from botdeploy.inventory import environments

    known = environments(folder)
    if not known:
        raise UserError(f"no inventory in {folder}; next: botdeploy init")
    return known
