"""Following: the journals of hosts as they are written, and what their bots answer to probes."""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from botdeploy.core.evidence.proven_past import HISTORY_S
from botdeploy.engine.watch.followed_host import FollowedHost
from botdeploy.engine.watch.liveness import Liveness
from botdeploy.engine.watch.prober import Prober
from botdeploy.hosts.follower import Delivery, Follower
from botdeploy.hosts.follower_threads import FollowerThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.lines.assembler import Assembler
    from botdeploy.core.lines.line import LogLine
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet

MOST_BYTES = 16_000_000
"""Of the past of all hosts that are followed together, as the hosts send it: read in a second."""
ONE_BYTES = 8_000_000
"""Of one host's: an hour of four lines a second."""
LEAST_BYTES = 1_000_000
"""And of one host's in any case."""
CATCH_UP_S = 10.0
"""Longest wait for the past to arrive before a switch; without it old errors look new."""
LATE_US = 3_000_000
"""A line that comes later than this was held up: journald and a trace's end take less."""


class Listener(Protocol):
    """What is told of every line, and of times in which a host was not heard."""

    def feed(self, host: str, line: LogLine) -> None:
        """Take in a line that came just now."""
        ...

    def unheard(self, host: str, from_us: int, to_us: int) -> None:
        """Note that a host was not heard for a while; its lines may still come, late."""
        ...

    def gap(self, host: str, at_us: int) -> None:
        """Note that a host's stream broke; what follows until its next line is not silence."""
        ...


class Following:
    """Journals in, lines by our clock out; used from one thread, fed by the followers'."""

    def __init__(self, fleet: Fleet, clock: Clock, make_assembler: Callable[[], Assembler]) -> None:
        """Follow nobody yet; ``make_assembler`` goes by the inventory's rules for lines."""
        self.fleet = fleet
        self.clock = clock
        self.make_assembler = make_assembler
        self.hosts: dict[str, FollowedHost] = {}
        self.listeners: list[Listener] = []
        self.canary: tuple[str, ...] = ()
        """Hosts whose answers to a probe are given after those of the others."""
        self.prober = Prober(fleet, clock)
        self._liveness = Liveness(fleet, clock)
        self._queue: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._threads = FollowerThreads()

    def follow(
        self,
        hosts: Sequence[str],
        ahead_us: Mapping[str, int],
        read: Mapping[str, Evidence] | None = None,
    ) -> None:
        """Begin to read these hosts' journals, a day back and on; cheap to repeat.

        Of the past no more than can be read before a switch: the newest, within bounds of bytes
        and seconds (``JournalActs.follow``). ``ahead_us``: how far some hosts' clocks are ahead of
        ours. ``read``: what was read of some already; theirs go on from there.
        """
        new = [name for name in hosts if name not in self.hosts]
        share = min(ONE_BYTES, max(LEAST_BYTES, MOST_BYTES // max(1, len(new))))
        for name in new:
            known = (read or {}).get(name)
            cursor = str(known.reader.get("cursor", "")) if known is not None else ""
            follower = Follower(
                name,
                lambda name=name: self.fleet.acts(name),  # type: ignore[misc]
                self._queue.put,
                threads=self._threads,
                position=cursor or f"since:{HISTORY_S}",
                maker=self.make_assembler(),
                ahead_us=ahead_us.get(name, 0),
                most_bytes=share,
            )
            self.hosts[name] = FollowedHost(follower, ahead_us.get(name, 0))
            follower.start()
            self.prober.add(name, ahead_us.get(name, 0))

    def catch_up(self, hosts: Sequence[str], pump: Callable[[float], None]) -> None:
        """Wait until what these hosts wrote before now has arrived."""
        deadline = self.clock.monotonic() + CATCH_UP_S
        while self.clock.monotonic() < deadline:
            self.pump()
            has_read = all(self.hosts[name].follower.has_caught_up for name in hosts)
            if has_read and self.prober.has_tried(hosts):
                self.pump()
                return
            pump(0.02)

    def close(self) -> None:
        """Stop reading everything."""
        for name, host in self.hosts.items():
            self.prober.drop(name)
            host.follower.stop()
        self.hosts.clear()
        self._threads.close()

    def judged(self) -> list[str]:
        """List the hosts that run the judged release and are followed."""
        return [name for name, host in self.hosts.items() if host.switched_us]

    def now_us(self) -> int:
        """Give the time in microseconds UTC."""
        return int(self.clock.now().timestamp() * 1e6)

    # --- what comes -------------------------------------------------------------------------

    def missed(self, since: float, now: float) -> None:
        """Note that nobody listened between these monotonic seconds: that is no silence.

        Their lines may still come.
        """
        to_us = self.now_us()
        from_us = to_us - round((now - since) * 1e6)
        for name, host in self.hosts.items():
            host.missed.append((from_us, to_us))
            for one in self.listeners:
                one.unheard(name, from_us, to_us)

    def pump(self, in_doubt: Collection[str] = ()) -> bool:
        """Take in what followers and probes brought; tells whether anything came.

        What hosts ``in_doubt`` wrote waits: it may be another release's by now.
        """
        came = self._take_deliveries(in_doubt)
        return self._take_answers(in_doubt) or came

    def ask_quiet(self, hosts: Iterable[str]) -> None:
        """Ask hosts that are quiet whether they are there; who does not answer is not silent."""
        quiet = [(name, self.hosts[name].heard) for name in hosts]
        for name in self._liveness.unheard(quiet):
            self._torn(name)

    def _take_answers(self, in_doubt: Collection[str]) -> bool:
        came = False
        for name, lines in self.prober.poll(self.canary):
            host = self.hosts[name]
            if name in in_doubt:
                host.waiting.append(Delivery(name, tuple(lines)))
                continue
            for line in lines:
                if not host.rule.is_other_latency(line):
                    came = True
                    self._take(name, line)
        return came

    def _take_deliveries(self, in_doubt: Collection[str]) -> bool:
        deliveries = []
        for name, host in self.hosts.items():
            if host.waiting and name not in in_doubt:
                deliveries += host.waiting
                host.waiting = []
        with suppress(queue.Empty):
            while True:
                deliveries.append(self._queue.get_nowait())
        for delivery in deliveries:
            if delivery.host not in self.hosts:
                continue
            if delivery.host in in_doubt:
                self.hosts[delivery.host].waiting.append(delivery)
            else:
                self._deliver(delivery)
        return bool(deliveries)

    def _deliver(self, delivery: Delivery) -> None:
        host = self.hosts[delivery.host]
        if delivery.gap:
            self._torn(delivery.host)
        if delivery.lines:
            host.heard = self.clock.monotonic()
            self._lagging(delivery.host, max(line.at_us for line in delivery.lines))
        if delivery.starts is not None:
            host.starts = delivery.starts
        for line in delivery.lines:
            host.lives.feed(line)
            host.rule.note(line)
            self._take(delivery.host, line)

    def _take(self, name: str, line: LogLine) -> None:
        self.hosts[name].lines.append(line)
        for one in self.listeners:
            one.feed(name, line)

    def _lagging(self, name: str, last_us: int) -> None:
        """Take what a host wrote after a line that comes late for what is still on its way.

        A stream that was cut off brings what was written meanwhile piece by piece.
        """
        now_us = self.now_us()
        if self.hosts[name].follower.has_caught_up and now_us - last_us >= LATE_US:
            for one in self.listeners:
                one.unheard(name, last_us, now_us)

    def _torn(self, name: str) -> None:
        for one in self.listeners:
            one.gap(name, self.now_us())
