"""Hard rules: what condemns a release by a single line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.crashes import CRASHES, Crashes, crashes_in
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US, process_event
from botdeploy.core.lines.quote import quote
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.text.phrases import duration, listing
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally, ProcessEvent
    from botdeploy.core.judge.judge_options import JudgeOptions
    from botdeploy.core.lines.line import LogLine

SAME_TIME_US = 5 * MINUTE_US

_FATAL = {
    SystemKind.START_LIMIT: "systemd stopped trying to start the unit",
    SystemKind.SPAWN_FAILED: "the program could not be executed",
    SystemKind.OOM: "the kernel killed it because memory ran out",
    SystemKind.COREDUMP: "it dumped core",
}
_FINAL_RESULTS = frozenset({"start-limit-hit", "oom-kill", "core-dump", "resources", "protocol"})
_MAYBE_EXTERNAL = frozenset(
    {SystemKind.CRASHED, SystemKind.RESTART, SystemKind.FAILED, SystemKind.START_LIMIT}
)
"""How a bot ends that can't work without a service that fails."""
_EXTERNAL = (
    "its last error may have an external cause (name resolution, connections, TLS, answers of other"
    " services): no two hosts that run the old release are free of such errors"
)


class HardRules:
    """Rules that answer at the line, unless the baseline is in the same state."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Judge what ``fleet`` was given; it must have counted a line before it comes here."""
        self._fleet = fleet
        self._options = options
        self.crashes = Crashes(fleet, options)
        self._excused: dict[str, str] = {}

    def at_line(self, tally: HostTally, line: LogLine) -> Verdict | None:
        """Answer a line of a canary host since its switch: FAIL, WAIT (not the release) or None."""
        if line.system is not None:
            return self.at_event(tally, process_event(line, line.system), line.system.result)
        if not line.is_fatal or line.fingerprint is None:
            return None
        return self.at_fatal(tally, line.fingerprint, line.message)

    def at_fatal(self, tally: HostTally, error: str, message: str) -> Verdict | None:
        """Answer a fatal error since the switch."""
        if self._fleet.is_known_fatal(error):
            return None
        if self._fleet.is_past_cut:
            return None
        if self._fleet.external.is_external(error):
            return None  # no single line tells whether the cause is external
        return _fail(tally, f"a fatal error never seen {self._where()}: {quote(message)}")

    def at_event(self, tally: HostTally, event: ProcessEvent, result: str = "") -> Verdict | None:
        """Answer a record of systemd's since the switch, which the tally was given before.

        ``result``: what systemd calls the end of a unit that failed.
        """
        if event.at_us <= tally.excused_until_us:
            return None
        kind = event.kind
        reason: str | None = None
        if kind in _FATAL:
            reason = f"{_FATAL[kind]}: {quote(event.text)}"
        elif kind is SystemKind.FAILED:
            if result in _FINAL_RESULTS or self.crashes.is_first_fatal:
                reason = f"the unit failed: {quote(event.text)}"
        elif event.is_faultless:
            reason = self.crashes.faultless_loop(tally)
        elif kind in CRASHES and not tally.is_stopping:
            reason = self.crashes.too_many()
        if reason is None:
            return None
        if kind in _MAYBE_EXTERNAL and self.may_be_external(tally):
            return Verdict(Outcome.WAIT, (reason, _EXTERNAL), tally.name)
        return self._ruled(tally, reason, event.at_us)

    def standing(self, now_us: int) -> Verdict | None:
        """Answer what no line answered: a unit that stays down, and what was excused before."""
        for tally in self._fleet.canary.values():
            for error, message in () if tally.name in self._excused else tally.fatal_errors:
                if (ruled := self.at_fatal(tally, error, message)) is not None:
                    return ruled
            reason = self._kept(tally)
            if reason is not None and tally.name not in self._excused:
                ruled = self._ruled(tally, reason, tally.process_events[-1].at_us)
                if ruled.outcome is Outcome.FAIL:
                    return ruled
            if tally.name in self._excused or tally.down_us is None or tally.is_start_due:
                continue
            if tally.down_us > tally.excused_until_us and (
                now_us - tally.down_us > self._options.restart_s * SECOND_US
            ):
                last = tally.process_events[-1].text
                down = f"the unit failed and was not started again: {quote(last)}"
                if self.may_be_external(tally):
                    return Verdict(Outcome.WAIT, (down, _EXTERNAL), tally.name)
                ruled = self._ruled(tally, down, now_us)
                if ruled.outcome is Outcome.FAIL:
                    return ruled
        if not self._excused:
            return None
        sick = self._sick_baseline(now_us, *self._excused)
        if sick:
            return self._not_the_release(sick)
        for name, reason in list(self._excused.items()):
            tally = self._fleet.canary[name]
            if tally.down_us is not None:
                return _fail(tally, reason, "the baseline had the same problem and recovered")
            tally.excused_until_us = now_us
            del self._excused[name]
        return None

    def excuse(self, host: str, reason: str) -> None:
        """Take what a canary host shows as a problem of its machine, until the others are well."""
        self._excused.setdefault(host, reason)

    def is_excused(self, host: str) -> bool:
        """Tell whether what a canary host shows was taken as a problem of the others, too."""
        return host in self._excused

    def may_be_external(self, tally: HostTally) -> bool:
        """Tell whether the last error of a host may have an external cause."""
        return tally.last_error is not None and self._fleet.external.is_excused(tally.last_error)

    def _kept(self, tally: HostTally) -> str | None:
        """Say what its lines would have shown, where what was kept of them was taken in at once."""
        seen = tally.not_excused() if tally.is_absorbed else []
        fatal = next((one for one in seen if one.kind in _FATAL), None)
        if fatal is not None:
            return f"{_FATAL[fatal.kind]}: {quote(fatal.text)}"
        if self.may_be_external(tally):
            return None
        if crashes_in(seen) and (reason := self.crashes.too_many()):
            return reason
        return self.crashes.faultless_loop(tally) if seen else None

    def _ruled(self, tally: HostTally, reason: str, at_us: int) -> Verdict:
        sick = self._sick_baseline(at_us)
        if sick:
            self._excused.setdefault(tally.name, reason)
            return self._not_the_release(sick)
        return _fail(tally, reason)

    def _where(self) -> str:
        known_s = self._fleet.history_s
        return f"in {duration(known_s)} of the old release" if known_s else "before"

    def _sick_baseline(self, now_us: int, *hosts: str) -> list[str]:
        """Name the baseline hosts with a problem now, if they are at least half of the baseline.

        Or all of those that share the machine of one of these canary hosts, which were excused.
        """
        sick = [
            tally.name
            for tally in self._fleet.baseline.values()
            if tally.down_us is not None
            or any(
                now_us - one.at_us <= SAME_TIME_US and not one.is_faultless
                for one in tally.process_events
            )
        ]
        if 2 * len(sick) >= len(self._fleet.baseline):
            return sick
        for host in hosts:
            beside = [tally.name for tally in self._fleet.neighbours(host)]
            if beside and set(beside) <= set(sick):
                return beside
        return []

    def _not_the_release(self, sick: list[str]) -> Verdict:
        reasons = [*self._excused.values()]
        reasons.append(f"not the release: the baseline ({listing(sick)}) has the same problem")
        return Verdict(Outcome.WAIT, tuple(reasons), next(iter(self._excused), None))


def _fail(tally: HostTally, *reasons: str) -> Verdict:
    return Verdict(Outcome.FAIL, reasons, tally.name)
