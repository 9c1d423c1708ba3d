"""The judge: evidence of canary and baseline in, a verdict out; it knows no clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge.fleet_tally import FleetTally
from botdeploy.core.judge.hard_rules import HardRules
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.journal_gaps import JournalGaps
from botdeploy.core.judge.judge_options import JudgeOptions, Preset
from botdeploy.core.judge.machine_faults import MachineFaults
from botdeploy.core.judge.pass_caveats import unexcluded
from botdeploy.core.judge.pass_conditions import PassConditions
from botdeploy.core.judge.quarantined_errors import QuarantinedErrors
from botdeploy.core.judge.quick import QuickRules
from botdeploy.core.judge.sequential import SequentialTest
from botdeploy.core.lines.external_errors import is_external
from botdeploy.core.lines.quote import quote
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from botdeploy.core.host.host_state import RefusedError
    from botdeploy.core.lines.line import LogLine

_QUICK_STEP_US = 5 * SECOND_US
MOST_NAMED = 5
"""Errors that a failing verdict hands on."""


@dataclass(frozen=True, slots=True)
class PastFacts:
    """What is known of the past beside its lines."""

    left_out: Mapping[str, Iterable[tuple[int, int]]] = field(default_factory=dict)
    """By host, the times (µs) in which others ran than the past is made of: unknown, not quiet."""
    has_unread: bool = False
    """Whether there is more of the past than was read."""
    refused: Sequence[RefusedError] = ()
    """Errors that earlier releases failed for."""


NO_FACTS = PastFacts()


class Judge(JournalGaps):
    """Judges one ring's release by the journals of its hosts and of the baseline.

    Feed it every line in the order of arrival, ask it whenever you like: asking changes nothing
    and costs nothing of the error rate. The same lines give the same verdicts.
    """

    def __init__(
        self,
        options: JudgeOptions,
        *,
        canary: Sequence[str],
        baseline: Sequence[str],
        switched_at_us: Mapping[str, int],
        history: Mapping[str, Iterable[LogLine] | Evidence] | None = None,
        known: PastFacts = NO_FACTS,
        machines: Mapping[str, str] | None = None,
    ) -> None:
        """Start with what is known of the old release.

        ``switched_at_us``: microseconds since the epoch, for each canary host, when the release
        was started there; lines of a canary before it are its past. ``machines`` has the machine
        of each host; one that is missing has a machine of its own. Raises ValueError without a
        canary or a switch time.
        """
        if not canary or not switched_at_us:
            raise ValueError("a judge needs a canary host and the time of its switch")
        quick = options.preset is Preset.QUICK
        self.options = options
        self._fleet = FleetTally(
            canary, baseline, dict(switched_at_us), _QUICK_STEP_US if quick else MINUTE_US
        )
        self._fleet.has_unread = known.has_unread
        self._fleet.machines = machines or {}
        for host, spans in known.left_out.items():
            tally = self._fleet.host(host)
            if tally is not None:
                tally.unheard.leave_out(spans)
        self._refused = QuarantinedErrors(self._fleet, known.refused)
        self._hard = HardRules(self._fleet, options)
        self._machine = MachineFaults(self._fleet, options, self._hard)
        self._quick = QuickRules(self._fleet, options)
        self._sequential = None if quick else SequentialTest(self._fleet, options)
        self._pass = PassConditions(self._fleet, options, self._hard, self._quick, self._sequential)
        self._failed: Verdict | None = None
        self._now_us = self._fleet.watch_us
        for host, past in (history or {}).items():
            if isinstance(past, Evidence):
                self.absorb(host, past)
            else:
                for line in past:
                    self.feed(host, line)

    def absorb(
        self,
        host: str,
        evidence: Evidence,
        judged: str | None = None,
        counted: Collection[str] | None = None,
    ) -> None:
        """Take in what was kept of a host's journal; not beside the same lines fed.

        ``judged`` names the release that is judged, where the evidence tells it from others;
        ``counted`` those whose lines are the past (None: all but that one's).
        """
        self._fleet.absorb(host, evidence, judged, counted)

    def feed(self, host: str, line: LogLine) -> Verdict | None:
        """Take one line in; a verdict where this very line shows a hard fault, else None.

        WAIT means: such a fault, but the baseline is in the same state, or may be. Lines of hosts
        that are neither canary nor baseline are ignored.
        """
        self._now_us = max(self._now_us, line.at_us)
        tally = self._fleet.add(host, line)
        if tally is None or line.at_us < tally.start_us or host not in self._fleet.canary:
            return None
        if self._failed is not None:
            return self._failed
        ruled = self._refused.at_line(tally, line) or self._hard.at_line(tally, line)
        if ruled is not None and ruled.outcome is Outcome.FAIL:
            ruled = self._naming(ruled, line.fingerprint)
            ruled = self._machine.at_line(ruled, line.at_us, line.fingerprint or tally.last_error)
            self._failed = ruled if ruled.outcome is Outcome.FAIL else None
        return ruled

    def _naming(self, failed: Verdict, error: str | None = None) -> Verdict:
        """Add the errors that a failing verdict names, so that they are known when they come back.

        Only the release's own: none that the past knows, and none with an external cause.
        """
        named: dict[str, str] = {}
        for tally in self._fleet.canary.values():
            for name, seen in tally.quotes.items():
                if name != error and not any(quote(seen.text) in one for one in failed.reasons):
                    continue
                if self._is_own(name, seen.text):
                    named.setdefault(name, quote(seen.text).strip("“”"))
        return replace(failed, errors=tuple(named.items())[:MOST_NAMED])

    def is_news(self, line: LogLine) -> bool:
        """Tell whether a line is an error of the release's own: the past does not know it."""
        return line.fingerprint is not None and self._is_own(line.fingerprint, line.message)

    def _is_own(self, error: str, text: str) -> bool:
        return not self._fleet.is_known(error) and not is_external(error, text)

    def stopped(self, host: str) -> None:
        """Note that a person has stopped a host's bot: until it starts again it is not silent."""
        tally = self._fleet.host(host)
        if tally is not None:
            tally.is_stopping = True

    def verdict(self, now_us: int) -> Verdict:
        """Judge what was seen until ``now_us``; a fail stays a fail."""
        self._now_us = max(self._now_us, now_us)
        if self._failed is None:
            ruled = self._machine.held(now_us) or self._machine.standing(now_us)
            if ruled is None and (condemned := self._condemned(now_us)) is not None:
                ruled = self._machine.weighed(condemned, now_us)
            if ruled is None or ruled.outcome is not Outcome.FAIL:
                return self._undecided(ruled, now_us)
            named = next((name for name, _ in ruled.errors), None)
            self._failed = self._naming(ruled, named)
        return self._failed

    def _undecided(self, waiting: Verdict | None, now_us: int) -> Verdict:
        """Wait, pass, or tell that nobody can tell; no pass for what a whole machine shows."""
        barred = self._machine.barred(now_us)
        if waiting is not None and waiting.machine is not None:
            return barred or waiting
        if barred is not None:
            return barred
        return self._pass.verdict(now_us) if waiting is None else self._pass.late(waiting, now_us)

    def external_ends(self) -> frozenset[str]:
        """Name the canary hosts that may have ended by an external cause, or by the machine's."""
        return self._machine.ends() | frozenset(
            name for name, tally in self._fleet.canary.items() if self._hard.may_be_external(tally)
        )

    def cannot_exclude(self) -> tuple[str, ...]:
        """Say what a pass now would not exclude, in sentences."""
        return unexcluded(self._fleet, self._now_us)

    def _condemned(self, now_us: int) -> Verdict | None:
        """FAIL where the evidence, or in quick what a person would see, condemns the release."""
        back = self._refused.standing()
        if back is not None:
            return back
        if self._sequential is None:
            return self._quick.suspicion(now_us)
        if self._sequential.advance(now_us):
            return Verdict(Outcome.FAIL, *self._sequential.against())
        return None if self._sequential.comparison is not None else self._quick.suspicion(now_us)
