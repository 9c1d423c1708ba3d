"""Hard rules: what one line is enough to condemn a release for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.ledger import MINUTE_US, HostLedger, Incident, Ledger
from botdeploy.core.judge.options import JudgeOptions, Preset
from botdeploy.core.judge.sighting import Kind, Level, Sighting
from botdeploy.core.judge.words import count, duration, listing, quote
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOP_WITHIN_US = 10 * MINUTE_US
SAME_TIME_US = 5 * MINUTE_US

_DEADLY = {
    Kind.FAILED: "the unit failed",
    Kind.START_LIMIT: "systemd gave up starting the unit",
    Kind.OOM: "the kernel killed it for want of memory",
    Kind.CORE: "it dumped core",
}
_CRASHES = (Kind.CRASH, Kind.RESTART)


class HardRules:
    """Rules that answer at the line, unless the baseline is in the same state."""

    def __init__(self, ledger: Ledger, options: JudgeOptions) -> None:
        """Judge what ``ledger`` was given; it must have counted a line before it comes here."""
        self._ledger = ledger
        self._options = options
        self._excused: dict[str, str] = {}

    def at_line(self, part: HostLedger, seen: Sighting) -> Verdict | None:
        """Answer a line of a canary host since its switch: FAIL, WAIT (not the release) or None."""
        reason: str | None = None
        if seen.kind is Kind.LINE:
            if seen.level is not Level.FATAL or seen.fingerprint in self._ledger.known:
                return None
            return _fail(part, self._never_seen(seen))
        if seen.at_us <= part.forgiven_us:
            return None
        if seen.kind in _DEADLY:
            reason = f"{_DEADLY[seen.kind]}: {quote(seen.text)}"
        elif seen.kind in _CRASHES and not part.stopping:
            reason = self._crashes()
        if reason is None:
            return None
        sick = self._sick_baseline(seen.at_us)
        if sick:
            self._excused[part.name] = reason
            return self._not_the_release(sick)
        return _fail(part, reason)

    def standing(self, now_us: int) -> Verdict | None:
        """Answer what was excused before: WAIT while the baseline is sick, FAIL if it got well."""
        if not self._excused:
            return None
        sick = self._sick_baseline(now_us)
        if sick:
            return self._not_the_release(sick)
        for name, reason in list(self._excused.items()):
            part = self._ledger.canary[name]
            if part.down:
                return _fail(part, reason, "the baseline had the same trouble and got over it")
            part.forgiven_us = now_us
            del self._excused[name]
        return None

    @property
    def excused(self) -> tuple[str, ...]:
        """What was seen on the canary while the baseline was in the same state."""
        return tuple(self._excused.values())

    def crash_count(self) -> int:
        """Crashes of the release on all canary hosts, without what was excused."""
        return sum(_crash_count(part.unforgiven()) for part in self._ledger.canary.values())

    def _never_seen(self, seen: Sighting) -> str:
        known = self._ledger.history_s
        where = f"in {duration(known)} of the old release" if known else "anywhere before"
        return f"a fatal error never seen {where}: {quote(seen.text)}"

    def _crashes(self) -> str | None:
        """Say why the crashes so far condemn the release, or None if they do not yet."""
        parts = list(self._ledger.canary.values())
        total = self.crash_count()
        shown = [one for part in parts for one in part.unforgiven() if one.kind in _CRASHES]
        last = max(shown, key=lambda one: one.at_us, default=None)
        if last is None:
            return None
        said = quote(next((one.text for one in shown if one.kind is Kind.CRASH), last.text))
        names = [part.name for part in parts if _crash_count(part.unforgiven())]
        where = f" ({listing(names)})" if len(names) > 1 else ""
        before = [_crash_count(part.incidents_before) for part in self._ledger.parts()]
        if not any(before):
            if total >= 2:
                return (
                    f"crashed {total} times since the switch{where}{self._clean_history()}: {said}"
                )
            if self._options.preset is Preset.QUICK:
                return f"crashed{where}{self._clean_history()}: {said}"
            return None
        loop = max((_within(part.unforgiven()) for part in parts), default=0)
        usual = max((_within(part.incidents_before) for part in self._ledger.parts()), default=0)
        if loop > max(1, usual):
            return (
                f"crashed {loop} times within {duration(LOOP_WITHIN_US / 1e6)}"
                f" (the old release at most {count(usual, 'time')}): {said}"
            )
        return None

    def _clean_history(self) -> str:
        known = self._ledger.history_s
        return f", and not once in {duration(known)} of the old release" if known else ""

    def _sick_baseline(self, now_us: int) -> list[str]:
        """Name the baseline hosts in trouble now, if they are at least half of the baseline."""
        sick = [
            part.name
            for part in self._ledger.baseline.values()
            if part.down or any(now_us - one.at_us <= SAME_TIME_US for one in part.incidents)
        ]
        return sick if 2 * len(sick) >= len(self._ledger.baseline) else []

    def _not_the_release(self, sick: list[str]) -> Verdict:
        reasons = [*self._excused.values()]
        reasons.append(f"not the release: the baseline ({listing(sick)}) is in the same state")
        return Verdict(Outcome.WAIT, tuple(reasons), next(iter(self._excused), None))


def _fail(part: HostLedger, *reasons: str) -> Verdict:
    return Verdict(Outcome.FAIL, reasons, part.name)


def _crash_count(incidents: Iterable[Incident]) -> int:
    """Count crashes once, though an exit and the restart after it are two records."""
    exits = restarts = counter = 0
    for one in incidents:
        if one.kind is Kind.CRASH:
            exits += 1
        elif one.kind is Kind.RESTART:
            restarts += 1
            counter = max(counter, one.count)
    return max(exits, restarts, counter)


def _within(incidents: Iterable[Incident]) -> int:
    """Count the most crashes within ten minutes."""
    most = 0
    for kind in _CRASHES:
        times = sorted(one.at_us for one in incidents if one.kind is kind)
        first = 0
        for index, at_us in enumerate(times):
            while at_us - times[first] > LOOP_WITHIN_US:
                first += 1
            most = max(most, index - first + 1)
    return most
