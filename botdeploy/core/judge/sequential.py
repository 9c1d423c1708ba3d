"""A sequential test of the release against the past and the baseline, a minute at a time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from botdeploy.core.judge import latency
from botdeploy.core.judge.comparison import Comparison
from botdeploy.core.judge.count_table import NEW_ERRORS, WEIGHED, WORK, Table
from botdeploy.core.judge.evidence_text import EvidenceText
from botdeploy.core.judge.history_model import Usual
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.past_windows import WINDOW_MIN, PastWindows
from botdeploy.core.judge.rates import BLOCK_MIN
from botdeploy.core.judge.threshold import least_threshold, threshold
from botdeploy.core.text.phrases import count, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.judge_options import JudgeOptions

MOST_PAST_MIN = 1440
"""Minutes of history that are learnt from."""
LATE_US = 5 * SECOND_US
"""How late a line may arrive and still be counted in its minute."""
DOUBTFUL = 3.0
"""Evidence against the release from which on it does not pass."""
OUTAGE = 2.5
"""Times its usual errors that the baseline has, from which on the release does not pass."""
NEW_ERROR_MIN = 20
"""Minutes without a new error before a pass."""


@dataclass(slots=True)
class _Watch:
    """What was learnt of the past, and the comparison with it."""

    table: Table
    usual: Usual
    comparison: Comparison
    windows: PastWindows | None
    """None where the baseline's first minutes stand for the past."""
    next: int
    """The next minute that is compared, since the epoch."""
    last_new: int | None = None
    """The last one with a new error."""


def past_minutes(fleet: FleetTally, least_s: float) -> int | None:
    """Give how many minutes before the watch are learnt from, in blocks; None where none are.

    ``least_s``: seconds of the old release that a host must know to count.
    """
    known = [
        tally.first_us // MINUTE_US
        for tally in fleet.parts()
        if tally.first_us is not None and tally.history_s >= least_s
    ]
    if not known:
        return None
    past = min(MOST_PAST_MIN, fleet.watch_us // MINUTE_US - min(known))
    return past - past % BLOCK_MIN


class SequentialTest:
    """Compares a watch with the past, for the presets that ask for proof."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Compare what ``fleet`` holds; what it holds of the past when first asked is the past."""
        self._fleet = fleet
        self._options = options
        self._watch: _Watch | None = None
        self.failed = False

    @property
    def comparison(self) -> Comparison | None:
        """The comparison with the past; None where there is none to compare with."""
        return self._watch.comparison if self._watch is not None else None

    def advance(self, now_us: int) -> bool:
        """Take in the minutes that are over; True once the evidence condemns the release."""
        watch = self._watch
        if watch is None:
            watch = self._watch = self._opened(now_us)
        if watch is None:
            return False
        if watch.windows is not None:
            watch.windows.step()
        while not self.failed and (watch.next + 1) * MINUTE_US + LATE_US <= now_us:
            self._minute(watch)
        return self.failed

    def _opened(self, now_us: int) -> _Watch | None:
        """Learn the past; where there is none, the baseline's first minutes stand for it."""
        fleet = self._fleet
        first_min = fleet.watch_us // MINUTE_US
        known = past_minutes(fleet, BLOCK_MIN * 60.0)
        past = BLOCK_MIN if known is None else known
        if known is None:
            first_min += 1 + past
            if not fleet.baseline or now_us < first_min * MINUTE_US + LATE_US:
                return None
        table = Table(fleet, past, first_min - past)
        usual = Usual(table)
        minutes = max(1, ceil(self._options.deadline_s / 60.0))
        canary = range(len(fleet.canary))
        comparison = Comparison(table, usual, canary, minutes, self._options.worse)
        windows = PastWindows(table, usual) if known is not None else None
        return _Watch(table, usual, comparison, windows, first_min)

    def _minute(self, watch: _Watch) -> None:
        minute, comparison = watch.next, watch.comparison
        ready = []
        starting = []
        for number, tally in enumerate(self._fleet.canary.values()):
            over_us = tally.start_us + round(self._options.grace_s * SECOND_US)
            if minute * MINUTE_US >= over_us:
                ready.append(number)
            elif (minute + 1) * MINUTE_US > tally.start_us:
                starting.append(number)
        watch.table.append(starting)
        t = watch.table.length - 1
        comparison.minute(t, ready)
        if any(watch.table.rows[NEW_ERRORS][h][t] for h in comparison.canary):
            watch.last_new = minute
        watch.next += 1
        if ready and comparison.e_value >= self._least(watch):
            limit = self.limit
            self.failed = comparison.e_value >= limit and comparison.in_hindsight() >= limit

    @property
    def limit(self) -> float:
        """How much evidence condemns the release: by the rate asked for, and by the past.

        Windows of the past are an hour long; they stand for no longer watch. Nor without a
        baseline, where an external cause cannot be told from the release.
        """
        rate = self._options.false_abort_rate
        watch = self._watch
        least = self._least(watch) if watch is not None else 0.0
        if watch is None or watch.comparison.e_value < least:
            return 1.0 / rate
        is_long = watch.comparison.minutes > WINDOW_MIN + WINDOW_MIN // 2
        reached = watch.windows.reached() if watch.windows is not None else []
        is_backed = not is_long and bool(self._fleet.baseline)
        return threshold(rate, least, reached, is_backed=is_backed)

    def _least(self, watch: _Watch) -> float:
        burst = watch.usual.of(WEIGHED).spread.burst
        return least_threshold(self._options.false_abort_rate, burst)

    def missing(self, now_us: int) -> tuple[str, ...]:
        """Say what proof a pass still lacks; empty where it lacks none."""
        watch = self._watch
        if watch is None:
            if self._fleet.baseline:
                return ("too little is known of the old release to compare with",)
            return ("nothing is known of an older release, so there is nothing to compare with",)
        comparison = watch.comparison
        said = []
        if comparison.e_value >= DOUBTFUL:
            said.append(
                f"the evidence against the release is {comparison.e_value:.1f};"
                f" a pass needs less than {DOUBTFUL:g}"
            )
        if watch.last_new is not None:
            ago_min = now_us // MINUTE_US - watch.last_new
            if ago_min < min(NEW_ERROR_MIN, self._options.soak_s / 60.0):
                said.append(f"a new error came {count(ago_min, 'minute')} ago")
        weighed = comparison.weighed
        if weighed is not None and weighed.level.ratio >= OUTAGE:
            said.append(
                f"the baseline has {weighed.level.ratio:.1f} times its usual errors,"
                " so the hosts can't be compared"
            )
        return (*said, *self._not_excluded(watch))

    def _not_excluded(self, watch: _Watch) -> Iterator[str]:
        worse = times(watch.usual.too_many(self._options.worse))
        comparison = watch.comparison
        weighed, traffic, slow = comparison.weighed, comparison.traffic, comparison.slow
        needed = 1.0 / self._options.missed_rate
        for what, safety in (
            (f"{worse} as many errors are", weighed.safety if weighed is not None else 1.0),
            ("a loss of most traffic is", traffic.safety if traffic is not None else 1.0),
            ("work that takes 25 % longer is", slow.safety if slow is not None else needed),
        ):
            if safety < needed:
                yield f"{what} {_excluded(safety)}"

    def unweighed(self) -> tuple[str, ...]:
        """Say what is not weighed, though the bot tells it."""
        watch = self._watch
        if (
            watch is None
            or watch.comparison.slow is not None
            or not any(sum(watch.table.rows[WORK][h]) for h in watch.comparison.canary)
        ):
            return ()
        known = f"fewer than {latency.ENOUGH_MIN:.0f} minutes of the old release tell it"
        return (f"how long work takes was not weighed: {known}",)

    def figures(self) -> str:
        """Sum the watch up in numbers."""
        watch = self._watch
        if watch is None:
            return "no minute could be compared yet"
        return EvidenceText(self._fleet, watch.comparison).figures()

    def against(self) -> tuple[tuple[str, ...], str | None]:
        """Say what condemns the release, the weightiest first, and which host shows it alone."""
        watch = self._watch
        if watch is None:
            return (), None
        text = EvidenceText(self._fleet, watch.comparison)
        return text.against(watch.windows.so_far if watch.windows is not None else ()), text.host()


def _excluded(safety: float) -> str:
    if safety <= 1.0:
        return "not excluded"
    return f"excluded with no more than {100.0 * (1.0 - 1.0 / safety):.0f} % confidence"
