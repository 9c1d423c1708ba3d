"""The fleet: one connection a machine, and acts run on many hosts at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import BotdeployError, ExitCode, HostError
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.hosts.process.program import HostConnection
    from botdeploy.hosts.ssh.connector import Connector

T = TypeVar("T")

LOOK_EVERY_S = 0.05

MOST_AT_ONCE = 64
"""Hosts worked on at once; measured: more threads gain nothing on one controller."""


EACH_HOST = 2
"""Programs that a host has at a time: a reader of its journal, and an act."""


class Interrupted(BotdeployError):
    """A person or a signal stopped the run."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self) -> None:
        """Say what state the hosts are in."""
        super().__init__(
            "interrupted; what was in flight is left safe under its lease, and the same command "
            "goes on from there"
        )


class StillAtWork(HostError):
    """A host has not answered yet, and the others did not wait for it."""

    def __init__(self, host: str, answer: Future[Any]) -> None:
        """Take what will tell how it went."""
        super().__init__(host, "it does not answer")
        self.answer = answer


class Fleet:
    """Hosts of an inventory, reached when they are first needed."""

    def __init__(
        self,
        inventory: Inventory,
        connector: Connector,
        *,
        executor: Executor | None = None,
        stop: threading.Event | None = None,
        mask: Mask | None = None,
    ) -> None:
        """Take any executor whose futures are ``concurrent.futures``'; ``stop`` interrupts.

        ``mask`` learns which secrets the hosts' releases have, where their journals are read.
        """
        self.mask = Mask() if mask is None else mask
        self.inventory = inventory
        self.connector = connector
        self._executor = executor or ThreadPoolExecutor(
            max_workers=MOST_AT_ONCE, thread_name_prefix="host"
        )
        self._stop = stop or threading.Event()
        self._hosts: Mapping[str, Host] = {host.name: host for host in inventory.hosts}
        self._machines = inventory.machines
        self._open: dict[str, HostConnection] = {}
        self._locks = {machine: threading.Lock() for machine in self._machines}
        self._failed: dict[str, tuple[float, HostError]] = {}
        """The last try of each machine that failed, and when it was over."""
        self._early: dict[str, Future[HostConnection]] = {}
        self._closing = threading.Event()

    def host(self, name: str) -> Host:
        """Look a host of the inventory up."""
        return self._hosts[name]

    def connect_early(self) -> None:
        """Begin to connect to every machine while something else is done; ``acts`` tells of it.

        Harmless to repeat, and nothing is done on the hosts.
        """
        for machine in self._machines:
            if machine not in self._open and machine not in self._early:
                self._early[machine] = self._executor.submit(self._opened, machine)

    def acts(self, name: str) -> Acts:
        """Give a host's acts over its machine's open connection, opened when there is none."""
        machine = self._hosts[name].on_machine
        early = self._early.pop(machine, None)
        try:
            connection = self._opened(machine) if early is None else early.result()
            return self._acts(self._hosts[name], connection)
        except HostError as error:
            raise error.of(name) from error

    def acts_of(self, name: str, instance: str | None, called: str) -> Acts:
        """Give the acts of another instance of a host's machine; errors name it ``called``."""
        connection = self.acts(name).connection
        return self._acts(replace(self._hosts[name], name=called, instance=instance), connection)

    def open_acts(self, name: str) -> Acts | None:
        """Give a host's acts over the connection that stands now; None where none does."""
        connection = self._open.get(self._hosts[name].on_machine)
        if connection is None or not connection.is_alive:
            return None
        return self._acts(self._hosts[name], connection)

    def heard_s_ago(self, name: str) -> float | None:
        """Give how long ago a host's machine said anything; None where no connection stands."""
        acts = self.open_acts(name)
        return None if acts is None else acts.connection.heard_s_ago

    def ask(self, name: str) -> None:
        """Have a host's machine say something, over a new connection where none stands."""

        def ask() -> None:
            self.acts(name).connection.ask()

        self._executor.submit(ask)

    def _opened(self, machine: str) -> HostConnection:
        """Give the machine's connection; whoever waits for a try learns of its failure, too."""
        asked = time.monotonic()
        with self._locks[machine]:
            connection = self._open.get(machine)
            if connection is not None and connection.is_alive:
                return connection
            ended, error = self._failed.get(machine, (0.0, None))
            if error is not None and ended >= asked:
                raise error
            try:
                connection = self._open[machine] = self._connect(machine)
            except HostError as failure:
                self._failed[machine] = time.monotonic(), failure
                raise
            return connection

    def fresh(self, name: str) -> Acts:
        """Give a host's acts over a connection opened now: the proof that it can be reached.

        What runs over the connection before it (the lock, a follower) goes on there.
        """
        machine = self._hosts[name].on_machine
        try:
            with self._locks[machine]:
                connection = self._open[machine] = self._connect(machine)
        except HostError as error:
            raise error.of(name) from error
        return self._acts(self._hosts[name], connection)

    def _connect(self, machine: str) -> HostConnection:
        """Open a connection as the first of the machine's hosts says; logins may differ."""
        hosts = self._machines[machine]
        connection = self.connector.connect(self._hosts[hosts[0]].address)
        if len(hosts) > 1:
            connection.make_room(1 + EACH_HOST * len(hosts))
        return connection

    def _acts(self, host: Host, connection: HostConnection) -> Acts:
        caller = Caller(
            connection,
            host.bot.name,
            host.address,
            self.mask,
            host=host.name,
            instance=host.instance,
        )
        return Acts(caller)

    def each(
        self,
        names: Iterable[str],
        work: Callable[[str], T],
        *,
        pump: Callable[[float], None] | None = None,
        is_cleanup: bool = False,
        patience_s: float | None = None,
    ) -> dict[str, T | HostError]:
        """Do ``work`` on hosts at once and wait for all; a host's own error is its result.

        With ``patience_s``, no longer than that many seconds: a host that has not answered by then
        is ``StillAtWork``, and goes on.
        ``pump`` is called again and again meanwhile, with the seconds it may take. An interrupt
        ends the wait, but not a clean-up.
        """
        order = list(names)
        done: SimpleQueue[Future[T]] = SimpleQueue()
        futures: dict[Future[T], str] = {self._executor.submit(work, name): name for name in order}
        for one in futures:
            one.add_done_callback(done.put)
        results: dict[str, T | HostError] = {}
        begun = pumped = time.monotonic()
        while len(results) < len(futures):
            now = time.monotonic()
            if patience_s is not None and now - begun > patience_s:
                late = {name: one for one, name in futures.items() if name not in results}
                results.update((name, StillAtWork(name, one)) for name, one in late.items())
                break
            if pump is not None and now - pumped >= LOOK_EVERY_S:
                pumped = now
                pump(0.0)
            with suppress(Empty):
                future = done.get(timeout=LOOK_EVERY_S)
                try:
                    results[futures[future]] = future.result()
                except HostError as error:
                    results[futures[future]] = error
            if self._stop.is_set() and not is_cleanup:
                raise Interrupted
        return {name: results[name] for name in order}

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do something beside the loop, such as a heartbeat."""
        return self._executor.submit(work)

    def pause(self, seconds: float) -> None:
        """Sleep, unless the fleet is closed meanwhile."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """Close every connection at once; what waits on one wakes up."""
        self._closing.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self.connector.close()
