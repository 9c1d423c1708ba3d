"""The scales: evidence for and against the release, a minute at a time, and what it comes to."""

from __future__ import annotations

from math import ceil, exp, floor
from typing import TYPE_CHECKING

from botdeploy.core.judge.comparison import APART, Comparison
from botdeploy.core.judge.count_table import LINES, WEIGHED, WORK, YOUNG, Table
from botdeploy.core.judge.history_model import Usual
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.rates import BLOCK_MIN
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally
    from botdeploy.core.judge.options import JudgeOptions
    from botdeploy.core.judge.streams import Stream

MOST_PAST_MIN = 1440
"""Minutes of history that are learnt from."""
LATE_US = 5 * SECOND_US
"""How late a line may arrive and still be counted in its minute."""
REPLAYS = 24
REPLAY_MIN = 60
ENOUGH_REPLAYS = 19
"""Replays from which on one in twenty can be told."""
_AT_ONCE = 4
"""Minutes of replay that are done each time the judge is asked, until the replays are needed."""
PROVED = 0.33
"""Share of Ville's bound that is asked for where replays of a rough past back it up."""
CALM_PROVED = 2.0
"""The same where errors come one by one: each tells so much that more can be asked for."""
_CALM_BURST = 1.3
_ROUGH_BURST = 1.6
"""Errors that come together, from which on the past is rough; one kind's of a minute count log2."""
CALM = 3.0
"""Evidence against the release above which it does not pass."""
OUTAGE = 2.5
"""Times its usual that the baseline errs, from which on nothing is decided for the release."""
NEWS_MIN = 20
"""Minutes without an unexplained new error before a pass."""


def least_bar(rate: float, burst: float) -> float:
    """Give the least evidence that condemns a release, for this rate of false aborts (0 to 1).

    ``burst``: how many weighed errors come together. In a rough past little evidence is to be had,
    and its replays show what the roughness alone comes to: they, and not the model, vouch for the
    rate. In a calm one they show nothing, and proof is soon there: more than Ville's bound can be
    asked for, because the usual rates are only learnt.
    """
    rough = min(1.0, max(0.0, (burst - _CALM_BURST) / (_ROUGH_BURST - _CALM_BURST)))
    return (CALM_PROVED + rough * (PROVED - CALM_PROVED)) / rate


def bar(rate: float, least: float, reached: Sequence[float], *, is_backed: bool = True) -> float:
    """Give the evidence that condemns, where replays of the past ``reached`` so much (any order).

    ``least``: what is asked for in any case (``least_bar``).

    It must be more than all that so few of a hundred replays reach as ``rate`` says, read between
    two of them where it lies there. Where that can't be told, from fewer than 19 replays or none
    that vouch for this watch (``is_backed``), it is Ville's bound and more than any replay's.
    """
    ranked = sorted(reached, reverse=True)
    if len(ranked) < ENOUGH_REPLAYS or not is_backed:
        return max([least, 1.0 / rate, *ranked[:1]])
    rank = max(1.0, min(float(len(ranked)), rate * (len(ranked) + 1)))
    above = ranked[floor(rank) - 1]
    below = ranked[min(len(ranked), floor(rank) + 1) - 1]
    tally = rank - floor(rank)
    between: float = above ** (1.0 - tally) * below**tally
    return max(least, between)


def replay_windows(past_min: int, hosts: int) -> int:
    """Give how many hours of a past of so many minutes are replayed, each once for every host."""
    return min(past_min // REPLAY_MIN - 2, ceil(REPLAYS / max(1, hosts)))


class SequentialTest:
    """Weighs a watch against the past, for the presets that ask for proof."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Weigh what ``fleet`` holds; what it holds of the past when first asked is the past."""
        self._fleet = fleet
        self._options = options
        self._table: Table | None = None
        self._usual: Usual | None = None
        self._comparison: Comparison | None = None
        self._replays: list[float] = []
        self._replaying: Iterator[None] = iter(())
        self._next = 0
        self._last_news: int | None = None
        self.failed = False

    @classmethod
    def of(
        cls, fleet: FleetTally, options: JudgeOptions, comparison: Comparison, usual: Usual
    ) -> SequentialTest:
        """Give what puts another watch's evidence into words."""
        made = cls(fleet, options)
        made._comparison, made._usual = comparison, usual
        return made

    # -- going on -------------------------------------------------------------------------------

    def weigh(self, now_us: int) -> bool:
        """Take in the minutes that are over; True once the evidence condemns the release."""
        if self._table is None and not self._begin(now_us):
            return False
        next(self._replaying, None)
        while not self.failed and (self._next + 1) * MINUTE_US + LATE_US <= now_us:
            self._minute()
        return self.failed

    def _begin(self, now_us: int) -> bool:
        """Learn the past; where there is none, the baseline's first minutes stand for it."""
        fleet = self._fleet
        watch = fleet.watch_us // MINUTE_US
        known = [tally.first_us for tally in fleet.parts() if tally.history_s >= BLOCK_MIN * 60]
        if known:
            past = min(
                MOST_PAST_MIN, watch - min(one for one in known if one is not None) // MINUTE_US
            )
            past -= past % BLOCK_MIN
            first = watch - past
        else:
            past = BLOCK_MIN
            first = watch + 1
            if not fleet.baseline or now_us < (first + past) * MINUTE_US + LATE_US:
                return False
        self._table = Table(fleet, past, first)
        self._usual = Usual(self._table)
        self._next = first + past
        self._replaying = self._replay_all()
        minutes = max(1, ceil(self._options.deadline_s / 60.0))
        canary = range(len(fleet.canary))
        self._comparison = Comparison(
            self._table, self._usual, canary, minutes, self._options.worse
        )
        return True

    def _minute(self) -> None:
        table, comparison = self._table, self._comparison
        if table is None or comparison is None:
            return
        minute = self._next
        ready = []
        starting = []
        for number, tally in enumerate(self._fleet.canary.values()):
            over_us = tally.start_us + round(self._options.grace_s * SECOND_US)
            if minute * MINUTE_US >= over_us:
                ready.append(number)
            elif (minute + 1) * MINUTE_US > tally.start_us:
                starting.append(number)
        table.append(starting)
        t = table.length - 1
        comparison.minute(t, ready)
        if any(table.rows[YOUNG][h][t] for h in comparison.canary):
            self._last_news = minute
        self._next += 1
        if ready and comparison.e_value >= self._least:
            limit = self.limit
            self.failed = comparison.e_value >= limit and comparison.in_hindsight() >= limit

    def parts(self) -> dict[str, tuple[float, float]]:
        """Give each kind of evidence's share of the stake, and what it is worth by now."""
        return self._comparison.parts() if self._comparison is not None else {}

    def in_hindsight(self) -> float:
        """Give the whole evidence, knowing what the baseline showed after each minute."""
        return self._comparison.in_hindsight() if self._comparison is not None else 1.0

    @property
    def is_open(self) -> bool:
        """Whether there is a past to weigh against."""
        return self._comparison is not None

    # -- against --------------------------------------------------------------------------------

    @property
    def limit(self) -> float:
        """How much evidence condemns the release: by the rate asked for, and by the past.

        Replays are of an hour with every host as if it were the canary; they vouch for no longer
        watch. Nor without a baseline, where nobody can tell the world's doing from the release's.
        """
        rate = self._options.false_abort_rate
        comparison = self._comparison
        if comparison is None or comparison.e_value < self._least:
            return 1.0 / rate
        is_long = comparison.minutes > REPLAY_MIN + REPLAY_MIN // 2
        return bar(
            rate,
            self._least,
            self._replayed(),
            is_backed=not is_long and bool(self._fleet.baseline),
        )

    @property
    def _least(self) -> float:
        burst = self._usual.of(WEIGHED).spread.burst if self._usual is not None else _ROUGH_BURST
        return least_bar(self._options.false_abort_rate, burst)

    def _replayed(self) -> list[float]:
        """Give the most evidence that each replay of the past comes to; the rest is done now."""
        for _ in self._replaying:
            pass
        return self._replays

    def _replay_all(self) -> Iterator[None]:
        """Replay the past's last hours with each host as the canary, a few minutes at a time."""
        table, usual = self._table, self._usual
        if table is None or usual is None or not self._knows_past(table):
            return
        hosts = [h for h, many in enumerate(usual.minutes) if many >= 3 * REPLAY_MIN]
        for window in range(replay_windows(table.past, len(hosts))):
            end = table.past - window * REPLAY_MIN
            for host in hosts:
                comparison = Comparison(table, usual, [host], REPLAY_MIN)
                most = 0.0
                for t in range(end - REPLAY_MIN, end):
                    comparison.minute(t, [host])
                    most = max(most, comparison.e_value)
                    if t % _AT_ONCE == 0:
                        yield
                self._replays.append(most)

    def _knows_past(self, table: Table) -> bool:
        """Tell whether the past is one, and not the baseline's first minutes."""
        return (table.first + table.past) * MINUTE_US <= self._fleet.watch_us + MINUTE_US

    # -- for ------------------------------------------------------------------------------------

    def missing(self, now_us: int) -> tuple[str, ...]:
        """Say what proof a pass still lacks; empty where it lacks none."""
        comparison, usual = self._comparison, self._usual
        if comparison is None or usual is None:
            if self._fleet.baseline:
                return ("too little is known of the old release to compare with",)
            return ("nothing is known of an older release, so there is nothing to compare with",)
        needed = 1.0 / self._options.missed_rate
        said = []
        if comparison.e_value >= CALM:
            said.append(
                f"the evidence against it is {comparison.e_value:.1f}, which is no calm ({CALM:g})"
            )
        if self._last_news is not None:
            quiet_min = now_us // MINUTE_US - self._last_news
            if quiet_min < min(NEWS_MIN, self._options.soak_s / 60.0):
                said.append(
                    f"an error that nobody saw before came {count(quiet_min, 'minute')} ago"
                )
        weighed = comparison.weighed
        if weighed is not None and weighed.level.ratio >= OUTAGE:
            said.append(
                f"the baseline has {weighed.level.ratio:.1f} times its usual errors,"
                " so the comparison is not fair"
            )
        worse = usual.too_many(self._options.worse)
        said.extend(
            f"{what} {_excluded(safety)}"
            for what, safety in self._safeties(f"{times(worse)} as many errors are", needed)
        )
        return tuple(said)

    def _safeties(self, errors: str, needed: float) -> list[tuple[str, float]]:
        comparison = self._comparison
        if comparison is None:
            return []
        found = []
        if comparison.weighed is None or comparison.weighed.safety < needed:
            found.append((errors, comparison.weighed.safety if comparison.weighed else 1.0))
        if comparison.traffic is None or comparison.traffic.safety < needed:
            found.append(
                (
                    "a loss of most traffic is",
                    comparison.traffic.safety if comparison.traffic else 1.0,
                )
            )
        if comparison.slow is not None and comparison.slow.safety < needed:
            found.append(("work that takes 25 % longer is", comparison.slow.safety))
        return found

    # -- words ----------------------------------------------------------------------------------

    def figures(self) -> str:
        """Sum the watch up in numbers."""
        comparison = self._comparison
        if comparison is None:
            return "no minute could be compared yet"
        said = (
            f"{count(comparison.errors, 'error')} in {count(comparison.minutes, 'minute')},"
            f" {comparison.errors_expected:.2g} expected"
        )
        span = (
            comparison.weighed.interval()
            if comparison.weighed is not None and comparison.minutes
            else None
        )
        if span is not None:
            said += f" (ratio {span[0]:.2g} to {span[1]:.2g}, 95 %)"
        return f"{said}; evidence against it {comparison.e_value:.2g}"

    def against(self) -> tuple[str, ...]:
        """Say what condemns the release, the weightiest first."""
        comparison = self._comparison
        if comparison is None:
            return ()
        parts = {kind: share * value for kind, (share, value) in comparison.parts().items()}
        ranked = sorted(parts, key=lambda kind: -parts[kind])
        total = sum(parts.values())
        said = [
            sentence
            for kind in ranked
            if parts[kind] >= 0.2 * total
            for sentence in self._sentences(kind)
        ]
        backed = ""
        if self._replays:
            backed = (
                f"; in {len(self._replays)} replays of the past hours the most was"
                f" {max(self._replays):.2g}"
            )
        said.append(f"together {total:.3g} times likelier if the release is worse{backed}")
        return tuple(said)

    def _sentences(self, kind: str) -> list[str]:
        comparison = self._comparison
        if comparison is None:
            return []
        if kind == YOUNG:
            return self._new_errors()
        if kind == WORK and comparison.slow is not None:
            middle, spread = comparison.slow.middle
            low, high = exp(middle - 1.96 * spread), exp(middle + 1.96 * spread)
            said = (
                f"work takes {exp(middle):.2f} times as long as it did, beside the baseline"
                f" (95 % interval {low:.2f} to {high:.2f})"
            )
            return [said]
        traffic = comparison.traffic
        if kind == LINES and traffic is not None:
            said = (
                f"{count(traffic.seen, 'line')} in {count(comparison.minutes, 'minute')}, where"
                f" {traffic.expected:.0f} were expected: traffic stopped or is going away"
            )
            return [said]
        if kind == WEIGHED and comparison.weighed is not None:
            return [self._more_errors(comparison.weighed), *self._loudest()]
        if kind == APART and comparison.apart:
            name = max(comparison.apart, key=lambda one: comparison.apart[one].e_value)
            one = comparison.apart[name]
            which = quote(self._sample(name)) if name else self._rare()
            return [
                f"one error comes {one.seen / max(one.expected, 0.01):.1f} times as often: {which}"
            ]
        return []

    def _more_errors(self, weighed: Stream) -> str:
        comparison = self._comparison
        span = weighed.interval() or (0.0, 0.0)
        seen = comparison.errors if comparison else 0.0
        expected = comparison.errors_expected if comparison else 0.0
        minutes = comparison.minutes if comparison else 0
        return (
            f"{count(seen, 'error')} in {count(minutes, 'minute')}, where {expected:.2g} were"
            f" expected; ratio of rates {span[0]:.2g} to {span[1]:.2g} (95 %, bursts damped)"
        )

    def _loudest(self) -> list[str]:
        said = [one for tally in self._fleet.canary.values() for one in tally.quotes.values()]
        said.sort(key=lambda one: -one.lines)
        return [f"{count(one.lines, 'time')}: {quote(one.text)}" for one in said[:2]]

    def _rare(self) -> str:
        """Name the errors that are not watched one by one, by the new one that came most often."""
        new = [
            one
            for tally in self._fleet.canary.values()
            for name, one in tally.quotes.items()
            if not self._fleet.is_known(name)
        ]
        loudest = max(new, key=lambda one: one.lines, default=None)
        return "errors that are rare" + (f", most often {quote(loudest.text)}" if loudest else "")

    def _new_errors(self) -> list[str]:
        out = []
        for tally in self._fleet.canary.values():
            for name, one in tally.quotes.items():
                if self._fleet.is_known(name):
                    continue
                span_s = (one.last_us - one.first_us) / 1e6
                again = f", over {duration(span_s)}" if one.lines > 1 else ""
                out.append(
                    f"an error never seen before, {count(one.lines, 'time')}{again}:"
                    f" {quote(one.text)}"
                )
        return out[:3]

    def _sample(self, name: str) -> str:
        for tally in self._fleet.canary.values():
            one = tally.quotes.get(name)
            if one is not None:
                return one.text
        return name

    def host(self) -> str | None:
        """Name the canary host that shows it, if one alone does."""
        canary: list[HostTally] = list(self._fleet.canary.values())
        if len(canary) == 1:
            return canary[0].name
        errors = {tally.name: sum(one.lines for one in tally.quotes.values()) for tally in canary}
        total = sum(errors.values())
        worst = max(errors, key=lambda name: errors[name])
        return worst if total and errors[worst] > 0.8 * total else None


def _excluded(safety: float) -> str:
    if safety <= 1.0:
        return "not excluded"
    return f"excluded with no more than {100.0 * (1.0 - 1.0 / safety):.0f} % confidence"
