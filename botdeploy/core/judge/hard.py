"""Hard rules: what one line is enough to condemn a release for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.options import Preset
from botdeploy.core.lines.quote import quote
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.text.phrases import count, duration, listing
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import Happening, HostTally
    from botdeploy.core.judge.options import JudgeOptions
    from botdeploy.core.lines.line import LogLine

LOOP_WITHIN_US = 10 * MINUTE_US
SAME_TIME_US = 5 * MINUTE_US

_DEADLY = {
    SystemKind.START_LIMIT: "systemd gave up starting the unit",
    SystemKind.SPAWN_FAILED: "the program could not be executed",
    SystemKind.OOM: "the kernel killed it for want of memory",
    SystemKind.COREDUMP: "it dumped core",
}
_FINAL_RESULTS = frozenset({"start-limit-hit", "oom-kill", "core-dump", "resources", "protocol"})
_EXITS = (SystemKind.CRASHED, SystemKind.COREDUMP)
_CRASHES = (*_EXITS, SystemKind.RESTART)
_OF_WORLD = frozenset(
    {SystemKind.CRASHED, SystemKind.RESTART, SystemKind.FAILED, SystemKind.START_LIMIT}
)
"""How a bot ends that can't do without what the world refuses it."""
_WORLDS_DOING = (
    "its last error may be the world's doing (names, connects, TLS, others' answers), and no two"
    " hosts of the old release are spared of it"
)


class HardRules:
    """Rules that answer at the line, unless the baseline is in the same state."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Judge what ``fleet`` was given; it must have counted a line before it comes here."""
        self._fleet = fleet
        self._options = options
        self._excused: dict[str, str] = {}

    def at_line(self, tally: HostTally, line: LogLine) -> Verdict | None:
        """Answer a line of a canary host since its switch: FAIL, WAIT (not the release) or None."""
        record = line.system
        if record is not None:
            told = (record.result, record.status)
            return self.at_record(tally, record.kind, line.message, line.at_us, *told)
        if not line.is_fatal or line.fingerprint is None:
            return None
        return self.at_fatal(tally, line.fingerprint, line.message)

    def at_fatal(self, tally: HostTally, error: str, message: str) -> Verdict | None:
        """Answer a fatal error since the switch."""
        if self._fleet.is_known_fatal(error):
            return None
        if self._fleet.is_past_cut:
            return None
        if self._fleet.external.is_of_world(error):
            return None  # no one line tells whose doing it is
        return _fail(tally, f"a fatal error never seen {self._where()}: {quote(message)}")

    def at_record(
        self,
        tally: HostTally,
        kind: SystemKind,
        message: str,
        at_us: int,
        result: str = "",
        status: int | None = None,
    ) -> Verdict | None:
        """Answer a record of systemd's since the switch, that the ledger was given before."""
        if at_us <= tally.forgiven_us:
            return None
        reason: str | None = None
        if kind in _DEADLY:
            reason = f"{_DEADLY[kind]}: {quote(message)}"
        elif kind is SystemKind.FAILED:
            if result in _FINAL_RESULTS or self._is_unheard_of():
                reason = f"the unit failed: {quote(message)}"
        elif kind is SystemKind.RESTART and status == 0:
            reason = self._faultless_loop(tally)
        elif kind in _CRASHES and not tally.is_stopping:
            reason = self._crashes()
        if reason is None:
            return None
        if kind in _OF_WORLD and self.is_worlds_doing(tally):
            return Verdict(Outcome.WAIT, (reason, _WORLDS_DOING), tally.name)
        return self._ruled(tally, reason, at_us)

    def standing(self, now_us: int) -> Verdict | None:
        """Answer what no line answered: a unit that stays down, and what was excused before."""
        for tally in self._fleet.canary.values():
            reason = self._kept(tally)
            if reason is not None and tally.name not in self._excused:
                ruled = self._ruled(tally, reason, tally.happenings[-1].at_us)
                if ruled.outcome is Outcome.FAIL:
                    return ruled
            if tally.name in self._excused or tally.down_us is None or tally.is_between_lives:
                continue
            if tally.down_us > tally.forgiven_us and (
                now_us - tally.down_us > self._options.restart_s * SECOND_US
            ):
                last = tally.happenings[-1].text
                if self.is_worlds_doing(tally):
                    down = f"the unit failed and stays so: {quote(last)}"
                    return Verdict(Outcome.WAIT, (down, _WORLDS_DOING), tally.name)
                ruled = self._ruled(tally, f"the unit failed and stays so: {quote(last)}", now_us)
                if ruled.outcome is Outcome.FAIL:
                    return ruled
        if not self._excused:
            return None
        sick = self._sick_baseline(now_us)
        if sick:
            return self._not_the_release(sick)
        for name, reason in list(self._excused.items()):
            tally = self._fleet.canary[name]
            if tally.down_us is not None:
                return _fail(tally, reason, "the baseline had the same trouble and got over it")
            tally.forgiven_us = now_us
            del self._excused[name]
        return None

    def is_worlds_doing(self, tally: HostTally) -> bool:
        """Tell whether the last that a host said before it went down may be the world's doing."""
        return tally.last_error is not None and self._fleet.external.is_excused(tally.last_error)

    def _kept(self, tally: HostTally) -> str | None:
        """Say what its lines would have shown, where what was kept of them was taken in at once."""
        seen = tally.unforgiven() if tally.is_absorbed else []
        deadly = next((one for one in seen if one.kind in _DEADLY), None)
        if deadly is not None:
            return f"{_DEADLY[deadly.kind]}: {quote(deadly.text)}"
        if self.is_worlds_doing(tally):
            return None
        if crashes_in(seen) and (reason := self._crashes()):
            return reason
        return self._faultless_loop(tally) if seen else None

    def crash_count(self) -> int:
        """Crashes of the release on all canary hosts, without what was excused."""
        return sum(crashes_in(tally.unforgiven()) for tally in self._fleet.canary.values())

    @property
    def is_usual_crasher(self) -> bool:
        """Whether the old release crashed now and then, too."""
        return any(crashes_in(tally.happenings_before) for tally in self._fleet.parts())

    def _ruled(self, tally: HostTally, reason: str, at_us: int) -> Verdict:
        sick = self._sick_baseline(at_us)
        if sick:
            self._excused.setdefault(tally.name, reason)
            return self._not_the_release(sick)
        return _fail(tally, reason)

    def _is_unheard_of(self) -> bool:
        """Tell whether a first crash condemns: in quick, where the old release never crashed."""
        return self._options.preset is Preset.QUICK and not self.is_usual_crasher

    def _crashes(self) -> str | None:
        """Say why the crashes so far condemn the release, or None if they do not yet."""
        parts = list(self._fleet.canary.values())
        total = self.crash_count()
        shown = [one for tally in parts for one in tally.unforgiven() if _is_crash(one)]
        last = max(shown, key=lambda one: one.at_us, default=None)
        if last is None:
            return None
        exits = [one.text for one in shown if one.kind in _EXITS]
        said = quote(exits[-1] if exits else last.text)
        names = [tally.name for tally in parts if crashes_in(tally.unforgiven())]
        where = f" ({listing(names)})" if len(names) > 1 else ""
        if not self.is_usual_crasher:
            if total >= 2:
                return (
                    f"crashed {total} times since the switch{where}{self._clean_history()}: {said}"
                )
            if self._options.preset is Preset.QUICK:
                return f"crashed{where}{self._clean_history()}: {said}"
            return None
        loop = max((_within(tally.unforgiven()) for tally in parts), default=0)
        usual = max((_within(tally.happenings_before) for tally in self._fleet.parts()), default=0)
        if loop > max(1, usual):
            return (
                f"crashed {loop} times within {duration(LOOP_WITHIN_US / 1e6)}"
                f" (the old release at most {count(usual, 'time')}): {said}"
            )
        return None

    def _faultless_loop(self, tally: HostTally) -> str | None:
        """Say that a bot which ends without fault does so again and again, unlike the old one."""
        often = _most_within(one.at_us for one in tally.unforgiven() if one.is_faultless)
        usual = max(
            (
                _most_within(one.at_us for one in other.happenings_before if one.is_faultless)
                for other in self._fleet.parts()
            ),
            default=0,
        )
        if often < 2 or often <= usual:
            return None
        return (
            f"ended without fault and was started again {often} times within"
            f" {duration(LOOP_WITHIN_US / 1e6)} (the old release at most {count(usual, 'time')})"
        )

    def _where(self) -> str:
        known_s = self._fleet.history_s
        return f"in {duration(known_s)} of the old release" if known_s else "before"

    def _clean_history(self) -> str:
        known_s = self._fleet.history_s
        return f", and not once in {duration(known_s)} of the old release" if known_s else ""

    def _sick_baseline(self, now_us: int) -> list[str]:
        """Name the baseline hosts in trouble now, if they are at least half of the baseline."""
        sick = [
            tally.name
            for tally in self._fleet.baseline.values()
            if tally.down_us is not None
            or any(
                now_us - one.at_us <= SAME_TIME_US and not one.is_faultless
                for one in tally.happenings
            )
        ]
        return sick if 2 * len(sick) >= len(self._fleet.baseline) else []

    def _not_the_release(self, sick: list[str]) -> Verdict:
        reasons = [*self._excused.values()]
        reasons.append(f"not the release: the baseline ({listing(sick)}) is in the same state")
        return Verdict(Outcome.WAIT, tuple(reasons), next(iter(self._excused), None))


def _fail(tally: HostTally, *reasons: str) -> Verdict:
    return Verdict(Outcome.FAIL, reasons, tally.name)


def _is_crash(one: Happening) -> bool:
    return one.kind in _CRASHES and not one.is_faultless


def crashes_in(happenings: Iterable[Happening]) -> int:
    """Count crashes once, though an exit and the restart after it are two records.

    A restart after an end without fault is none, and systemd's counter counts those as well.
    """
    exits = restarts = counter = faultless = 0
    for one in happenings:
        if one.is_faultless:
            faultless += 1
            counter = max(counter, one.count - faultless)
        elif one.kind is SystemKind.RESTART:
            restarts += 1
            counter = max(counter, one.count - faultless)
        elif one.kind in _EXITS:
            exits += 1
    return max(exits, restarts, counter)


def _within(happenings: Iterable[Happening]) -> int:
    """Count the most crashes within ten minutes."""
    seen = [one for one in happenings if _is_crash(one)]
    restarts = _most_within(one.at_us for one in seen if one.kind is SystemKind.RESTART)
    return max(restarts, _most_within(one.at_us for one in seen if one.kind in _EXITS))


def _most_within(instants: Iterable[int]) -> int:
    """Count the most of these that lie within ten minutes."""
    times, most, first = sorted(instants), 0, 0
    for index, at_us in enumerate(times):
        while at_us - times[first] > LOOP_WITHIN_US:
            first += 1
        most = max(most, index - first + 1)
    return most
