"""Counts: the one place where a line is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence import quantile_sketch
from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.probes.probe import is_failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.lines.line import LogLine


@dataclass(slots=True)
class Counts:
    """What was counted in one stretch of time."""

    lines: int = 0
    """Lines that the bot wrote; journald's and systemd's are not among them."""
    handled: int = 0
    """Units of work done, as lines or a probe tell."""
    probed: int = 0
    """Those of them that a probe told of."""
    errors: dict[str, int] = field(default_factory=dict)
    """Error lines by fingerprint."""
    latency_count: int = 0
    latency_sum: float = 0.0
    """Sum of the natural logarithms of latencies in milliseconds."""
    latency_squares: float = 0.0
    latency_bins: dict[int, int] = field(default_factory=dict)
    """The same latencies as a sketch, see ``quantile_sketch``."""
    system: dict[SystemKind, int] = field(default_factory=dict)
    """systemd's records by kind: crashes, restarts, OOM kills …"""
    dropped: int = 0
    """Lines that journald says it left out: the other counts are then lower bounds."""
    until_us: int = 0
    """Time of the last line counted."""

    @property
    def events(self) -> int:
        """What errors are counted against: lines, and units of work that a probe told of."""
        return self.lines + self.probed

    @property
    def error_lines(self) -> int:
        """Error lines of all classes."""
        return sum(self.errors.values())

    @property
    def restarts(self) -> int:
        """Restarts that systemd scheduled."""
        return self.system.get(SystemKind.RESTART, 0)

    @property
    def crashes(self) -> int:
        """Times that the main process ended with a fault unasked."""
        return self.system.get(SystemKind.CRASHED, 0)

    def add(self, line: LogLine, error: str | None = None) -> None:
        """Count a line; ``error`` names its error where that is not to be its fingerprint."""
        self.until_us = max(self.until_us, line.at_us)
        count = line.count
        record = line.system
        if record is not None:
            self.system[record.kind] = self.system.get(record.kind, 0) + 1
            if record.kind is SystemKind.DROPPED:
                self.dropped += max(1, record.count)
            return
        if line.is_handled:
            self.handled += count
        if line.kind is not LineKind.PROBE:
            self.lines += 1
        elif line.is_handled:
            self.probed += count
        name = error or line.fingerprint
        if name is not None:
            self.errors[name] = self.errors.get(name, 0) + count
        latency_ms = line.latency_ms
        if latency_ms is not None and latency_ms > 0.0:
            value = log(latency_ms)
            self.latency_count += count
            self.latency_sum += value * count
            self.latency_squares += value * value * count
            number = quantile_sketch.bin_of_log(value)
            self.latency_bins[number] = self.latency_bins.get(number, 0) + count

    def take(self, other: Counts) -> None:
        """Add what was counted elsewhere."""
        self.lines += other.lines
        self.handled += other.handled
        self.probed += other.probed
        self.latency_count += other.latency_count
        self.latency_sum += other.latency_sum
        self.latency_squares += other.latency_squares
        self.dropped += other.dropped
        self.until_us = max(self.until_us, other.until_us)
        for name, count in other.errors.items():
            self.errors[name] = self.errors.get(name, 0) + count
        for number, count in other.latency_bins.items():
            self.latency_bins[number] = self.latency_bins.get(number, 0) + count
        for kind, count in other.system.items():
            self.system[kind] = self.system.get(kind, 0) + count

    def weight(self) -> tuple[int, int, int, int, str]:
        """Give a total order in which a longer read of the same lines comes after a shorter one."""
        return (
            self.lines + sum(self.system.values()),
            self.error_lines,
            self.latency_count,
            self.until_us,
            repr(self._sorted()),
        )

    def _sorted(self) -> tuple[Any, ...]:
        return (
            self.handled,
            sorted(self.errors.items()),
            self.latency_sum,
            self.latency_squares,
            sorted(self.latency_bins.items()),
            sorted(self.system.items()),
            self.dropped,
            self.probed,
        )


def summed(many: Iterable[Counts]) -> Counts:
    """Add counts up."""
    out = Counts()
    for one in many:
        out.take(one)
    return out


@dataclass(slots=True)
class CountingRule:
    """Which lines of one host count at all; the same for everybody who counts them."""

    switched_us: int = 0
    """When the release that is judged was switched, by the lines' clock; 0: not here."""
    grace_us: int = 0
    """So long after it a probe may fail: a bot may take a moment to answer after its start."""
    has_latency: bool = False
    """Whether the journal has latencies: a probe's would be another kind, and are left out."""

    def note(self, line: LogLine) -> None:
        """Learn from a line of the journal."""
        self.has_latency = self.has_latency or line.latency_ms is not None

    def is_in_grace(self, line: LogLine) -> bool:
        """Tell whether a line is a probe's failure so soon after the switch."""
        since_us = line.at_us - self.switched_us
        return bool(self.switched_us) and 0 <= since_us < self.grace_us and is_failure(line)

    def is_other_latency(self, line: LogLine) -> bool:
        """Tell whether a line is a probe's latency where the journal has latencies."""
        is_probe = line.kind is LineKind.PROBE
        return is_probe and line.latency_ms is not None and self.has_latency

    def counts(self, line: LogLine) -> bool:
        """Tell whether a line of a probe counts; all of the journal do."""
        return not self.is_in_grace(line) and not self.is_other_latency(line)
