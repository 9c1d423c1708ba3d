"""Lives: what a journal tells of a bot's processes: how long they ran, and who wrote."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.line import LineKind
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.text.untrusted import LATEST_US, whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.lines.line import LogLine

START_US = 3_000_000
"""What is written so soon after a start may be of a process that only prepares the bot."""
QUIET_US = 5_000_000
FEW_LINES = 2
"""A last word of whoever started the process that ended, and not another one's work."""
MOST_WRITERS = 2
"""A bot whose lives had more writing processes than these has them come and go."""
_LONGEST_LIST = 64

_UP = frozenset({SystemKind.STARTING, SystemKind.STARTED})
_DOWN = frozenset(
    {
        SystemKind.CRASHED,
        SystemKind.DEACTIVATED,
        SystemKind.FAILED,
        SystemKind.STOP_FAILED,
        SystemKind.STOPPED,
        SystemKind.START_FAILED,
        SystemKind.START_LIMIT,
    }
)


@dataclass(slots=True)
class Lives:
    """Fed with every line of one host, in the journal's order; plain data, to be kept."""

    since_us: int = 0
    """What is older tells only how many processes write in one life."""
    is_told: bool = False
    """Whether systemd has said anything since."""
    begun_us: int = 0
    """When the first life since then began; 0: not told."""
    down_us: int = 0
    """Since when the bot is down; 0: it is up."""
    lost_us: int = 0
    """How long it was down before, since it began."""
    restarts: int = 0
    life_us: int = 0
    """When this life began."""
    writers: dict[str, list[int]] = field(default_factory=dict)
    """Of this life: process id → lines, and when the last of them came."""
    most_writers: int = 0
    """Of lives before this instant: how many processes wrote in one of them."""

    def feed(self, line: LogLine) -> None:
        """Take one line in."""
        if line.system is None:
            self._wrote(line)
            return
        kind = line.system.kind
        if kind in _UP:
            if self.life_us < self.since_us:
                self.most_writers = max(self.most_writers, len(self.writers))
            self.writers.clear()
            self.life_us = line.at_us
        if line.at_us < self.since_us:
            return
        self.is_told = self.is_told or line.kind is LineKind.SYSTEMD
        self.restarts += kind is SystemKind.RESTART
        if kind in _UP:
            self.begun_us = self.begun_us or line.at_us
            if self.down_us:
                self.lost_us += line.at_us - self.down_us
                self.down_us = 0
        elif kind in _DOWN and self.begun_us and not self.down_us:
            self.down_us = line.at_us

    def _wrote(self, line: LogLine) -> None:
        if not line.pid.isdecimal() or line.at_us < self.life_us + START_US:
            return
        writer = self.writers.get(line.pid)
        if writer is None:
            if len(self.writers) >= _LONGEST_LIST:
                return
            writer = self.writers[line.pid] = [0, 0]
        writer[0] += 1
        writer[1] = max(writer[1], line.at_us)

    @property
    def is_down(self) -> bool:
        """Whether systemd's last word is that the bot ended."""
        return self.down_us > 0

    def uptime(self, now_us: int) -> float | None:
        """Give the share of the time since its first start in which it ran; None: not told."""
        whole_us = now_us - self.begun_us
        if not self.begun_us or whole_us <= 0:
            return None
        lost_us = self.lost_us + (max(0, now_us - self.down_us) if self.down_us else 0)
        return max(0.0, 1.0 - lost_us / whole_us)

    def silenced(self, pids: Collection[int], now_us: int) -> str:
        """Say that the process that wrote the lines has left the unit and nothing came since.

        ``pids``: what is in the unit's control group now. Empty where it is there, where others
        write on, or where processes that write were always many.
        """
        if not pids or not self.writers or len(self.writers) > MOST_WRITERS:
            return ""
        if self.most_writers > MOST_WRITERS:
            return ""
        pid, (lines, last_us) = max(self.writers.items(), key=lambda one: one[1])
        others = sum(one[0] for other, one in self.writers.items() if other != pid)
        newest_us = max(one[1] for one in self.writers.values())
        if int(pid) in pids or others > FEW_LINES or now_us - newest_us < QUIET_US:
            return ""
        quiet_s = (now_us - last_us) / 1e6
        return (
            f"process {pid}, which wrote its {lines} lines, has left the unit, and nothing came "
            f"for {quiet_s:.0f} s since: what still runs may not be the bot"
        )

    def to_record(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Lives:
        """Take up what ``to_record`` gave; raises ValueError or TypeError for anything else."""
        writers = record.get("writers", {})
        if not isinstance(writers, dict):
            raise TypeError("the writers are no object")
        numbers = {
            name: whole(record.get(name, 0), most=LATEST_US)
            for name in cls.__dataclass_fields__
            if name not in {"writers", "is_told"}
        }
        return cls(
            **numbers,
            is_told=record.get("is_told") is True,
            writers={
                str(whole(int(pid))): [whole(lines), whole(last_us, most=LATEST_US)]
                for pid, (lines, last_us) in list(writers.items())[:_LONGEST_LIST]
            },
        )


def in_words(uptime: float | None) -> str:
    """Say a share of a soak as a person would; empty where nobody knows it."""
    if uptime is None:
        return ""
    # Rounded down: what was down for a moment did not run all the time.
    return f"the bot ran {int(uptime * 1000) / 10:g} % of the time since its start"


def lives_of(evidence: Evidence) -> Lives | None:
    """Give what a host's reader kept of its bot's lives; None where an older one kept nothing."""
    try:
        return Lives.from_record(evidence.reader["lives"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
