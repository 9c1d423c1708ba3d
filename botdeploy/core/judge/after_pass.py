"""After a pass: hard rules, and the failing side of the sequential test with a bound of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.evidence.incidents import FATAL
from botdeploy.core.judge.comparison import Comparison
from botdeploy.core.judge.count_table import LINES, NEW_ERRORS, WORK, Table
from botdeploy.core.judge.evidence_text import EvidenceText
from botdeploy.core.judge.fleet_tally import FleetTally
from botdeploy.core.judge.hard_rules import HardRules
from botdeploy.core.judge.history_model import Usual
from botdeploy.core.judge.host_tally import MINUTE_US, ProcessEvent
from botdeploy.core.judge.journal_gaps import JournalGaps
from botdeploy.core.judge.judge_options import JudgeOptions, Preset
from botdeploy.core.judge.machine_faults import MachineFaults
from botdeploy.core.judge.past_windows import WINDOW_MIN
from botdeploy.core.judge.rates import BLOCK_MIN
from botdeploy.core.judge.sequential import LATE_US, past_minutes
from botdeploy.core.judge.threshold import SMOOTH_SHARE
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.judge.streams import Stream
    from botdeploy.core.lines.line import LogLine

EVERY_MIN = 30
"""How often a watch of an hour begins: what a host strays from hour to hour does not add up."""
FALSE_A_DAY = 0.01
"""Share of good releases that may be failed in a day."""
BOUND = SMOOTH_SHARE * (1440 / EVERY_MIN) / FALSE_A_DAY
"""Evidence that fails a release: so much is reached by chance about once in as many watches as a
hundred days have, twice over, because what is usual is only learnt. Measured: docs/verdict.md."""
BESIDE = 2.0
"""Times as many errors that it takes beside a baseline: a host may have changed for good."""
ALONE = 10.0
"""The same without one, in each of the last three times four minutes: the hour or an outage may
be the cause, and no host shows otherwise, but outages end."""
ALONE_MIN = 4
GONE = 0.05
"""Share of the usual lines below which traffic has stopped, where no baseline tells the hour."""
LOOK_BACK_MIN = 120
"""Watches that ended longer ago are not gone through again: whoever came then has done it."""
_LEAST_PAST_S = 60.0
_FOREVER_US = 1 << 62


class AfterPass(JournalGaps):
    """Watches hosts of a ring that passed; the time before the pass is what is usual for them.

    ``quick``'s rules, each of which answers to little, do not go on: looked at for days they
    would fail good releases. Feed it lines, or evidence, and ask whenever you like.
    """

    def __init__(
        self,
        canary: Sequence[str],
        baseline: Sequence[str],
        passed_at_us: Mapping[str, int],
        machines: Mapping[str, str] | None = None,
    ) -> None:
        """``passed_at_us``: for each host of the ring, microseconds since the epoch.

        ``machines``: as ``Judge`` takes it.
        """
        self._fleet = FleetTally(canary, baseline, dict(passed_at_us), MINUTE_US)
        self._fleet.machines = machines or {}
        options = JudgeOptions.preset_for(Preset.NORMAL, 0.0)
        self._options = replace(options, false_abort_rate=FALSE_A_DAY)
        self._hard = HardRules(self._fleet, self._options)
        self._machine = MachineFaults(self._fleet, self._options, self._hard)
        self._table: Table | None = None
        self._usual: Usual | None = None
        self._comparisons: list[tuple[int, Comparison]] = []
        self._next = 0
        self._failed: Verdict | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The ring's hosts that are watched."""
        return tuple(self._fleet.canary)

    def feed(self, host: str, line: LogLine) -> None:
        """Take one line in, of any time."""
        tally = self._fleet.add(host, line)
        if tally is None or line.at_us < tally.start_us or host not in self._fleet.canary:
            return
        self._answer(self._hard.at_line(tally, line), line.at_us, line.fingerprint)

    def absorb(
        self, host: str, evidence: Evidence, release: str, counted: Collection[str] | None = None
    ) -> None:
        """Take in what was kept of a host's journal; not beside the same lines fed.

        ``counted`` names those whose lines are the past (None: all), the ``release`` among them.
        """
        self._fleet.absorb(host, evidence, release, counted)
        tally = self._fleet.canary.get(host)
        if tally is None:
            return
        stops = [
            bucket.at_us
            for bucket in evidence.buckets(release, tally.start_us - evidence.bucket_us)
            if bucket.counts.system.get(SystemKind.STOPPING)
        ]
        for one in evidence.incidents(release, tally.start_us):
            if one.kind == FATAL:
                continue  # by the standing rules, once all hosts have told what is known
            is_stop = any(at_us <= one.at_us < at_us + evidence.bucket_us for at_us in stops)
            if not (is_stop and one.kind == SystemKind.CRASHED):
                kind = SystemKind(one.kind)
                event = ProcessEvent(one.at_us, kind, one.text, status=one.status)
                self._answer(self._hard.at_event(tally, event), one.at_us, tally.last_error)

    def leave(self, host: str, at_us: int) -> None:
        """Note that a host of the baseline gets the new release: it says nothing of the old one."""
        tally = self._fleet.baseline.get(host)
        if tally is not None:
            tally.unheard.miss(at_us, _FOREVER_US)

    def failure(self, now_us: int) -> Verdict | None:
        """Give the verdict that revokes the pass, by what was seen until ``now_us``; else None."""
        if self._failed is None:
            self._take(self._machine.held(now_us))
            self._take(self._machine.standing(now_us))
        if self._failed is None and (self._table is not None or self._begin()):
            while self._failed is None and (self._next + 1) * MINUTE_US + LATE_US <= now_us:
                self._minute(now_us // MINUTE_US)
        return self._failed

    def ends(self) -> frozenset[str]:
        """Name the hosts whose end is that of their whole machine, or may turn out to be."""
        return self._machine.ends()

    def _answer(self, ruled: Verdict | None, at_us: int, error: str | None) -> None:
        """Take what a line shows; where it is a fail, the others on the machine are heard first."""
        if ruled is not None and ruled.outcome is Outcome.FAIL:
            self._take(self._machine.at_line(ruled, at_us, error))

    def _take(self, ruled: Verdict | None) -> None:
        if self._failed is None and ruled is not None and ruled.outcome is Outcome.FAIL:
            self._fail(ruled.reasons, ruled.host)

    def _fail(self, reasons: Sequence[str], host: str | None) -> None:
        self._failed = Verdict(Outcome.FAIL, (*reasons, "after it had passed"), host)

    def _begin(self) -> bool:
        """Learn what is usual; a past shorter than ten minutes counts for what it is."""
        past = past_minutes(self._fleet, _LEAST_PAST_S)
        if past is None:
            return False
        past = max(BLOCK_MIN, past)
        self._next = self._fleet.watch_us // MINUTE_US
        self._table = Table(self._fleet, past, self._next - past)
        self._usual = Usual(self._table)
        return True

    def _minute(self, now: int) -> None:
        table, usual = self._table, self._usual
        if table is None or usual is None:
            return
        minute = self._next
        self._next += 1
        table.append()
        if (minute - table.first - table.past) % EVERY_MIN == 0 and now - minute <= LOOK_BACK_MIN:
            canary = range(len(self._fleet.canary))
            self._comparisons.append((minute, Comparison(table, usual, canary, WINDOW_MIN)))
        self._comparisons = [one for one in self._comparisons if minute - one[0] < WINDOW_MIN]
        ready = [
            number
            for number, tally in enumerate(self._fleet.canary.values())
            if minute * MINUTE_US >= tally.start_us
        ]
        for _, comparison in self._comparisons:
            comparison.minute(table.length - 1, ready)
            if ready and self._is_plain(comparison, usual) and comparison.in_hindsight() >= BOUND:
                text = EvidenceText(self._fleet, comparison)
                failed = Verdict(Outcome.FAIL, text.against(), text.host())
                self._take(self._machine.weighed(failed, (minute + 1) * MINUTE_US))
                return

    def _is_plain(self, comparison: Comparison, usual: Usual) -> bool:
        """Tell whether the evidence is enough, and what it is about as plain as it has to be."""
        if comparison.e_value < BOUND:
            return False
        is_alone = not self._fleet.baseline
        values = {kind: share * value for kind, (share, value) in comparison.parts().items()}
        others = (NEW_ERRORS,) if is_alone else (NEW_ERRORS, LINES, WORK)
        if sum(values.get(kind, 0.0) for kind in others) >= BOUND:
            return True
        if not is_alone:
            weighed, ratio = comparison.weighed, usual.weighed_ratio(usual.too_many(BESIDE))
            return weighed is not None and weighed.seen >= ratio * weighed.expected
        if values[LINES] >= BOUND:
            return _is_lately(comparison.traffic, lambda seen, mean: seen <= GONE * mean)
        ratio = usual.weighed_ratio(usual.too_many(ALONE))
        return _is_lately(comparison.weighed, lambda seen, mean: seen >= ratio * mean)


def _is_lately(stream: Stream | None, is_so: Callable[[float, float], bool]) -> bool:
    """Tell whether something holds in each of the last three stretches."""
    if stream is None:
        return False
    lately = [stream.lately(ALONE_MIN, back * ALONE_MIN) for back in range(3)]
    return all(mean > 0.0 and is_so(seen, mean) for seen, mean in lately)
